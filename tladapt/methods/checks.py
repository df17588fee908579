"""Checks of what a method is built with."""

import math
from typing import Any


def positive(method: str, **values: Any) -> None:
    """Refuse what is no finite number above 0."""
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < math.inf:
            raise ValueError(f"{method}({name}={value!r}): expected a positive number")


def switch(method: str, **values: Any) -> None:
    """Refuse what is neither True nor False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f"{method}({name}={value!r}): expected True or False")


def whole(method: str, **values: Any) -> None:
    """Refuse what is no whole number of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{method}({name}={value!r}): expected a whole number, at least 1")
