"""Checks of the arguments of `Table`, which may come from an untrusted file."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tladapt.readers.dates import ORDERS
from tladapt.readers.limits import is_real

if TYPE_CHECKING:
    from tladapt.readers.tables import Table

LARGEST = float(np.finfo(np.float32).max)
CONSTANT = LARGEST  # the standard deviation that stands for a column of one value: any number divided by it is 0
STANDARDIZE = ("first", "per-domain")


def require_valid(table: "Table") -> None:
    """Refuse arguments of another type or value.

    Raises
    ------
    ValueError
        If there is one.
    """
    if not isinstance(table.label, str) or type(table.split) is not bool:
        raise ValueError(f"Table(label={table.label!r}, split={table.split!r}): expected a name, and True or False")
    if table.standardize not in STANDARDIZE:
        raise ValueError(f"Table(standardize={table.standardize!r}): expected 'first' or 'per-domain'")
    _require_scales("numbers", table.numbers)
    _require_scales("newest", table.newest)
    if table.newest and table.newest.keys() != table.numbers.keys():
        raise ValueError("Table(newest=...): expected the columns of numbers=")
    if not (isinstance(table.words, dict) and all(map(_are_words, table.words.values()))):
        raise ValueError("Table(words=...): expected for every column a list of its words, each once")
    _require_names("drop", table.drop)
    _require_names("columns", () if table.columns is None else table.columns)
    _require_names("marks", table.marks)
    _require_texts("dates", table.dates)
    _require_texts("units", table.units)
    if not {*table.dates.values()} <= {*ORDERS}:
        raise ValueError(f"Table(dates=...): expected one of {', '.join(ORDERS)} for every column")


def _require_scales(name: str, scales: Any) -> None:
    if not (isinstance(scales, dict) and all(map(_is_scale, scales.values()))):
        raise ValueError(f"Table({name}=...): expected for every column its mean, standard deviation, and 0 or 1")


def _require_names(name: str, names: Any) -> None:
    if not _are_words(names):
        raise ValueError(f"Table({name}={str(names)[:60]!r}): expected a list of names, each once")


def _require_texts(name: str, texts: Any) -> None:
    if not (isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values())):
        raise ValueError(f"Table({name}=...): expected a text for every column")


def _is_scale(found: Any) -> bool:
    """Return whether it is [mean, standard deviation, 1 if some are missing]."""
    return (
        isinstance(found, list | tuple) and len(found) == 3 and all(map(is_real, found))
        and 0 < found[1] <= LARGEST and abs(found[0]) <= LARGEST and found[2] in (0, 1)
    )  # fmt: skip


def _are_words(found: Any) -> bool:
    words = isinstance(found, list | tuple) and all(isinstance(word, str) for word in found)
    return words and len({*found}) == len(found)
