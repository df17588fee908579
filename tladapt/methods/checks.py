"""Checks of what a method is built with."""

import math
from typing import Any

from tladapt.model import Model


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


def fraction(method: str, **values: Any) -> None:
    """Refuse what is no number above 0 and at most 1."""
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            raise ValueError(f"{method}({name}={value!r}): expected a number above 0 and at most 1")


def head_trains(method: str, model: Model) -> None:
    """Refuse a model of which nothing trains once the encoder is frozen."""
    encoder = set(model.encoder.parameters())
    if not any(p.requires_grad and p not in encoder for p in model.head.parameters()):
        raise ValueError(
            f"{method}: nothing of the head trains, for it is frozen or shares its weights with the encoder; thaw it, "
            "as by model.head.requires_grad_(True), or give it weights of its own"
        )
