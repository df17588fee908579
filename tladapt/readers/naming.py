"""One list of class names for several parts of data, each of which may number its classes in another order."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tladapt.data import Data
from tladapt.readers.headers import some

MOST = 2**18  # classes that are counted; above it, whole numbers are measurements, such as prices

Parts = list[Data | None]


def named_alike(parts: Parts, classes: int | Sequence[str] | None, name: str) -> tuple[Parts, tuple[str, ...] | None]:
    """Return the parts with labels that number the same classes, and the names of these; None if they have no names.

    Parts with names are matched by name; the numbers of parts without are places in the list of names.

    Parameters
    ----------
    parts : list of Data or None
        Training, test and validation data; test and validation data do not change the numbers of the training data.
    classes : int or sequence of str, optional
        The classes that the user gives.
    name : str
        The domain, for messages.

    Raises
    ------
    ValueError
        If `classes` is not what it should be, or a label has a name that is not in it.
    """
    if isinstance(classes, numbers.Integral):
        classes = int(classes)
    if isinstance(classes, int) and classes < 1:
        raise ValueError(f"{name}: classes={classes}: expected at least 1, or a list of names")
    if classes is not None:
        parts = [_whole(part) for part in parts]
        parts = _by_value(parts, classes)
    if classes is None or isinstance(classes, int):
        names = _union(parts)
        if isinstance(classes, int) and names is not None and len(names) != classes:
            _require_no_words(parts, classes, name)
            return parts, None
    else:
        names = _checked(classes, name)
    if names is None:
        return parts, None
    return [_renumbered(part, names, name) for part in parts], names


def counted(parts: Parts, classes: int | Sequence[str] | None) -> tuple[str, ...]:
    """Return the numbers of the classes as names: as many as given, or as the labels show; none if they are no classes.

    >>> counted([Data(torch.zeros(2, 1), torch.tensor([2, 0]))], None)
    ('0', '1', '2')
    """
    if not isinstance(classes, int):
        labels = [part.y for part in parts[:2] if part is not None and len(part.y) and not part.y.is_floating_point()]
        classes = 1 + max((int(y.max()) for y in labels), default=-1)
        if classes > MOST:
            return ()
    return tuple(map(str, range(classes)))


def only_used(parts: Parts, names: tuple[str, ...]) -> tuple[Parts, tuple[str, ...]]:
    """Return the parts numbered by those classes only that their labels have, and the names of these."""
    used = torch.cat([part.y[part.y >= 0].flatten().cpu() for part in parts if part is not None and len(part.y)] or [
        torch.empty(0, dtype=torch.long)
    ])  # fmt: skip
    kept = used.unique().tolist()
    table = torch.full((len(names) + 1,), -1)
    table[kept] = torch.arange(len(kept))
    left = tuple(names[number] for number in kept)
    return [None if part is None else part.with_labels(renumber(part.y, table), left) for part in parts], left


def renumber(y: Tensor, table: Tensor) -> Tensor:
    """Return table[y] for labels from 0; those below 0, which mark what has no label, stay."""
    if not len(y):
        return y
    return torch.where(y < 0, y, table.to(y.device)[y.clamp(min=0)])


def wrong_label(y: Tensor, classes: int) -> str | None:
    """Return what is wrong with labels of so many classes and what to do about it; None if nothing is."""
    if y.is_floating_point() or not len(y):
        return None
    is_single = y.ndim == 1
    outside = y[(y < (0 if is_single else -1)) | (y >= classes)]
    if not len(outside):
        return None
    label = int(outside[0])
    if is_single and label < 0:
        mend = "give rows without a label as a domain of their own, and numbers to predict (regression) as floats"
    elif not is_single and 255 in (label, int(outside.max())):
        mend = "where there is no label, give -1 instead of 255 (y[y == 255] = -1)"
    else:
        mend = "correct the label or classes="
    return f"the label {label}, but there are {classes} classes, counted from 0; {mend}"


def _whole(part: Data | None) -> Data | None:
    """Return single whole labels that are floats as whole numbers: with `classes` given, they are classes."""
    if part is None or part.y.ndim != 1 or not part.y.is_floating_point() or bool((part.y % 1).any()):
        return part
    return part.with_labels(part.y.long(), part.names)


def _by_value(parts: Parts, classes: Any) -> Parts:
    """Return the parts with names for their labels, if all labels are among `classes` that are whole numbers.

    For classes=[1, 2, 3], the labels 1, 2 and 3 are meant, not places in that list.
    """
    is_list = hasattr(classes, "__len__") and not isinstance(classes, str)
    if not is_list or not all(type(found) is int and found >= 0 for found in classes):
        return parts
    labelled = [part.y for part in parts if part is not None and len(part.y) and not part.y.is_floating_point()]
    values = torch.cat([y.flatten().cpu() for y in labelled] or [torch.empty(0, dtype=torch.long)])
    if list(classes) == list(range(len(classes))) or not bool(torch.isin(values, torch.tensor(classes)).all()):
        return parts
    names = tuple(map(str, range(1 + max(map(int, classes)))))
    return [part if part is None or part.names is not None else part.with_labels(part.y, names) for part in parts]


def _union(parts: Parts) -> tuple[str, ...] | None:
    """Return all names in the order of the parts; None if the first part that has labels has no names for them."""
    labelled = [part for part in parts if part is not None and len(part.y)]
    if not labelled or labelled[0].names is None:
        return None
    found: dict[str, None] = {}
    for part in labelled:
        found |= dict.fromkeys(part.names or ())
    return tuple(found)


def _require_no_words(parts: Parts, classes: int, name: str) -> None:
    for part in parts:
        if part is not None and part.names is not None and part.worded:
            raise ValueError(
                f"{name}: classes={classes}, but the labels name {len(part.names)} ({some(part.names)}); give "
                "their names, classes=[...]"
            )


def _checked(classes: Any, name: str) -> tuple[str, ...]:
    if isinstance(classes, str) or not hasattr(classes, "__len__"):
        raise TypeError(f"{name}: classes={classes!r}: expected a number of classes, or a list of their names")
    if isinstance(classes, Mapping) and sorted(classes.values()) == list(range(len(classes))):
        classes = sorted(classes, key=lambda found: classes[found])  # such as class_to_idx
    names = tuple(str(found) for found in classes)
    twice = [found for place, found in enumerate(names) if found in names[:place]]
    if twice:
        raise ValueError(f"{name}: classes: {twice[0]!r} comes twice; give every class its own name")
    return names


def _renumbered(part: Data | None, names: tuple[str, ...], name: str) -> Data | None:
    """Return the part with labels that are places in `names`."""
    if part is None or part.names is None or part.names == names:
        return part
    place = {found: number for number, found in enumerate(names)}
    is_renamed = len(part.names) == len(names) and not place.keys() & set(part.names)
    if is_renamed and not part.worded:
        return part.with_labels(part.y, names)  # the names of a data set, for which the user gives others
    table = torch.tensor([place.get(found, -1) for found in part.names])
    y = renumber(part.y, table)
    lost = part.y[(part.y >= 0) & (y < 0)]
    if len(lost):
        unknown = part.names[int(lost[0])]
        raise ValueError(
            f"{name}: the label {unknown[:60]!r} is not one of the classes ({some(names)}); correct it or classes="
        )
    return part.with_labels(y, names)
