"""Tables with mixed columns and missing values: CSV files with a header, and data frames."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.readers.dates import days, order_of
from tladapt.readers.headers import did_you_mean, folded, looks_like_data, no_header
from tladapt.readers.kinds import Column, kind_of, read_numbers
from tladapt.readers.noting import Noting
from tladapt.readers.numerals import Numerals
from tladapt.readers.sources import columns_of, labels_of
from tladapt.readers.specs import CONSTANT, LARGEST, require_valid

LEVELS = 50  # words of a column that are told apart; the rest count as unknown
WIDEST = 2**30  # numbers that all rows are made of: 4 GB
FARTHEST = 100.0  # standard deviations from the mean, at most
NOISE = 1e-12  # of the largest number of a column: a smaller standard deviation is that of rounding


@dataclass
class Table:
    """Rows as numbers (n, d), by the first table that was read: its columns, means, spreads and words.

    A column of numbers is centred and divided by its standard deviation; a missing number becomes 0, the mean, and
    where the first table had missing ones, a further column says so. Dates become days. A column that has one value in
    the first table is 0 in all tables, and no number is farther from the mean than 100 standard deviations.
    A column of words becomes one column per word, for the 50 most frequent; a word that the first table did not have,
    or an empty cell, is 0 in all. Columns of ids, texts and lists are left out, with a warning.

    With `split`, as `tladapt.backbones.table` takes it: {"numbers": (n, k), "missing": (n, k) where a number is not
    known, "words": (n, c)}, a word as its place among those of its column, from 1, and 0 if it is none of them. A table
    without numbers, or without words, goes without their keys.

    Parameters
    ----------
    label : str
        The column that contains the label.
    split : bool
        Whether rows are a dict, see above.
    drop, columns : sequence of str, optional
        The columns to leave out, or the only ones to read.
    standardize : {"first", "per-domain"}
        Whose means and standard deviations are used: those of the first table; or of each table by itself, and for
        tables that are read later those of the last one.
    marks : sequence of str
        What stands for a missing number, beside an empty cell and those of `tladapt.readers.numerals.MISSING`.
    numbers, words, dates, units, newest
        What was learned from the first table, and with "per-domain" from the last one.

    Raises
    ------
    ValueError
        If an argument has another type or value, as in a damaged file.
    """

    label: str = "label"
    numbers: dict[str, list[float]] = field(default_factory=dict)  # column: mean, standard deviation, 1 if some miss
    words: dict[str, list[str]] = field(default_factory=dict)  # column: its words
    split: bool = False
    drop: Sequence[str] = ()
    columns: Sequence[str] | None = None
    standardize: str = "first"
    marks: Sequence[str] = ()
    dates: dict[str, str] = field(default_factory=dict)  # column of numbers: the order of year, month and day
    units: dict[str, str] = field(default_factory=dict)  # column of numbers: what stands beside them
    newest: dict[str, list[float]] = field(default_factory=dict)  # as numbers, by the last table

    def __post_init__(self) -> None:
        require_valid(self)
        self.drop, self.marks = list(self.drop), list(self.marks)  # as JSON gives them back
        self.columns = None if self.columns is None else list(self.columns)

    def forget(self) -> None:
        """Forget the tables that were read, but not the options."""
        self.numbers, self.words, self.dates, self.units, self.newest = {}, {}, {}, {}, {}

    @property
    def fitted(self) -> bool:
        """Whether a first table was read."""
        return bool(self.numbers or self.words)

    def read(self, source: Any, fit_on: Sequence[int] | None = None) -> tuple[Any, list[str] | None, list[str]]:
        """Return the rows, the label of each (None for a table without labels), and their numbers.

        Means, spreads and words are taken from the rows `fit_on` of the first table that is read, by default from all.
        With `standardize="per-domain"` a later table is standardised by its own rows `fit_on`, and without them by the
        means and spreads of the table before it.

        Raises
        ------
        ValueError
            If the table is empty or ragged, a column of the first table is missing, a cell is not a number that single
            precision can represent, or the rows would be more than 2^30 numbers.
        """
        columns, name = columns_of(source)
        labels = labels_of(columns, self.label, name)
        if not columns or not (count := len(next(iter(columns.values())))):
            raise ValueError(f"{name}: no rows of data in it")
        rows = range(count) if fit_on is None else fit_on
        noting = Noting(name, first=not self.fitted)
        if self.fitted:
            self._require(columns, name)
            numerals = read_numbers({c: columns[c] for c in self.numbers if c not in self.dates}, self.marks)
        else:
            columns = self._chosen(columns, name)
            numerals = read_numbers(columns, self.marks)
            self._fit(columns, numerals, rows, noting)
            fit_on = rows
        self._require_width(count, name)
        values = {c: self._values(columns[c], c, numerals, noting) for c in self.numbers}
        if self.standardize == "per-domain" and fit_on is not None:
            self.newest = {c: _scale(values[c][list(rows)]) for c in self.numbers}
        scaled = {c: self._scaled(values[c], c, noting) for c in self.numbers}
        words = {c: self._words(columns[c], c, noting) for c in self.words}
        noting.warn()
        x = _split(scaled, words) if self.split else torch.cat([*self._widened(scaled), *self._one_hot(words)], 1)
        return x, labels, [str(row + 1) for row in range(count)]

    def _chosen(self, columns: dict[str, list[str]], name: str) -> dict[str, list[str]]:
        """Return the columns that `drop` and `columns` leave."""
        for option, names in (("drop", self.drop), ("columns", self.columns or ())):
            for column in names:
                if column not in columns and column != self.label:
                    raise ValueError(f"{name}: {option} names {column!r}, not a column{did_you_mean(column, columns)}")
        kept = columns if self.columns is None else {c: columns[c] for c in self.columns if c in columns}
        return {c: cells for c, cells in kept.items() if c not in self.drop}

    def _require(self, columns: dict[str, list[str]], name: str) -> None:
        missing = [column for column in (*self.numbers, *self.words) if column not in columns]
        if not missing:
            return
        if looks_like_data(columns):
            raise ValueError(f"{name}: {no_header(columns)}")
        similar = did_you_mean(missing[0], columns)
        hint = similar or f"; add it, or drop it everywhere with drop=[{missing[0]!r}] or --drop"
        raise ValueError(f"{name}: no column {missing[0]!r}, which the first table has{hint}")

    def _require_width(self, count: int, name: str) -> None:
        if not self.split and (width := self._width) * count > WIDEST:
            raise ValueError(
                f"{name}: {count} rows of {width} numbers are more than memory should hold; drop columns of words, "
                f"which become up to {LEVELS} each, or use Table(split=True)"
            )

    @property
    def _width(self) -> int:
        """Numbers per row, with one number per word."""
        return sum(2 if missing else 1 for *_, missing in self.numbers.values()) + sum(map(len, self.words.values()))

    def _fit(
        self, columns: dict[str, list[str]], numerals: dict[str, Numerals], rows: Sequence[int], noting: Noting
    ) -> None:
        for column, cells in columns.items():
            kind = kind_of(cells, column, LEVELS, numerals[column])
            self._learn(column, kind, cells, rows)
            noting.first(column, kind, cells)
        if not self.fitted:
            raise ValueError(f"{noting.name}: {noting.nothing_left()}")

    def _learn(self, column: str, kind: Column, cells: list[str], rows: Sequence[int]) -> None:
        """Keep what later tables are read by, from the training rows."""
        if kind.kind in ("number", "date") and kind.values is not None:
            known = kind.values[list(rows)]
            if not np.isnan(known).all():
                self.numbers[column] = _scale(known)
                self.dates |= {column: kind.order} if kind.order else {}
                self.units |= {column: kind.unit} if kind.unit else {}
                self.marks = [*self.marks, *(mark for mark in kind.marks if mark not in self.marks)]
        elif kind.kind == "words" and (known := [cells[row] for row in rows if cells[row]]):
            self.words[column] = sorted(word for word, _ in Counter(known).most_common(LEVELS))

    def _values(self, cells: list[str], column: str, numerals: dict[str, Numerals], noting: Noting) -> np.ndarray:
        """Return the numbers of a column, NaN where one is missing."""
        where = f"column {column!r}"
        if column in self.dates:
            values = _days(cells, self.dates[column])
            odd = np.flatnonzero(np.isinf(values))
            what = "is not a date, or not certain to be one, as in the first table"
        else:
            values = numerals[column].values
            noting.units(column, self.units.get(column, ""), numerals[column])
            unread = numerals[column].words.keys() - {*self.marks}
            odd = np.array([row for row, cell in enumerate(cells) if cell in unread] if unread else [], dtype=int)
            what = "is not a number, but the first table has numbers there"
        if len(odd):
            row = int(odd[0])
            raise ValueError(
                f"{noting.name}, row {row + 1}, {where}: {cells[row][:60]!r} {what}; empty the cell if it is "
                "missing, or drop the column"
            )
        outside = np.abs(values) > LARGEST
        if outside.any():
            row = int(outside.argmax())
            raise ValueError(
                f"{noting.name}, row {row + 1}, {where}: {cells[row][:60]} is out of range; leave it empty if missing"
            )
        return values

    def _scaled(self, values: np.ndarray, column: str, noting: Noting) -> Tensor:
        """Return the numbers centred and scaled; NaN where one is missing."""
        mean, spread, _ = self.newest[column] if self.newest else self.numbers[column]
        noting.scale(column, values, self.numbers[column], self.standardize)
        if CONSTANT in (spread, self.numbers[column][1]):
            return torch.from_numpy(np.where(np.isnan(values), np.nan, 0.0))
        return torch.from_numpy(np.clip((values - mean) / spread, -FARTHEST, FARTHEST))

    def _words(self, cells: list[str], column: str, noting: Noting) -> Tensor:
        """Return the place of each word, from 1, or 0 for others; one that differs only in case or spaces is known."""
        words = self.words[column]
        places = {word: place for place, word in enumerate(words, start=1)}
        forms = Counter(map(folded, words))
        by_form = {folded(word): place for word, place in places.items() if forms[folded(word)] == 1 and folded(word)}
        found = {cell: places.get(cell) or by_form.get(folded(cell), 0) for cell in {*cells}}
        noting.words(column, cells, words, found)
        return torch.tensor([found[cell] for cell in cells])

    def _widened(self, numbers: dict[str, Tensor]) -> Iterator[Tensor]:
        for column, scaled in numbers.items():
            found = [scaled.nan_to_num(0.0), scaled.isnan().double()][: 2 if self.numbers[column][2] else 1]
            yield torch.stack(found, 1).float()

    def _one_hot(self, words: dict[str, Tensor]) -> Iterator[Tensor]:
        for column, places in words.items():
            yield torch.nn.functional.one_hot(places, len(self.words[column]) + 1)[:, 1:].float()

    def spec(self) -> dict[str, Any]:
        """Return what `reader_from` builds this again from."""
        return {"kind": "table", **asdict(self)}


def _days(cells: Sequence[str], order: str) -> np.ndarray:
    """Return days, by the order of the first table, or by another one if that is certain."""
    values = days(cells, order)
    if not np.isinf(values).any():
        return values
    other, certain = order_of(cells) or ("", False)
    return days(cells, other) if certain and "time" not in (order, other) else values


def _scale(values: np.ndarray) -> list[float]:
    """Return mean, standard deviation (`CONSTANT` if all are alike), and 1 if a value is missing."""
    known = values[~np.isnan(values)]
    if not len(known):
        return [0.0, CONSTANT, 1.0]
    if not np.isfinite(known).all():  # which is refused as soon as the cells are read
        return [0.0, 1.0, 0.0]
    lowest, highest = float(known.min()), float(known.max())
    spread = float(np.std(known))
    if lowest == highest or spread <= NOISE * max(abs(lowest), abs(highest)):
        return [_single(lowest), CONSTANT, float(len(known) < len(values))]
    return [_single(float(np.mean(known))), _single(spread), float(len(known) < len(values))]


def _single(value: float) -> float:
    return min(max(value, -LARGEST), LARGEST)


def _split(numbers: dict[str, Tensor], words: dict[str, Tensor]) -> dict[str, Tensor]:
    x = dict[str, Tensor]()
    if numbers:
        scaled = torch.stack(list(numbers.values()), 1)
        x |= {"numbers": scaled.nan_to_num(0.0).float(), "missing": scaled.isnan()}
    return x | ({"words": torch.stack(list(words.values()), 1)} if words else {})
