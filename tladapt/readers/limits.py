"""What is a number: the arguments of readers may come from a file that nobody has checked."""

from typing import Any


def is_whole(value: Any, lowest: int, highest: int) -> bool:
    """Whether it is a whole number in this range, and not True or False."""
    return type(value) is int and lowest <= value <= highest


def is_real(value: Any) -> bool:
    """Whether it is a number, and not True or False; NaN is one too, but lies in no range."""
    return isinstance(value, int | float) and type(value) is not bool
