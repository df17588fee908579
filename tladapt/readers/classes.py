"""The classes of domains that are read from files, by name; and labels that are numbers."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from tladapt.readers.headers import CUT, did_you_mean, folded, some
from tladapt.readers.numerals import is_missing, is_number, parse

MANY_NUMBERS, MANY = 20, 50  # different labels, from which on they may be measurements, or another column


def in_order(classes: Iterable[str]) -> list[str]:
    """Return class names in their order, each once: numbers by their size, then the other names."""
    return sorted({*classes}, key=_order)


def classes_of(labels: Sequence[str], name: str) -> list[str]:
    """Return the classes of a domain in their order.

    Raises
    ------
    ValueError
        If the labels are no classes: numbers such as prices, or another value in most rows.
    """
    counts = Counter(labels)
    _require_classes(counts, name)
    if len(counts) == 1:
        warnings.warn(
            f"{name}: every row has the class {labels[0][:CUT]!r}; a model learns nothing from one class, and is "
            "always right",
            stacklevel=4,
        )
    return in_order(counts)


def _require_classes(counts: Counter[str], name: str) -> None:
    rows = counts.total()
    numbers = all(map(is_number, counts))
    broken = numbers and any(float(label) % 1 for label in counts)
    if numbers and ((broken and len(counts) > MANY_NUMBERS) or (len(counts) > MANY and 2 * len(counts) > rows)):
        raise ValueError(
            f"{name}: the labels are {len(counts)} different numbers in {rows} rows, such as {next(iter(counts))}; "
            "read numbers with read_domains(..., regression=True) and task=Regression.of(domain), or name the column "
            "of the classes with label="
        )
    if len(counts) > MANY and 2 * len(counts) > rows:
        raise ValueError(
            f"{name}: {len(counts)} different labels in {rows} rows, such as {next(iter(counts))[:CUT]!r}; name the "
            "column of the classes with label= or --label"
        )


def require_known(labels: Sequence[str], classes: Sequence[str], name: str, first: str) -> None:
    """Refuse labels that are not among the classes.

    Raises
    ------
    ValueError
        If there is one.
    """
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise ValueError(
            f"{name}: the label {unknown[0][:CUT]!r} is none of the classes of {first}: {some(classes)}"
            f"{did_you_mean(unknown[0], classes) or '; drop these rows, or give all names with classes='}"
        )


def require_one_spelling(labels: Iterable[str], classes: Sequence[str], name: str, first: str) -> None:
    """Refuse a class that is written differently from one of the classes, such as "yes" beside "Yes".

    Raises
    ------
    ValueError
        If there is one.
    """
    forms = {folded(known) for known in classes}
    respelled = [label for label in set(labels) - set(classes) if folded(label) in forms]
    require_known(respelled, classes, name, first)


def are_known(labels: Sequence[str], classes: Sequence[str], name: str, first: str) -> Tensor:
    """Return whether the label of each row is one of the classes; a warning names the others."""
    known = set(classes)
    others = Counter(label for label in labels if label not in known)
    if others:
        warnings.warn(
            f"{name}: {others.total()} rows have a label that is none of the classes of {first} "
            f"({some(sorted(others))}); they are used without it, and not scored",
            stacklevel=4,
        )
    return torch.tensor([label in known for label in labels], dtype=torch.bool)


def numbers_of(labels: Sequence[str], name: str) -> Tensor:
    """Return labels as numbers, float32.

    Raises
    ------
    ValueError
        If a label is not a number.
    """
    numerals = parse(labels)
    wrong = [row for row, label in enumerate(labels) if label in numerals.words or is_missing(label)]
    wrong += np.flatnonzero(~np.isfinite(numerals.values)).tolist()
    if wrong:
        row = min(wrong)
        raise ValueError(f"{name}, row {row + 1}: the label {labels[row][:CUT]!r} is not a number; drop the row")
    return torch.from_numpy(numerals.values).float()


def _order(name: str) -> tuple[bool, int, str]:
    """Return a key that sorts numbers by their size, before other names."""
    number = name.isdecimal() and len(name) < 20  # Python reads no number of thousands of digits
    return not number, int(name) if number else 0, name
