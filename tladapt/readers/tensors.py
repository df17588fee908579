"""Values of many kinds as tensors: arrays, lists, data frames, tensors."""

import decimal
import numbers
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.data import Tensors, owned

SMALL = (torch.int8, torch.int16, torch.uint16, torch.uint32, torch.uint64)


def inputs(values: Any, name: str) -> Tensors:
    """Return the inputs of a model: a tensor, or for a mapping a dict of tensors.

    Raises
    ------
    ValueError, TypeError
        If they are neither numbers nor a mapping of them.
    """
    if isinstance(values, Mapping):
        return {str(key): tensor(part, f"{name}[{key!r}]") for key, part in values.items()}
    if isinstance(values, tuple) and any(isinstance(part, Tensor | np.ndarray) for part in values):
        raise TypeError(
            f"{name} is a tuple of {len(values)} inputs; give a dict, whose keys are the arguments of the network's "
            "forward"
        )
    return tensor(values, name)


def tensor(values: Any, name: str) -> Tensor:
    """Return `values` as a tensor with memory of its own size: floats in single precision, bytes as they are.

    A view would keep all the memory of the tensor that it is a part of, such as labels beside inputs.

    Raises
    ------
    ValueError, TypeError
        If they are not numbers, or complex ones.
    """
    result = _read(values, name)
    if not result.ndim:
        raise TypeError(f"{name} is the single value {values!r}; give one row per sample")
    if result.is_complex():
        raise TypeError(f"{name}: complex numbers are not supported; give real and imaginary part as two columns")
    return owned(single(result))


def single(part: Tensor) -> Tensor:
    """Return floats in single precision, and small whole numbers (but bytes and booleans) as int64."""
    if part.is_floating_point():
        return part.float()
    return part.long() if part.dtype in SMALL else part


def _read(values: Any, name: str) -> Tensor:
    """Return `values` as a tensor of their own type."""
    if isinstance(values, Tensor):
        return _dense(values, name)
    if isinstance(values, str | os.PathLike):
        raise TypeError(
            f"{name} is {type(values).__name__}, {str(values)[:200]!r}; expected numbers (read files with "
            "tladapt.readers.files.read_domains)"
        )
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is a sparse {type(values).__name__}; give a dense array, its .toarray()")
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        raise ValueError(f"{name} has masked values; fill them in with .filled(), or drop their rows")
    if isinstance(values, list | tuple) and len(values) and all(isinstance(value, Tensor) for value in values):
        return _stacked(values, name)
    try:
        return torch.from_numpy(_array(values, name))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        if isinstance(error, RefusedError):
            raise
        raise TypeError(
            f"{name} is {type(values).__name__}: expected a tensor, array, data frame or torch Dataset of numbers"
        ) from error


class RefusedError(TypeError):
    """A message that needs no other."""


def _dense(values: Tensor, name: str) -> Tensor:
    if values.is_nested:
        raise TypeError(f"{name} is a nested tensor; give rows of one shape, its .to_padded_tensor(0)")
    if values.layout is not torch.strided:
        raise TypeError(f"{name} is a sparse tensor; give a dense one, its .to_dense()")
    if values.is_quantized:
        raise TypeError(f"{name} is a quantized tensor; give its .dequantize()")
    return values.detach().as_subclass(Tensor)


def _stacked(values: Any, name: str) -> Tensor:
    shapes = {tuple(value.shape) for value in values}
    if len(shapes) > 1:
        shown = ", ".join(map(str, sorted(shapes)[:5]))
        raise TypeError(
            f"{name} is a {type(values).__name__} of tensors of different shapes ({shown}); "
            "give rows of one shape, and inputs with labels as a tuple (x, y)"
        )
    return torch.stack([value.detach().as_subclass(Tensor) for value in values])


def _array(values: Any, name: str) -> np.ndarray:
    """Return an array that torch can take, copied."""
    array = np.array(values, order="C")
    if array.dtype.kind in "OUS":
        array = _numbers(values, array, name)
    if array.dtype == np.longdouble:
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="))


def _numbers(values: Any, array: np.ndarray, name: str) -> np.ndarray:
    """Return an array of objects as numbers; name the first that is not one, by its column in a data frame."""
    columns = getattr(values, "columns", None)
    for place, column in enumerate([] if columns is None else columns):
        strange = [value for value in array[:, place].tolist() if not _is_number(value)]
        if strange:
            what = "a missing value" if str(strange[0]) in ("<NA>", "None", "nan", "NaT") else repr(strange[0])[:60]
            raise RefusedError(
                f"{name}: the column {column!r} has {what}, which is not a number; read words with "
                "tladapt.readers.files.read_domains([frame]), and fill in or drop what is missing"
            )
    found = array.reshape(-1).tolist()
    strange = [value for value in found if not _is_number(value)]
    if strange or array.dtype.kind != "O":
        what = f": {strange[0]!r} is not a number"[:80] if strange else ""
        raise RefusedError(
            f"{name} is {type(values).__name__}{what}; expected a tensor, array, data frame or torch Dataset of numbers"
        )
    whole = all(isinstance(value, numbers.Integral) for value in found)
    return array.astype(np.int64 if whole else np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | decimal.Decimal | np.bool_)
