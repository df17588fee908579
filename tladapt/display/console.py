"""Printing to any stream: symbols that its encoding lacks become letters before the layout is made."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tladapt.display.harmless import harmless

WIDTH = 80  # columns of a file, a pipe and `str()`
LETTERS = {
    "Δ": "change",
    "▼": "v",
    "±": "+/-",
    "·": "-",
    "…": "...",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "²": "^2",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "--",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
}
LABEL, NAME = 30, 14  # the widest first column, and the widest other header, if there is too little room
LONGEST = 80  # characters of a name in a table
FRAME = 3  # columns between two cells


def printable(text: str, encoding: str) -> str:
    r"""Return the text with every character that the encoding lacks replaced by letters or an escape.

    >>> printable("Δ old: -1.0 ± 0.5", "ascii"), printable("99.0 ± 0.5 ▼", "cp1252"), printable("猫", "ascii")
    ('change old: -1.0 +/- 0.5', '99.0 ± 0.5 v', '\\u732b')
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_printable(character, encoding) for character in text)
    return text


def _printable(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return LETTERS.get(character) or character.encode(encoding, "backslashreplace").decode(encoding)
    return character


def encoding_of(stream: TextIO | None) -> str:
    """The encoding of a stream; UTF-8 for one that keeps characters, such as `io.StringIO`."""
    return getattr(stream, "encoding", None) or "utf-8"


@dataclass(frozen=True)
class Page:
    """The width and the encoding that a layout is made for."""

    width: int = WIDTH
    encoding: str = "utf-8"

    def text(self, text: str, style: str = "") -> Text:
        """The text literally: no markup, and no character that the terminal obeys or cannot print."""
        return Text(printable(harmless(text), self.encoding), style)

    def grids(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Table]:
        """Return the rows as one table, or as several with fewer columns each where one is too wide.

        The first column is repeated in each of them. Cells of the first column and headers are wrapped; all other cells
        are whole.
        """
        lines = ([*map(cut, header)], *([cut(row[0]), *row[1:]] for row in rows))
        cells = [[self.text(cell) for cell in row] for row in lines]
        widths = [_needed(column) for column in zip(*cells, strict=True)]
        longest = max(row[0].cell_len for row in cells)
        whole = longest + sum(widths[1:]) + FRAME * len(widths) + 1
        label = longest if whole <= self.width else min(longest, LABEL, max(8, self.width // 3))
        room = self.width - label - FRAME - 1
        return [self._grid(cells, columns, label) for columns in _blocks(widths, room)]

    def _grid(self, cells: Sequence[Sequence[Text]], columns: Sequence[int], label: int) -> Table:
        grid = Table()
        grid.add_column(cells[0][0], overflow="fold", max_width=label)
        for column in columns:
            width = _needed([row[column] for row in cells])
            grid.add_column(cells[0][column], justify="right", overflow="fold", width=width)
        for row in cells[1:]:
            grid.add_row(row[0], *(row[column] for column in columns))
        return grid


def cut(name: str) -> str:
    """A name that is not longer than a few lines of a cell."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _needed(column: Sequence[Text]) -> int:
    """The width of a column whose header may be wrapped and whose other cells may not."""
    header, *cells = (cell.cell_len for cell in column)
    return max(min(header, NAME), *cells, 1)


def _blocks(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """The columns after the first, as many together as there is room for."""
    block, used = list[int](), 0
    for column, width in list(enumerate(widths))[1:]:
        if block and used + width + FRAME > room:
            yield block
            block, used = [], 0
        block.append(column)
        used += width + FRAME
    if block or len(widths) == 1:
        yield block


def as_text(thing: RenderableType) -> str:
    """Return the layout without colours, in characters that standard output can print."""
    console = Console(width=WIDTH, no_color=True, force_terminal=False, file=sys.stdout, highlight=False)
    with console.capture() as printed:
        console.print(thing)
    return printable(printed.get().rstrip(), encoding_of(sys.stdout))


@dataclass(frozen=True)
class Indented:
    """A paragraph that is wrapped within an indentation."""

    text: str
    columns: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Padding]:
        page = Page(options.max_width, options.encoding)
        yield Padding(page.text(self.text), (0, 0, 0, self.columns), expand=False)


def indented(text: str, columns: int = 4) -> Indented:
    """The text as a paragraph that is indented as a whole."""
    return Indented(text, columns)


def show(*things: Any) -> None:
    """Print tables, reports and literal lines to standard output, whatever its encoding."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    page = Page(console.width, console.encoding)
    for thing in things:
        console.print(page.text(thing) if isinstance(thing, str) else thing)


def write(text: str) -> None:
    """Write the text to standard output as it is, but for symbols that the encoding lacks."""
    sys.stdout.write(printable(text, encoding_of(sys.stdout)))


@contextmanager
def lossless() -> Iterator[None]:
    """Context manager in which standard output escapes characters that its encoding lacks instead of raising."""
    before = getattr(sys.stdout, "errors", None)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is None or before != "strict":
        yield
        return
    stream = sys.stdout
    reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if not stream.closed:
            reconfigure(errors=before)
