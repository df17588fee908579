"""The arguments of a command beside what it keeps, so that `--resume DIR` needs no others."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from tladapt.cli.arguments import parser
from tladapt.storage.files import write_json

SCHEMA = 1
NAME = "arguments.json"
PATHS = ("source", "target", "domains")  # given from where the command was typed


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
        if name != "resume" and getattr(options, name) != default:
            said = name.upper() if name == "scenario" else f"--{name.replace('_', '-')}"
            raise ValueError(f"--resume {folder}: every other argument comes from there; leave out {said}")
    path = folder / NAME
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        typed, place = [str(argument) for argument in about["arguments"]], Path(str(about["folder"]))
        if about["schema"] != SCHEMA or typed[0] != command:
            raise ValueError(f"schema {about['schema']}, command {typed[0]!r}, expected {SCHEMA}, {command!r}")
        torch.set_num_threads(int(about["threads"]))  # as many as there were: their sums are the same to the bit
    except FileNotFoundError as error:
        raise ValueError(f"--resume {folder}: no run was begun there with --out; start it anew") from error
    except (OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"--resume {folder}: {path} holds no command that can go on ({error})") from error
    found = parser().parse_args(typed)
    for name in PATHS:
        if isinstance(given := getattr(found, name), str):
            setattr(found, name, str(place / given))
        elif given is not None:
            setattr(found, name, [str(place / one) for one in given])
    found.out, found.resume, found.typed = folder, None, []  # what is kept there stays as it is
    return found
