"""`tladapt methods`, `tladapt scenarios` and `tladapt report`."""

import argparse
import inspect

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tladapt import methods as package
from tladapt.report import Report
from tladapt.scenarios import SCENARIOS
from tladapt.streams import members


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
    """A line per scenario: what it is, its stages, its own method."""
    table = Table("scenario", "about", "stages", "method")
    for name, make in SCENARIOS.items():
        scenario = make()
        stages = " > ".join(" + ".join(domain.name for domain in members(stage)) for stage in scenario.stream)
        table.add_row(name, Text(scenario.about), Text(stages), Text(repr(scenario.method())))
    Console().print(table)


def report(options: argparse.Namespace) -> None:
    """The tables of earlier runs."""
    reports = [Report.load(folder) for folder in options.folders]
    for one in reports:
        Console().print(one)
