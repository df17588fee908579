"""What a fuzz test watches: the one line of a refusal, time, memory, and everything that an input must never start."""

import contextlib
import io
import os
import resource
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tladapt import cli
from tladapt.cli import LONGEST, main

UNMINDED: list[Any] = [*HealthCheck]  # fixtures of a module, and large inputs, are meant
QUICK = settings(max_examples=120, derandomize=True, deadline=None, database=None, suppress_health_check=UNMINDED)
LONG = settings(QUICK, max_examples=10_000, derandomize=False, print_blob=True)

SECONDS = 20  # that one input may take, on a machine that others work on, too
MEMORY = 2**30  # bytes that one input may take beyond what the process has
STARTS = (
    "pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.forkpty", "os.startfile", "pty.spawn", "socket.connect", "socket.getaddrinfo", "socket.bind", "ctypes.dlopen",
    "webbrowser.open", "os.kill",
)  # fmt: skip
CHANGES = (
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate",
    "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile",
)  # fmt: skip
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # the direction of text
DRIVER = "libnvidia-ml.so.1"  # torch counts the GPUs by it, whatever the input is
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class StartedError(Exception):
    """An input has started something."""


class Watch:
    """The hook of the interpreter: it cannot be removed, so it is switched on with a folder that may be written to."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if self.folder is None or given[:1] == (DRIVER,):
            return
        if event in STARTS or self._writes(event, given) or _evaluates(event, given):
            self.seen.append(f"{event}{given!r}"[:300])  # it may be caught, so it is not only raised
            raise StartedError(self.seen[-1])

    def _writes(self, event: str, given: tuple[Any, ...]) -> bool:
        if event == "open":
            path, mode, flags = given
            writing = set(mode or "") & set("wax+") if mode is not None else (flags or 0) & WRITING
        else:
            path, writing = given[0] if given else None, event in CHANGES
        if not writing or not isinstance(path, str | bytes | os.PathLike):
            return False
        inside = self.folder is not None and Path(os.path.realpath(os.fsdecode(path))).is_relative_to(self.folder)
        return not inside and os.fsdecode(path) != os.devnull


def _evaluates(event: str, given: tuple[Any, ...]) -> bool:
    """Whether code is run that comes from no file."""
    return event == "exec" and getattr(given[0], "co_filename", "") in ("<string>", "<unknown>", "<stdin>")


WATCH = Watch()


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Within, nothing is started, nothing is written outside of the folder, and memory is bounded.

    Raises
    ------
    AssertionError
        If something was, also where that was caught.
    """
    WATCH.seen.clear()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, hard))
    WATCH.folder = Path(os.path.realpath(folder))
    start = time.perf_counter()
    try:
        yield
    finally:
        WATCH.folder = None
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        assert not WATCH.seen, WATCH.seen
    assert time.perf_counter() - start < SECONDS


class _Output(io.TextIOWrapper):
    """What a terminal of UTF-8 is to a program; on standard error, Python escapes what cannot be printed."""

    def __init__(self, errors: str) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(errors="backslashreplace")


def command(folder: Path, *arguments: str) -> str:
    """The one line that the command ends in; "" where it works. Anything else fails the test."""
    out, err, code = _Output("strict"), _Output("backslashreplace"), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), watched(folder):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
    if code == 0:
        assert all(line.startswith("tladapt ") for line in err.text.splitlines()), err.text  # notes, and the score
        assert not _obeyed(err.text.replace("\n", "")), err.text
        assert not _obeyed(out.text.replace("\n", "")), out.text
        return ""
    (line,) = err.text.split("\n")[:-1]
    assert (code, out.text) == (2, "")
    assert line.startswith("tladapt ")
    assert not _obeyed(line), line
    assert len(line) <= 6 * LONGEST + 100  # an escape has six characters
    return line


def _obeyed(text: str) -> bool:
    """Whether there is something that a terminal obeys, or cannot print."""
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in TURNS for c in text)


def library(folder: Path, call: Callable[[], object]) -> str:
    """The same for a call of Python, as if the command did nothing else: what main makes of its errors is one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cli.COMMANDS, "scenarios", lambda _: call() and None)
        return command(folder, "scenarios")
