"""The names of the columns of a table: missing ones, doubled ones, and those that are written differently."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from tladapt.readers.dialects import RefusedError
from tladapt.readers.numerals import is_number

NAMELESS = re.compile(r"(Unnamed: \d+(_level_\d+)?)?", re.ASCII)  # as pandas calls a column without a name
WHOLE = re.compile(r"-?\d+", re.ASCII)
LONG, YEARS = 20, (1900, 2100)  # digits of a number that nobody counts with; and numbers that may be years
SHOWN, CUT = 10, 60  # names in a message, and characters of each


def require_names(header: Sequence[str]) -> None:
    """Refuse a first line that does not name the columns.

    Raises
    ------
    RefusedError
        If it is empty or blank, or has a name twice.
    """
    names = [name for name in header if name]
    if not names:
        raise RefusedError(": the first line must name every column, each with its own name; it is empty")
    if not _doubled(names):
        return
    if looks_like_data(header):
        raise RefusedError(f": {no_header(header)}")
    (twice, _), *_ = Counter(names).most_common(1)
    raise RefusedError(
        f": the first line must name every column, each with its own name, but {twice[:CUT]!r} is in it twice; if the "
        "file has no header, add one"
    )


def _doubled(names: Sequence[str]) -> bool:
    return len({*names}) < len(names)


def looks_like_data(names: Iterable[str]) -> bool:
    """Return whether the first line seems to be a row of the table: numbers that nobody would call a column.

    >>> looks_like_data(["5.1", "3.5", "setosa"]), looks_like_data(["0", "1", "2"]), looks_like_data(["2019", "2020"])
    (True, False, False)
    >>> looks_like_data(["31", "urban", "31"]), looks_like_data(["39", "State-gov", "77516"])
    (True, True)
    >>> [looks_like_data(names) for names in (["age", "district"], ["label", "1", "2"], ["x", "2019", "2020"])]
    [False, False, False]
    """
    names = list(names)
    numbers = [name for name in names if is_number(name)]
    broken = any(not WHOLE.fullmatch(name) or name.startswith("-") for name in numbers)
    return broken or _doubled(numbers) or (len(numbers) < len(names) and _are_odd(numbers))


def _are_odd(numbers: Sequence[str]) -> bool:
    """Return whether whole numbers are neither years nor count the columns."""
    values = sorted(int(number) for number in numbers if len(number) < LONG and WHOLE.fullmatch(number))
    years = all(YEARS[0] <= value <= YEARS[1] for value in values)
    counted = bool(values) and values[-1] - values[0] == len(values) - 1
    return len(values) > 1 and not years and not counted


def no_header(names: Iterable[str]) -> str:
    """Return what to say of a table without a header."""
    return f"the first line ({some(names)}) looks like data; add a line above it that names the columns"


def named(header: Sequence[str], columns: Sequence[list[str]], name: str) -> dict[str, list[str]]:
    """Return the columns by name; those without one are left out if they are empty or number the rows.

    Any other column without a name is called by its place, such as "column 3".
    """
    found, numbered = dict[str, list[str]](), list[int]()
    for place, (title, cells) in enumerate(zip(header, columns, strict=True), start=1):
        if not NAMELESS.fullmatch(title):
            found[title] = cells
        elif cells and all(WHOLE.fullmatch(cell) for cell in cells):
            numbered.append(place)
        elif any(cells) or not cells:
            found[_free(title or f"column {place}", header)] = cells
    if numbered:
        places = ", ".join(map(str, numbered))
        warnings.warn(
            f"{name}: column {places} has no name and numbers the rows, so it is left out; name it to keep it",
            stacklevel=2,
        )
    return found


def _free(title: str, header: Sequence[str]) -> str:
    while title in header and not NAMELESS.fullmatch(title):
        title += "'"
    return title


def some(names: Iterable[str]) -> str:
    """Return the first names of a list, each cut short.

    >>> some(map(str, range(12)))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...'
    """
    names = list(names)
    return ", ".join([name[:CUT] for name in names[:SHOWN]] + ["..."] * (len(names) > SHOWN))


def folded(name: str) -> str:
    """Return a form that is the same for names that differ in case, in spaces around or in them, `_` and `-`.

    >>> folded(" Blood-Type"), folded("blood_type"), folded("1.0"), folded("1")
    ('blood type', 'blood type', '1', '1')
    """
    words = " ".join(re.split(r"[\s_-]+", name.casefold())).strip()
    if not words or not is_number(name.strip()) or len(name) > CUT:
        return words
    value = float(name)
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else str(value)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the one of `names` that is most like `name`; "" if none is.

    >>> did_you_mean("Label", ["age", "label"]), did_you_mean("x", ["age"])
    ("; did you mean 'label'?", '')
    """
    names = list(names)
    same = [other for other in names if folded(other) == folded(name)]
    near = same or get_close_matches(name[:CUT], [other[:CUT] for other in names[:1000]], n=1, cutoff=0.75)
    return f"; did you mean {near[0][:CUT]!r}?" if near else ""
