"""Data frames of pandas and polars as columns of text."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from tladapt.readers.headers import named


def columns_of_frame(frame: Any) -> dict[str, list[str]]:
    """Return the columns of a data frame as text; None, NaN and NaT are empty.

    Raises
    ------
    TypeError, ValueError
        If it is not a data frame, two columns have one name, or a cell is a list, an array or another collection.
    """
    if not hasattr(frame, "columns"):
        raise TypeError(f"{type(frame).__name__}: neither a path nor a data frame")
    names = [_name(column) for column in frame.columns]
    if len(set(names)) < len(names):
        raise ValueError("data frame: two columns have one name; give each its own")
    columns = [_texts(frame[column], name) for column, name in zip(frame.columns, names, strict=True)]
    return named(names, columns, "data frame")


def _name(column: Any) -> str:
    """Return the name of a column; the levels of a name with several are joined by points."""
    levels = column if isinstance(column, tuple) else (column,)
    return ".".join(str(level).strip() for level in levels if str(level).strip())


def _texts(cells: Iterable[Any], column: str) -> list[str]:
    return ["" if _is_missing(cell, column) else _text(cell) for cell in cells]


def _text(cell: Any) -> str:
    if isinstance(cell, timedelta):  # pandas' Timedelta is one
        return str(cell.total_seconds() / 86400)
    return str(cell).strip()


def _is_missing(cell: Any, column: str) -> bool:
    if isinstance(cell, str):
        return False
    if cell is None:
        return True
    if hasattr(cell, "__len__") or getattr(cell, "shape", ()):
        raise ValueError(
            f"data frame, column {column[:60]!r}: a cell is a {type(cell).__name__}, expected a number, a word or a "
            "date; give every number a column of its own, or pass the stacked arrays as Domain(name, (x, y))"
        )
    try:
        return bool(cell != cell)
    except TypeError:  # pandas.NA is neither equal nor unequal to itself
        return True
