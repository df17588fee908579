"""Random numbers as a function of what they are for, so that a run can be repeated from any point."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU whose state depends on `key` alone, in every process and on every machine.

    >>> bool(torch.rand((), generator=generator(0, "a")) == torch.rand((), generator=generator(0, "a")))
    True
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@contextmanager
def seeded(seed: int, cuda: bool = True) -> Iterator[None]:
    """Within: global random numbers start from `seed`; afterwards they go on as if nothing had been drawn.

    Those of torch, numpy and Python: layers and augmentations draw from any of them. Without `cuda` the GPUs are left
    alone, which a process that only reads data must not touch.
    """
    there = range(torch.cuda.device_count() if cuda else 0)
    before = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=there):
        (torch.manual_seed if there else torch.default_generator.manual_seed)(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before[0])  # noqa: NPY002
            random.setstate(before[1])
