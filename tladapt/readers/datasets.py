"""Data sets of torch, and objects like them, as `Data`: their labels, and the names of their classes."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset

from tladapt.data import Data
from tladapt.readers.headers import some
from tladapt.readers.labels import Labels, labels
from tladapt.readers.lazy import Lazy, Ordered, reading
from tladapt.readers.rows import is_label, kinds_of, split, stacked
from tladapt.seeding import seeded

READ = 5000  # rows at most that are read to compare all their labels with `targets`
COMPARED = 64  # classes of `targets`, at most, of which rows are read to check them


def is_dataset(values: Any) -> bool:
    """Whether rows must be read by number: a torch `Dataset`, or an object with its two methods.

    Lists, arrays, data frames and dicts are not meant.
    """
    if isinstance(values, Dataset):
        return True
    if isinstance(values, Tensor | np.ndarray | str | bytes | Mapping | Sequence) or hasattr(values, "iloc"):
        return False
    if hasattr(values, "__array__") or hasattr(values, "toarray"):
        return False
    return hasattr(values, "__len__") and hasattr(values, "__getitem__")


def of_dataset(dataset: Any, given: Labels | None, name: str, workers: int) -> Data:
    """Return the rows of a data set, with the labels `given`, or with those that the rows have.

    Its rows are read with random numbers of their own, so that the user's are left alone.

    Raises
    ------
    ValueError, TypeError
        If it has no length or no row, a row cannot be read, or its rows have more parts than (inputs, label).
    """
    kind = type(dataset).__name__
    rows = _length(dataset, name, kind)
    ordered = isinstance(dataset, IterableDataset)
    reader = copy.copy(dataset)  # what it opens while it is looked at stays with the copy
    with seeded(0, cuda=False):
        first = next(iter(reader), None) if ordered else _row(reader, 0)
        inputs, label = split(first, f"{name}: {kind}")
        kinds = _kinds(inputs, f"{name}: {kind}")
        trusted = False
        if given is None:
            values, trusted = (None, False) if label is None else _labels_of(reader, rows)
            given = labels([] if values is None else values, f"{name} labels")
    names = given.names or class_names(dataset, given.y)
    y = given.y
    if len(y) not in (0, rows):
        raise ValueError(f"{name} has {[rows]} rows and {len(y)} labels; give one label per row, or none")
    data = (Ordered if ordered else Lazy)(dataset, y, torch.arange(rows), workers)
    data.types, data.names, data.words = kinds, names, given.names
    data.worded = given.names is not None
    data.said = y.cpu() if trusted or ordered else None
    return data


def class_names(dataset: Any, y: Tensor) -> tuple[str, ...] | None:
    """Return the names of the classes that the labels `y` number, where the data set has them.

    They are in its `classes`, `class_to_idx` or `features` (those of Hugging Face), or in those of the data set that it
    is a part of. Names are of no use if the labels are not whole numbers, go beyond the names, or are transformed.
    """
    if y.is_floating_point() or not len(y):
        return None
    names = _names(dataset)
    if names is None or len(set(names)) < len(names) or int(y.max()) >= len(names):
        return None
    return names


def _names(dataset: Any) -> tuple[str, ...] | None:
    if _transforms_targets(dataset):
        return None
    if isinstance(dataset, Subset):
        return _names(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        return _of_parts([_names(part) for part in dataset.datasets])
    return _listed(getattr(dataset, "classes", None)) or _numbered(dataset) or _features(dataset)


def _of_parts(parts: list[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    first = parts[0] if parts else None
    for other in parts[1:]:
        if first is not None and other is not None and other != first:
            raise ValueError(
                f"ConcatDataset: one of its data sets has the classes {some(first)}, another {some(other)}, so "
                "that equal numbers mean different classes; give each as a domain of its own"
            )
    return first if None not in parts else None


def _listed(found: Any) -> tuple[str, ...] | None:
    is_list = isinstance(found, list | tuple | np.ndarray)
    if is_list and len(found) and all(isinstance(name, str) for name in found):
        return tuple(str(name) for name in found)
    return None


def _numbered(dataset: Any) -> tuple[str, ...] | None:
    found = getattr(dataset, "class_to_idx", None)
    if isinstance(found, Mapping) and sorted(found.values()) == list(range(len(found))):
        return tuple(str(name) for name in sorted(found, key=lambda name: found[name])) or None
    return None


def _features(dataset: Any) -> tuple[str, ...] | None:
    found = getattr(dataset, "features", None)
    if not isinstance(found, Mapping):
        return None
    return _listed(getattr(found.get("label", found.get("labels")), "names", None))


def _length(dataset: Any, name: str, kind: str) -> int:
    try:
        rows = len(dataset)
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise TypeError(f"{name}: {kind} has no length; give it __len__, the rows of one pass") from error
    if not rows:
        raise ValueError(f"{name} is empty; give at least one row")
    return rows


def _kinds(inputs: Any, name: str) -> dict[str, torch.dtype]:
    """Return the types of the inputs of a row; none if it cannot be read as tensors, which `rows` then reports."""
    if isinstance(inputs, dict) and not inputs:
        raise TypeError(f"{name}: its rows have a label, but no inputs")
    try:
        return kinds_of(stacked([inputs], {}, name, [0]))
    except ValueError:
        return {}


def _labels_of(dataset: Any, rows: int) -> tuple[Any, bool]:
    """Return the labels of all rows (None for rows without), and whether they are `targets`, not read from the rows."""
    kind = type(dataset).__name__
    known = _targets(dataset)
    if known is not None and len(known) == rows and _same(dataset, known):
        return known, True
    if isinstance(dataset, IterableDataset):
        source: Iterator[Any] = islice(dataset, rows)  # type: ignore[arg-type]
    else:
        source = (_row(dataset, row) for row in range(rows))
    found = [split(row, kind).label for row in source]
    return (None if all(label is None for label in found) else found), False


def _targets(dataset: Any) -> Any:
    """Return the attribute `targets` where it may be what the rows say; that of a subset's data set for a subset."""
    if isinstance(dataset, IterableDataset) or _transforms_targets(dataset):
        return None
    if isinstance(dataset, Subset):
        whole = _targets(dataset.dataset)
        return None if whole is None else [whole[row] for row in dataset.indices]
    known = getattr(dataset, "targets", None)
    return known if isinstance(known, list | tuple | np.ndarray | Tensor) else None


