"""A report as a table: stages x domains, then the figures in words."""

import math

from rich.console import Group, RenderableType
from rich.table import Table

from tladapt.display.console import Page, as_text
from tladapt.display.unlabelled import unlabelled_lines
from tladapt.display.words import LEVELS, Line, figure_words, lines_of, stage_names
from tladapt.report import Report

GAP = 3  # columns between a figure and what it means


def table(report: Report, page: Page) -> Group:
    """The scores after every stage, what follows from them, and the notes."""
    header, rows = cells(report)
    title = " · ".join(part for part in (report.scenario, report.method) if part)
    return Group(
        page.text(title, "bold"),
        *page.grids(header, rows),
        *_figures(report, page),
        *(page.text(line) for line in unlabelled_lines(report)),
        *(_line(line, page) for line in lines_of(report)),
        *(page.text(line) for line in ceiling(report)),
    )


def cells(report: Report) -> tuple[list[str], list[list[str]]]:
    """The header and a row per stage, as text."""
    header = [f"{titled(report.metric, report.share)} after", *report.domains]
    unknown = [[None] * len(report.domains)] * len(report.scores)
    spread = report.spread.get("scores", unknown)
    rows = []
    for stage, row, spreads in zip(stage_names(report), report.scores, spread, strict=True):
        values = [shown(v, s, share=report.share) for v, s in zip(row, spreads, strict=True)]
        rows.append([stage, *values])
    return header, rows


def figures(report: Report) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every figure that is known, as text."""
    known = figure_words(report)
    return [(name, _figure(report, key), meaning) for key, name, meaning in known if report.figures[key] is not None]


def _figures(report: Report, page: Page) -> list[RenderableType]:
    """The figures, one a line."""
    rows = figures(report)
    if not rows:
        return []
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(overflow="fold")
    for name, value, meaning in rows:
        grid.add_row(page.text(name), page.text(value), page.text(meaning))
    return [grid]


def ceiling(report: Report) -> list[str]:
    """The scores that were reached with the labels of the new domains, if they are known."""
    best = report.ceiling
    if not best:
        return []
    old, new = (shown(best[name], share=report.share) for name in ("old", "new"))
    seed = f", seed {best['seed']}" if report.seeds else ""
    return [f"ceiling (trained with the labels of the new domains{seed}): old {old}, new {new}"]


def _line(line: Line, page: Page) -> RenderableType:
    return page.text(line.text, line.style)


def _figure(report: Report, name: str) -> str:
    """A figure by its name; gains with their sign, and with as many decimals as the scores."""
    value, spread = report.figures[name], report.spread.get(name)
    if name in LEVELS:
        return shown(value, spread, share=report.share)
    final = report.old if report.new is None else report.new
    return shown(value, spread, share=report.share, signed=True, like=final)


def text(report: Report) -> str:
    """The table without colours, 80 columns wide."""
    return as_text(report)


def titled(metric: str, share: bool) -> str:
    """What a score is, and in what."""
    return f"{metric} in %" if share else metric


def shown(
    value: float | None, spread: float | None = None, *, share: bool, signed: bool = False, like: float | None = None
) -> str:  # fmt: skip
    """A score, or a difference of scores, with its spread where there is one: a share in percent, else four digits.

    With `like`, as many decimals as that score is shown with.

    >>> shown(0.9512, share=True), shown(12.3456, 0.5, share=False), shown(-0.0123, share=False, signed=True, like=12.3)
    ('95.1', '12.35 ± 0.50', '-0.01')
    """
    if share or value is None:
        return percent(value, spread, signed)
    decimals = max(0, round(-math.log10(unit(value if like is None else like, share))))
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    return text if spread is None else f"{text} ± {spread:.{decimals}f}"


def unit(value: float | None, share: bool) -> float:
    """What the last digit counts that is shown of a score: a tenth of a percent, or the fourth digit of the number.

    >>> unit(0.95, share=True), unit(31.4159, share=False), unit(271828.0, share=False)
    (0.001, 0.01, 1.0)
    """
    if share or not value or not math.isfinite(value):
        return 0.001
    return 10.0 ** min(0, math.floor(math.log10(abs(value))) - 3)


def percent(value: float | None, spread: float | None = None, signed: bool = False) -> str:
    """A share in percent, with its spread where there is one.

    >>> percent(0.9512), percent(-0.021, 0.004, signed=True), percent(None)
    ('95.1', '-2.1 ± 0.4', '-')
    """
    if value is None:
        return "-"
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return text if spread is None else f"{text} ± {100 * spread:.1f}"
