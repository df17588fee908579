"""Tensors, arrays and torch data sets as `Data`."""

import copy
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from tladapt.data import Data, length
from tladapt.readers.lazy import Lazy, Ordered, reading, require_finite


def as_data(source: Any, name: str, workers: int = 0) -> Data:
    """Rows from a (x, y) pair, x alone (no labels), a torch `Dataset`, or `Data` itself.

    x may be a `Dataset` of inputs too. The rows of one are read when they are asked for, ahead of their turn by
    `workers` processes; its labels are read once, here, unless they are given, or known as its `targets`.

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
    if isinstance(source, TensorDataset) and len(source.tensors) <= 2:  # in memory, never augmented
        source = source.tensors if len(source.tensors) == 2 else next(iter(source.tensors))
    x, y = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    y = None if y is None else labels(y, f"{name} labels")
    if isinstance(x, Dataset):
        return _of_dataset(x, y, name, workers)
    x = {k: tensor(part, f"{name}[{k!r}]") for k, part in x.items()} if isinstance(x, dict) else tensor(x, name)
    y = torch.empty(0, dtype=torch.long) if y is None else y
    _check_lengths({length(x)} if isinstance(x, Tensor) else {len(part) for part in x.values()}, len(y), name)
    require_finite(x, name)
    return Data(x, y)


def _check_lengths(rows: set[int], labels: int, name: str) -> None:
    if rows in (set(), {0}):
        raise ValueError(f"{name} is empty; give at least one row")
    if len(rows) > 1 or labels not in {0, *rows}:
        raise ValueError(f"{name} has {sorted(rows)} rows and {labels} labels; give one label per row, or none")


def _of_dataset(dataset: Any, y: Tensor | None, name: str, workers: int) -> Data:
    if not hasattr(dataset, "__len__"):
        raise TypeError(f"{name}: {type(dataset).__name__} has no length; give it __len__, the rows of one pass")
    ordered = isinstance(dataset, IterableDataset)
    given, dataset = dataset, copy.copy(dataset)  # what it opens while it is looked at stays with the copy
    _check_lengths({len(dataset)}, 0 if y is None else len(y), name)
    row = next(iter(dataset), None) if ordered else _row(dataset, 0)
    if isinstance(row, dict) and {"label", "labels"} & row.keys():
        raise TypeError(f"{name}: the rows of {type(dataset).__name__} are dicts; let it return (inputs, label)")
    if y is None:
        y = labels(_targets(dataset) if isinstance(row, tuple | list) and len(row) > 1 else [], f"{name} labels")
        _check_lengths({len(dataset)}, len(y), name)
    return (Ordered if ordered else Lazy)(given, y, torch.arange(len(dataset)), workers)


def _targets(dataset: Any) -> Any:
    """All labels: the attribute `targets` where it says what the rows say, else row by row."""
    if isinstance(dataset, IterableDataset):
        return [row[1] for row in islice(dataset, len(dataset))]  # type: ignore[arg-type]
    known, last = getattr(dataset, "targets", None), len(dataset) - 1
    if known is not None and all(int(known[row]) == int(_row(dataset, row)[1]) for row in {0, last // 2, last}):
        return known
    return [_row(dataset, row)[1] for row in range(len(dataset))]


def _row(dataset: Any, row: int) -> Any:
    with reading(dataset, row):
        return dataset[row]


def tensor(values: Any, name: str) -> Tensor:
    """`values` as a tensor: floats in single precision, integers as they are."""
    try:
        result = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.array(values, order="C"))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} is {type(values).__name__}: no tensor, array or torch Dataset of numbers") from error
    if not result.ndim:
        raise TypeError(f"{name} is the single value {values!r}; give one row per sample")
    return result.float() if result.dtype == torch.float64 else result


def labels(values: Any, name: str) -> Tensor:
    """Labels as a tensor: whole numbers as int64, and anything else (regression) in single precision."""
    y = tensor(values, name) if len(values) else torch.empty(0, dtype=torch.long)
    require_finite(y, name)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y  # a column
    return y if y.is_floating_point() else y.long()