def _transforms_targets(dataset: Any) -> bool:
    """Whether labels are changed when a row is read."""
    both = getattr(dataset, "transforms", None)  # those of torchvision
    return any(getattr(holder, "target_transform", None) is not None for holder in (dataset, both))


def _same(dataset: Any, known: Any) -> bool:
    """Whether rows say what `targets` says: all, or of a large data set the first and last of every class and one more.

    The others are compared when they are read for training or scoring.
    """
    try:
        whole = torch.as_tensor(known if isinstance(known, Tensor) else np.asarray(known))
    except (TypeError, ValueError):
        return False
    if whole.is_floating_point() or whole.is_complex() or whole.ndim != 1:
        return False  # several labels per row: they are read
    is_small = len(whole) <= READ and not _of_torchvision(dataset)
    if is_small:
        return all(is_label(split(_row(dataset, row), "").label, whole[row]) for row in range(len(whole)))
    classes = whole.unique()
    classes = classes[:: -(-len(classes) // COMPARED)]
    places = [(whole == label).nonzero()[:, 0] for label in classes]
    compared = {int(place) for own in places for place in (own[0], own[-1])} | {(len(whole) - 1) // 2}
    return all(is_label(split(_row(dataset, row), "").label, whole[row]) for row in sorted(compared))


def _of_torchvision(dataset: Any) -> bool:
    """Whether rows are read by a data set of torchvision itself, which says in `targets` what its rows say."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return type(dataset).__getitem__.__module__.startswith("torchvision.datasets.")


def _row(dataset: Any, row: int) -> Any:
    with reading(dataset, row):
        return dataset[row]
