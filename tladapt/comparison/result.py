"""What a comparison found: every row's old and new scores, and their paired differences to the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tladapt.display.console import Page, as_text
from tladapt.display.harmless import in_markdown
from tladapt.display.table import shown, titled, unit
from tladapt.display.words import WARNING, Line
from tladapt.evaluation import mean, spread
from tladapt.intervals import Interval, newcombe, student
from tladapt.report import environment
from tladapt.storage.files import write_json, write_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

SCHEMA = 1
WORSE = "▼"
Figure = tuple[float | None, float | None]  # mean and sample standard deviation over seeds


@dataclass(kw_only=True)
class Comparison:
    """Final scores by row, seed and domain.

    Attributes
    ----------
    reference : str
        The row that differences are taken to.
    new : list of str
        The domains that come first in the last stage; all others are old.
    metric, higher_is_better, share : str, bool, bool
        What a score is, its direction, and whether it is a share, shown in percent.
    scores : dict of list
        By row: for every seed the final scores, one per domain; None for a run that failed.
    failed : dict
        Why a run failed.
    tested : list of int
        How many labelled test rows each domain was scored on; empty where that is not known.

    Examples
    --------
    >>> found = Comparison(scenario="demo", reference="source-only", domains=["web", "phone"], new=["phone"], seeds=2,
    ...                    scores={"source-only": [[0.9, 0.5], [0.9, 0.6]], "MMD()": [[0.8, 0.7], [0.81, 0.9]]})
    >>> [round(value, 3) for value in found.figure("MMD()", "new")], found.hurts("MMD()", "old")
    ([0.8, 0.141], True)
    >>> [round(value, 3) for value in found.difference("MMD()", "new")]  # seed by seed: 0.2 and 0.3
    [0.25, 0.071]
    """

    scenario: str
    reference: str
    domains: list[str]
    new: list[str]
    seeds: int
    scores: Mapping[str, Sequence[Sequence[float | None] | None]]
    metric: str = "accuracy"
    higher_is_better: bool = True
    share: bool = True
    increment: str = "domain"
    batchnorm: str = "joint"
    failed: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=environment)
    tested: list[int] = field(default_factory=list)

    def values(self, row: str, what: str) -> list[float | None]:
        """By seed: the mean final score of the "old", the "new" or "all" domains."""
        columns = self._columns(what)
        return [None if seed is None else mean([seed[i] for i in columns]) for seed in self.scores[row]]

    def _columns(self, what: str) -> list[int]:
        return [i for i, name in enumerate(self.domains) if what == "all" or (name in self.new) == (what == "new")]

    def _pairs(self, row: str, what: str) -> list[tuple[float | None, float | None]]:
        return list(zip(self.values(row, what), self.values(self.reference, what), strict=True))

    def _final(self, row: str, column: int) -> float | None:
        """The mean final score of one domain over the seeds."""
        return mean([None if seed is None else seed[column] for seed in self.scores[row]])

    def figure(self, row: str, what: str) -> Figure:
        """Mean and standard deviation over the seeds."""
        return _figure(self.values(row, what))

    def difference(self, row: str, what: str) -> Figure:
        """Mean and standard deviation of the differences to the reference, seed by seed."""
        return _figure([None if a is None or b is None else a - b for a, b in self._pairs(row, what)])

    def interval(self, row: str, what: str) -> Interval | None:
        """A 95 % interval of the mean difference to the reference; None where nothing is known of the noise.

        Student's, over the differences seed by seed. Where they are all equal, or there is one seed alone, it is
        Newcombe's over the test rows, for shares.
        """
        change, deviation = self.difference(row, what)
        if change is None:
            return None
        if deviation:
            count = sum(None not in pair for pair in self._pairs(row, what))
            return student(change, deviation, count)
        columns = [i for i in self._columns(what) if self.tested and self.tested[i]]
        after, before = ([self._final(name, i) for i in columns] for name in (row, self.reference))
        shares = [value for value in (*after, *before) if value is not None and 0 <= value <= 1]
        if not self.share or not columns or len(shares) < 2 * len(columns):
            return None
        return newcombe(after, before, [self.tested[i] for i in columns])  # type: ignore[arg-type]

    def hurts(self, row: str, what: str) -> bool:
        """Whether it is worse than the reference by more than noise, and by half of the last digit shown or more."""
        change, interval = self.difference(row, what)[0], self.interval(row, what)
        if change is None or interval is None:
            return False
        best = interval[1] if self.higher_is_better else -interval[0]
        half = unit(self.figure(self.reference, what)[0], self.share) / 2
        return best < 0 and abs(change) >= half

    @property
    def title(self) -> str:
        """The scenario, and which of its domains are old and new."""
        old = [name for name in self.domains if name not in self.new]
        return f"{self.scenario} (old: {_some(old)}; new: {_some(self.new)})"

    @property
    def table(self) -> list[list[str]]:
        """The header and a line per row, as text."""
        lines = [["", "old", "new", "Δ old", "Δ new", "all"]]
        for row in self.scores:
            cells = [shown(*self.figure(row, what), share=self.share) for what in ("old", "new")]
            cells += ["" if row == self.reference else self.change(row, what) for what in ("old", "new")]
            lines.append([row, *cells, shown(*self.figure(row, "all"), share=self.share)])
        return lines

    def change(self, row: str, what: str) -> str:
        """The difference to the reference as text, marked where it is for the worse."""
        like = self.figure(self.reference, what)[0]
        text = shown(*self.difference(row, what), share=self.share, signed=True, like=like)
        return f"{text} {WORSE}" if self.hurts(row, what) else text

    @property
    def notes(self) -> list[str]:
        """How the figures came about, and what went wrong."""
        versions = ", ".join(map(" ".join, self.environment.items()))
        metric = titled(self.metric, self.share) + ("" if self.higher_is_better else " (lower is better)")
        notes = [
            f"final {metric}, mean ± sd over seeds 0-{self.seeds - 1}; Δ: difference to {self.reference}, "
            f"seed by seed, {WORSE} where worse by more than noise; BatchNorm {self.batchnorm}, "
            f"{self.increment}-incremental; {versions}"
        ]
        return notes + [f"failed: {where}: {why}" for where, why in self.failed.items()]

    def markdown(self) -> str:
        """The table and the notes in Markdown; names are shown letter by letter, whatever they are."""
        header, *lines = self.table
        rows = [header, ["---"] * len(header), *([_code(name), *cells] for name, *cells in lines)]
        text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return "\n\n".join([f"**{in_markdown(self.title)}**", text, *map(in_markdown, self.notes)]) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """What comparison.json holds: the scores, and the figures made of them."""
        figures = {
            row: {what: {"mean": m, "sd": s, "difference": d, "difference_sd": e, "hurts": self.hurts(row, what)}
                  for what in ("old", "new", "all")
                  for (m, s), (d, e) in [(self.figure(row, what), self.difference(row, what))]}
            for row in self.scores
        }  # fmt: skip
        return {"schema": SCHEMA, **vars(self), "figures": figures}

    def save(self, folder: str | Path) -> None:
        """Write comparison.json and comparison.md into `folder`."""
        write_json(Path(folder) / "comparison.json", self.to_dict())
        write_text(Path(folder) / "comparison.md", self.markdown())

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        page = Page(options.max_width, options.encoding)
        yield page.text(self.title, "bold")
        yield from self._grids(page)
        for line in self.lines:
            yield page.text(line.text, line.style)

    def _grids(self, page: Page) -> "list[Table]":
        """The table; where it is too wide, one of scores and one of differences."""
        header, *rows = self.table
        if len(whole := page.grids(header, rows)) == 1:
            return whole
        scores, changes = _columns(header, "Δ", False), _columns(header, "Δ", True)
        return [
            grid
            for columns in (scores, changes)
            for grid in page.grids([header[i] for i in columns], [[row[i] for i in columns] for row in rows])
        ]

    @property
    def lines(self) -> list[Line]:
        """The lines below the table; runs that failed are warnings."""
        plain = [Line(note) for note in self.notes[: len(self.notes) - len(self.failed)]]
        return plain + [Line(note, WARNING) for note in self.notes[len(plain) :]]

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        from tladapt.display.html import grid, page

        header, *rows = self.table
        plain = [line.text for line in self.lines if line.style != WARNING]
        warnings = [line.text for line in self.lines if line.style == WARNING]
        return page(self.title, [grid(header, rows)], plain, warnings)


def _columns(header: Sequence[str], mark: str, marked: bool) -> list[int]:
    """The first column, and those whose header has, or has not, the mark."""
    return [i for i, name in enumerate(header) if i == 0 or (mark in name) is marked]


def _figure(values: Sequence[float | None]) -> Figure:
    return mean(values), spread(values)


def _code(name: str) -> str:
    """As code where it is safe there, for within code no mark can be written as an escape."""
    safe = in_markdown(name)
    return f"`{name}`" if safe == name else safe


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} ... {names[-1]}"
