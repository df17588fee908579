"""A report as a table: stages x domains, then the figures in words."""

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tladapt.report import Report


def table(report: Report) -> Group:
    """The scores after every stage, what follows from them, and the notes."""
    grid = Table()
    grid.add_column(f"{report.metric} in % after", no_wrap=True)
    for name in report.domains:
        grid.add_column(Text(name), justify="right")
    spread = report.spread.get("scores", [[None] * len(report.domains)] * len(report.scores))
    for stage, row, spreads in zip(["nothing yet", *report.stages], report.scores, spread, strict=True):
        grid.add_row(Text(stage), *(percent(v, s) for v, s in zip(row, spreads, strict=True)))
    title = " · ".join(part for part in (report.scenario, report.method) if part)
    return Group(Text(title, style="bold"), grid, *map(Text, summary(report)))


def summary(report: Report) -> list[str]:
    """The figures in words, then the notes."""
    figures = "   ".join(
        f"{name.replace('_', ' ')} {percent(value, report.spread.get(name), signed=name not in ('old', 'new'))}"
        for name, value in report.figures.items()
        if value is not None
    )
    lines = [figures] if figures else []
    unscored = [name for name, score in zip(report.domains, report.scores[-1], strict=True) if score is None]
    lines += [f"{name}: no labels to score" for name in unscored]
    if report.negative_transfer:
        lines.append("NEGATIVE TRANSFER: the new domains are worse off than before the last stage")
    over = f", mean ± standard deviation over {len(report.seeds)} seeds" if report.seeds else ""
    lines.append(f"BatchNorm {report.batchnorm}, {report.increment}-incremental, remembers {report.remembers}{over}")
    return lines + report.notes


def text(report: Report) -> str:
    """The table without colours."""
    console = Console(width=110, no_color=True)
    with console.capture() as printed:
        console.print(table(report))
    return printed.get().rstrip()


def percent(value: float | None, spread: float | None = None, signed: bool = False) -> str:
    """A share in percent, with its spread where there is one.

    >>> percent(0.9512), percent(-0.021, 0.004, signed=True), percent(None)
    ('95.1', '-2.1 ± 0.4', '-')
    """
    if value is None:
        return "-"
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return text if spread is None else f"{text} ± {100 * spread:.1f}"
