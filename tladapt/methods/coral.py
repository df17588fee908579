"""Correlation alignment."""

from torch import Tensor

from tladapt.methods.alignment import Alignment
from tladapt.methods.checks import positive
from tladapt.model import Output


class CORAL(Alignment):
    r"""Equal covariances of source and target features.

    .. math:: \mathcal{L} = \frac{w}{4 d^2} \lVert C_S - C_T \rVert_F^2

    Parameters
    ----------
    weight : float, default 1.0
        The factor w (:math:`\lambda` in the paper), > 0.

    Notes
    -----
    Differences from the paper: it acts on the input of the head, the paper on its output. Page: methods/coral.py.

    References
    ----------
    :cite:`SunSaenko2016`
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        positive("CORAL", weight=weight)
        self.weight = weight

    def discrepancy(self, source: Output, target: Output, progress: float) -> Tensor:
        """The weighted squared distance of the covariances."""
        return self.weight * coral(source.features, target.features)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """The squared Frobenius distance of two covariances, divided by 4 d^2; (n, d) and (m, d) give shape ().

    >>> import torch
    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # variances 2 and 0
    >>> coral(x, x[:, [1, 0]]).item()  # (2^2 + 2^2) / (4 * 2^2)
    0.5
    """
    return (covariance(source) - covariance(target)).square().sum() / (4 * source.shape[1] ** 2)


def covariance(x: Tensor) -> Tensor:
    """The sample covariance (d, d) of the rows of x (n, d), n >= 2."""
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)
