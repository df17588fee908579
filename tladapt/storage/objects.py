"""How classes, modules, methods of this library and objects with attributes are described."""

import collections
import dataclasses
import enum
import functools
import inspect
import re
import types
from typing import Any

from torch import Tensor, nn

from tladapt.layers.batchnorm import DomainNorm
from tladapt.method import Method
from tladapt.storage.callables import kind
from tladapt.storage.code import class_statements, package_of, stored_attributes
from tladapt.storage.describing import Describer, Rule, attributes_of, qualified

CONTAINERS = (list, tuple, dict, set, frozenset, str, int, float, bytes)
# Members of classes that only describe them, or are made by the interpreter.
BESIDE = {
    "__abstractmethods__", "__annotations__", "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__",
    "__firstlineno__", "__hash__", "__match_args__", "__module__", "__orig_bases__", "__parameters__", "__qualname__",
    "__slots__", "__static_attributes__", "__type_params__", "__weakref__", "_abc_impl",
}  # fmt: skip
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
MODULE = frozenset(vars(nn.Module()))  # the attributes of every module
STATE = MODULE | {"random", "used", "done"}  # of a method: what its run changes, and a checkpoint restores


def _class(inside: Describer, value: type) -> Any:
    return {"class": name} if (name := inside.library(value)) else inside.once(value, lambda c: _own(inside, c))


def _own(inside: Describer, found: type) -> dict[str, Any]:
    """A class by its bases and members."""
    bases = [inside.of(base, "its base class") for base in found.__bases__ if base is not object]
    described: dict[str, Any] = {"class": qualified(found), "bases": bases}
    if issubclass(found, enum.Enum):
        described["members"] = {name: inside.of(member.value) for name, member in found.__members__.items()}
        members = {name: part for name, part in vars(found).items() if isinstance(part, types.FunctionType)}
    else:
        members = {
            name: part for name, part in vars(found).items() if name not in BESIDE and not name.startswith("_abc_")
        }
    if dataclasses.is_dataclass(found):
        described["fields"] = [_field(inside, field) for field in dataclasses.fields(found)]
        members = {name: part for name, part in members.items() if not _generated(part)}
    if issubclass(found, Method) and (text := class_statements(found)) is not None:
        # Some methods count in their class: of those, what the source says is compared.
        described["statements"] = text
        members = {name: part for name, part in members.items() if hasattr(part, "__get__")}
    described["own"] = {name: inside.of(members[name], name) for name in sorted(members)}
    return described


def _field(inside: Describer, field: "dataclasses.Field[Any]") -> list[Any]:
    default = None if field.default is dataclasses.MISSING else inside.of(field.default, f"field {field.name}")
    factory = None if field.default_factory is dataclasses.MISSING else inside.of(field.default_factory)
    return [field.name, default, factory]


def _generated(member: Any) -> bool:
    """Whether `dataclass` wrote this member."""
    code = getattr(inspect.unwrap(member) if callable(member) else member, "__code__", None)
    return code is not None and code.co_filename == "<string>"


def _module(inside: Describer, value: types.ModuleType) -> Any:
    if (package := package_of(value.__name__)) is not None:
        inside.packages.add(package)
        return {"module": value.__name__}
    return inside.once(value, lambda found: {"module": found.__name__, "own": _held(inside, found)})


def _held(inside: Describer, module: types.ModuleType) -> dict[str, Any]:
    held = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    return {name: inside.of(held[name], f"{module.__name__}.{name}") for name in sorted(held)}


def _term(inside: Describer, value: Method) -> Any:
    """A method by its terms; each by its class, the arguments of its constructor, and its other attributes."""
    terms = list(value.terms.values())
    if terms != [value]:
        return {"sum": [inside.of(term, type(term).__name__) for term in terms]}
    names = list(inspect.signature(type(value)).parameters)
    given = {name: getattr(value, name, None) for name in names}
    arguments = {name: inside.of(part, f"{name}=") for name, part in given.items() if not isinstance(part, nn.Module)}
    found = {"method": inside.of(type(value)), "arguments": arguments}
    if inside.library(type(value)):
        return found
    return found | attributes_of(inside, value, STATE | set(names)) | structure(inside, value)


