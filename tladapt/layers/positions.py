"""Positions of sequences that are padded to one length."""

import torch
from torch import Tensor


def within(count: Tensor, size: int) -> Tensor:
    """Of `size` positions, the first `count` (n,): a mask (n, size).

    >>> within(torch.tensor([1, 3]), 3).tolist()
    [[True, False, False], [True, True, True]]
    """
    return torch.arange(size, device=count.device) < count[:, None]


def turned(x: Tensor, count: Tensor) -> Tensor:
    """The first `count` (n,) positions of x (n, positions, d) back to front; the others stay where they are.

    >>> turned(torch.tensor([[[1], [2], [0]]]), torch.tensor([2]))[0, :, 0].tolist()
    [2, 1, 0]
    """
    place = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    place = torch.where(within(count, x.shape[1]), count[:, None] - 1 - place, place)
    return x.gather(1, place[..., None].expand_as(x))
