"""What a user would not expect of a table, as warnings of one line each."""

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tladapt.readers.headers import CUT, SHOWN, some
from tladapt.readers.kinds import Column
from tladapt.readers.numerals import Numerals
from tladapt.readers.specs import CONSTANT

MOST = 20  # notes on one table
WILD = 10.0  # standard deviations between domains, or times the standard deviation
ROWS = 5  # fewer rows show nothing
UNKNOWN = 0.5  # of the rows: a column of words that the first table does not have
LEFT_OUT = {
    "id": "an id", "list": "a list; give each number a column of its own",
    "text": "a text; learn from it with --text {0} or Texts(text={0!r})",
}  # fmt: skip


class Noting:
    """Collects notes on one table, and warns of them together."""

    def __init__(self, name: str, first: bool) -> None:
        self.name, self._is_first = name, first
        self._left_out = list[str]()
        self._empty = list[str]()
        self._notes = list[str]()
        self._wild = list[str]()
        self._constant = list[str]()
        self._missing = list[str]()

    def first(self, column: str, kind: Column, cells: Sequence[str]) -> None:
        """Note what the first table shows of a column."""
        if kind.kind == "empty":
            self._empty.append(column)
        elif kind.kind in LEFT_OUT:
            what = LEFT_OUT[kind.kind].format(column)
            self._left_out.append(f"{column[:CUT]!r} ({what}; {len({*cells})} different values in {len(cells)} rows)")
        self._notes += [f"column {column[:CUT]!r}: {note}" for note in kind.notes]

    def nothing_left(self) -> str:
        """Return why no column can be learned from."""
        if self._left_out:
            return f"no column to learn from; left out {_listed(self._left_out)}"
        return "every cell of every column is empty"

    def units(self, column: str, unit: str, numerals: Numerals) -> None:
        """Note numbers that have another unit than in the first table."""
        other = sorted(found for found in numerals.units if found != unit)
        if other and not self._is_first:
            here, there = (f"{found!r}" if found else "no unit" for found in (other[0], unit))
            self._notes.append(
                f"column {column[:CUT]!r}: numbers with {here}, in the first table with {there}; they are read alike"
            )

    def scale(self, column: str, values: np.ndarray, first: Sequence[float], standardize: str) -> None:
        """Note a column whose numbers lie far from those of the first table."""
        mean, spread, _ = first
        known = values[~np.isnan(values)]
        if self._is_first:
            return
        if not len(known):
            self._missing += [repr(column[:CUT])] if len(values) >= ROWS else []
            return
        far = max(abs(float(known.mean()) - mean), float(known.std())) > WILD * spread
        if spread == CONSTANT:
            if np.abs(known - mean).max() > 1e-6 * max(1.0, abs(mean)):
                self._constant.append(repr(column[:CUT]))
        elif far and standardize == "first" and len(known) >= ROWS:
            self._wild.append(repr(column[:CUT]))

    def words(self, column: str, cells: Sequence[str], words: Sequence[str], found: dict[str, int]) -> None:
        """Note words that the first table does not have, or writes differently."""
        written = {cell: words[place - 1] for cell, place in found.items() if place and cell != words[place - 1]}
        if written:
            pairs = some(f"{cell!r} as {word!r}" for cell, word in sorted(written.items()))
            self._notes.append(f"column {column[:CUT]!r}: read {pairs}, as the first table writes it")
        known = Counter(cell for cell in cells if cell)
        if not known and len(cells) >= ROWS:
            self._missing.append(repr(column[:CUT]))
        unknown = Counter({cell: count for cell, count in known.items() if not found[cell]})
        if known.total() >= ROWS and unknown.total() >= UNKNOWN * known.total():
            often = [repr(cell[:CUT]) for cell, _ in unknown.most_common(3)]
            self._notes.append(
                f"column {column[:CUT]!r}: {unknown.total()} of {known.total()} rows have words that the first table "
                f"does not have ({', '.join(often)}; it has {some(map(repr, words))}), so they tell nothing; write "
                "them alike"
            )

    def warn(self) -> None:
        """Warn of all notes, one line each."""
        rest = len(self._notes) - MOST
        if rest > 0:
            self._notes[MOST:] = [f"{rest} more columns have something to note"]
        if self._left_out:
            self._notes.append(
                f"left out {_listed(self._left_out)}; drop a column to leave it out without this warning"
            )
        if self._constant:
            self._notes.append(
                f"column {some(self._constant)}: one value in the first table, another here; it is read as 0"
            )
        if self._missing:
            self._notes.append(f"column {some(self._missing)}: every cell is empty, unlike in the first table")
        if self._wild:
            self._notes.append(
                f"column {some(self._wild)}: another scale than in the first table; consider "
                "standardize='per-domain' (--standardize per-domain)"
            )
        for note in self._notes:
            warnings.warn(f"{self.name}: {note}", stacklevel=3)


def _listed(parts: Sequence[str]) -> str:
    return ", ".join([*parts[:SHOWN], *["..."] * (len(parts) > SHOWN)])
