"""Libraries that not every user has, and the hub that they fetch from."""

import hashlib
import importlib
import os
import re
import socket
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
CONVERSION = "DISABLE_SAFETENSORS_CONVERSION"  # a variable of transformers
DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


class AlteredError(ValueError):
    """A file has not the digest that it is known by."""


def needed(library: str, extra: str) -> ModuleType:
    """The library.

    Raises
    ------
    ValueError
        If it is not installed; names the extra that brings it.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ValueError(f'{library} is missing ({error}): pip install "tladapt[{extra}]"') from error


def repository(source: str, said: str) -> str | None:
    """The repository on the Hugging Face hub that `source` names; None where it is something on disk.

    Raises
    ------
    ValueError
        If it can only be meant as a folder, and is not there.
    """
    path = Path(source)
    if os.path.exists(source):  # which is not put out by a name of any length
        return None
    if path.is_absolute() or source.startswith(".") or len(path.parts) > 2:
        raise ValueError(f"{said}: no such folder")
    return source


def from_hub(repo: str | None, load: Callable[[], T], said: str, wanted: Sequence[str] = ()) -> T:
    """What `load` gives, which reads by the libraries of Hugging Face; they ask no network that nobody asked for.

    For None, `load` reads from disk or builds a network, and cannot ask the hub. Else it reads the cache of this
    repository, after its digests were compared. Only if that does not hold the `wanted` files, or what it holds is not
    enough, is the hub asked, where it is within reach (the libraries would try ten times over a minute, and print each
    time); the digests of what came are compared before anything is handed out.

    Raises
    ------
    AlteredError
        If a file in the cache is not what its name says; `said` is the call as it was typed.
    """
    if repo is None:
        with _asking(False):
            return load()
    constants: Any = importlib.import_module("huggingface_hub.constants")
    cache = Path(constants.HF_HUB_CACHE) / f"models--{repo.partition('@')[0].replace('/', '--')}"
    _compare(cache, said)
    if cache.is_dir() and all(any(cache.glob(f"snapshots/*/{name}")) for name in wanted):
        with suppress(Exception), _asking(False):  # of the many kinds that a missing file is told by
            return load()
    with _asking(_reachable(constants.ENDPOINT)):
        try:
            return load()
        finally:  # what came may be so altered that it could not be loaded
            _compare(cache, said)


@contextmanager
def _asking(allowed: bool) -> Iterator[None]:
    """Within, the hub is asked only if that is allowed and the user has not forbidden it; and for files alone.

    Else it would also be asked to convert weights, and for a list of programs that might be calling.
    """
    try:
        constants: Any = importlib.import_module("huggingface_hub.constants")
    except ImportError:  # without which nothing could ask
        yield
        return
    before, told = (constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_TELEMETRY), os.environ.get(CONVERSION)
    constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_TELEMETRY = before[0] or not allowed, True
    os.environ[CONVERSION] = "1"
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_TELEMETRY = before
        os.environ.pop(CONVERSION)
        os.environ |= {} if told is None else {CONVERSION: told}


def _reachable(address: str) -> bool:
    """Whether the host has a number, or a proxy stands before it."""
    parts = urlsplit(address)
    if parts.scheme in urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(parts.hostname, parts.port)
    except OSError:
        return False
    return True


def _compare(cache: Path, said: str) -> None:
    """Refuse a cached file that is not what its name says: its SHA-256, or where it is small what git calls it."""
    for blob in sorted(cache.glob("blobs/*")):
        if DIGEST.fullmatch(blob.name) and blob.is_file() and _digest(blob, len(blob.name) == 40) != blob.name:
            raise AlteredError(f"{said}: {blob} is not what was published; delete {cache}, and it is fetched anew")


def _digest(file: Path, of_git: bool) -> str:
    start: Any = hashlib.sha256()
    if of_git:
        start = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: start).hexdigest()
