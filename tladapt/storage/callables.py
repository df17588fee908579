"""How functions, methods, builtins, partial functions and what is made of them are described."""

import collections
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tladapt.storage.code import code_digest, global_chains, only_written, package_at, package_of
from tladapt.storage.describing import Describer, Rule, qualified

_MISSING = object()
DESCRIPTORS = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
PLACES = (types.GetSetDescriptorType, types.MemberDescriptorType)
FIELD = type(vars(collections.namedtuple("_Row", "first"))["first"])  # of a named tuple


def _function(inside: Describer, value: Any) -> Any:
    return {"function": name} if (name := inside.library(value)) else inside.once(value, lambda f: _own(inside, f))


def _own(inside: Describer, function: Any) -> dict[str, Any]:
    """A function by its source and all values that it uses: defaults, closure, attributes, globals."""
    code = function.__code__
    found: dict[str, Any] = {"function": qualified(function)}
    written = set[str]()
    if (package := package_at(code.co_filename)) is None:
        found["code"] = code_digest(code)
        written = only_written(code)
    else:  # a wrapper that a library made: its code comes with the version of the library
        inside.packages.add(package)
        found["code"] = {"library": f"{package}: {code.co_qualname}"}
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    values = {
        "default": function.__defaults__ or (),
        "keyword default": function.__kwdefaults__ or {},
        "closure": {name: _content(cell) for name, cell in cells if name not in written},
        "attribute": {k: v for k, v in vars(function).items() if k != "__wrapped__"},
        "global": {} if package else _globals(inside, function, written),
    }
    for kind, parts in values.items():
        named = parts.items() if isinstance(parts, dict) else enumerate(parts)
        described = {str(name): inside.of(part, f"{kind} {name}") for name, part in named}
        found |= {kind: described} if described else {}
    return found


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return types.SimpleNamespace()


def _globals(inside: Describer, function: Any, written: set[str]) -> dict[str, Any]:
    """The values of the global names that a function reads, as far as they are read: `config.rate`, not all of it."""
    found = dict[str, Any]()
    for name, *rest in global_chains(function.__code__):
        value = function.__globals__.get(name, _MISSING)
        if value is _MISSING or name in written:  # a builtin, or what is only written to
            continue
        names = [name]
        while rest and (inner := _inner(value, rest[0])) is not _MISSING:
            value = inner
            names.append(rest.pop(0))
        found[".".join(names)] = value
    return found


def _inner(value: Any, name: str) -> Any:
    """An attribute that is a value of its own: of a module that is not installed, or a plain attribute."""
    if isinstance(value, types.ModuleType):
        own = package_of(value.__name__) is None
        return vars(value).get(name, _MISSING) if own else _MISSING
    kind = type(value)
    plain = not isinstance(kind.__getattribute__, types.FunctionType) and not isinstance(value, type)
    held = getattr(value, "__dict__", None) if plain else None
    if not isinstance(held, dict) or hasattr(kind, name):
        return _MISSING
    return held.get(name, _MISSING)


def _builtin(inside: Describer, value: Any) -> Any:
    owner = getattr(value, "__self__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        return {"builtin": qualified(value)}
    name = value.__name__
    if isinstance(owner, type):
        return {"builtin": f"{qualified(owner)}.{name}"}
    return {"builtin": name, "object": inside.of(owner, "its object")}


def _method(inside: Describer, value: types.MethodType) -> Any:
    return {
        "method": inside.of(value.__func__),
        "object": inside.of(value.__self__, f"the object of {value.__func__.__name__}"),
    }


def _partial(inside: Describer, value: Any) -> Any:
    keywords = {name: inside.of(value.keywords[name], f"{name}=") for name in sorted(value.keywords)}
    arguments = [inside.of(part, f"argument {i}") for i, part in enumerate(value.args)]
    return {"partial": inside.of(value.func, "its function"), "arguments": arguments, "keywords": keywords}


def _cached(inside: Describer, value: Any) -> Any:
    return {"cached": inside.of(value.__wrapped__), "parameters": inside.of(value.cache_parameters())}


def _descriptor(inside: Describer, value: Any) -> Any:
    return {"builtin": f"{qualified(value.__objclass__)}.{value.__name__}"}


def _property(inside: Describer, value: property) -> Any:
    return {"property": [inside.of(part) for part in (value.fget, value.fset, value.fdel)]}


def _wrapped(inside: Describer, value: Any) -> Any:
    return {type(value).__name__: inside.of(value.__func__)}


def kind(*kinds: Any) -> Callable[[Any], bool]:
    """Return a test for instances."""
    return lambda value: isinstance(value, kinds)


FUNCTIONS: list[Rule] = [
    (kind(types.FunctionType), _function),
    (kind(types.MethodType), _method),
    (kind(types.BuiltinFunctionType, types.MethodWrapperType), _builtin),
    (kind(*DESCRIPTORS), _descriptor),
    (kind(*PLACES), lambda inside, value: {"place": value.__name__}),
    (kind(FIELD), lambda inside, value: {"field": inside.of(value.__reduce__()[1])}),
    (kind(np.ufunc), lambda inside, value: {"ufunc": value.__name__}),
    (lambda value: type(value) is functools.partial, _partial),
    (kind(functools._lru_cache_wrapper), _cached),
    (kind(functools.cached_property), lambda inside, value: {"cached": inside.of(value.func)}),
    (kind(property), _property),
    (kind(staticmethod, classmethod), _wrapped),
]
