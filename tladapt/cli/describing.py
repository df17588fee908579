"""The scenario that the arguments of a command name or describe."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from tladapt.backbones import cnn, mlp
from tladapt.cli.tables import reader_of, text_network
from tladapt.domains import Domain
from tladapt.methods import MMD, Replay
from tladapt.model import Model
from tladapt.predicting.scoring import require_known
from tladapt.readers.files import Reader, read_domains
from tladapt.readers.tables import Table
from tladapt.readers.texts import Texts
from tladapt.scenarios import Scenario, named
from tladapt.streams import Stream, adaptation
from tladapt.tasks import Classification

TABLE_WIDTHS = (64, 64)  # of the hidden layers of the network for tables
DROPOUT = 0.3  # of the network for tables; see benchmarks/results/in_domain.md


def described(options: argparse.Namespace) -> Scenario:
    """The scenario that the arguments name or describe."""
    ways = [options.scenario, options.source or options.target, options.domains]
    if sum(way is not None for way in ways) != 1:
        raise ValueError("give a SCENARIO, or --source A --target B, or --domains A B ...: one of the three")
    if options.test and not options.target:
        raise ValueError("--test: give --source and --target, whose target it scores")
    if options.scenario:
        _require_no_own(options)
    scenario = _own(options) if options.scenario is None else named(options.scenario)
    changes = {
        name: value
        for name in ("epochs", "steps", "batch_size", "lr", "increment")
        if (value := getattr(options, name)) is not None
    }
    if changes.keys() & {"epochs", "steps"}:
        changes = {"epochs": None, "steps": None, **changes}
    if options.balanced:
        changes["task"] = Classification(balanced=True)
    if options.model is not None:
        changes["network"] = _network(
            options.model, scenario.stream, scenario.inputs.get("kind") == "table" and not options.scenario
        )
    return scenario.but(**changes)


def _require_no_own(options: argparse.Namespace) -> None:
    """Refuse options that describe a user's own data."""
    names = ("label", "size", "text", "drop", "columns", "standardize", "balanced")
    given = [f"--{name}" for name in names if getattr(options, name)]
    if given:
        raise ValueError(f"{' and '.join(given)}: for your own data, not for a scenario")


def _own(options: argparse.Namespace) -> Scenario:
    """A user's own folders or CSV files."""
    if options.domains is None and not (options.source and options.target):
        raise ValueError("--source and --target: give both")
    if options.domains is not None and len(options.domains) < 2:
        raise ValueError("--domains: give at least two, in the order in which they are learned")
    paths = options.domains or [options.source, options.target]
    domains, reader = read_domains(
        paths, label=options.label or "label", size=options.size or 32, workers=options.workers,
        reader=reader_of(options), unknown_labels="add" if options.domains else "drop",
    )  # fmt: skip
    if options.test:
        domains[1] = with_test(domains[1], reader, Path(options.test))
    stream: Stream = domains if options.domains else adaptation(domains[0], domains[1])
    return Scenario(
        name=" to ".join(domain.name for domain in domains), about="your own data", stream=stream,
        method=Replay if options.domains else MMD, inputs=reader.spec(),
        network=_usual_network(domains[0], reader),
    )  # fmt: skip


def _usual_network(first: Domain, reader: Reader) -> Callable[..., Model]:
    """Return the network for the kind of data: images, texts, or a table, whose numbers BatchNorm scales."""
    if isinstance(reader, Texts):
        return partial(text_network, reader.size - 1, classes=first.classes)
    if isinstance(reader, Table):
        inputs = torch.Size(first.train.shape).numel()
        return partial(mlp, inputs, TABLE_WIDTHS, normalise=True, dropout=DROPOUT, classes=first.classes)
    return _network("cnn", [first])


def with_test(domain: Domain, reader: Reader, path: Path) -> Domain:
    """Return the domain with the labelled rows of a file or folder as its test data, which only the evaluator sees.

    Raises
    ------
    ValueError
        If the domain has labels, which would score otherwise, or the rows have none, or one of another class.
    """
    if domain.test is not None or len(domain.train.y):
        raise ValueError(
            f"--test {path}: {domain.name} has labels of its own, a fifth of which scores; leave out --test, or give "
            "the target without labels"
        )
    if not path.exists():
        raise ValueError(f"--test {path}: no such file or folder")
    x, labels, _ = reader.read(path)
    if labels is None:
        raise ValueError(f"--test {path}: no labels; give a folder per class, or a table with the label column")
    try:
        require_known(labels, domain.classes)
    except ValueError as error:
        raise ValueError(f"--test {path}: {error}") from error
    y = torch.tensor([domain.classes.index(label) for label in labels])
    tested = Domain(domain.name, domain.train, (x, y), classes=domain.classes)
    tested.row_ids = domain.row_ids
    return tested


def _network(name: str, stream: Stream, normalise: bool = False, dropout: float = 0.0) -> Callable[..., Model]:
    """The network `name` for the inputs and classes of the stream."""
    first = stream[0] if isinstance(stream[0], Domain) else stream[0][0]
    shape = first.train.shape
    if isinstance(shape, dict):
        raise ValueError(f"--model {name}: for images and numbers, not for texts; leave it out")
    if name == "cnn" and (len(shape) != 3 or shape[1] != shape[2] or shape[1] < 4):
        raise ValueError(f"--model cnn: wants square images of at least 4 pixels, the rows have the shape {shape}")
    if name == "cnn":
        return partial(cnn, shape[0], shape[1], classes=first.classes)
    return partial(mlp, torch.Size(shape).numel(), normalise=normalise, dropout=dropout, classes=first.classes)


def writable(out: Path | None) -> None:
    """Refuse a folder that cannot be written before anything is computed for it."""
    if out is None:
        return
    try:
        paths = (out.absolute(), *out.absolute().parents)
        with TemporaryDirectory(dir=next(path for path in paths if path.exists() or path.is_symlink())):
            pass
    except (OSError, ValueError) as error:
        raise ValueError(f"--out {out}: no folder that can be written ({error})") from error
