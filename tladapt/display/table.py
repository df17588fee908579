"""A report as a table: stages x domains, then the figures in words."""

import math

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tladapt.display.harmless import harmless
from tladapt.report import Report


def table(report: Report) -> Group:
    """The scores after every stage, what follows from them, and the notes."""
    grid = Table()
    grid.add_column(_text(f"{titled(report.metric, report.share)} after"), no_wrap=True)
    for name in report.domains:
        grid.add_column(_text(name), justify="right")
    spread = report.spread.get("scores", [[None] * len(report.domains)] * len(report.scores))
    for stage, row, spreads in zip(["nothing yet", *report.stages], report.scores, spread, strict=True):
        grid.add_row(_text(stage), *(shown(v, s, share=report.share) for v, s in zip(row, spreads, strict=True)))
    title = " · ".join(part for part in (report.scenario, report.method) if part)
    return Group(_text(title, "bold"), grid, *map(_text, summary(report)))


def _text(text: str, style: str = "") -> Text:
    """Letter by letter: no markup, and nothing that a terminal would obey."""
    return Text(harmless(text), style)


def summary(report: Report) -> list[str]:
    """The figures in words, then the notes."""
    figures = "   ".join(
        f"{name.replace('_', ' ')} {_figure(report, name)}"
        for name, value in report.figures.items()
        if value is not None
    )
    lines = [figures] if figures else []
    if not report.higher_is_better:
        lines.append(f"{report.metric}: lower is better; a transfer above 0 is an improvement")
    unscored = [name for name, score in zip(report.domains, report.scores[-1], strict=True) if score is None]
    lines += [f"{name}: no labels to score" for name in unscored]
    if report.negative_transfer:
        lines.append("NEGATIVE TRANSFER: the new domains are worse off than with source-only, by more than noise")
    over = f", mean ± standard deviation over {len(report.seeds)} seeds" if report.seeds else ""
    lines.append(f"BatchNorm {report.batchnorm}, {report.increment}-incremental, remembers {report.remembers}{over}")
    return lines + report.notes


def _figure(report: Report, name: str) -> str:
    """A figure by its name; gains with their sign, and no more exactly than the scores that they are made of."""
    value, spread = report.figures[name], report.spread.get(name)
    if name in ("old", "new"):
        return shown(value, spread, share=report.share)
    final = report.old if report.new is None else report.new
    return shown(value, spread, share=report.share, signed=True, like=final)


def text(report: Report) -> str:
    """The table without colours."""
    console = Console(width=110, no_color=True)
    with console.capture() as printed:
        console.print(table(report))
    return printed.get().rstrip()


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
