"""Maximum mean discrepancy."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tladapt.methods.alignment import Alignment
from tladapt.methods.checks import positive
from tladapt.model import Output


class MMD(Alignment):
    r"""Equal means of source and target features in the space of several Gaussian kernels.

    .. math:: \mathcal{L} = w \left( \mathbb{E}\,k(s, s') + \mathbb{E}\,k(t, t') - 2\,\mathbb{E}\,k(s, t) \right), \quad
       k(a, b) = \frac1{|S|} \sum_{c \in S} e^{-\lVert a - b \rVert^2 / (c \sigma^2)}

    Parameters
    ----------
    weight : float, default 1.0
        The factor w (:math:`\lambda` in the paper), > 0.
    scales : sequence of float, default (0.25, 0.5, 1, 2, 4)
        The set S of bandwidths, in units of :math:`\sigma^2`, the mean squared distance in the batch.

    Notes
    -----
    Differences from the paper: one layer (the input of the head), equal weights of the kernels, the quadratic
    unbiased estimate. It can be below 0. Page: methods/mmd.py.

    References
    ----------
    :cite:`Long2015`, :cite:`Gretton2012`
    """

    def __init__(self, weight: float = 1.0, scales: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0)) -> None:
        super().__init__()
        positive("MMD", weight=weight)
        if not isinstance(scales, Sequence) or not len(scales):
            raise ValueError(f"MMD(scales={scales!r}): expected at least one positive number")
        for scale in scales:
            positive("MMD", scales=scale)
        self.weight, self.scales = weight, tuple(scales)

    def discrepancy(self, source: Output, target: Output, progress: float) -> Tensor:
        """The weighted estimate for this batch."""
        return self.weight * mmd(source.features, target.features, self.scales)


def mmd(source: Tensor, target: Tensor, scales: Sequence[float], bandwidth: float | Tensor | None = None) -> Tensor:
    """The unbiased estimate of the squared MMD of (n, d) and (m, d), n and m >= 2; shape ().

    `bandwidth` is the squared distance that a scale of 1 stands for; by default the mean over all pairs.

    >>> x = torch.tensor([[0.0], [1.0]])  # k(0, 1) = 1/e; E k(s, s') + E k(t, t') - 2 E k(s, t)
    >>> round(mmd(x, x, [1.0], bandwidth=1.0).item(), 4)  # 2/e - (1 + 1/e)
    -0.6321
    """
    n, m = len(source), len(target)
    rows = torch.cat([source, target])
    rows = rows - rows.detach().mean(0)  # distances stay; far from zero, the squares below would lose all digits
    squares = rows.square().sum(1)
    distance = (squares[:, None] + squares - 2 * rows @ rows.T).clamp(min=0)
    if bandwidth is None:
        bandwidth = distance.detach().sum() / ((n + m) * (n + m - 1))
    kernel = torch.stack([torch.exp(-distance / (scale * bandwidth + 1e-12)) for scale in scales]).mean(0)
    trace = kernel.diagonal().clone()  # pairs of a row with itself
    within_source = (kernel[:n, :n].sum() - trace[:n].sum()) / (n * (n - 1))
    within_target = (kernel[n:, n:].sum() - trace[n:].sum()) / (m * (m - 1))
    return within_source + within_target - 2 * kernel[:n, n:].mean()
