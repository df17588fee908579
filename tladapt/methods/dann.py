"""Domain-adversarial training of neural networks."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tladapt.methods.alignment import Alignment
from tladapt.methods.checks import positive, whole
from tladapt.model import Model, Output
from tladapt.stage import Stage


class DANN(Alignment):
    r"""Features from which a critic cannot tell source from target.

    .. math:: \mathcal{L} = \tfrac12 \left( \mathbb{E}_S\,\mathrm{softplus}(-c(f))
       + \mathbb{E}_T\,\mathrm{softplus}(c(f)) \right)

    The critic c descends it; the encoder gets its gradient times :math:`-w \left( 2 / (1 + e^{-10 p}) - 1 \right)`,
    p the progress in the stage.

    Parameters
    ----------
    weight : float, default 0.1
        The factor w of the reversed gradient (:math:`\lambda` in the paper), > 0; the critic learns at full rate.
    hidden : int, default 256
        The width of the critic's hidden layer.

    Notes
    -----
    Differences from the paper: the critic has one hidden layer for every network; source and target count alike
    whatever their numbers. Page: methods/dann.py.

    References
    ----------
    :cite:`Ganin2016`
    """

    def __init__(self, weight: float = 0.1, hidden: int = 256) -> None:
        super().__init__()
        positive("DANN", weight=weight)
        whole("DANN", hidden=hidden)
        self.weight, self.hidden = weight, hidden
        self.critic: nn.Sequential | None = None

    def prepare(self, model: Model, stage: Stage) -> None:
        """Build the critic before the first stage; later stages go on with it."""
        if self.critic is None:
            with self.own_randomness():
                critic = nn.Sequential(nn.Linear(model.width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1))
            self.critic = critic.to(next(model.parameters()))

    def discrepancy(self, source: Output, target: Output, progress: float) -> Tensor:
        """The cross-entropy of the critic in nats."""
        assert self.critic is not None
        ramp = self.weight * (2 / (1 + math.exp(-10 * progress)) - 1)
        is_source = self.critic(ReverseGradient.apply(source.features, ramp))
        is_target = -self.critic(ReverseGradient.apply(target.features, ramp))
        return (F.softplus(-is_source).mean() + F.softplus(-is_target).mean()) / 2


class ReverseGradient(torch.autograd.Function):
    """The identity forward; minus `scale` times the gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        """Return x."""
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return -scale * gradient."""
        return -ctx.scale * grads[0], None
