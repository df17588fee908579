"""The cells of a CSV file, line by line: what is damaged or endless is refused before it fills the memory."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tladapt.readers.folders import require_file

COLUMNS, CELLS = 100_000, 10**8  # of a table, at most
AT_ONCE = 2**20  # cells that are read before they are put into their columns
LINE = 2**23  # characters of a line, at most; csv's own limit is that of a cell, 131 072


class RefusedError(ValueError):
    """What follows the path in the message."""


def cells_of(path: Path) -> dict[str, list[str]]:
    """The columns of a CSV file with a header, as text without spaces around it.

    Raises
    ------
    ValueError
        If it cannot be read, is ragged, has more than 100 000 columns or 100 million cells, or a line or a cell in it
        has no end.
    """
    try:
        require_file(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _columns(csv.reader(_lines(file), strict=True))
    except (UnicodeDecodeError, OSError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV table that can be read ({error})") from error
    except RefusedError as error:
        raise ValueError(f"{path}{error}") from None


def _columns(rows: Any) -> dict[str, list[str]]:
    header = [name.strip() for name in next(rows, [])]
    if not header or len({*header}) < len(header):
        raise RefusedError(": the first line must name every column, each with its own name")
    if len(header) > COLUMNS:
        raise RefusedError(f": {len(header)} columns, and {COLUMNS} at most can be read; leave some out")
    columns: list[list[str]] = [[] for _ in header]
    most = CELLS // len(header)
    while some := list(islice(_whole(rows, len(header)), 1 + AT_ONCE // len(header))):
        for column, cells in zip(columns, zip(*some, strict=True), strict=True):
            column.extend(map(str.strip, cells))
        if len(columns[0]) > most:
            raise RefusedError(f": more than {most} rows of {len(header)} cells; leave some rows or columns out")
    return dict(zip(header, columns, strict=True))


def _whole(rows: Any, width: int) -> Iterator[list[str]]:
    """The rows that are no blank lines; each as wide as the header."""
    for row in rows:
        if len(row) == width:
            yield row
        elif row:
            raise RefusedError(f", line {rows.line_num}: {len(row)} cells, the header has {width}")


def _lines(file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(LINE + 1):
        number += 1
        if len(line) > LINE:
            raise RefusedError(f", line {number}: more than {LINE} characters; is it a CSV table?")
        if "\0" in line:
            raise RefusedError(f", line {number}: a zero byte; save the table as text in UTF-8")
        yield line
