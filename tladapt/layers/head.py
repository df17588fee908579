"""A network cut off before its head."""

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
        features = getattr(output, "logits", output)  # of Inception, which has auxiliary ones beside them in training
        if features is not self.tap.seen:
            raise ValueError(
                f"Model.of({type(self.module).__name__}): something follows its last linear layer {self.head!r} (a "
                "softmax?) or comes back beside it; return the plain logits, or build Model(encoder, head)"
            )
        self.tap.seen = None
        return features


class Tap(nn.Module):
    """The identity, which remembers what went through it last."""

    seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x."""
        self.seen = x
        return x
