"""`tladapt methods`, `tladapt scenarios` and `tladapt report`."""

import argparse
import inspect

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tladapt import methods as package
from tladapt.report import Report
from tladapt.scenarios import SCENARIOS


def methods(options: argparse.Namespace) -> None:
    """A line per method: what it makes true, what it needs, what it remembers."""
    table = Table("method", "what it makes true", "needs", "remembers")
    for name in sorted(package.__all__, key=str.lower):
        kind = getattr(package, name)
        arguments = [f"{p.name}={p.default!r}" for p in inspect.signature(kind).parameters.values()]
        says = Text((kind.__doc__ or "").strip().splitlines()[0])
        table.add_row(Text(f"{name}({', '.join(arguments)})"), says, " + ".join(sorted(kind.needs)), kind.remembers)
    Console().print(table)


def scenarios(options: argparse.Namespace) -> None:
    """A line per scenario: its name with what it can be told, and what it is. No files are read for that."""
    table = Table("scenario", "what is learned")
    for name, make in SCENARIOS.items():
        told = "-".join(str(p.default) for p in inspect.signature(make).parameters.values())
        table.add_row(Text(f"{name}:{told}" if told else name), Text((make.__doc__ or "").strip().splitlines()[0]))
    Console().print(table)


def report(options: argparse.Namespace) -> None:
    """The tables of earlier runs."""
    reports = [Report.load(folder) for folder in options.folders]
    for one in reports:
        Console().print(one)
