"""What a setting is, in JSON, and the same in every process."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from tladapt.method import Method
from tladapt.storage.digests import bytes_of, digest_of

Inside = Callable[[Any], Any]


def identity(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Functions by what they do, methods by their arguments, other objects by what they hold.

    >>> identity([1, lambda x: 2 * x]) == identity([1, lambda x: 3 * x])
    False
    """
    if value is None:
        return None
    for kind in (bool, int, float, str):  # of no class of their own
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Tensor):
        return [str(value.dtype), list(value.shape), digest_of(bytes_of(value))]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    return "itself" if id(value) in above else _nested(value, partial(identity, above=(*above, id(value))))


def _nested(value: Any, inside: Inside) -> Any:
    if isinstance(value, dict):
        return {str(name): inside(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [inside(part) for part in value]
    if isinstance(value, partial):
        return ["partial", *map(inside, (value.func, value.args, value.keywords))]
    if isinstance(value, Method):
        return [[type(term).__name__, _arguments(term, inside)] for term in value.terms.values()]
    if hasattr(value, "__code__"):
        return [_name(value), *_does(value, inside)]
    return _name(value) if isinstance(value, type) else [_name(type(value)), inside(getattr(value, "__dict__", {}))]


def _arguments(term: Method, inside: Inside) -> dict[str, Any]:
    """Of its constructor; it keeps them under their names."""
    return {name: inside(getattr(term, name)) for name in inspect.signature(type(term)).parameters}


def _does(function: Any, inside: Inside) -> list[Any]:
    """Its code and what that has been given: one name may stand for many functions."""
    code, cells = function.__code__, [cell.cell_contents for cell in function.__closure__ or ()]
    constants = [repr(part) for part in code.co_consts if not inspect.iscode(part)]
    return [digest_of(code.co_code), constants, list(code.co_names), inside(function.__defaults__), inside(cells)]


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
