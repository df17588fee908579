"""A network cut off before its head."""

from typing import Any

from torch import Tensor, nn

from tladapt.data import Tensors


class UpToHead(nn.Module):
    """A network that ends before its linear layer `head`."""

    def __init__(self, module: nn.Module, head: str) -> None:
        super().__init__()
        parent, _, name = head.rpartition(".")
        self.module, self.head, self.tap = module, head, Tap()
        setattr(module.get_submodule(parent), name, self.tap)

    def forward(self, *x: Tensors, **named: Tensor) -> Tensor:
        """The input of the head."""
        output = self.module(*x, **named)
        features = _logits(output)
        if features is not self.tap.seen:
            raise ValueError(
                f"Model.of({type(self.module).__name__}): expected a network that returns the output of its last "
                f"linear layer, {self.head!r}, alone; remove what follows it (a softmax) or comes back beside it, or "
                "build Model(encoder, head)"
            )
        self.tap.seen = None
        return features


def _logits(output: Any) -> Any:
    """The logits in what a network returns: auxiliary ones may stand beside them, as in Inception or transformers."""
    if isinstance(output, dict) and "logits" in output:
        return output["logits"]
    return getattr(output, "logits", output)


class Tap(nn.Module):
    """The identity, which remembers what went through it last."""

    seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x."""
        self.seen = x
        return x
