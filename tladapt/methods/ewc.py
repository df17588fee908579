"""Elastic weight consolidation."""

import torch
from torch import Tensor

from tladapt.method import Method
from tladapt.methods.checks import positive, whole
from tladapt.methods.fisher import fisher
from tladapt.methods.quadratic import quadratic
from tladapt.methods.weights import flat, weights
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage


class EWC(Method):
    r"""Hold each parameter in proportion to what it meant for the stages before.

    .. math:: \mathcal{L} = \frac{w}{2} \sum_k \sum_i F_{k,i} (\theta_i - \theta_{k,i})^2
       = \frac{w}{2} \left( \sum_i A_i (\theta_i - M_i)^2 + c \right)

    with :math:`A = \sum_k F_k` and :math:`M = \sum_k F_k \theta_k / A`, kept up to date stage by stage: exact for any
    number of stages k, at the memory and the time of one.

    Parameters
    ----------
    weight : float, default 0.01
        The factor w (:math:`\lambda` in the paper), > 0.
    samples : int, default 1024
        Rows of a stage that its Fisher information is measured on, at most.

    Notes
    -----
    Differences from the paper: each F_k is divided by its mean over the parameters, so that one weight serves
    models and data of any scale. It needs no labels: y is drawn from the model. Page: methods/ewc.py.

    References
    ----------
    :cite:`Kirkpatrick2017`, :cite:`Huszar2018`
    """

    remembers = "statistics"
    total: Tensor | None  # A
    anchor: Tensor | None  # M
    rest: Tensor | None  # c: how far the anchors of the stages lie apart

    def __init__(self, weight: float = 0.01, samples: int = 1024) -> None:
        super().__init__()
        positive("EWC", weight=weight)
        whole("EWC", samples=samples)
        self.weight, self.samples = weight, samples
        for name in ("total", "anchor", "rest"):
            self.register_buffer(name, None)

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The weighted distance from the anchors; 0 before the end of the first stage."""
        if self.total is None or self.anchor is None or self.rest is None:
            return output.logits.new_zeros(())
        moved = quadratic(tuple(weights(model).values()), self.anchor, self.total)
        return self.weight / 2 * (moved + self.rest)

    def consolidate(self, model: Model, stage: Stage) -> None:
        """Add this stage's Fisher information, around the weights that it ends with."""
        new, here = fisher(model, stage, self.samples, self.random), flat(model).detach()
        new = new / new.mean().clamp(min=torch.finfo(new.dtype).tiny)
        if self.total is None or self.anchor is None or self.rest is None:
            self.total, self.anchor, self.rest = new, here, new.new_zeros(())
            return
        share = new / (self.total + new).clamp(min=torch.finfo(new.dtype).tiny)
        moved = here - self.anchor
        self.rest = self.rest + (self.total * share * moved.square()).sum()
        self.anchor = self.anchor + share * moved
        self.total = self.total + new
