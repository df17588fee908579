"""Labels as tensors: numbers as they are, words by the place of each in a list of names."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tladapt.readers.classes import in_order
from tladapt.readers.lazy import require_finite
from tladapt.readers.tensors import tensor

IGNORED = -100  # what torch's losses ignore by default; here it is -1


class Labels(NamedTuple):
    """Labels, and the names of the classes where the labels were words."""

    y: Tensor
    names: tuple[str, ...] | None = None


def labels(values: Any, name: str) -> Labels:
    """Return labels as a tensor: words as class numbers, whole numbers as int64, all else in single precision.

    A column (n, 1) counts as (n,). In masks and texts, -100 becomes -1, the mark of what has no label.

    Raises
    ------
    ValueError, TypeError
        If a label is missing, not finite, complex, or the labels are partly words and partly numbers.
    """
    if not hasattr(values, "__len__"):
        raise TypeError(f"{name}: expected one label per row, got {type(values).__name__}; give a list or an array")
    if not len(values):
        return Labels(torch.empty(0, dtype=torch.long))
    words = _words(values, name)
    if words is not None:
        return words
    y = tensor(values, name)
    require_finite(y, name)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0].clone()
    if y.is_floating_point():
        return Labels(y)
    y = y.long()
    return Labels(y if y.ndim == 1 else y.masked_fill(y == IGNORED, -1))


def _words(values: Any, name: str) -> Labels | None:
    """Return words as numbers and names; None if the labels are not words."""
    categories = getattr(getattr(values, "cat", None), "categories", None)
    array = _flat(values)
    if array is None or array.dtype.kind not in "OUS":
        return None
    found = [value.decode() if isinstance(value, bytes) else value for value in array.tolist()]
    are_words = [isinstance(value, str) for value in found]
    missing = [row for row, value in enumerate(found) if value is None or value != value or str(value) == "<NA>"]
    if missing:
        raise ValueError(
            f"{name}: row {missing[0]} has no label; drop such rows, or give them as a domain without labels"
        )
    if not any(are_words):
        return None
    if not all(are_words):
        row = are_words.index(not are_words[0])
        raise ValueError(
            f"{name}: row 0 is {found[0]!r}, row {row} {found[row]!r}; give all as words or all as numbers"
        )
    names = in_order(found)
    if categories is not None:
        names = [str(category) for category in categories]
    place = {word: number for number, word in enumerate(names)}
    return Labels(torch.tensor([place[word] for word in found]), tuple(names))


def _flat(values: Any) -> np.ndarray | None:
    """Return labels that may be words as one dimension; None if they are not one value per row."""
    if isinstance(values, Tensor):
        return None
    if isinstance(values, list | tuple):
        if not any(value is None or isinstance(value, str | bytes) for value in values):
            return None
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        return None
    is_column = array.ndim == 2 and array.shape[1] == 1
    if array.ndim == 1 or is_column:
        return array.reshape(-1)
    return None
