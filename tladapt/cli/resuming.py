"""The arguments of a command beside what it keeps, so that `--resume DIR` needs no others."""

import argparse
import os
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from tladapt.cli.arguments import parser
from tladapt.storage.documents import one_line, read_document
from tladapt.storage.files import write_json

SCHEMA = 1
NAME = "arguments.json"
ELSEWHERE = ("command", "out", "every", "resume", "typed", "json", "quiet")  # decide nothing about what is learned
SIZE, THREADS = 2**20, 1024  # bytes of the file, and threads, at most


def begun(options: argparse.Namespace) -> None:
    """Keep the command, as it was typed, in the folder that it fills."""
    if options.out is not None and options.typed:
        about = {"arguments": options.typed, "folder": os.getcwd(), "threads": torch.get_num_threads()}
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
        if name not in ("resume", "quiet") and getattr(options, name) != default:
            said = name.upper() if name == "scenario" else f"--{name.replace('_', '-')}"
            raise ValueError(f"--resume {folder}: every other argument comes from there; leave out {said}")
    found, place = _kept(folder, command)
    found.quiet = options.quiet
    found.out, found.resume, found.typed = folder.absolute(), None, []  # what is kept there stays as it is
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
        If the folder was begun with the other form.
    """
    if options.out is not None and (options.out / NAME).exists():
        before, _ = _kept(options.out, "run")
        if (before.seeds is None) != (options.seeds is None):
            raise ValueError(f"--out {options.out}: begun with{'out' * (before.seeds is None)} --seeds; use another")


def _kept(folder: Path, command: str) -> tuple[argparse.Namespace, Path]:
    """The options that a run was begun with, and where."""
    path = folder / NAME
    if not path.exists():
        raise ValueError(f"--resume {folder}: no run was begun there with --out; start it anew")
    try:
        about = read_document(path, SIZE, SIZE)
        typed, place, threads = list(map(str, about["arguments"])), Path(str(about["folder"])), int(about["threads"])
        if about["schema"] != SCHEMA or typed[0] != command or not 1 <= threads <= THREADS:
            raise ValueError(f"expected schema {SCHEMA}, the command {command} and 1 to {THREADS} threads")
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"--resume {folder}: {path} holds no command that can go on ({one_line(error)})") from error
    torch.set_num_threads(threads)  # as many as there were: their sums are the same to the bit
    try:
        with redirect_stdout(None), redirect_stderr(None):
            return parser().parse_args(typed), place
    except SystemExit as error:
        raise ValueError(f"--resume {folder}: {path} holds no command that can go on") from error
