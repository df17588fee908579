"""`tladapt methods`, `tladapt scenarios` and `tladapt report`."""

import argparse
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tladapt import methods as package
from tladapt.cli.expression import method_class
from tladapt.display.console import indented, show
from tladapt.method import Method
from tladapt.report import Report
from tladapt.scenarios import SCENARIOS
from tladapt.storage.documents import read_text

FILE = "report.json"
COMPARISON = "comparison.md"
LARGEST = 2**20  # bytes of a comparison
ROLE = re.compile(r":\w+:`([^`]*)`")  # roles of reStructuredText, such as :math:
RULE = "---"  # below a heading of a docstring


def methods(options: argparse.Namespace) -> None:
    """What every method does, needs and keeps; or, of one, its documentation."""
    if options.name is not None:
        show(*_documented(method_class(options.name)))
        return
    for name in sorted(package.__all__, key=str.lower):
        kind = getattr(package, name)
        needs = f"needs: {' + '.join(sorted(kind.needs))}; " if kind.needs else ""
        show(_signature(kind), indented(_first_line(kind)), indented(f"{needs}keeps: {kind.remembers}"))


def _signature(kind: type[Method]) -> str:
    arguments = [f"{p.name}={p.default!r}" for p in inspect.signature(kind).parameters.values()]
    return f"{kind.__name__}({', '.join(arguments)})"


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _documented(kind: type[Method]) -> Iterator[object]:
    """Signature and docstring of a method, paragraph by paragraph."""
    yield _signature(kind)
    text = ROLE.sub(r"\1", inspect.getdoc(kind) or "")
    for paragraph in text.split("\n\n"):
        yield ""
        yield from _wrapped(paragraph.splitlines())


def _wrapped(lines: Sequence[str]) -> Iterator[object]:
    """The lines, joined where they are of one indentation; headings and formulas stay as they are."""
    block = list[str]()
    for line in [*lines, RULE]:
        fits = not block or _depth(line) == _depth(block[0])
        if block and (not fits or line.startswith(RULE)):
            yield indented(" ".join(part.strip() for part in block), _depth(block[0]))
            block = []
        if line.startswith(RULE):
            yield from [] if line == RULE else [line]
        else:
            block.append(line)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def scenarios(options: argparse.Namespace) -> None:
    """Name, arguments and content of every scenario. No files are read for that."""
    for name, make in SCENARIOS.items():
        arguments = "-".join(str(p.default) for p in inspect.signature(make).parameters.values())
        show(f"{name}:{arguments}" if arguments else name, indented(_first_line(make)))


def report(options: argparse.Namespace) -> None:
    """The tables of earlier runs and comparisons."""
    found = [_loaded(file) for given in options.folders for file in _files(given)]
    for number, one in enumerate(found):
        show(*([""] if number else []), *one)


def _files(given: Path) -> list[Path]:
    """The report or comparison in the folder, else all of those in the folders below it."""
    here = [given / name for name in (FILE, COMPARISON) if (given / name).exists()]
    if here or not given.is_dir():
        return here or [given / FILE]
    below = [*given.rglob(FILE), *given.rglob(COMPARISON)]
    return sorted(below) or [given / FILE]


def _loaded(file: Path) -> list[Any]:
    """What is to be printed of a file: a report, or the lines of a comparison."""
    if file.name == FILE:
        return [Report.load(file.parent)]
    return list(read_text(file, LARGEST).splitlines())
