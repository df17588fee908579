"""Short names of a network and of data: equal where, and only where, they are."""

import hashlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from tladapt.data import Data
from tladapt.domains import Domain
from tladapt.model import Model
from tladapt.streams import Stream, members


def network_digest(model: Model) -> str:
    """Of the architecture: its recipe, its layers, the names and shapes of its weights; not of their values."""
    shapes = {name: list(part.shape) for name, part in model.state_dict().items()}
    return digest_of(repr([model.recipe, shapes, str(model)]).encode())


def data_digest(stream: Stream, scored: Iterable[Domain] = ()) -> str:
    """Of all that is learned from and scored on; of data that is read later, and so may differ, of its labels alone."""
    stages = [[domain.name for domain in members(stage)] for stage in stream]
    digest = hashlib.blake2b(repr(stages).encode(), digest_size=16)
    learned = {id(domain): domain for stage in stream for domain in members(stage)}
    for domain in (*learned.values(), *(domain for domain in scored if id(domain) not in learned)):
        digest.update(repr([domain.name, domain.classes]).encode())
        for data in (domain.train, domain.test, domain.validation):
            _add(data, digest)
    return digest.hexdigest()


def _add(data: Data | None, digest: "hashlib.blake2b") -> None:
    if data is None:
        digest.update(b"none")
        return
    digest.update(repr([len(data), data.shape]).encode())
    for part in (data.y, *(data.x.values() if isinstance(data.x, dict) else [data.x])):
        if isinstance(part, Tensor):
            digest.update(bytes_of(part))


def bytes_of(value: Tensor) -> Any:
    """Its values, as they lie in memory."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def digest_of(content: Any) -> str:
    """A short name of bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
