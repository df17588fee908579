"""Intervals of confidence: whether a difference is more than noise."""

import math
from collections.abc import Sequence

import numpy as np

Z = 1.959964  # the normal distribution's quantile at 0.975
Interval = tuple[float, float]


def wilson(share: float, rows: int) -> Interval:
    """Return Wilson's 95 % interval of a share that was counted on so many rows.

    References
    ----------
    :cite:`Wilson1927`

    Examples
    --------
    >>> [round(end, 4) for end in wilson(0.9, 100)]
    [0.8256, 0.9448]
    """
    scale = 1 + Z**2 / rows
    centre = (share + Z**2 / (2 * rows)) / scale
    half = Z * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def newcombe(after: Sequence[float], before: Sequence[float], rows: Sequence[int]) -> Interval:
    """Return Newcombe's 95 % interval of the mean of `after - before`, shares of several tests of so many rows each.

    It takes the two shares of a test as independent. Where both were counted on the same rows, which agree on most of
    them, the interval is too wide rather than too narrow.

    References
    ----------
    :cite:`Newcombe1998`

    Examples
    --------
    >>> [round(end, 3) for end in newcombe([0.8], [0.6], [80])]
    [0.058, 0.332]
    >>> [round(end, 3) for end in newcombe([60 / 80], [61 / 80], [80])]  # one row of 80 says nothing
    [-0.144, 0.12]
    """
    low, high = 0.0, 0.0
    for share, was, count in zip(after, before, rows, strict=True):
        bottom, top = wilson(share, count)
        old_bottom, old_top = wilson(was, count)
        low += (share - bottom) ** 2 + (old_top - was) ** 2
        high += (top - share) ** 2 + (was - old_bottom) ** 2
    change = float(np.mean(after)) - float(np.mean(before))
    return change - math.sqrt(low) / len(rows), change + math.sqrt(high) / len(rows)


def student(mean: float, deviation: float, count: int) -> Interval:
    """Return Student's 95 % interval of a mean of `count` values with this sample standard deviation.

    >>> [round(end, 3) for end in student(0.25, 0.1, 5)]
    [0.126, 0.374]
    """
    half = quantile(count - 1) * deviation / math.sqrt(count)
    return mean - half, mean + half


def quantile(freedom: int) -> float:
    """Return the quantile of Student's distribution at 0.975 for this number of degrees of freedom.

    >>> [round(quantile(n), 3) for n in (1, 4, 5, 9, 30)]
    [12.706, 2.776, 2.571, 2.262, 2.042]
    """
    from scipy.special import stdtrit  # imported here because it takes a quarter of a second

    return float(stdtrit(freedom, 0.975))
