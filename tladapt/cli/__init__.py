"""The command line: `tladapt run|predict|methods|scenarios|report`."""

import sys
from collections.abc import Sequence

from tladapt.cli import listing
from tladapt.cli.arguments import parser
from tladapt.cli.predicting import predict
from tladapt.cli.running import run

COMMANDS = {
    "run": run, "predict": predict,
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
    except KeyboardInterrupt:
        sys.exit(130)
