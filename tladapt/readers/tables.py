"""Tables with mixed columns and missing values: CSV files with a header, and data frames."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.readers.cells import cells_of
from tladapt.readers.limits import is_real

LEVELS = 50  # words of a column that are told apart; the rest count as unknown
MISSING = {"", "?", "NA", "N/A", "NULL", "None", "null"}  # what stands in a column of numbers for a number not known
LARGEST = float(np.finfo(np.float32).max)
WIDEST = 2**30  # numbers that all rows are made of: 4 GB


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

    Raises
    ------
    ValueError
        If an argument is of another kind, as a damaged file has it.
    """

    label: str = "label"
    numbers: dict[str, list[float]] = field(default_factory=dict)  # column: mean, standard deviation, 1 if some miss
    words: dict[str, list[str]] = field(default_factory=dict)  # column: its words
    split: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.label, str) or type(self.split) is not bool:
            raise ValueError(f"Table(label={self.label!r}, split={self.split!r}): expected a name, and True or False")
        if not (isinstance(self.numbers, dict) and all(map(_is_scale, self.numbers.values()))):
            raise ValueError("Table(numbers=...): expected for every column its mean, standard deviation, and 0 or 1")
        if not (isinstance(self.words, dict) and all(map(_are_words, self.words.values()))):
            raise ValueError("Table(words=...): expected for every column a list of its words, each once")

    def read(self, source: Any, fit_on: Sequence[int] | None = None) -> tuple[Any, list[str] | None, list[str]]:
        """The rows, the label of each (None for a table without the label column), and their numbers.

        Means, spreads and words are taken from the rows `fit_on` of the first table that is read, by default from all.

        Raises
        ------
        ValueError
            If the table is empty or ragged, a column of the first table is missing, a cell is no number that single
            precision can hold, or the rows would be more than 2^30 numbers.
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
        if not self.split and (width := self._width) * count > WIDEST:
            raise ValueError(
                f"{name}: {count} rows of {width} numbers are more than memory should hold; drop columns of words, "
                f"which become up to {LEVELS} each, or use Table(split=True)"
            )
        numbers = {c: self._numbers(columns[c], c, name) for c in self.numbers}
        words = {c: self._words(columns[c], c) for c in self.words}
        x = _split(numbers, words) if self.split else torch.cat([*self._widened(numbers), *self._one_hot(words)], 1)
        return x, labels, [str(row + 1) for row in range(count)]

    @property
    def _width(self) -> int:
        """Of a row, its columns of words as one number per word."""
        return sum(2 if missing else 1 for *_, missing in self.numbers.values()) + sum(map(len, self.words.values()))

    def _fit(self, columns: dict[str, list[str]], name: str, rows: Sequence[int]) -> None:
        for column, cells in columns.items():
            values = _values(cells, column, name)
            there = np.empty(0) if values is None else values[list(rows)]
            there = there[~np.isnan(there)]
            if len(there):
                spread = float(np.std(there)) or 1.0
                self.numbers[column] = [float(np.mean(there)), spread, float(len(there) < len(rows))]
            elif known := [cells[row] for row in rows if cells[row]]:
                self.words[column] = sorted(word for word, _ in Counter(known).most_common(LEVELS))
        if not self.numbers and not self.words:
            raise ValueError(f"{name}: every cell of every column is empty")

    def _numbers(self, cells: list[str], column: str, name: str) -> Tensor:
        """Centred and scaled; NaN where it is missing."""
        mean, spread, _ = self.numbers[column]
        values = _values(cells, column, name)
        if values is None:
            row = next(i for i, cell in enumerate(cells) if cell not in MISSING and not is_number(cell))
            raise ValueError(f"{name}, row {row + 1}, column {column!r}: {cells[row][:60]!r} is no number")
        return (torch.from_numpy(values) - mean) / spread

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
    return (cells_of(source), str(source)) if isinstance(source, Path) else (_frame(source), "data frame")


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


def _is_scale(found: Any) -> bool:
    """Whether it is [mean, standard deviation, 1 if some miss]."""
    return (
        isinstance(found, list | tuple) and len(found) == 3 and all(map(is_real, found))
        and 0 < found[1] <= LARGEST and abs(found[0]) <= LARGEST and found[2] in (0, 1)
    )  # fmt: skip


def _are_words(found: Any) -> bool:
    words = isinstance(found, list | tuple) and all(isinstance(word, str) for word in found)
    return words and len({*found}) == len(found)


def is_number(cell: str) -> bool:
    """Whether the text is that of a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _values(cells: list[str], column: str, name: str) -> np.ndarray | None:
    """The numbers of a column, NaN where it is missing; None if one of them is a word."""
    try:
        values = _parsed(cells)
    except ValueError:
        return None
    outside = np.abs(values) > LARGEST
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(
            f"{name}, row {row + 1}, column {column!r}: {cells[row][:60]} is out of range; leave it empty if missing"
        )
    return values


def _parsed(cells: list[str]) -> np.ndarray:
    """NaN where the number is missing, and infinity where it is written as nan."""
    try:
        values = np.array([*map(float, cells)])  # where none is missing, in a fifth of the time
    except ValueError:
        missing = np.array([cell in MISSING for cell in cells])
        values = np.array([0.0 if cell in MISSING else float(cell) for cell in cells])
        return np.where(missing, math.nan, np.where(np.isnan(values), math.inf, values))
    return np.where(np.isnan(values), math.inf, values)
