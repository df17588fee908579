"""Cells of text as dates: days since 1970, so that a column of dates becomes a column of numbers."""

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from tladapt.readers.numerals import is_missing

ORDERS = ("ymd", "dmy", "mdy", "time")  # of year, month and day; "time" is a time of the day without a date
LONGEST = 40  # characters of a date
EPOCH = datetime(1970, 1, 1)
HOURS = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:[.,]\d{1,9})?))?\s?(?P<half>[AaPp][Mm])?"
ZONE = r"\s?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
REST = rf"(?:(?:[T ]|, ?)\s?{HOURS})?{ZONE}"  # what may follow a date
YEAR = r"(?P<year>\d{4}|\d{2})"
NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
FORMS = [
    re.compile(rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){REST}", re.ASCII),
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})", re.ASCII),
    re.compile(rf"(?P<one>\d{{1,2}})(?P<mark>[-/.])(?P<two>\d{{1,2}})\2{YEAR}{REST}", re.ASCII),
    re.compile(rf"(?P<day>\d{{1,2}})[-. ]+{NAME}[-, ]+{YEAR}{REST}", re.ASCII),
    re.compile(rf"{NAME}[ -](?P<day>\d{{1,2}}),?[ -](?P<year>\d{{4}}){REST}", re.ASCII),
]
CLOCK = re.compile(HOURS, re.ASCII)
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip


def order_of(cells: Sequence[str]) -> tuple[str, bool] | None:
    """Return how the dates of a column are written, one of `ORDERS`, and whether that is certain; None without dates.

    >>> order_of(["2020-01-31", "", "2021-12-01 10:00"])
    ('ymd', True)
    >>> order_of(["01/02/2020", "13/02/2020"]), order_of(["01/02/2020", "03/04/2020"])
    (('dmy', True), ('mdy', False))
    >>> order_of(["12:30", "9:05"])
    ('time', True)
    """
    distinct = {cell for cell in cells if not is_missing(cell)}
    if not distinct or any(len(cell) > LONGEST for cell in distinct):
        return None
    orders = [order for order in ORDERS if all(_day(cell, order) is not None for cell in distinct)]
    if len(orders) < 2 or "ymd" in orders:
        return (orders[0], True) if orders else None
    points = all((found := FORMS[2].fullmatch(cell)) and found["mark"] == "." for cell in distinct)
    return ("dmy", True) if points else ("mdy", False)


def days(cells: Sequence[str], order: str) -> np.ndarray:
    """Return the days since 1970 of every cell, NaN where it is missing, and infinity where it is not such a date."""
    found = {cell: _days(cell, order) for cell in set(cells)}
    return np.array([found[cell] for cell in cells])


def _days(cell: str, order: str) -> float:
    if is_missing(cell):
        return np.nan
    value = _day(cell, order)
    return np.inf if value is None else value


def _day(cell: str, order: str) -> float | None:
    if len(cell) > LONGEST:
        return None
    if order == "time":
        clock = CLOCK.fullmatch(cell)
        return None if clock is None else _clock(clock.groupdict())
    for form in FORMS:
        found = form.fullmatch(cell)
        if found is not None:
            return _date(found.groupdict(), order)
    return None


def _date(found: dict[str, str | None], order: str) -> float | None:
    """Return the days since 1970; None if there is no such day, or day and month have another order."""
    if found.get("one"):
        if order == "ymd":
            return None
        day, month = (found["one"], found["two"]) if order == "dmy" else (found["two"], found["one"])
    else:
        day, month = found.get("day") or "1", found.get("month") or _month(found.get("name") or "")
    year = int(found["year"] or 0)
    year += 0 if len(found["year"] or "") == 4 else 2000 if year < 69 else 1900
    clock = _clock(found)
    if clock is None or not month:
        return None
    try:
        moment = datetime(year, int(month), int(day or 1))
    except ValueError:
        return None
    return (moment - EPOCH).days + clock - _offset(found.get("zone"))


def _month(name: str) -> str | None:
    """Return the number of a month by its English name or the first three letters of it."""
    names = [month for month in MONTHS if name.lower() in (month, month[:3], "sept" if month[0] == "s" else month)]
    return str(MONTHS.index(names[0]) + 1) if names else None


def _clock(found: dict[str, str | None]) -> float | None:
    """Return the share of the day that has passed; None if there is no such time."""
    hour, minute, half = int(found.get("hour") or 0), int(found.get("minute") or 0), found.get("half")
    second = float((found.get("second") or "0").replace(",", "."))
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)
    if hour > 24 or minute > 59 or second >= 61:
        return None
    return (hour * 3600 + minute * 60 + second) / 86400


def _offset(zone: str | None) -> float:
    """Return how many days a time zone is ahead of UTC."""
    if zone is None or zone in ("Z", "UTC", "GMT"):
        return 0.0
    digits = zone[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return (-minutes if zone[0] == "-" else minutes) / 1440
