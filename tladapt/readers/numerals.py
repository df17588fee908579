"""Cells of text as numbers: decimal commas, thousands, currencies, percent signs, units, and missing values."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

MISSING = frozenset({  # in lower case; in a column of numbers, each of these stands for an unknown number
    "", "?", "??", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "…", "*", "/", "na", "n/a", "n.a.",
    "n.a", "n. a.",
    "n/d", "nd", "n.d.", "<na>", "nan", "-nan", "nat", "null", "(null)", "<null>", "\\n", "none", "nil", "nothing",
    "missing", "unknown", "undefined", "empty", "blank", "(blank)", "not available", "not applicable", "no data",
    "k.a.", "k. a.", "s/d", "#n/a", "#na", "#n/a n/a", "#null!", "#value!", "#div/0!", "#ref!", "#num!", "#name?",
    "1.#ind", "1.#qnan", "-1.#ind", "-1.#qnan",
})  # fmt: skip
LONGEST = 40  # characters of a number; a longer cell is a word
CURRENCIES = (
    "US$", "C$", "A$", "R$", "$", "€", "£", "¥", "₹", "₽", "₩", "₺", "₪", "₫", "฿", "EUR", "USD", "GBP", "CHF", "JPY",
    "CNY", "INR", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "BRL", "MXN", "ZAR", "RUB", "TRY",
    "KRW", "SGD", "HKD",
)  # fmt: skip
MINUS = "\u2212"
TRUTH = {"true": "1", "false": "0"}  # in lower case
SPACES = " \u00a0\u202f\u2009"
GROUPS = f"{SPACES}'\u2019"  # what may stand between groups of three digits, beside point and comma
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
NUMERAL = re.compile(
    rf"(?P<open>\()?(?P<sign>[+\-{MINUS}]?)[{SPACES}]*(?P<before>{'|'.join(map(re.escape, CURRENCIES))})?[{SPACES}]*"
    rf"(?P<minus>[+\-{MINUS}]?)(?P<body>[\d.,{GROUPS}]*\d[.,]?)(?P<power>[eE][+-]?\d+)?[{SPACES}]*"
    rf"(?P<after>[^\d{GROUPS}.,()+\-{MINUS}:/_][^\d()+:_]*)?(?P<close>\))?",
    re.ASCII,
)
GROUPED = re.compile(rf"[1-9]\d{{0,2}}(?:[{GROUPS}]\d{{3}})+(?:[.,]\d+)?", re.ASCII)
POINT = re.compile(r"(?:\d+|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d*)?|\.\d+", re.ASCII)
COMMA = re.compile(r"(?:\d+|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d*)?|,\d+", re.ASCII)


@dataclass(frozen=True)
class Numerals:
    """A column read as numbers.

    Attributes
    ----------
    values : array of float64
        NaN where the cell is missing or a word.
    words : Counter
        The cells that are neither a number nor a mark of a missing value, and how often they occur.
    units : set of str
        What stands before or after the numbers, such as "€", "%" or "kg"; "" where a number stands alone.
    decimal_comma : bool
        Whether a cell is a number only with a decimal comma, such as "12,5".
    ambiguous : str
        A cell that is another number with a decimal comma than with a decimal point, such as "1,234"; "" if none is.
    """

    values: np.ndarray
    words: Counter[str] = field(default_factory=Counter)
    units: frozenset[str] = frozenset({""})
    decimal_comma: bool = False
    ambiguous: str = ""


@dataclass(frozen=True)
class _Parts:
    """A cell that may be a number."""

    sign: float
    body: str
    power: str
    unit: str


def is_missing(cell: str, marks: Collection[str] = ()) -> bool:
    """Return whether the cell stands for an unknown number."""
    return cell in marks or (len(cell) < LONGEST and cell.casefold() in MISSING)


def is_number(cell: str) -> bool:
    """Return whether the text is a number as Python writes it, in ASCII digits without underscores.

    >>> [is_number(cell) for cell in ("-1.5e3", "1_2", "٣", "1,5", "x")]
    [True, False, False, False, False]
    """
    return PLAIN.fullmatch(cell) is not None


def parse(cells: Sequence[str], marks: Collection[str] = (), comma: bool = False) -> Numerals:
    """Read a column as numbers.

    Parameters
    ----------
    marks : collection of str
        What stands for a missing number, beside `MISSING`.
    comma : bool
        Whether a cell such as "1,234", which may have a decimal comma or thousands, has a decimal comma.

    Examples
    --------
    >>> parse(["1.234,50 €", "-", "7 €"]).values.tolist()
    [1234.5, nan, 7.0]
    >>> parse(["1_2", "12"]).words
    Counter({'1_2': 1})
    """
    plain = None if comma or not {*marks}.isdisjoint(cells) else _plain(cells)
    if plain is not None:
        return Numerals(plain)
    counts = Counter(cells)
    parts = {cell: _parts(cell) for cell in counts if not is_missing(cell, marks)}
    bodies = {part.body for part in parts.values() if part is not None}
    comma, proof, ambiguous = _style(bodies, comma)
    found = dict.fromkeys(counts, np.nan)
    words, units = Counter[str](), set[str]()
    for cell, part in parts.items():
        value = None if part is None else _value(part, comma)
        if part is None or value is None:
            words[cell] = counts[cell]
        else:
            found[cell] = value
            units.add(part.unit)
    values = np.array([found[cell] for cell in cells], dtype=float)
    return Numerals(values, words, frozenset(units), proof, ambiguous)


def _plain(cells: Sequence[str]) -> np.ndarray | None:
    """Return the numbers of a column that Python reads as they are, in a fifth of the time; None for any other."""
    try:
        values = np.array([*map(float, cells)])
    except ValueError:
        return None
    text = "".join(cells)
    return values if text.isascii() and "_" not in text else None


def _parts(cell: str) -> _Parts | None:
    if len(cell) > LONGEST:
        return None
    truth = TRUTH.get(cell.casefold())
    if truth is not None:
        return _Parts(1.0, truth, "", "")
    if PLAIN.fullmatch(cell):
        mantissa, _, power = cell.lower().lstrip("+-").partition("e")
        return _Parts(-1.0 if cell[0] == "-" else 1.0, mantissa, f"e{power}" if power else "", "")
    found = NUMERAL.fullmatch(cell)
    if found is None or bool(found["open"]) != bool(found["close"]) or (found["before"] and found["after"]):
        return None
    unit = (found["before"] or found["after"] or "").strip(SPACES)
    body = found["body"].strip(SPACES)
    if any(letter.isnumeric() for letter in unit):
        return None
    if any(letter in GROUPS for letter in body):
        if not GROUPED.fullmatch(body):
            return None
        body = "".join(letter for letter in body if letter not in GROUPS)
    signs = [sign for sign in (found["sign"], found["minus"]) if sign]
    if len(signs) + bool(found["open"]) > 1:
        return None
    negative = bool(found["open"]) or (bool(signs) and signs[0] != "+")
    return _Parts(-1.0 if negative else 1.0, body, found["power"] or "", unit)


def _style(bodies: set[str], comma: bool) -> tuple[bool, bool, str]:
    """Return whether commas are decimal, whether that is certain, and a number for which it is not."""
    only_comma = any(COMMA.fullmatch(body) and not POINT.fullmatch(body) for body in bodies)
    only_point = any(POINT.fullmatch(body) and not COMMA.fullmatch(body) for body in bodies)
    if only_comma != only_point:
        return only_comma, only_comma, ""
    if comma:  # as another column of the file is written
        return True, only_comma, ""
    unclear = [body for body in bodies if "," in body and POINT.fullmatch(body) and COMMA.fullmatch(body)]
    return False, only_comma, min(unclear, default="")


def _value(part: _Parts, comma: bool) -> float | None:
    """Return the number, read in the style of its column if that is possible, else in the other."""
    if part.body in ("inf", "infinity"):
        return part.sign * np.inf
    for decimal_comma in (comma, not comma):
        if decimal_comma and COMMA.fullmatch(part.body):
            return part.sign * float(part.body.replace(".", "").replace(",", ".") + part.power)
        if not decimal_comma and POINT.fullmatch(part.body):
            return part.sign * float(part.body.replace(",", "") + part.power)
    return None
