"""What the command line takes."""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from tladapt import __version__
from tladapt.choices import BATCHNORM, INCREMENTS, PRECISIONS, REMEMBERED
from tladapt.cli.hints import left_over, near, unknown_option
from tladapt.scenarios import SCENARIOS


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose options must be spelled out.

    Attributes
    ----------
    commands : dict
        The parsers of all commands, by name.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]
        self.commands: dict[str, Parser] = {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse, and exit with 2 if something is left over, so that the error names the command it belongs to."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(self._left_over(rest, found))
        return found, rest

    def _left_over(self, rest: list[str], found: argparse.Namespace) -> str:
        command = self.prog.rpartition(" ")[2]
        option = next((word for word in rest if word.startswith("-")), None)
        if option is not None:
            others = {name: parser.options for name, parser in self.commands.items() if name != command}
            return unknown_option(option.partition("=")[0], self.options, others)
        scenario = getattr(found, "scenario", None)
        return left_over(rest, command, scenario, str(scenario).partition(":")[0] in SCENARIOS)

    @property
    def options(self) -> list[str]:
        """The options of the command, such as "--epochs"."""
        return list(self._option_string_actions)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            choices = list(action.choices or ())
            meant = near(str(value), choices)
            hint = "" if meant is None else f"; did you mean {meant}?"
            text = f"expected one of {', '.join(map(str, choices))}, got {value!r}{hint}"
            raise argparse.ArgumentError(action, text) from error

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        if message.endswith("required: COMMAND"):
            message = f"expected a COMMAND: {', '.join(self.commands)}"
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer >= 1, got {text!r}")
    return int(text)


def integer(text: str) -> int:
    """An integer of either sign."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None


def workers(text: str) -> int:
    """A whole number of at least 0."""
    return 0 if text == "0" else count(text)


def side(text: str) -> int:
    """A side of an image: from 1 to 1024 pixels, so that a slip cannot fill the memory."""
    if count(text) > 1024:
        raise argparse.ArgumentTypeError(f"expected an integer from 1 to 1024, got {text!r}")
    return int(text)


def rate(text: str) -> float:
    """A number above 0, and at most 1000: more is a slip that would leave single precision."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"expected a number > 0 and <= 1000, got {text!r}")
    return value


def device(text: str) -> str:
    """Return the name of a device of this machine."""
    if text == "cpu":
        return text
    import torch  # which takes two seconds

    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    names = [name for kind, many in there.items() if many for name in (kind, *(f"{kind}:{i}" for i in range(many)))]
    if text not in names:
        raise argparse.ArgumentTypeError(f"{text!r} is not a device of this machine: {', '.join(names)}")
    return text


def path(text: str) -> Path:
    """A path, but not the empty one: it would be where the command runs."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a path, got {text!r}")
    return Path(text)


def parser() -> Parser:
    """The parser of `tladapt`."""
    main = Parser(prog="tladapt", description="Move a trained model to a new domain without losing the old one.")
    main.add_argument("--version", action="version", version=f"tladapt {__version__}")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run(commands.add_parser("run", help="learn a scenario, or your own folders or CSV files"))
    _compare(commands.add_parser("compare", help="several methods and seeds side by side, in parallel"))
    _predict(commands.add_parser("predict", help="apply a saved model to images or a CSV file"))
    _evaluate(commands.add_parser("evaluate", help="score a saved model on labelled images or a CSV file"))
    methods = commands.add_parser("methods", help="list the methods, or explain one")
    methods.add_argument("name", nargs="?", metavar="NAME", help="a method, such as DANN: print its documentation")
    commands.add_parser("scenarios", help="list the scenarios")
    report = commands.add_parser("report", help="show the reports of earlier runs")
    report.add_argument(
        "folders", nargs="+", type=path, metavar="DIR", help="what `run --out DIR` wrote, or a folder of such"
    )
    for parser in commands.choices.values():
        parser.commands = dict(commands.choices)
    main.commands = dict(commands.choices)
    return main


def _predict(predict: argparse.ArgumentParser) -> None:
    _saved(predict, "images, folders of images, or CSV files")
    predict.add_argument("--id", metavar="COLUMN", help="the column of a table that names its rows (default: numbers)")
    predict.add_argument("--out", type=path, metavar="FILE", help="write to FILE.csv or FILE.json instead of printing")
    predict.add_argument("--json", action="store_true", help="one JSON document instead of CSV")


def _evaluate(evaluate: argparse.ArgumentParser) -> None:
    _saved(evaluate, "a folder with a folder of images per class, or a CSV file with a label column")
    evaluate.add_argument("--json", action="store_true", help="one JSON document")


def _saved(parser: argparse.ArgumentParser, what: str) -> None:
    """A saved model and what it is applied to."""
    parser.add_argument("model", type=path, metavar="MODEL_DIR", help="the DIR of `run --out DIR`, or of Model.save")
    parser.add_argument("input", nargs="+", type=path, metavar="INPUT", help=what)
    parser.add_argument("--label", metavar="NAME", help="the column that holds the label (default: as in training)")
    parser.add_argument(
        "--domain", metavar="NAME", help="whose BatchNorm statistics to use, if kept per domain (default: the newest)"
    )
    parser.add_argument("--batch-size", type=count, metavar="N", help="rows per forward pass")


def _run(run: argparse.ArgumentParser) -> None:
    _data(run)
    how = _how(run)
    how.add_argument("--method", metavar="EXPR", help='such as "DANN + Replay(500)"; see tladapt methods')
    how.add_argument("--device", type=device, default="cpu", help="where to learn, such as cuda (default: cpu)")
    how.add_argument(
        "--threads", type=count, metavar="N",
        help="processor threads (default: one for a small network, else all cores); sums depend on it in the last bit",
    )  # fmt: skip
    how.add_argument("--precision", choices=PRECISIONS, help="what the layers compute in (default: float32)")
    how.add_argument("--channels-last", action="store_true", help="a layout in which convolutions may be faster")
    how.add_argument("--compile", action="store_true", help="compile the network with torch.compile")
    how.add_argument(
        "--may-remember", choices=REMEMBERED, default="samples",
        help="the most of the data that a method may keep after a stage (default: samples)",
    )  # fmt: skip
    how.add_argument("--baseline", help="source-only, from-scratch, joint or ceiling: other data, for comparison")
    seeds = how.add_mutually_exclusive_group()
    seeds.add_argument(
        "--seed", type=integer, default=0, metavar="N", help="of data order, method and network (default: 0)"
    )
    seeds.add_argument("--seeds", type=count, metavar="N", help="run seeds 0 to N-1; mean and spread")
    what = run.add_argument_group("what is kept")
    what.add_argument(
        "--out", type=path, metavar="DIR",
        help="write report.json, the model and pictures there, and meanwhile checkpoints; the same command goes on",
    )  # fmt: skip
    what.add_argument("--every", type=count, default=100, metavar="N", help="steps between checkpoints (default: 100)")
    _resume(what)
    what.add_argument("--json", action="store_true", help="print the report as one JSON document")


def _compare(compare: argparse.ArgumentParser) -> None:
    _data(compare)
    how = _how(compare)
    how.add_argument("--methods", nargs="+", metavar="EXPR", default=[], help='such as "DANN" "DANN + Replay(500)"')
    how.add_argument(
        "--baselines", nargs="+", metavar="NAME", default=[], help="more rows: ceiling, joint, from-scratch"
    )
    how.add_argument("--seeds", type=count, default=5, metavar="N", help="run seeds 0 to N-1 (default: 5)")
    how.add_argument("--jobs", type=count, metavar="N", help="processes of one thread each (default: all cores)")
    what = compare.add_argument_group("what is kept")
    what.add_argument(
        "--out", type=path, metavar="DIR", help="keep every run there; the same command goes on with them"
    )
    _resume(what)
    form = what.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the comparison as one JSON document")
    form.add_argument("--markdown", action="store_true", help="print the table in Markdown")


def _resume(what: "argparse._ArgumentGroup") -> None:
    what.add_argument("--quiet", action="store_true", help="show no progress on standard error")
    what.add_argument(
        "--resume", type=path, metavar="DIR", help="resume what was begun with --out DIR, with the same arguments"
    )
    what.add_argument("--overwrite", action="store_true", help="begin anew: delete the earlier runs in --out DIR first")
    what.add_argument(
        "--strict", action="store_true", help="refuse to resume with other versions of Python, torch, numpy or tladapt"
    )


def _data(parser: argparse.ArgumentParser) -> None:
    """What is learned from."""
    parser.add_argument("scenario", nargs="?", metavar="SCENARIO", help=f"one of {', '.join(SCENARIOS)}")
    own = parser.add_argument_group("your own data: folders of images or CSV files with a header")
    own.add_argument("--source", metavar="A", help="the old domain, with labels")
    own.add_argument("--target", metavar="B", help="the new domain; its labels, if any, only score")
    own.add_argument("--test", metavar="C", help="rows of the new domain with labels, which only score")
    own.add_argument("--domains", nargs="+", metavar="A", help="domains to learn one after another")
    own.add_argument("--label", metavar="NAME", help="the column of a CSV file that holds the label (default: label)")
    own.add_argument("--text", metavar="COLUMN", help="learn from the texts in this column of a CSV file")
    own.add_argument("--drop", nargs="+", metavar="COLUMN", help="columns of a CSV file to leave out")
    own.add_argument("--columns", nargs="+", metavar="COLUMN", help="the only columns of a CSV file to learn from")
    own.add_argument(
        "--standardize", choices=("first", "per-domain"),
        help="whose means and standard deviations scale numbers: the first table's (default), or each table's own",
    )  # fmt: skip
    own.add_argument("--balanced", action="store_true", help="count all classes alike, in the loss and in the score")
    own.add_argument("--workers", type=workers, default=0, metavar="N", help="processes that read large folders ahead")
    own.add_argument("--size", type=side, metavar="N", help="the side of images in pixels (default: 32)")


def _how(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """What all runs share."""
    how = parser.add_argument_group("how it is learned (by default as the scenario says)")
    how.add_argument("--increment", choices=INCREMENTS, help="which classes may be predicted")
    how.add_argument("--batchnorm", choices=BATCHNORM, help="whose statistics normalise")
    how.add_argument("--model", choices=("cnn", "mlp"), help="the network")
    length = how.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=count, metavar="N", help="passes per stage")
    length.add_argument("--steps", type=count, metavar="N", help="optimiser steps per stage")
    how.add_argument("--batch-size", type=count, metavar="N", help="rows per step and part of a domain")
    how.add_argument("--lr", type=rate, metavar="X", help="learning rate at the start of a stage")
    return how
