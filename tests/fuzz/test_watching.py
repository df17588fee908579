"""The harness itself: whoever starts something, takes too much, or says too much, is caught, whatever he catches."""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.fuzz.watching import StartedError, command, library


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def unpickles(folder: Path) -> object:
    return pickle.loads(pickle.dumps(Evil()))


def evaluates(folder: Path) -> object:
    return eval("1 + 1")


def unpickles_and_hides_it(folder: Path) -> object:
    with contextlib.suppress(Exception):
        torch.load(folder / "weights", weights_only=False)
    return None


UNSAFE: dict[str, Callable[[Path], object]] = {
    "pickle": unpickles, "pickle, caught": unpickles_and_hides_it, "eval": evaluates,
    "exec": lambda folder: exec("x = 1"),
    "system": lambda folder: os.system("true"), "process": lambda folder: subprocess.run(["true"]),
    "fork": lambda folder: os.fork() or os._exit(0), "exec of a file": lambda folder: os.execv("/bin/true", ["true"]),
    "spawn": lambda folder: os.posix_spawn("/bin/true", ["true"], {}),
    "name": lambda folder: socket.getaddrinfo("localhost", 9), "connection": lambda folder: socket.create_connection(
        ("127.0.0.1", 9), 0.1),
    "written": lambda folder: (folder.parent / "canary").write_text("x"),
    "written through a link": lambda folder: (folder / "out").write_text("x"),
    "removed": lambda folder: (folder.parent / "there").unlink(),
    "made": lambda folder: (folder.parent / "new").mkdir(),
}  # fmt: skip


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "there").touch()
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    torch.save(Evil(), folder / "weights")
    return folder


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_loader_is_caught(name, inside):
    with pytest.raises((AssertionError, StartedError)):
        library(inside, lambda: UNSAFE[name](inside))
    assert sorted(path.name for path in inside.parent.iterdir()) == ["inside", "there"]


@pytest.mark.parametrize(
    "error", [KeyError("x"), IndexError(), RuntimeError("x"), AttributeError(), RecursionError(), ZeroDivisionError()]
)
def test_a_traceback_is_caught(error, inside):
    def fails() -> None:
        raise error

    with pytest.raises(type(error)):
        library(inside, fails)


def test_more_than_the_one_line_is_caught(inside, monkeypatch):
    def says(text: str, code: object = 2) -> None:
        sys.stderr.write(text)
        sys.exit(code)  # type: ignore[arg-type]

    for text in (
        "",
        "tladapt x",
        "tladapt a\ntladapt b\n",
        "tladapt \x1b[2J\n",
        "elsewhere\n",
        "tladapt " + "x" * 20_000 + "\n",
    ):
        with pytest.raises((AssertionError, ValueError)):
            library(inside, lambda text=text: says(text))
    with pytest.raises(AssertionError):
        library(inside, lambda: says("tladapt: x\n", 1))
    with pytest.raises(AssertionError):
        library(inside, lambda: print("half a result") or says("tladapt: x\n"))


def test_memory_is_bounded_and_its_want_no_crash(inside):
    assert "not enough memory" in library(inside, lambda: torch.zeros(2**30))
    assert "not enough memory" in library(inside, lambda: bytearray(2**31))


def test_what_is_safe_is_not_caught(inside):
    assert library(inside, lambda: (inside / "mine").write_text("x")) == ""
    assert library(inside, lambda: open(os.devnull, "w").close()) == ""
    assert command(inside, "methods") == ""
    assert "no scenario" not in command(inside, "report", str(inside))
