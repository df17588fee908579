"""Averages of the weights from before and after a stage."""

import torch
from torch import Tensor

from tladapt.layers.batchnorm import DomainNorm
from tladapt.method import Method
from tladapt.methods.checks import fraction
from tladapt.methods.weights import assign, layers, weights
from tladapt.model import Model
from tladapt.stage import Stage


class WiSEFT(Method):
    r"""Keep a share of the weights that the stage began with.

    .. math:: \theta = (1 - \alpha)\,\theta_{\mathrm{old}} + \alpha\,\theta_{\mathrm{new}}

    for all weights, and the statistics of BatchNorm layers. The stage itself runs as without it. It acts from the
    second stage on: before the first there is nothing to keep. A model that comes trained says so by ``learned=``.

    Parameters
    ----------
    alpha : float, default 0.5
        The share :math:`\alpha` of the new weights, in (0, 1]; 1 is fine-tuning.

    Notes
    -----
    Differences from the paper: after every stage of a stream; the head of the old model is the one that it was trained
    with. With statistics per domain, those of a domain that is new stay as they are. Page: methods/wiseft.py.

    References
    ----------
    :cite:`Wortsman2022`
    """

    role = "weights"
    past: Tensor | None  # there has been a stage
    old: Tensor | None  # weights and statistics as this stage found them; nan: nothing to keep

    def __init__(self, alpha: float = 0.5) -> None:
        super().__init__()
        fraction("WiSEFT", alpha=alpha)
        self.alpha = alpha
        for name in ("past", "old"):
            self.register_buffer(name, None)

    def prepare(self, model: Model, stage: Stage) -> None:
        """Keep what the model is."""
        self.old = None
        if self.past is None:
            return
        values = whole(model)
        for prefix, norm in model.named_modules():
            if isinstance(norm, DomainNorm):
                for name in ("running_mean", "running_var"):
                    values[f"{prefix}.{name}"] = values[f"{prefix}.{name}"].where(norm.met[:, None] > 0, torch.nan)
        self.old = torch.cat([value.flatten() for value in values.values()]).detach()

    def consolidate(self, model: Model, stage: Stage) -> None:
        """Average."""
        if self.old is not None:
            new = whole(model)
            olds = self.old.split([value.numel() for value in new.values()])
            assign(model, {n: self._average(old, new[n]) for n, old in zip(new, olds, strict=True)})
        self.old, self.past = None, torch.ones((), dtype=torch.bool, device=model.device)

    def _average(self, old: Tensor, new: Tensor) -> Tensor:
        old = old.view_as(new).to(new.dtype)
        return torch.where(old.isnan(), new, old.lerp(new, self.alpha))


def whole(model: Model) -> dict[str, Tensor]:
    """Weights, and buffers of numbers that are not whole, by name."""
    buffers = {
        f"{prefix}.{name}": value
        for prefix, module in layers(model)
        for name, value in module.named_buffers(recurse=False)
        if value.is_floating_point()
    }
    return weights(model) | buffers
