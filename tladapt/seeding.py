"""Random numbers as a function of what they are for, so that a run can be repeated from any point."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU whose state depends on `key` alone, in every process and on every machine.

    >>> bool(torch.rand((), generator=generator(0, "a")) == torch.rand((), generator=generator(0, "a")))
    True
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within: torch's global random numbers start from `seed`; afterwards they go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
