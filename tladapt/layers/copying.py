"""Copies of networks, including those that keep the results of a forward pass."""

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
DEPTH = 4  # levels of containers and plain objects that are searched for tensors


def copy_of(module: M) -> M:
    """Return a deep copy of a module that shares no tensor with it.

    `copy.deepcopy` raises an error for a tensor that was computed by a forward pass, such as the weight that
    `torch.nn.utils.weight_norm` stores, or features that a network stores on itself. Here these are copied by value
    and without their history; the next forward pass computes them again.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> layer.last = layer.weight * 2
    >>> copy_of(layer).last.equal(layer.last), copy_of(layer).last.requires_grad
    (True, False)
    """
    known: dict[int, Any] = {}
    for part in module.modules():
        for value in _tensors(vars(part), DEPTH):
            if not value.is_leaf:
                known[id(value)] = _plain(value)
    return copy.deepcopy(module, known)


def _plain(value: Tensor) -> Tensor | None:
    """The same numbers without a history; None for a tensor of a functional transform that has ended."""
    try:
        return value.detach().clone()
    except RuntimeError:
        return None


def _tensors(value: Any, depth: int) -> Iterator[Tensor]:
    """All tensors in containers and plain objects, to this depth; modules are searched by the caller."""
    if isinstance(value, Tensor):
        yield value
    elif depth and not isinstance(value, nn.Module | type | str):
        inner = _contents(value)
        for part in inner:
            yield from _tensors(part, depth - 1)


def _contents(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    return list(getattr(value, "__dict__", {}).values())
