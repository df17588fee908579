"""Short names of a network and of data: equal where, and only where, they are."""

import hashlib

import torch

from tladapt.data import Data
from tladapt.model import Model
from tladapt.streams import Stream, members


def network_digest(model: Model) -> str:
    """Of the architecture: its recipe, its layers, the names and shapes of its weights; not of their values."""
    shapes = {name: list(part.shape) for name, part in model.state_dict().items()}
    return hashlib.blake2b(repr([model.recipe, shapes, str(model)]).encode(), digest_size=16).hexdigest()


def data_digest(stream: Stream) -> str:
    """Of all that is learned from and scored on; of data that is read later, and so may differ, of its labels alone."""
    stages = [[domain.name for domain in members(stage)] for stage in stream]
    digest = hashlib.blake2b(repr(stages).encode(), digest_size=16)
    for domain in {id(domain): domain for stage in stream for domain in members(stage)}.values():
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
        if isinstance(part, torch.Tensor):
            digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
