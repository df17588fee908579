"""Packages whose names are imported when they are first used (PEP 562)."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from sys import modules
from typing import Any


def lazily(package: str, homes: Mapping[str, Iterable[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    A name that is not in `homes` is a submodule, so `import package` suffices to write `package.submodule.name`.

    Parameters
    ----------
    package : str
        Its `__name__`.
    homes : mapping
        The public names, by the module that each is imported from.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name in home_of:
            value = getattr(import_module(home_of[name]), name)
            setattr(modules[package], name, value)  # from now on Python finds it without this function
            return value
        if not name.startswith("_") and (submodule := _submodule(f"{package}.{name}")) is not None:
            return submodule
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*vars(modules[package]), *home_of})

    return __getattr__, __dir__


def _submodule(name: str) -> Any:
    """Import a module; None if there is none of this name."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise
