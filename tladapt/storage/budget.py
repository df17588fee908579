"""What it may cost to build a network: as much as the weights that are there for it justify."""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

# What networks of all builders take of their weights: memory 3 times (Swin, with its copy), writes 9, operations 10.
MEMORY, WRITES, OPERATIONS = 4, 32, 40
SPARE = 2**25, 2**27, 5000  # bytes, bytes and operations on top, for small networks


class Budget(TorchDispatchMode):
    """Within, no operation of torch begins that would exceed what these weights justify.

    Counted are the bytes of all new tensors, also of those that are gone again; the bytes written; and operations.

    Raises
    ------
    ValueError
        By every operation from the first one on that would exceed it.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        size = sum(value.nbytes for value in weights.values())
        justified = MEMORY * size, WRITES * size, OPERATIONS * len(weights)
        self._left = [most + spare for most, spare in zip(justified, SPARE, strict=True)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        makes, writes = _kind(func)
        new = _result(func, args, kwargs) if makes else 0
        self._spend(new or 0, new or (_bytes(args[:1]) if writes else 0))
        found = func(*args, **kwargs)
        if new is None:  # not to be known before
            self._spend(_bytes(found), _bytes(found))
        return found

    def _spend(self, new: int, written: int) -> None:
        self._left = [left - spent for left, spent in zip(self._left, (new, written, 1), strict=True)]
        if min(self._left) < 0:
            raise ValueError("the network that it describes is larger than its weights")

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch would import its compiler here, which takes seconds


@cache
def _kind(func: Any) -> tuple[bool, bool]:
    """Whether it makes new tensors, and whether it writes into old ones; a view does neither."""
    schema = func._schema
    writes = any(argument.alias_info is not None and argument.alias_info.is_write for argument in schema.arguments)
    return not any(made.alias_info is not None for made in schema.returns), writes


@cache
def _placed(func: Any) -> bool:
    return any(argument.name == "device" for argument in func._schema.arguments)


def _result(func: Any, args: Any, kwargs: Any) -> int | None:
    """How many bytes it would give, by trying it on tensors that have shapes and no values; None if that cannot be."""
    try:
        args, kwargs = tree_map_only(Tensor, _ghost, (args, kwargs))
        return _bytes(func(*args, **{**kwargs, "device": torch.device("meta")} if _placed(func) else kwargs))
    except Exception:  # also where the operation itself is going to fail, in its own words
        return None


def _ghost(value: Tensor) -> Tensor:
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def _bytes(found: Any) -> int:
    return sum(part.nbytes for part in tree_leaves(found) if isinstance(part, Tensor))
