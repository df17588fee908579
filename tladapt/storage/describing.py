"""How a value is described in JSON, part by part, so that it can be compared with one of another process."""

import json
import math
import sys
from collections.abc import Callable, Container, Sequence
from typing import Any

from tladapt.storage.code import package_of

DEPTH = 60  # of nested settings
Rule = tuple[Callable[[Any], bool], Callable[[Any, Any], Any]]


class UnknownKindError(ValueError):
    """A setting contains an object that cannot be compared after a restart."""


class Describer:
    """Describes values in JSON, each kind by its own rule; raises `UnknownKindError` for a kind without a rule.

    Parameters
    ----------
    rules : list of (test, rule)
        The first test that holds for a value chooses the rule; a rule gets this object and the value.
    lenient : bool
        Whether an object of an unknown kind is described by its type only, as a `checkpoint_id` stands for the rest.
    """

    def __init__(self, rules: Sequence[Rule], lenient: bool = False) -> None:
        self.rules, self.lenient = rules, lenient
        self.packages = set[str]()  # installed ones whose functions or classes are described by name only
        self._met: dict[int, int] = {}
        self._alive: list[Any] = []  # an id is only unique as long as its object lives
        self._above: list[int] = []
        self._path: list[str] = []

    def of(self, value: Any, part: str = "") -> Any:
        """Describe `value`, which is the `part` of the value around it."""
        if value is None or type(value) in (bool, str):
            return value
        if type(value) is int:
            return value if value.bit_length() < 64 else {"int": hex(value)}
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if id(value) in self._above:
            return {"itself": len(self._above) - self._above.index(id(value))}
        self._above.append(id(value))
        self._path.append(part)
        try:
            return self._described(value)
        finally:
            self._above.pop()
            self._path.pop()

    def _described(self, value: Any) -> Any:
        if len(self._above) > DEPTH:
            return self.unknown(value, "is nested too deeply")
        for applies, rule in self.rules:
            if applies(value):
                return rule(self, value)
        return self.unknown(value)

    def once(self, value: Any, describe: Callable[[Any], Any]) -> Any:
        """Describe an object in full the first time, and by its number after that, so that circles end."""
        if id(value) in self._met:
            return {"seen": self._met[id(value)]}
        self._met[id(value)] = len(self._met)
        self._alive.append(value)
        return describe(value)

    def sorted(self, values: Any) -> list[Any]:
        """Describe the elements of a set, in an order that does not depend on the process."""
        described = list[tuple[str, Any]]()
        for value in values:
            alone = Describer(self.rules, self.lenient)
            alone._above, alone._path, alone.packages = self._above, self._path, self.packages
            found = alone.of(value, "an element")
            described.append((json.dumps(found, sort_keys=True), found))
        return [found for _, found in sorted(described, key=lambda pair: pair[0])]

    def unknown(self, value: Any, reason: str = "cannot be compared after a restart") -> Any:
        """Describe an object of an unknown kind by its type, or refuse it."""
        if self.lenient:
            return {"unknown": qualified(type(value))}
        inner = ", ".join(part for part in self._path if part)
        where = f"{inner}: " if inner else ""
        raise UnknownKindError(f"{where}an object of type {type(value).__qualname__} {reason}")

    def library(self, value: Any) -> str | None:
        """Return the qualified name of a function or class that an installed package defines under this name."""
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(name, str):
            return None
        package = package_of(module)
        found: Any = sys.modules.get(module)
        for step in name.split("."):
            found = getattr(found, step, None)
        if package is None or found is not value:
            return None
        self.packages.add(package)
        return qualified(value)


def qualified(value: Any) -> str:
    """Return the name of a function or class with its module."""
    module = getattr(value, "__module__", None) or "builtins"
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__qualname__)
    return str(name) if module == "builtins" else f"{module}.{name}"


def attributes_of(inside: Describer, value: Any, without: Container[str] = ()) -> dict[str, Any]:
    """Describe the attributes that an object has of its own."""
    held = {name: part for name, part in getattr(value, "__dict__", {}).items() if name not in without}
    found = {name: inside.of(held[name], f"attribute {name}") for name in sorted(held)}
    return {"attributes": found} if found else {}
