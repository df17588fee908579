"""The arguments of a command beside what it keeps, so that `--resume DIR` needs no others."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from tladapt.cli.arguments import parser
from tladapt.storage.documents import one_line, read_document
from tladapt.storage.files import CHECKPOINT, write_json
from tladapt.storage.locks import FolderLock
from tladapt.storage.sameness import OtherRunError

SCHEMA = 1
NAME = "arguments.json"
ELSEWHERE = (
    "command",
    "out",
    "every",
    "resume",
    "typed",
    "json",
    "quiet",
    "overwrite",
    "strict",
)  # decide nothing about what is learned
PARTS = ("ceiling", "source-only", "runs", "model")  # folders of further runs, beside those of seeds
WRITTEN = {
    CHECKPOINT, NAME, "report.json", "comparison.json", "comparison.md", "heat_map.png", "forgetting_curves.png",
    "model.json", "model.safetensors",
}  # fmt: skip
RUN = re.compile(r"runs/[0-9a-f]{24}\.json")
BESIDE = ("resume", "strict", "quiet")  # what may be given with --resume
SIZE, THREADS = 2**20, 1024  # bytes of the file, and threads, at most


def begun(options: argparse.Namespace) -> None:
    """Keep the command, as it was typed, in the folder that it fills."""
    if options.out is not None and options.typed:
        typed = [argument for argument in options.typed if argument != "--overwrite"]  # not again, by --resume
        about = {"arguments": typed, "folder": os.getcwd(), "threads": torch.get_num_threads()}
        write_json(options.out / NAME, {"schema": SCHEMA, **about})


def resumed(options: argparse.Namespace, typed: Sequence[str]) -> argparse.Namespace:
    """The options of a command; for `--resume DIR`, those of the one that DIR was begun with.

    Raises
    ------
    ValueError
        If there are others beside `--resume`, or nothing to go on with in DIR.
    """
    options.typed = list(typed)
    if getattr(options, "resume", None) is None:
        return options
    folder, command = options.resume, options.command
    for name, default in vars(parser().parse_args([command])).items():
        if name not in BESIDE and getattr(options, name) != default:
            said = name.upper() if name == "scenario" else f"--{name.replace('_', '-')}"
            raise ValueError(f"--resume {folder}: every other argument comes from there; leave out {said}")
    found, place = _kept(folder, command)
    found.quiet = options.quiet
    found.out, found.resume, found.typed = folder.absolute(), None, []  # what is kept there stays as it is
    found.strict = options.strict or found.strict
    try:
        os.chdir(place)  # from where its paths were given
    except OSError as error:
        raise ValueError(f"--resume {folder}: begun in {place}, which is not there ({error.strerror})") from error
    return found


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The options that differ from their defaults and decide what is learned."""
    defaults = vars(parser().parse_args([options.command]))
    found = {name: getattr(options, name) for name in defaults if name not in ELSEWHERE}
    return {
        name: str(value) if isinstance(value, torch.device) else value
        for name, value in found.items()
        if value != defaults[name]
    }


def refuse_other_form(options: argparse.Namespace) -> None:
    """One seed and several do not go into one folder: the one would write over the other.

    Raises
    ------
    ValueError
        If the folder was begun with the other form, or by another command.
    """
    if options.out is None or options.overwrite or not (options.out / NAME).exists():
        return
    typed, _, _ = _about(options.out, None)
    several = any(part == "--seeds" or part.startswith("--seeds=") for part in typed)
    if typed[0] != options.command:
        begun_by = f"by tladapt {typed[0]}"
    elif options.command == "run" and several != (options.seeds is not None):
        begun_by = "with --seeds" if several else "without --seeds"
    else:
        return
    raise ValueError(f"--out {options.out}: begun {begun_by}; choose another folder, or add --overwrite")


def prepare(options: argparse.Namespace) -> None:
    """Delete the runs in `--out` if it is to be overwritten.

    Raises
    ------
    ValueError
        If another process writes to them.
    """
    if options.out is not None and options.overwrite:
        _clear(options.out)


@contextmanager
def naming_the_folder(options: argparse.Namespace) -> Iterator[None]:
    """Context manager that says of another run in `--out` how to begin anew."""
    try:
        yield
    except OtherRunError as error:
        reason = error.reason.replace("strict=True", "--strict")
        raise ValueError(
            f"--out {options.out}: {reason}; {error.mend}, choose another folder, or add --overwrite"
        ) from error


def _clear(folder: Path) -> None:
    """Delete what the commands wrote, and nothing else."""
    if not folder.is_dir():
        return
    with FolderLock(folder):
        for part in sorted(folder.iterdir()):
            inner = part.is_dir() and not part.is_symlink()
            if inner and (part.name in PARTS or part.name.startswith("seed-") or folder.name == "runs"):
                _clear(part)
            elif part.is_file() and (part.name in WRITTEN or RUN.fullmatch(f"{folder.name}/{part.name}")):
                part.unlink()
    if not any(folder.iterdir()) and folder.name in PARTS:
        folder.rmdir()


def _about(folder: Path, command: str | None) -> tuple[list[str], Path, int]:
    """The arguments that a run was begun with, where, and with how many threads."""
    path = folder / NAME
    if not path.exists():
        raise ValueError(f"--resume {folder}: no run was begun there with --out; start it anew")
    try:
        about = read_document(path, SIZE, SIZE)
        typed, place, threads = list(map(str, about["arguments"])), Path(str(about["folder"])), int(about["threads"])
        if about["schema"] != SCHEMA or typed[0] != (command or typed[0]) or not 1 <= threads <= THREADS:
            raise ValueError(f"expected schema {SCHEMA}, the command {command} and 1 to {THREADS} threads")
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"--resume {folder}: {path} holds no command that can go on ({one_line(error)})") from error
    return typed, place, threads


def _kept(folder: Path, command: str) -> tuple[argparse.Namespace, Path]:
    """The options that a run was begun with, and where."""
    typed, place, threads = _about(folder, command)
    torch.set_num_threads(threads)  # as many as there were: their sums are the same to the bit
    try:
        with redirect_stdout(None), redirect_stderr(None):
            return parser().parse_args(typed), place
    except SystemExit as error:
        raise ValueError(f"--resume {folder}: {folder / NAME} holds no command that can go on") from error
