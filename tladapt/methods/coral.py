"""Correlation alignment."""

import torch
from torch import Tensor

from tladapt.methods.alignment import Alignment
from tladapt.methods.checks import positive
from tladapt.model import Output


class CORAL(Alignment):
    r"""Equal covariances of source and target features.

    .. math:: \mathcal{L} = w\,\frac{\lVert C_S - C_T \rVert_F^2}{\lVert C_S \rVert_F^2 + \lVert C_T \rVert_F^2}

    It is 0 where the covariances are equal, at most w, and does not change with the scale of the features. The same
    weight therefore acts alike on narrow and on wide networks.

    Parameters
    ----------
    weight : float, default 1.0
        The factor w (:math:`\lambda` in the paper), > 0.

    Notes
    -----
    Differences from the paper: it acts on the input of the head, the paper on its output. The paper divides by
    :math:`4 d^2` (`coral`), for d features; on the hundreds of features before a head hardly anything is left of it.
    Page: methods/coral.py.

    References
    ----------
    :cite:`SunSaenko2016`
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        positive("CORAL", weight=weight)
        self.weight = weight

    def discrepancy(self, source: Output, target: Output, progress: float) -> Tensor:
        """The weighted squared distance of the covariances, relative to their size."""
        return self.weight * relative_coral(source.features, target.features)


def relative_coral(source: Tensor, target: Tensor) -> Tensor:
    """Return the squared Frobenius distance of two covariances, divided by the sum of their squares; shape ().

    It is 0 where neither sample varies.

    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # variances 2 and 0
    >>> relative_coral(x, x[:, [1, 0]]).item(), relative_coral(x, 3 * x).item()  # 8 / 8, 16^2 / (2^2 + 18^2)
    (1.0, 0.7804877758026123)
    """
    old, new = covariance(source), covariance(target)
    size = old.square().sum() + new.square().sum()
    return (old - new).square().sum() / size.clamp(min=torch.finfo(size.dtype).tiny)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Return the distance of the paper: the squared Frobenius distance of two covariances, divided by 4 d^2; shape ().

    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # variances 2 and 0
    >>> coral(x, x[:, [1, 0]]).item()  # (2^2 + 2^2) / (4 * 2^2)
    0.5
    """
    return (covariance(source) - covariance(target)).square().sum() / (4 * source.shape[1] ** 2)


def covariance(x: Tensor) -> Tensor:
    """The sample covariance (d, d) of the rows of x (n, d), n >= 2."""
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)
