"""Tensors, arrays and torch data sets as `Data`."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from tladapt.data import Data, Tensors, length


def as_data(source: Any, name: str) -> Data:
    """Rows from a (x, y) pair, x alone (no labels), a map-style `Dataset`, or `Data` itself.

    Raises
    ------
    ValueError, TypeError
        If `source` is none of these, is empty, has NaN or infinity in it, or x and y differ in length; `name`
        says which argument it was.
    """
    if isinstance(source, Data):
        return source
    if isinstance(source, IterableDataset):
        raise TypeError(f"{name} is an IterableDataset, whose rows cannot be chosen; give a map-style data set")
    if isinstance(source, DataLoader):
        raise TypeError(f"{name} is a DataLoader; give the data set itself, its .dataset")
    if isinstance(source, TensorDataset) and len(source.tensors) <= 2:  # in memory, never augmented
        source = source.tensors if len(source.tensors) == 2 else next(iter(source.tensors))
    if isinstance(source, Dataset):
        return _of_dataset(source, name)
    x, y = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    x = {k: tensor(part, f"{name}[{k!r}]") for k, part in x.items()} if isinstance(x, dict) else tensor(x, name)
    y = torch.empty(0, dtype=torch.long) if y is None else labels(y, f"{name} labels")
    rows = {length(x)} if isinstance(x, Tensor) else {len(part) for part in x.values()}
    if rows in (set(), {0}):
        raise ValueError(f"{name} is empty; give at least one row")
    if len(rows) > 1 or len(y) not in {0, *rows}:
        raise ValueError(f"{name} has {sorted(rows)} rows and {len(y)} labels; give one label per row, or none")
    require_finite(x, name)
    return Data(x, y)


class Lazy(Data):
    """The rows of a map-style `Dataset`, read when asked for, so that its random augmentation stays random.

    Its labels are read once, here; `rows` gives inputs only.
    """

    in_memory = False

    def __init__(self, x: tuple[Any, Tensor], y: Tensor) -> None:
        super().__init__(x, y)
        self.dataset, self.order = x  # row i of the data is row order[i] of the data set

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, index: Tensor) -> Tensors:
        """The inputs of these rows, on the CPU."""
        rows = [self.dataset[row] for row in self.order[index.cpu()].tolist()]
        try:
            x = default_collate([row[0] if isinstance(row, tuple | list) else row for row in rows])
        except (TypeError, RuntimeError) as error:
            name = type(self.dataset).__name__
            raise ValueError(
                f"{name}: its rows are no tensors of one shape ({error}); give the data set a transform, such as "
                "torchvision.transforms.v2.ToImage() after a resize"
            ) from error
        require_finite(x, type(self.dataset).__name__)
        return x

    def take(self, labelled: Tensor, unlabelled: Tensor | None = None) -> Data:
        """The rows `labelled` with their labels, then the rows `unlabelled` without."""
        index = labelled if unlabelled is None else torch.cat([labelled, unlabelled])
        return Lazy((self.dataset, self.order[index]), self.y[labelled] if len(self.y) else self.y)

    def to(self, device: torch.device) -> Data:
        """The labels on `device`; each batch follows when it is read."""
        return Lazy(self.x, self.y.to(device))


def _of_dataset(dataset: Any, name: str) -> Data:
    if len(dataset) == 0:
        raise ValueError(f"{name} is empty; give at least one row")
    row = dataset[0]
    if isinstance(row, dict) and {"label", "labels"} & row.keys():
        raise TypeError(f"{name}: the rows of {type(dataset).__name__} are dicts; let it return (inputs, label)")
    y = _targets(dataset) if isinstance(row, tuple | list) and len(row) > 1 else []
    return Lazy((dataset, torch.arange(len(dataset))), labels(y, f"{name} labels"))


def _targets(dataset: Any) -> Any:
    """All labels: the attribute `targets` where it says what the rows say, else row by row."""
    known, last = getattr(dataset, "targets", None), len(dataset) - 1
    if known is not None and all(int(known[row]) == int(dataset[row][1]) for row in {0, last // 2, last}):
        return known
    return [dataset[row][1] for row in range(len(dataset))]


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


def require_finite(x: Tensors, name: str) -> None:
    """Refuse NaN and infinity."""
    for part in x.values() if isinstance(x, dict) else (x,):
        if part.is_floating_point() and not (finite := part.isfinite()).all():
            row = int(finite.reshape(len(finite), -1).all(1).int().argmin())
            raise ValueError(f"{name} holds NaN or infinity, first in row {row}; drop the row or fill it in")
