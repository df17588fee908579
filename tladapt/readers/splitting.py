"""Rows held out, and labels kept. Which rows are held out depends on their inputs, never on their labels."""

import torch
from torch import Tensor

from tladapt.data import Data
from tladapt.readers.contents import content_order

HELD_OUT = "hold out"  # key of the rows that a test share takes


def hold_out(data: Data, share: float, *key: int | str) -> tuple[Data, Data | None]:
    """Return the data without a `share` of its labelled rows, and those rows (None if the share is less than one row).

    All rows without a label stay in the rest. Both parts keep the order of the data.
    """
    rest, held = held_out(data, share, *key)
    if not len(held):
        return data, None
    unlabelled = torch.arange(len(data.y), len(data))
    return data.take(rest, unlabelled), data.take(held)


def held_out(data: Data, share: float, *key: int | str) -> tuple[Tensor, Tensor]:
    """Return the labelled rows that stay and those that are held out, each in ascending order.

    The choice depends on the inputs of the rows and on `key`. If it depended on the labels (a share of every class),
    the labels of a target would decide which of its rows are learned from.
    """
    rows = len(data.y)
    due = int(rows * share + 1e-9)
    if not due:
        return torch.arange(rows), torch.arange(0)
    order = content_order(data, rows, *key)
    return order[due:].sort().values, order[:due].sort().values


def without_labels(data: Data, keep: int, *key: int | str) -> tuple[Data, Tensor]:
    """Return the data without its labels except `keep` per class, and the row that each of its rows was before.

    The rows that keep their labels come first. All others are in an order that depends on their inputs only: their old
    order may show the labels, as that of a folder per class does.
    """
    if keep < 0:
        raise ValueError(f"unlabelled(keep={keep}): expected the number of labels to keep per class, 0 or more")
    order = content_order(data, len(data), *key)
    if not keep:
        return data.without_labels().take(order[:0], order), order
    labelled = order[order < len(data.y)]
    by_class = _by_class(data, labelled)
    kept = torch.cat([order[:0], *(rows[:keep] for rows in by_class)])
    if data.ordered:
        kept = kept.sort().values
    is_kept = torch.zeros(len(data), dtype=torch.bool)
    is_kept[kept] = True
    rest = order[~is_kept[order]]
    return data.take(kept, rest), torch.cat([kept, rest])


def _by_class(data: Data, order: Tensor) -> tuple[Tensor, ...]:
    """Return the rows of each class as `order` has them, in one pass: there may be as many classes as rows."""
    classes = _classes(data)
    sizes = classes.unique(return_counts=True)[1].tolist()
    return order[classes[order].argsort(stable=True)].split(sizes)


def _classes(data: Data) -> Tensor:
    """Return the class of each labelled row; one for all where labels are masks or measurements."""
    single = data.y.ndim == 1 and not data.y.is_floating_point()
    return data.y.cpu() if single else torch.zeros(len(data.y), dtype=torch.long)
