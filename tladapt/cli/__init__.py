"""The command line: `tladapt run|compare|predict|evaluate|methods|scenarios|report`."""

import argparse
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from tladapt.cli.arguments import parser
from tladapt.cli.threads import wait_briefly
from tladapt.display.harmless import harmless
from tladapt.storage.files import CHECKPOINT

LONGEST = 2000  # characters of what an error says


def _later(module: str, name: str) -> Callable[[argparse.Namespace], None]:
    """Return the function `name` of a module of this package, which is imported when the function is called.

    The module imports torch, which takes two seconds.
    """

    def command(options: argparse.Namespace) -> None:
        getattr(import_module(f"tladapt.cli.{module}"), name)(options)

    return command


COMMANDS = {
    "run": _later("running", "run"),
    "compare": _later("comparing", "compare"),
    "predict": _later("predicting", "predict"),
    "evaluate": _later("evaluating", "evaluate"),
    "methods": _later("listing", "methods"),
    "scenarios": _later("listing", "scenarios"),
    "report": _later("listing", "report"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake, or a fault of the machine, ends in one line on standard error and code 2."""
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            _obey(typed)
        finally:
            sys.stdout.flush()  # here, where it can still be caught that nobody reads it
    except BrokenPipeError:
        _leave_the_pipe()


def _obey(typed: Sequence[str]) -> None:
    options = argparse.Namespace(command="", out=None)
    try:
        wait_briefly()
        with _ending_at_once():
            options = parser().parse_args(typed)
            import_module("torch")
        if getattr(options, "resume", None) is not None:
            options = import_module("tladapt.cli.resuming").resumed(options, typed)
        else:
            options.typed = list(typed)
        from tladapt.display.console import lossless  # after the arguments: help needs no tables

        with lossless(), _short_warnings(options.command):
            COMMANDS[options.command](options)
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        _end(options, " ".join(str(error).split()), 2)
    except (MemoryError, RuntimeError) as error:
        if (line := _fault(error)) is None:
            raise
        _end(options, line + _way_on(options), 2)
    except KeyboardInterrupt:
        _end(options, "stopped" + _way_on(options), 130)


@contextmanager
def _short_warnings(command: str) -> Iterator[None]:
    """Context manager in which a warning for users is printed as one line, without the place in the code."""
    usual = warnings.formatwarning

    def line(message: Warning | str, category: type[Warning], *place: Any, **other: Any) -> str:
        if category is not UserWarning:
            return usual(message, category, *place, **other)
        return f"tladapt {command}: {harmless(' '.join(str(message).split())[:LONGEST])}\n"

    warnings.formatwarning = line
    try:
        yield
    finally:
        warnings.formatwarning = usual


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Context manager in which Ctrl-C ends the process: libraries that are half imported may turn it into an error."""
    first_import = "torch" not in sys.modules and threading.current_thread() is threading.main_thread()
    if not first_import or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end_at_once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_at_once(*_: object) -> NoReturn:
    os.write(2, b"tladapt: stopped\n")
    os._exit(130)


def _leave_the_pipe() -> NoReturn:
    """End quietly, as `tladapt ... | head` asks for; nothing is written when Python flushes its files at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    sys.exit(1)


def _end(options: argparse.Namespace, line: str, code: int) -> NoReturn:
    print(f"{' '.join(filter(None, ('tladapt', options.command)))}: {harmless(line[:LONGEST])}", file=sys.stderr)
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
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # the latter: torch's
    if out_of_memory or any(part in str(error) for part in words):
        return f"not enough memory; ask for less ({line})"
    if "DataLoader worker" in line:
        return f"a process that reads ahead has died; see that the memory is enough, or ask for --workers 0 ({line})"
    return None
