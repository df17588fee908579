"""The cells of a CSV file, line by line: what is damaged or endless is refused before it fills the memory."""

import csv
import itertools
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tladapt.readers.dialects import (
    DECLARED,
    UNPACKED,
    UNREADABLE,
    RefusedError,
    encodings,
    is_packed,
    lines,
    opened,
    separator,
    suffix,
)
from tladapt.readers.headers import named, require_names

COLUMNS, CELLS = 100_000, 10**8  # of a table, at most
AT_ONCE = 2**20  # cells that are read before they are put into their columns
SHOWN, LOOKED_AT = 20, 2**20  # lines, and characters of them, that show the mark between cells


def cells_of(path: Path) -> dict[str, list[str]]:
    """Return the columns of a CSV file with a header, as text without spaces around it.

    The file may be packed by gzip; its encoding, and the mark between cells (a comma, a semicolon, a tab or `|`), are
    found out. A column without a name is left out if it counts the rows, and else called by its place.

    Raises
    ------
    ValueError
        If it cannot be read, is ragged, has no header, more than 100 000 columns or 100 million cells, or a line or a
        cell in it has no end.
    """
    try:
        *likely, last = encodings(path)
        for encoding in likely:
            try:
                return _read(path, encoding)
            except UnicodeDecodeError:
                continue
        found = _read(path, last)
    except UNREADABLE as error:
        raise ValueError(f"{path}: cannot be read as a CSV table ({error})") from error
    except RefusedError as error:
        raise ValueError(f"{path}{error}") from None
    if likely:
        warnings.warn(
            f"{path}: not in UTF-8, so it is read as Windows-1252; save it as UTF-8 if letters are wrong", stacklevel=2
        )
    return found


def _read(path: Path, encoding: str) -> dict[str, list[str]]:
    most = UNPACKED if is_packed(path) else None
    with opened(path, encoding) as file:
        every = lines(file, most)
        first = _first(every)
        if first and (declared := DECLARED.fullmatch(first[0])):
            mark = declared[1]
            first = first[1:]
        else:
            mark = separator(first, suffix(path))
        return _columns(csv.reader(itertools.chain(first, every), delimiter=mark, strict=True), str(path))


def _first(every: Iterable[str]) -> list[str]:
    """Return the lines that show how cells are separated, the header at least."""
    first, total = list[str](), 0
    for line in every:
        first.append(line)
        total += len(line)
        if len(first) == SHOWN or total > LOOKED_AT:
            break
    return first


def _columns(rows: Any, name: str) -> dict[str, list[str]]:
    header = [cell.strip() for cell in next(rows, [])]
    require_names(header)
    if len(header) > COLUMNS:
        raise RefusedError(f": {len(header)} columns, and {COLUMNS} at most can be read; leave some out")
    columns: list[list[str]] = [[] for _ in header]
    most = CELLS // len(header)
    while some := list(islice(_whole(rows, len(header)), 1 + AT_ONCE // len(header))):
        for column, cells in zip(columns, zip(*some, strict=True), strict=True):
            column.extend(map(str.strip, cells))
        if len(columns[0]) > most:
            raise RefusedError(f": more than {most} rows of {len(header)} cells; leave some rows or columns out")
    return named(header, columns, name)


def _whole(rows: Any, width: int) -> Iterator[list[str]]:
    """Return the rows that are not blank lines; each as wide as the header."""
    for row in rows:
        if len(row) == width:
            yield row
        elif row:
            raise RefusedError(f", line {rows.line_num}: {len(row)} cells, the header has {width}")
