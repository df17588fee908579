"""The command line: `tladapt run|compare|predict|methods|scenarios|report`."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

import torch

from tladapt.cli import listing
from tladapt.cli.arguments import parser
from tladapt.cli.comparing import compare
from tladapt.cli.predicting import predict
from tladapt.cli.resuming import resumed
from tladapt.cli.running import run
from tladapt.display.console import lossless
from tladapt.display.harmless import harmless
from tladapt.storage.runs import NAME as CHECKPOINT

LONGEST = 2000  # characters of what an error says
COMMANDS = {
    "run": run, "compare": compare, "predict": predict,
    "methods": listing.methods, "scenarios": listing.scenarios, "report": listing.report,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake, or a fault of the machine, ends in one line on standard error and code 2."""
    typed = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(typed)
    try:
        options = resumed(options, typed)
        with lossless():
            COMMANDS[options.command](options)
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        _end(options, " ".join(str(error).split()), 2)
    except (MemoryError, RuntimeError) as error:
        if (line := _fault(error)) is None:
            raise
        _end(options, line + _way_on(options), 2)
    except KeyboardInterrupt:
        _end(options, "stopped" + _way_on(options), 130)


def _end(options: argparse.Namespace, line: str, code: int) -> NoReturn:
    print(f"tladapt {options.command}: {harmless(line[:LONGEST])}", file=sys.stderr)
    sys.exit(code)


def _way_on(options: argparse.Namespace) -> str:
    """The command that goes on, where something is kept that it can go on from."""
    folder = getattr(options, "out", None)
    if folder is None or not any(folder.rglob(CHECKPOINT)):
        return ""
    return f"; go on with: tladapt {options.command} --resume {shlex.quote(str(folder))}"


def _fault(error: BaseException) -> str | None:
    """What ran out or broke down, in one line; None if it was something else."""
    words = ("allocate memory", "Storage size calculation overflowed")
    line = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(part in str(error) for part in words):
        return f"not enough memory; ask for less ({line})"
    if "DataLoader worker" in line:
        return f"a process that reads ahead has died; see that the memory is enough, or ask for --workers 0 ({line})"
    return None
