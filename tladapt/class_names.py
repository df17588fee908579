"""The names of classes, as arguments give them."""

from collections import Counter
from numbers import Integral
from typing import Any


def class_names(classes: Any, owner: str) -> tuple[str, ...]:
    """Return the names of classes that are given as a number or one by one.

    Raises
    ------
    ValueError, TypeError
        If it is neither, or a name comes twice.

    Examples
    --------
    >>> class_names(3, "Model"), class_names(["cat", "dog"], "Model")
    (('0', '1', '2'), ('cat', 'dog'))
    """
    if isinstance(classes, Integral) and not isinstance(classes, bool):
        if classes < 1:
            raise ValueError(f"{owner}(classes={classes}): expected at least one class")
        return tuple(str(number) for number in range(int(classes)))
    if isinstance(classes, str | bytes | dict) or not hasattr(classes, "__len__") or not hasattr(classes, "__iter__"):
        shown = repr(classes) if len(repr(classes)) <= 60 else f"a {type(classes).__name__}"
        raise TypeError(f"{owner}(classes={shown}): expected a number of classes, or a list of their names")
    names = tuple(str(name) for name in classes)
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise ValueError(f"{owner}(classes=...): {name!r} is given twice; give every class a name of its own")
    if not names:
        raise ValueError(f"{owner}(classes=[]): expected at least one class")
    return names
