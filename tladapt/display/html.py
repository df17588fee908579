"""Reports and comparisons as HTML, for notebooks."""

from collections.abc import Sequence
from html import escape

from tladapt.display.harmless import harmless
from tladapt.display.table import cells, figures
from tladapt.display.unlabelled import unlabelled_lines
from tladapt.display.words import WARNING, lines_of
from tladapt.report import Report

RIGHT = ' style="text-align: right"'
LEFT = ' style="text-align: left"'


def report_as_html(report: Report) -> str:
    """The tables and lines of a report, with the colours of the page that they are shown in."""
    title = " · ".join(part for part in (report.scenario, report.method) if part)
    lines = lines_of(report)
    return page(
        title,
        [grid(*cells(report)), grid([], figures(report), words=2)],
        [*unlabelled_lines(report), *(line.text for line in lines if line.style != WARNING)],
        [line.text for line in lines if line.style == WARNING],
    )


def page(title: str, tables: Sequence[str], lines: Sequence[str], warnings: Sequence[str] = ()) -> str:
    """A title, tables, and a paragraph per line."""
    parts = [f"<p><strong>{_safe(title)}</strong></p>", *tables]
    parts += [f"<p><strong>{_safe(line)}</strong></p>" for line in warnings]
    parts += [f"<p>{_safe(line)}</p>" for line in lines]
    return f"<div>{''.join(parts)}</div>"


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], words: int | None = None) -> str:
    """A table; its first column, and the one with the number `words`, hold words, all others numbers."""
    named = (0, words)
    head = "".join(f"<th{LEFT if i in named else RIGHT}>{_safe(cell)}</th>" for i, cell in enumerate(header))
    body = [
        "".join(f"<td{LEFT if i in named else RIGHT}>{_safe(cell)}</td>" for i, cell in enumerate(row)) for row in rows
    ]
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{lines}</tbody></table>"


def _safe(text: str) -> str:
    return escape(harmless(text))
