"""The command line: `tladapt run|compare|predict|methods|scenarios|report`."""

import sys
from collections.abc import Sequence

import torch

from tladapt.cli import listing
from tladapt.cli.arguments import parser
from tladapt.cli.comparing import compare
from tladapt.cli.predicting import predict
from tladapt.cli.running import run

COMMANDS = {
    "run": run, "compare": compare, "predict": predict,
    "methods": listing.methods, "scenarios": listing.scenarios, "report": listing.report,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake ends in one line on standard error and exit code 2."""
    options = parser().parse_args(arguments)
    try:
        COMMANDS[options.command](options)
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"tladapt {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not _too_large(error):
            raise
        print(f"tladapt {options.command}: not enough memory; ask for less ({_first_line(error)})", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _too_large(error: BaseException) -> bool:
    """Whether memory ran out; torch says so with an error of its own for a GPU, and in words for the CPU."""
    words = ("allocate memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(part in str(error) for part in words)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
