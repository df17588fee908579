"""Tables with mixed columns and missing values: CSV files with a header, and data frames."""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEVELS = 50  # words of a column that are told apart; the rest count as unknown
MISSING = {"", "?", "NA", "N/A", "NULL", "None", "null"}  # what stands in a column of numbers for a number not known
LARGEST = float(np.finfo(np.float32).max)


@dataclass
class Table:
    """Rows as numbers (n, d), by the first table that was read: its columns, means, spreads and words.

    A column of numbers is centred and divided by its standard deviation; a missing number becomes 0, the mean, and
    where the first table had missing ones, a further column says so. (Missing is an empty cell, or one of `MISSING`.)
    A column of words becomes one column per word; a word that the first table did not have, or an empty cell, is 0 in
    all.

    With `split`, as `tladapt.backbones.table` takes it: {"numbers": (n, k), "missing": (n, k) where a number is not
    known, "words": (n, c)}, a word as its place among those of its column, from 1, and 0 if it is none of them. A table
    without numbers, or without words, goes without their keys.
    """

    label: str = "label"
    numbers: dict[str, list[float]] = field(default_factory=dict)  # column: mean, standard deviation, 1 if some miss
    words: dict[str, list[str]] = field(default_factory=dict)  # column: its words
    split: bool = False

    def read(self, source: Any, fit_on: Sequence[int] | None = None) -> tuple[Any, list[str] | None, list[str]]:
        """The rows, the label of each (None for a table without the label column), and their numbers.

        Means, spreads and words are taken from the rows `fit_on` of the first table that is read, by default from all.

        Raises
        ------
        ValueError
            If the table is empty or ragged, a column of the first table is missing, or a cell is no number that single
            precision can hold.
        """
        columns, name = columns_of(source)
        labels = columns.pop(self.label, None)
        if labels is not None and "" in labels:
            raise ValueError(f"{name}, row {labels.index('') + 1}: no {self.label!r}; drop the row or the whole column")
        if not columns or not (count := len(next(iter(columns.values())))):
            raise ValueError(f"{name}: no rows of data in it")
        if not self.numbers and not self.words:
            self._fit(columns, name, range(count) if fit_on is None else fit_on)
        missing = [column for column in (*self.numbers, *self.words) if column not in columns]
        if missing:
            raise ValueError(f"{name}: no column {missing[0]!r}, which the first table has")
        numbers = {c: self._numbers(columns[c], c, name) for c in self.numbers}
        words = {c: self._words(columns[c], c) for c in self.words}
        x = _split(numbers, words) if self.split else torch.cat([*self._widened(numbers), *self._one_hot(words)], 1)
        return x, labels, [str(row + 1) for row in range(count)]

    def _fit(self, columns: dict[str, list[str]], name: str, rows: Sequence[int]) -> None:
        for column, cells in columns.items():
            there = [row for row in rows if cells[row] not in MISSING]
            known = [cells[row] for row in rows if cells[row]]
            if there and all(_is_number(cell) for cell in cells if cell not in MISSING):
                values = [_number(cells[row], row, column, name) for row in there]
                spread = float(np.std(values)) or 1.0
                self.numbers[column] = [float(np.mean(values)), spread, float(len(there) < len(rows))]
            elif known:
                self.words[column] = sorted(word for word, _ in Counter(known).most_common(LEVELS))
        if not self.numbers and not self.words:
            raise ValueError(f"{name}: every cell of every column is empty")

    def _numbers(self, cells: list[str], column: str, name: str) -> Tensor:
        """Centred and scaled; NaN where it is missing."""
        mean, spread, _ = self.numbers[column]
        values = [math.nan if cell in MISSING else _number(cell, row, column, name) for row, cell in enumerate(cells)]
        return (torch.tensor(values, dtype=torch.float64) - mean) / spread

    def _words(self, cells: list[str], column: str) -> Tensor:
        """The place of each word, from 1; 0 for others."""
        place = {word: i for i, word in enumerate(self.words[column], start=1)}
        return torch.tensor([place.get(cell, 0) for cell in cells])

    def _widened(self, numbers: dict[str, Tensor]) -> Iterator[Tensor]:
        for column, scaled in numbers.items():
            found = [scaled.nan_to_num(0.0), scaled.isnan().double()][: 2 if self.numbers[column][2] else 1]
            yield torch.stack(found, 1).float()

    def _one_hot(self, words: dict[str, Tensor]) -> Iterator[Tensor]:
        for column, places in words.items():
            yield torch.nn.functional.one_hot(places, len(self.words[column]) + 1)[:, 1:].float()

    def spec(self) -> dict[str, Any]:
        """What `reader_from` builds this again from."""
        return {"kind": "table", **asdict(self)}


def _split(numbers: dict[str, Tensor], words: dict[str, Tensor]) -> dict[str, Tensor]:
    x = dict[str, Tensor]()
    if numbers:
        scaled = torch.stack(list(numbers.values()), 1)
        x |= {"numbers": scaled.nan_to_num(0.0).float(), "missing": scaled.isnan()}
    return x | ({"words": torch.stack(list(words.values()), 1)} if words else {})


def columns_of(source: Any) -> tuple[dict[str, list[str]], str]:
    """The columns of a CSV file (a `Path`) or data frame as text, and what messages call it."""
    return (_csv(source), str(source)) if isinstance(source, Path) else (_frame(source), "data frame")


def _csv(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV table that can be read ({error})") from error
    header = [name.strip() for name in header]
    if not header or len(set(header)) < len(header):
        raise ValueError(f"{path}: the first line must name every column, each with its own name")
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            raise ValueError(f"{path}, line {number}: {len(row)} cells, the header has {len(header)}")
    rows = [row for row in rows if row]
    return {name: [row[i].strip() for row in rows] for i, name in enumerate(header)}


def _frame(frame: Any) -> dict[str, list[str]]:
    """A pandas or polars data frame as columns of text; what is None or NaN there is missing."""
    if not hasattr(frame, "columns"):
        raise TypeError(f"{type(frame).__name__}: neither a path nor a data frame")
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise ValueError("data frame: two columns have one name; give each its own")
    columns = zip(names, (frame[name] for name in frame.columns), strict=True)
    return {name: ["" if _is_missing(cell) else str(cell).strip() for cell in cells] for name, cells in columns}


def _is_missing(cell: Any) -> bool:
    try:
        return cell is None or bool(cell != cell)
    except TypeError:  # pandas.NA is neither equal nor unequal to itself
        return True


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, row: int, column: str, name: str) -> float:
    if not _is_number(cell):
        raise ValueError(f"{name}, row {row + 1}, column {column!r}: {cell!r} is no number")
    if not abs(value := float(cell)) <= LARGEST:
        raise ValueError(f"{name}, row {row + 1}, column {column!r}: {cell} is out of range; leave it empty if missing")
    return value