def _derived(inside: Describer, value: Any) -> Any:
    """An instance of a class derived from a container, a text or a number."""
    base: Any = next(found for found in CONTAINERS if isinstance(value, found))
    content = dict(value.items()) if isinstance(value, dict) else base(value)
    found = {"of": inside.of(type(value)), "content": inside.of(content), **attributes_of(inside, value)}
    if isinstance(value, collections.defaultdict):
        found["default"] = inside.of(value.default_factory)
    return found


def _object(inside: Describer, value: Any) -> Any:
    """An object by its class, attributes and slots, if it has no other state."""
    if _has_hidden_state(type(value)):
        return inside.unknown(value)
    return inside.once(value, lambda v: _plain(inside, v))


def _plain(inside: Describer, value: Any) -> Any:
    cached = {name for base in type(value).__mro__ for name, part in vars(base).items() if _is_cached(part)}
    described = {"of": inside.of(type(value), "its class"), **attributes_of(inside, value, cached)}
    slots = {name: getattr(value, name) for name in sorted(_slots(type(value))) if hasattr(value, name)}
    if slots:
        described["slots"] = {name: inside.of(part, f"attribute {name}") for name, part in slots.items()}
    return described


def _is_cached(member: Any) -> bool:
    return isinstance(member, functools.cached_property)


def _slots(found: type) -> set[str]:
    """The names of the attributes that a class of Python code has slots for, as they are spelled in instances."""
    names = set[str]()
    for base in found.__mro__:
        names |= {name for name, part in vars(base).items() if isinstance(part, types.MemberDescriptorType)}
    return names - {"__dict__", "__weakref__"}


def _has_hidden_state(found: type) -> bool:
    """Whether instances hold more than attributes and slots: memory that only compiled code sees."""
    pointers = len(_slots(found)) + (found.__dictoffset__ > 0) + (found.__weakrefoffset__ > 0)
    plain = object.__basicsize__ + pointers * tuple.__itemsize__
    return found.__itemsize__ > 0 or found.__basicsize__ > plain


def structure(inside: Describer, module: nn.Module) -> dict[str, Any]:
    """Describe a module by its layers, and by the names and shapes of its weights, not by their values."""
    layers = {name: _layer(inside, name, part) for name, part in module.named_modules() if name}
    state = {name: part for name, part in module.state_dict().items() if isinstance(part, Tensor)}
    for name, part in module.named_modules():
        if isinstance(part, DomainNorm):  # whose statistics are of as many domains as the model has met
            for buffer, _ in part.named_buffers(recurse=False):
                state.pop(f"{name}.{buffer}", None)
    shapes = {name: [str(part.dtype), list(part.shape)] for name, part in state.items()}
    return {"layers": layers, "shapes": shapes}


def _layer(inside: Describer, name: str, layer: nn.Module) -> dict[str, Any]:
    """A layer of a library by what it shows of itself; one of the user's own by its class and attributes."""
    hooks = [*layer._forward_pre_hooks.values(), *layer._forward_hooks.values()]
    found: dict[str, Any] = {"hooks": inside.of(hooks, f"hooks of {name}")} if hooks else {}
    if (known := inside.library(type(layer))) is not None:
        return found | {"class": known, "shows": ADDRESS.sub("", layer.extra_repr())}
    described = inside.of(type(layer), f"layer {name}")
    return found | {"class": described, **attributes_of(inside, layer, MODULE | _changing(type(layer)))}


def _changing(found: type) -> set[str]:
    """The attributes that a layer of the user's own sets after it was built: they are no settings."""
    own = [vars(base) for base in found.__mro__ if package_of(base.__module__) is None]
    functions = [part for members in own for name, part in members.items() if name != "__init__"]
    codes = [part.__code__ for part in functions if isinstance(part, types.FunctionType)]
    return {name for code in codes for name in stored_attributes(code)}


def _named(inside: Describer, value: Any) -> Any:
    return {"function": inside.library(value)}


def _is_named(value: Any) -> bool:
    """Whether it is something to call that a compiled library defines under its name."""
    return callable(value) and not isinstance(value, type) and Describer([]).library(value) is not None


OBJECTS: list[Rule] = [
    (kind(type), _class),
    (kind(types.ModuleType), _module),
    (_is_named, _named),
    (kind(Method), _term),
    (kind(*CONTAINERS), _derived),
    (lambda value: True, _object),
]
