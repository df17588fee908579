"""Short names of data: equal where, and only where, the data is."""

import hashlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from tladapt.data import Data
from tladapt.domains import Domain
from tladapt.streams import Stream, members

PARTS = ("train", "test", "validation")


def data_identity(stream: Stream, scored: Iterable[Domain] = ()) -> dict[str, Any]:
    """Describe all that is learned from and scored on; of data that is read later, and so may differ, the labels."""
    stages = [[domain.name for domain in members(stage)] for stage in stream]
    learned = {domain.name: domain for stage in stream for domain in members(stage)}
    rest = {domain.name: domain for domain in scored if domain.name not in learned}
    return {"stages": stages, "domains": {name: _domain(domain) for name, domain in {**learned, **rest}.items()}}


def _domain(domain: Domain) -> dict[str, Any]:
    parts = {part: _data(getattr(domain, part)) for part in PARTS}
    return {"classes": list(domain.classes), **parts}


def _data(data: Data | None) -> dict[str, Any] | None:
    if data is None:
        return None
    inputs = data.x if isinstance(data.x, dict) else {"x": data.x}
    tensors = {name: _tensor(part) for name, part in inputs.items() if isinstance(part, Tensor)}
    shape = data.shape
    shapes = {name: list(part) for name, part in (shape if isinstance(shape, dict) else {"x": shape}).items()}
    return {"rows": len(data), "shape": shapes, "inputs": tensors, "labels": _tensor(data.y)}


def _tensor(value: Tensor) -> list[Any]:
    return [str(value.dtype), list(value.shape), digest_of(bytes_of(value))]


def bytes_of(value: Tensor) -> Any:
    """Its values, as they lie in memory."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def digest_of(content: Any) -> str:
    """A short name of bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
