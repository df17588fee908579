"""The rows of a data set: what of a row is input, what is its label, and rows put together."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from tladapt.data import Tensors
from tladapt.readers.tensors import single

LABELS = ("label", "labels", "target", "targets")  # keys of a row that is a dict
Kinds = dict[str, torch.dtype]  # by key; the key of inputs that are no dict is ""


class Row(NamedTuple):
    """A row taken apart; `label` is None for a row without one."""

    inputs: Any
    label: Any = None


def split(row: Any, name: str) -> Row:
    """Take a row apart: (inputs, label), (inputs,), inputs alone, or a dict that may have the key "label" or "labels".

    Raises
    ------
    TypeError
        If it has more than two parts, two labels, or several inputs that are not in a dict; `name` says whose row.
    """
    label = None
    if isinstance(row, tuple | list):
        if len(row) not in (1, 2):
            raise TypeError(
                f"{name}: its rows have {len(row)} parts; let it return (inputs, label), with several inputs in a dict "
                "whose keys are the arguments of the network's forward"
            )
        label = row[1] if len(row) == 2 else None
        row = row[0]
    if isinstance(row, Mapping):
        row, found = without_label(row, name)
        label = found if label is None else label
    elif isinstance(row, tuple | list) and any(_has_shape(part) for part in row):
        raise TypeError(
            f"{name}: its rows have {len(row)} inputs; let it return them in a dict, whose keys are the arguments of "
            "the network's forward"
        )
    return Row(row, label)


def without_label(inputs: Mapping[str, Any], name: str) -> tuple[dict[str, Any], Any]:
    """Return a dict without its label, and the label; None if it has none."""
    keys = [key for key in LABELS if key in inputs]
    if len(keys) > 1:
        raise TypeError(f"{name}: both {keys[0]!r} and {keys[1]!r} may be the label; leave out one of them")
    rest = {str(key): value for key, value in inputs.items() if key not in keys}
    return rest, inputs[keys[0]] if keys else None


def stacked(inputs: Sequence[Any], kinds: Kinds, name: str, places: Sequence[int]) -> Tensors:
    """Put the inputs of several rows together; all have the types `kinds`, by default those of the first.

    Raises
    ------
    ValueError
        If they are not numbers of one shape and type, or not dicts with equal keys; `places` numbers the rows.
    """
    first = inputs[0]
    if not isinstance(first, dict):
        return _column(inputs, kinds.get(""), name, places)
    for row, place in zip(inputs, places, strict=True):
        if not isinstance(row, dict) or row.keys() != first.keys():
            raise ValueError(
                f"{name}: row {place} does not have the inputs {', '.join(first)}; give every row the same"
            )
    return {key: _column([row[key] for row in inputs], kinds.get(key), f"{name}[{key!r}]", places) for key in first}


def kinds_of(x: Tensors) -> Kinds:
    """Return the type of every input."""
    return {key: part.dtype for key, part in x.items()} if isinstance(x, dict) else {"": x.dtype}


def is_label(label: Any, expected: Tensor) -> bool:
    """Whether the label of a row is this number."""
    try:
        found = torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError):
        return False
    return found.numel() == expected.numel() and bool((found.reshape(expected.shape) == expected).all())


def _column(values: Sequence[Any], kind: torch.dtype | None, name: str, places: Sequence[int]) -> Tensor:
    """Put one input of several rows together."""
    try:
        parts = [_leaf(value) for value in values]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(_not_tensors(name, error)) from error
    kind = kind or parts[0].dtype
    parts = [_of_kind(part, kind, name, place) for part, place in zip(parts, places, strict=True)]
    try:
        return default_collate(parts)
    except (TypeError, RuntimeError) as error:
        raise ValueError(_not_tensors(name, error)) from error


def _not_tensors(name: str, error: Exception) -> str:
    return (
        f"{name}: its rows are no tensors of one shape ({' '.join(str(error).split())[:200]}); give the data set a "
        "transform, such as torchvision.transforms.v2.ToImage() after a resize"
    )


def _leaf(value: Any) -> Tensor:
    """Return one input of one row as a tensor."""
    if isinstance(value, Tensor):
        return single(value.detach().as_subclass(Tensor))
    if isinstance(value, numbers.Number | np.ndarray | np.generic | list | tuple):
        array = np.asarray(value)
        return single(torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C")))
    raise TypeError(f"{type(value).__name__} instead of a tensor, array or number")


def _of_kind(part: Tensor, kind: torch.dtype, name: str, place: int) -> Tensor:
    """Return the row as that type; whole numbers may become floats, nothing else changes its meaning."""
    if part.is_complex():
        raise ValueError(f"{name}: complex numbers are not supported; give real and imaginary part as two inputs")
    if part.dtype == kind:
        return part
    is_whole = part.dtype in (torch.int32, torch.int64, torch.bool)
    if is_whole and kind in (torch.float32, torch.int64):
        return part.to(kind)
    raise ValueError(
        f"{name}: row {place} is of the type {part.dtype}, others of {kind}; let the data set return one type".replace(
            "torch.", ""
        )
    )


def _has_shape(part: Any) -> bool:
    return isinstance(part, Tensor | np.ndarray | Mapping)
