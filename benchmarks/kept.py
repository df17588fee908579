"""Figures by key, kept in a file: a benchmark that is stopped goes on when the same command is given again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tladapt
from tladapt.report import environment
from tladapt.storage.files import write_text


def made_by() -> dict[str, str]:
    """The versions of the libraries, and a digest of this one's code: another one's figures are to be measured anew."""
    files = sorted(Path(tladapt.__file__).parent.rglob("*.py"))
    code = hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=8)
    return {**environment(), "code": code.hexdigest()}


class Kept:
    """Calls are made once: what they gave is in the file, as JSON, and is valid for the same settings alone."""

    def __init__(self, file: Path, settings: dict[str, Any]) -> None:
        self.file, self.settings = file, settings
        found = json.loads(file.read_text()) if file.exists() else {}
        self.cells: dict[str, Any] = found["cells"] if found.get("settings") == settings else {}

    def __call__(self, key: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What the function gives, called now if that is not kept under the key."""
        if key not in self.cells:
            self.cells[key] = function(*arguments, **named)
            write_text(self.file, json.dumps({"settings": self.settings, "cells": self.cells}, allow_nan=False) + "\n")
        return self.cells[key]

    def forget(self) -> None:
        """The next call measures anew."""
        self.file.unlink(missing_ok=True)
