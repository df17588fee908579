"""Data split by label."""

import torch
from torch import Tensor

from tladapt.data import Data


def hold_out(data: Data, share: float, random: torch.Generator) -> tuple[Data, Data | None]:
    """The rest, and a `share` of every class (of all labelled rows, where labels are no classes).

    At least one row of every class, and all rows without a label, stay in the rest.
    """
    order = torch.randperm(len(data.y), generator=random)
    picked, before = [order[:0]], 0
    for rows in _by_class(data, order):
        due = int((before + len(rows)) * share + 1e-9) - int(before * share + 1e-9)  # what is cut off here comes later
        picked.append(rows[: min(due, len(rows) - 1)])
        before += len(rows)
    test = torch.cat(picked)
    if not len(test):
        return data, None
    rest = torch.ones(len(data.y), dtype=torch.bool)
    rest[test] = False  # in the order in which they came: an order by class would tell the labels
    return data.take(rest.nonzero()[:, 0], torch.arange(len(data.y), len(data))), data.take(test.sort().values)


def keep_some(data: Data, keep: int, random: torch.Generator) -> Data:
    """The data without its labels, but for `keep` per class; the rows that keep theirs come first."""
    if keep < 0:
        raise ValueError(f"unlabelled(keep={keep}): how many labels to keep per class, 0 or more")
    if not keep:
        return data.without_labels()
    order = torch.randperm(len(data.y), generator=random)
    kept = torch.cat([order[:0], *(rows[:keep] for rows in _by_class(data, order))])
    kept = kept.sort().values if data.ordered else kept
    rest = torch.ones(len(data), dtype=torch.bool)
    rest[kept] = False
    return data.take(kept, rest.nonzero()[:, 0])


def _by_class(data: Data, order: Tensor) -> tuple[Tensor, ...]:
    """The rows of each class as `order` has them, in one pass: there may be as many classes as rows."""
    classes = _classes(data)
    sizes = classes.unique(return_counts=True)[1].tolist()
    return order[classes[order].argsort(stable=True)].split(sizes)


def _classes(data: Data) -> Tensor:
    """The class of each labelled row; one for all where labels are masks or measurements."""
    single = data.y.ndim == 1 and not data.y.is_floating_point()
    return data.y.cpu() if single else torch.zeros(len(data.y), dtype=torch.long)
