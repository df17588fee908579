"""How settings of each kind are described: plain values, tensors and arrays, containers, random generators."""

import collections
import datetime
import decimal
import enum
import fractions
import logging
import operator
import pathlib
import random
import re
import types
import typing
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.storage.describing import Describer, Rule, attributes_of, qualified
from tladapt.storage.digests import bytes_of, digest_of

# Immutable values whose text says all.
SHOWN = (
    complex, range, decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath, datetime.date, datetime.time,
    datetime.timedelta, datetime.timezone, torch.dtype, torch.device, torch.layout, torch.memory_format, np.dtype,
    types.EllipsisType, types.NotImplementedType, types.UnionType, types.GenericAlias, typing.TypeVar,
)  # fmt: skip
TYPING = (type(typing.Any), type(typing.Optional[int]), type(typing.Union), type(typing.List[int]))  # noqa: UP006, UP045
PARTS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)  # which reduce to their arguments


def exactly(*kinds: type) -> Callable[[Any], bool]:
    """Return a test for objects of one of these types, without subclasses."""
    return lambda value: type(value) in kinds


def any_of(*kinds: Any) -> Callable[[Any], bool]:
    """Return a test for instances."""
    return lambda value: isinstance(value, kinds)


def _tensor(inside: Describer, value: Tensor) -> Any:
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return inside.unknown(value)
    bits = bytes_of(value.detach().resolve_conj().resolve_neg())
    return {"tensor": [str(value.dtype), list(value.shape), digest_of(bits)]}


def _array(inside: Describer, value: np.ndarray) -> Any:
    if value.dtype.kind == "O":
        return {"array": ["object", list(value.shape), [inside.of(part) for part in value.ravel().tolist()]]}
    if value.dtype.hasobject:
        return inside.unknown(value)
    plain = np.ascontiguousarray(np.asarray(value)).reshape(-1)
    found = [repr(value.dtype), list(value.shape), digest_of(plain.tobytes())]
    if isinstance(value, np.ma.MaskedArray):
        return {"masked array": [found, _array(inside, np.ma.getmaskarray(value)), inside.of(value.fill_value)]}
    if type(value) in (np.ndarray, np.memmap):
        return {"array": found}
    return {"array": found, "of": inside.of(type(value)), **attributes_of(inside, value)}


def _scalar(inside: Describer, value: np.generic) -> Any:
    if value.dtype.hasobject:
        return inside.unknown(value)
    return {"numpy": [str(value.dtype), repr(value.item()) if value.dtype.kind != "V" else value.tobytes().hex()]}


def _shown(inside: Describer, value: Any) -> Any:
    return {type(value).__qualname__: str(value) if not isinstance(value, complex) else repr(value)}


def _member(inside: Describer, value: enum.Enum) -> Any:
    return {"enum": f"{qualified(type(value))}.{value.name}", "value": inside.of(value.value)}


def _list(inside: Describer, value: list[Any]) -> Any:
    return [inside.of(part, f"item {i}") for i, part in enumerate(value)]


def _tuple(inside: Describer, value: tuple[Any, ...]) -> Any:
    return {"tuple": [inside.of(part, f"item {i}") for i, part in enumerate(value)]}


def _dict(inside: Describer, value: Any) -> Any:
    return {"dict": [[inside.of(key, "a key"), inside.of(part, f"key {key!r}"[:60])] for key, part in value.items()]}


def _set(inside: Describer, value: Any) -> Any:
    return {"set": inside.sorted(value)}


def _generator(inside: Describer, value: Any) -> Any:
    if isinstance(value, random.Random):
        state: Any = value.getstate()
    elif isinstance(value, np.random.Generator):
        state = value.bit_generator.state
    elif isinstance(value, np.random.RandomState):
        state = value.get_state(legacy=False)
    else:
        state = value.get_state()
    return {"random numbers": qualified(type(value)), "state": inside.of(state)}


def _reduced(inside: Describer, value: Any) -> Any:
    _, *rest = value.__reduce__()[:2]
    return {"of": qualified(type(value)), "parts": inside.of(tuple(rest))}


PLAIN: list[Rule] = [
    (any_of(enum.Enum), _member),
    (any_of(Tensor), _tensor),
    (any_of(np.ndarray), _array),
    (any_of(np.generic), _scalar),
    (exactly(list), _list),
    (exactly(tuple, torch.Size), _tuple),
    (exactly(dict, types.MappingProxyType), _dict),
    (exactly(set, frozenset), _set),
    (exactly(bytes, bytearray), lambda inside, value: {type(value).__name__: [len(value), digest_of(value)]}),
    (exactly(slice), lambda inside, value: {"slice": [inside.of(p) for p in (value.start, value.stop, value.step)]}),
    (any_of(*SHOWN), _shown),
    (any_of(*TYPING), _shown),
    (any_of(re.Pattern), lambda inside, value: {"pattern": [inside.of(value.pattern), int(value.flags)]}),
    (any_of(random.Random, np.random.Generator, np.random.RandomState, torch.Generator), _generator),
    (exactly(collections.deque), lambda inside, value: {"deque": inside.of(list(value)), "most": value.maxlen}),
    (exactly(*PARTS), _reduced),
    (exactly(weakref.ref), lambda inside, value: {"reference": inside.of(value())}),
    (exactly(logging.Logger, logging.RootLogger), lambda inside, value: {"logger": value.name}),
]
