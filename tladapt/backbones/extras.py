"""Libraries that not every user has, and the hub that they fetch from."""

import importlib
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit


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


@contextmanager
def hub() -> Iterator[None]:
    """Within, the Hugging Face hub is asked only if it is within reach, else its cache alone.

    The libraries would ask it ten times over a minute, and print each time.
    """
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


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
