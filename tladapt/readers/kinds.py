"""What a column of a table is: numbers, dates or words, or an id, a text or a list that no table can learn from."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from tladapt.readers.dates import days, order_of
from tladapt.readers.headers import CUT, some
from tladapt.readers.numerals import Numerals, is_missing, parse

FEW = 20  # rows, or different numbers, that show nothing yet
ALIKE = 0.8  # of the rows with a value of their own: the column is an id, a text or a list
FEW_UNITS = 3  # more letters behind numbers are codes, such as 12a, 12b
MOSTLY = 0.9  # of the cells are numbers: the other words stand for missing ones
DENSE = 300  # different whole numbers that lie close together may be ids
IDS = re.compile(
    r"(.*[ _.-])?(id|ids|uid|uuid|guid|index|idx|key|rowid)|row ?names?|nr\.?|no\.?|#|(row|record|serial|customer|"
    r"client|user|patient|passenger|account|order|invoice|ticket|member|case|sample|subject)[ _.-]?"
    r"(no|nr|num|number|code)?\.?",
    re.IGNORECASE,
)
CAMEL = re.compile(r".*[a-z]I[dD]")  # userId
LIST = re.compile(r"[\[({].*[\])}]", re.DOTALL)
TEXT, LONG = 3, 6  # words per cell, on average, of a text; and of one that comes more than once


@dataclass
class Column:
    """What the first table shows of a column.

    Attributes
    ----------
    kind : str
        "number", "date", "words"; "empty"; or "id", "text" or "list", which are left out.
    values : array, optional
        The numbers, or days, of all rows; NaN where one is missing.
    order : str
        Of a date: how it is written.
    marks : list of str
        Words among numbers that are read as missing.
    unit : str
        What stands beside the numbers.
    notes : list of str
        What a user would not expect.
    """

    kind: str
    values: np.ndarray | None = None
    order: str = ""
    marks: list[str] = field(default_factory=list)
    unit: str = ""
    notes: list[str] = field(default_factory=list)


def kind_of(cells: Sequence[str], name: str, levels: int, numerals: Numerals) -> Column:
    """Return what a column is, by all its cells, and by `numerals`, the cells read as numbers."""
    if not any(cells):
        return Column("empty")
    if numerals.units and (not numerals.words or _mostly_numbers(numerals)):
        return _number(cells, name, numerals)
    dated = order_of(cells)
    if dated is not None:
        order, certain = dated
        shown = next(cell for cell in cells if not is_missing(cell))
        how = f"{shown[:CUT]} is read as month/day; write dates as 2020-12-31 if that is wrong"
        return Column("date", days(cells, order), order, notes=[] if certain else [how])
    return _words(cells, levels, numerals)


def _mostly_numbers(numerals: Numerals) -> bool:
    """Return whether so many cells are numbers that the words among them must stand for missing ones."""
    numbers = np.isfinite(numerals.values)
    many = int(numbers.sum())
    distinct = len(np.unique(numerals.values[numbers]))
    return many >= MOSTLY * (many + numerals.words.total()) and distinct > FEW


def _number(cells: Sequence[str], name: str, numerals: Numerals) -> Column:
    units = sorted(unit for unit in numerals.units if unit)
    if _are_codes(cells):
        return _words(cells, 0, numerals)
    if len(units) > 1:
        column = _words(cells, 0, numerals)
        if len(units) <= FEW_UNITS:
            column.notes.append(f"numbers in {some(map(repr, units))} are read as words; write them in one unit")
        return column
    unit, notes = (units[0] if units else ""), list[str]()
    if unit and "" in numerals.units:
        notes.append(f"numbers with {unit!r} and numbers without it are read alike")
    if numerals.ambiguous:
        notes.append(f"{numerals.ambiguous} is read as thousands; write it without a comma if that is wrong")
    marks = sorted(numerals.words)
    if marks:
        notes.append(f"numbers, so {some(map(repr, marks))} is read as missing ({numerals.words.total()} rows)")
    sentinel = _sentinel(numerals.values)
    if sentinel:
        notes.append(
            f"{sentinel} lies far from all other numbers; empty these cells if it stands for a missing one, or use "
            f"Table(marks=['{sentinel}'])"
        )
    column = Column("number", numerals.values, marks=marks, unit=unit, notes=notes)
    return _unless_id(column, name)


def _sentinel(values: np.ndarray) -> str:
    """Return a number such as -999 that seems to stand for a missing one; "" if there is none.

    It is the lowest or highest, comes more than once, and lies farther from the others than they lie apart.
    """
    known = np.sort(values[np.isfinite(values)])
    for value in (known[0], known[-1]) if len(known) >= FEW else ():
        others = known[known != value]
        repeated = len(known) - len(others) > 1
        if not (repeated and len(others) and re.fullmatch(r"-9+|9{3,}", f"{value:.0f}") and value == round(value)):
            continue
        apart = others[-1] - others[0]
        if min(abs(value - others[0]), abs(value - others[-1])) > max(2 * apart, 1.0):
            return f"{value:.0f}"
    return ""


def _are_codes(cells: Sequence[str]) -> bool:
    """Return whether numbers such as 012 and 12 are both in a column: as numbers they would be one."""
    distinct = {*cells}
    led = [cell for cell in distinct if cell[:1] == "0" and cell.isdecimal() and len(cell) > 1]
    return any((cell.lstrip("0") or "0") in distinct for cell in led)


def _unless_id(column: Column, name: str) -> Column:
    """Return a column of numbers, or of ids if its name is that of an id and every row has another whole number."""
    values = column.values
    assert values is not None
    known = values[~np.isnan(values)]
    whole = len(known) >= FEW and bool(np.isfinite(known).all()) and bool((known == np.round(known)).all())
    if not whole or len(np.unique(known)) < len(known):
        return column
    if IDS.fullmatch(name) or CAMEL.fullmatch(name):
        return Column("id")
    if len(known) >= DENSE and known.max() - known.min() < 2 * len(known):
        column.notes.append("every row has another whole number, as ids have; drop the column if it is one")
    return column


def _words(cells: Sequence[str], levels: int, numerals: Numerals) -> Column:
    """Return a column of words, or what it is if nearly every row has a value of its own."""
    known = [cell for cell in cells if cell]
    counts = Counter(known)
    if len(known) >= FEW and len(counts) > ALIKE * len(known):
        return Column(_of_own(known))
    if levels and len(counts) > levels and _words_each(known) >= LONG:
        return Column("text")
    notes = list[str]()
    if levels and len(counts) > levels:
        numbers = int(np.isfinite(numerals.values).sum())
        odd = f", {numbers} of them numbers, but not {some(map(repr, sorted(numerals.words)))}" if numbers else ""
        notes.append(f"{len(counts)} different words{odd}; the {levels} most frequent are told apart")
    return Column("words", notes=notes)


def _of_own(cells: Collection[str]) -> str:
    """Return what cells are that are nearly all different."""
    if all(LIST.fullmatch(cell) for cell in cells):
        return "list"
    return "text" if _words_each(cells) >= TEXT else "id"


def _words_each(cells: Collection[str]) -> float:
    return 1 + sum(cell.count(" ") for cell in cells) / len(cells)


def read_numbers(columns: dict[str, list[str]], marks: Collection[str] = ()) -> dict[str, Numerals]:
    """Read all columns as numbers, "1,234" with a decimal comma if a cell of any column must have one."""
    found = {name: parse(cells, marks) for name, cells in columns.items()}
    if not any(numerals.decimal_comma for numerals in found.values()):
        return found
    return {name: parse(columns[name], marks, comma=True) for name in found}
