"""Tensors, arrays, data frames and data sets as `Data`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tladapt.data import Data, length
from tladapt.readers.datasets import is_dataset, of_dataset
from tladapt.readers.labels import labels
from tladapt.readers.lazy import require_finite
from tladapt.readers.rows import LABELS, without_label
from tladapt.readers.tensors import inputs


def as_data(source: Any, name: str, workers: int = 0) -> Data:
    """Return rows from an (x, y) pair, x alone (no labels), a data set, or `Data` itself.

    x may be a data set of inputs too: a torch `Dataset`, or any object with `__len__` and `__getitem__` that is not a
    list, array or data frame. Its rows are read when they are needed, by `workers` processes ahead of their turn; its
    labels are read once, here, unless they are given, or are in its `targets`. `Data.names` has the names of the
    classes, where labels are words or the data set has them.

    Raises
    ------
    ValueError, TypeError
        If `source` is none of these, is empty, has NaN or infinity in it, x and y differ in length, or an
        `IterableDataset` has no length; `name` says which argument it was.
    """
    if isinstance(source, Data):
        return source
    if isinstance(source, DataLoader):
        raise TypeError(f"{name} is a DataLoader; give the data set itself, its .dataset, and Domain(workers=)")
    x, y = _pair(source, name)
    given = None if y is None else labels(y, f"{name} labels")
    if is_dataset(x):
        return of_dataset(x, given, name, workers)
    x = inputs(x, name)
    y = torch.empty(0, dtype=torch.long) if given is None else given.y
    rows = {length(x)} if isinstance(x, Tensor) else {len(part) for part in x.values()}
    if rows in (set(), {0}):
        raise ValueError(f"{name} is empty; give at least one row")
    if len(rows) > 1 or len(y) not in {0, *rows}:
        raise ValueError(f"{name} has {sorted(rows)} rows and {len(y)} labels; give one label per row, or none")
    require_finite(x, name)
    data = Data(x, y)
    if given is not None and given.names is not None:
        data.names, data.worded = given.names, True
    return data


def _pair(source: Any, name: str) -> tuple[Any, Any]:
    """Return inputs and labels; None for labels if there are none."""
    if isinstance(source, TensorDataset):  # in memory, never augmented
        source = source.tensors
        if len(source) > 2:
            raise TypeError(
                f"{name} is a TensorDataset of {len(source)} tensors; give (x, y), with several inputs in a dict whose "
                "keys are the arguments of the network's forward"
            )
    if isinstance(source, tuple):
        if len(source) not in (1, 2):
            raise TypeError(f"{name} is a tuple of {len(source)}; give (x, y), or x alone as a tensor, array or list")
        x, y = source if len(source) == 2 else (source[0], None)
    else:
        x, y = source, None
    if isinstance(x, Mapping):
        x, label = without_label(x, name)
        if label is not None and y is not None:
            raise TypeError(f"{name}: there are labels in the dict of inputs and beside it; leave out one of them")
        y = label if y is None else y
    columns = [column for column in LABELS if column in getattr(x, "columns", ())]
    if columns:
        raise TypeError(
            f"{name} is a data frame with the column {columns[0]!r}; give inputs and labels apart: "
            f"(frame.drop(columns={columns[0]!r}), frame[{columns[0]!r}])"
        )
    _require_one_order(x, y, name)
    return x, y


def _require_one_order(x: Any, y: Any, name: str) -> None:
    """Refuse a data frame and labels with the same index in another order: rows are matched by place."""
    indexes = getattr(x, "index", None), getattr(y, "index", None)
    if any(callable(index) or not hasattr(index, "equals") for index in indexes) or len(x) != len(y):
        return
    ours, theirs = indexes
    if not ours.equals(theirs) and ours.sort_values().equals(theirs.sort_values()):  # type: ignore[union-attr]
        raise ValueError(
            f"{name}: the labels are in another order than the inputs, by their index; give y.loc[x.index]"
        )
