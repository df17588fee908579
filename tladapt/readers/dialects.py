"""How a table of text is written: its compression, encoding, and the mark between its cells."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tladapt.readers.class_folders import require_file

LINE = 2**23  # characters of a line, at most; csv's own limit is that of a cell, 131 072
UNPACKED = 2**31  # characters of a compressed file, at most
LOOKED_AT = 2**16  # bytes that show the encoding
SHOWN = 20  # lines that show the mark between cells
SEPARATORS = ",;\t|"
MARKS = {  # at the start of a file; the longer ones first, for UTF-32 starts as UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
SUFFIXES = (".csv", ".txt", ".tsv", ".tab", ".data", ".csv.gz", ".txt.gz", ".tsv.gz", ".tab.gz", ".data.gz")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f\x7f]")  # bytes that no text has
DECLARED = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # the first line, as Excel writes it


class RefusedError(ValueError):
    """A table that cannot be read; the message follows its path."""


class WrongEncodingError(ValueError):
    """Bytes that the encoding does not have."""


def suffix(path: Path) -> str:
    """Return the ending of a path as one of `SUFFIXES`; "" if it has another.

    >>> suffix(Path("old.CSV.gz")), suffix(Path("v1.5")), suffix(Path("a.b.tsv"))
    ('.csv.gz', '', '.tsv')
    """
    name = path.name.lower()
    return max((ending for ending in SUFFIXES if name.endswith(ending)), key=len, default="")


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open a table, packed or not, as text.

    Raises
    ------
    OSError, EOFError, zlib.error
        If the file cannot be opened or unpacked.
    """
    require_file(path)
    with gzip.open(path) if is_packed(path) else path.open("rb") as file:
        yield io.TextIOWrapper(file, encoding=encoding, newline="")  # type: ignore[arg-type]


def is_packed(path: Path) -> bool:
    """Return whether the file is compressed by gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def encodings(path: Path) -> list[str]:
    """Return the encodings that a file may have, the likeliest first.

    What is not UTF-8 or UTF-16 is taken for Windows-1252, which has all letters of Latin-1, if it can be text at all.
    """
    require_file(path)
    with gzip.open(path) if is_packed(path) else path.open("rb") as file:
        start = file.read(LOOKED_AT)
    marked = next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), None)
    if marked is not None:
        return [marked]
    if b"\0" in start:
        return [_wide(start) or "utf-8"]
    return ["utf-8"] if CONTROL.search(start) else ["utf-8", "cp1252"]


def _wide(start: bytes) -> str | None:
    """Return the form of UTF-16 whose letters of ASCII have their zero bytes where these bytes do."""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    half = len(start) / 2
    if odd > 0.6 * half and not even:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 * half and not odd else None


def lines(file: TextIO, most: int | None = None) -> Iterator[str]:
    """Return the lines of a table; one without an end, and a zero byte, are refused before they fill the memory."""
    number = total = 0
    while line := file.readline(LINE + 1):
        number += 1
        total += len(line)
        if len(line) > LINE:
            raise RefusedError(f", line {number}: more than {LINE} characters; is it a CSV table?")
        if "\0" in line:
            raise RefusedError(f", line {number}: a zero byte; save the table as text in UTF-8")
        if most is not None and total > most:
            raise RefusedError(f", line {number}: more than {most} characters when it is unpacked; unpack it")
        yield line


def separator(first: list[str], ending: str) -> str:
    """Return the mark between cells that the first lines show.

    The header is cut into the most cells, and lines after it into as many: a comma in a header of one text is none.

    >>> separator(["a;b,c;d", "1,5;2;3"], ".csv"), separator(["text", "one, two"], ".csv"), separator(["a|b"], ".txt")
    (';', ',', '|')
    """
    given = (mark for mark in ("\t" * ending.startswith((".tsv", ".tab")) + SEPARATORS))
    marks = dict.fromkeys(given)
    widths = {mark: _widths(first, mark) for mark in marks}
    likely = [mark for mark in marks if widths[mark] and widths[mark][0] > 1]
    if not likely:
        return next(iter(marks))
    alike = {mark: sum(width == widths[mark][0] for width in widths[mark]) / len(widths[mark]) for mark in likely}
    return max(likely, key=lambda mark: (alike[mark] == 1.0, widths[mark][0]))


def _widths(first: list[str], mark: str) -> list[int]:
    """Return the number of cells of each line; the last line may be cut off in a cell with line ends."""
    try:
        return [len(row) for row in csv.reader(first, delimiter=mark) if row]
    except csv.Error:
        return []


UNREADABLE = (UnicodeError, OSError, EOFError, zlib.error, csv.Error)
