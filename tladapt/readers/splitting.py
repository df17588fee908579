"""Data split by label."""

import torch
from torch import Tensor

from tladapt.data import Data


def hold_out(data: Data, share: float, random: torch.Generator) -> tuple[Data, Data | None]:
    """The rest, and a `share` of every class (of all labelled rows, where labels are no classes).

    Rows without a label stay in the rest.
    """
    order = _by_class(data, random)
    count = int(len(order) * share)
    if not count:
        return data, None
    test = torch.zeros(len(order), dtype=torch.bool)
    test[(torch.arange(1, count + 1) / share).long().clamp(max=len(order)) - 1] = True
    unlabelled = torch.arange(len(data.y), len(data))
    return data.take(order[~test], unlabelled), data.take(order[test])


def keep_some(data: Data, keep: int, random: torch.Generator) -> Data:
    """The data without its labels, but for `keep` per class; the rows that keep theirs come first."""
    if keep < 0:
        raise ValueError(f"unlabelled(keep={keep}): how many labels to keep per class, 0 or more")
    if not keep:
        return data.without_labels()
    order, classes = _by_class(data, random), _classes(data)
    kept = torch.cat([order[classes[order] == c][:keep] for c in classes.unique()] or [order])
    rest = torch.ones(len(data), dtype=torch.bool)
    rest[kept] = False
    return data.take(kept, rest.nonzero()[:, 0])


def _by_class(data: Data, random: torch.Generator) -> Tensor:
    """The labelled rows, class by class, in random order within a class."""
    order = torch.randperm(len(data.y), generator=random)
    return order[_classes(data)[order].argsort(stable=True)]


def _classes(data: Data) -> Tensor:
    """The class of each labelled row; one for all where labels are masks or measurements."""
    single = data.y.ndim == 1 and not data.y.is_floating_point()
    return data.y if single else torch.zeros(len(data.y), dtype=torch.long)
