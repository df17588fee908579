"""Low-rank adaptation."""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tladapt.methods.checks import positive, whole
from tladapt.methods.mergeable import Mergeable
from tladapt.model import Model

NO_MATRIX = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm)  # a weight of two dimensions that multiplies no vector


class LoRA(Mergeable):
    r"""Change each weight matrix by one of low rank, and nothing else in the encoder.

    .. math:: W = W_0 + \frac{\alpha}{r} B A, \quad B \in \mathbb{R}^{m \times r}, A \in \mathbb{R}^{r \times n}

    for every linear map of the encoder, convolutions (as matrices of m output channels) included; the head trains
    whole. :math:`W_0`, biases, norms and recurrent weights are frozen. A starts at random and B at 0, so that the first
    output is unchanged. After the stage W takes the place of :math:`W_0`: the model is a plain one again.

    Parameters
    ----------
    rank : int, default 8
        The rank r, >= 1; less where a matrix is smaller.
    alpha : float, default 16.0
        The factor :math:`\alpha`, > 0.

    Notes
    -----
    Differences from the paper: all linear maps, not those of attention alone; merged after each stage, so that the next
    one starts anew; no dropout. What the user froze, what two layers share and what is parametrized otherwise stays as
    it is. Page: methods/lora.py.

    References
    ----------
    :cite:`Hu2022`
    """

    def __init__(self, rank: int = 8, alpha: float = 16.0) -> None:
        super().__init__()
        whole("LoRA", rank=rank)
        positive("LoRA", alpha=alpha)
        self.rank, self.alpha = rank, alpha

    def insert(self, model: Model) -> None:
        """Make each matrix the sum of itself and a product of two."""
        for module, names in list(matrices(model)):
            order = list(module._parameters)
            for name in names:
                part = LowRank(getattr(module, name), self.rank, self.alpha / self.rank, order)
                parametrize.register_parametrization(module, name, part)

    def inserted(self, encoder: nn.Module) -> bool:
        """Whether there is a product of two."""
        return any(isinstance(module, LowRank) for module in encoder.modules())

    @torch.no_grad()
    def merge(self, encoder: nn.Module) -> None:
        """Write each sum into its matrix."""
        for module in list(encoder.modules()):
            if parametrize.is_parametrized(module) and self.inserted(module.parametrizations):  # type: ignore[arg-type]
                plain(module)


class LowRank(nn.Module):
    """A matrix plus `scale` B A, for a weight of any number of dimensions, the first of which counts the rows.

    `order`: of the parameters of the layer.
    """

    merges = True  # see `tladapt.methods.weights`

    def __init__(self, weight: Tensor, rank: int, scale: float, order: list[str]) -> None:
        super().__init__()
        m, n = weight.flatten(1).shape
        rank = min(rank, m, n)
        a = nn.init.kaiming_uniform_(torch.empty(rank, n), a=5**0.5)
        self.a, self.b = nn.Parameter(a.to(weight)), nn.Parameter(weight.new_zeros(m, rank))
        self.scale, self.order = scale, order

    def forward(self, weight: Tensor) -> Tensor:
        """The sum."""
        return weight + self.scale * (self.b @ self.a).view_as(weight)


def matrices(model: Model) -> Iterator[tuple[nn.Module, list[str]]]:
    """The layers of the encoder that map vectors linearly, and the names of their weights that train."""
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    for module in model.encoder.modules():
        if isinstance(module, NO_MATRIX) or parametrize.is_parametrized(module):
            continue
        named = [(name, p) for name, p in module._parameters.items() if p is not None and name.endswith("weight")]
        if names := [name for name, p in named if p.ndim > 1 and p.requires_grad and owners[id(p)] == 1]:
            yield module, names


def plain(module: nn.Module) -> None:
    """Give a layer the weights that its parametrizations make, and its own class back.

    torch's `remove_parametrizations` will not do: it breaks copies of the layer, and puts the weight behind the bias.
    """
    lists: nn.ModuleDict = module.parametrizations  # type: ignore[assignment]
    originals: dict[str, nn.Parameter] = {name: found.original for name, found in lists.items()}  # type: ignore[misc]
    made = {name: getattr(module, name) for name in originals}
    order = next(part.order for part in lists.modules() if isinstance(part, LowRank))
    del module._modules["parametrizations"]
    module.__class__ = type(module).__bases__[0]
    for name, weight in made.items():
        module._parameters[name] = originals[name]
        originals[name].copy_(weight)
    for name in order:
        module._parameters[name] = module._parameters.pop(name)
