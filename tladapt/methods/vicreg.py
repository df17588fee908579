"""Variance, invariance, covariance."""

import warnings

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tladapt.method import Method
from tladapt.methods.checks import positive, whole
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage


class VICReg(Method):
    r"""Features that are the same in two random views of a sample, differ between samples, and repeat nothing.

    .. math:: \mathcal{L} = w \left( \tfrac1{nd} \lVert A - B \rVert^2 + \tfrac12 \sum_{Z \in \{A, B\}} \left[
       \tfrac1d \sum_j \max\left( 0, 1 - \sqrt{C(Z)_{jj} + \varepsilon} \right) \right] + c \sum_{Z \in \{A, B\}}
       \tfrac1d \sum_{j \ne k} C(Z)_{jk}^2 \right)

    No label is read: it learns from all n rows of a batch that holds unlabelled ones. The two views are two forward
    passes in training mode, apart in what layers draw at random; A and B (n, d) are what a projector makes of their
    features, C is the covariance over the rows.

    Parameters
    ----------
    weight : float, default 1.0
        The factor w, > 0; 25 in the paper, which has no other term beside it.
    covariance : float, default 0.04
        The factor c, > 0.
    hidden : int, default 256
        Units in the layers of the projector, and d.

    Notes
    -----
    Differences from the paper: the model's own random layers make the views, so it is of use only with such, as
    `nn.Dropout` or `tladapt.layers.jitter.Jitter`; a smaller projector. Its second pass moves no statistics of the
    model. Page: methods/vicreg.py.

    References
    ----------
    :cite:`Bardes2022`
    """

    needs = frozenset({"target"})
    reads_features = True

    def __init__(self, weight: float = 1.0, covariance: float = 0.04, hidden: int = 256) -> None:
        super().__init__()
        positive("VICReg", weight=weight, covariance=covariance)
        whole("VICReg", hidden=hidden)
        self.weight, self.covariance, self.hidden = weight, covariance, hidden
        self.projector: nn.Sequential | None = None

    def prepare(self, model: Model, stage: Stage) -> None:
        """Build the projector before the first stage; warn if the model is not random."""
        if self.projector is None:
            with self.own_randomness():
                self.projector = projector(model.width, self.hidden).to(next(model.parameters()))
        with torch.no_grad():
            first, second = (self._view(model, stage.batch(0)).features for _ in range(2))
        if torch.equal(first, second):
            warnings.warn(
                f"VICReg: stage {stage.index} ({stage.name}): the two views are equal, for no layer of the encoder is "
                "random; add nn.Dropout or a jitter layer",
                stacklevel=2,
            )

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The weighted sum for this batch; 0 where no row is unlabelled, or there is one row only."""
        if len(batch) < 2 or len(batch) == len(batch.y):
            return output.logits.new_zeros(())
        assert self.projector is not None
        first, second = (self.projector(o.pooled.features) for o in (output, self._view(model, batch)))
        return self.weight * vicreg(first, second, self.covariance)

    def _view(self, model: Model, batch: Batch) -> Output:
        """The output of another random pass, on copies of the buffers."""
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        with self.own_randomness():
            return functional_call(model, buffers, (batch.x, batch.domain, batch.y))


def projector(width: int, hidden: int) -> nn.Sequential:
    """Two hidden layers with BatchNorm, and a linear one; without statistics, which would outlive a stage."""
    layers = list[nn.Module]()
    for inputs in (width, hidden):
        layers += [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden, track_running_stats=False), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, hidden))


def vicreg(first: Tensor, second: Tensor, covariance: float) -> Tensor:
    """Invariance, variance and covariance of two views (n, d) of n >= 2 rows, added up; shape ().

    >>> a = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # a deviation of 1.41, and one of 0 (but for 1e-4 in the variance)
    >>> round(vicreg(a, a + 3, covariance=1.0).item(), 3)  # 9 + 0.99 / 2 + 0
    9.495
    """
    total = F.mse_loss(first, second)
    for view in (first, second):
        centred = view - view.mean(0)
        spread = centred.T @ centred / (len(view) - 1)
        variances = spread.diagonal()
        total = total + F.relu(1 - (variances + 1e-4).sqrt()).mean() / 2
        total = total + covariance * (spread.square().sum() - variances.square().sum()) / len(spread)
    return total
