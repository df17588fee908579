"""The state of all global random numbers, of torch, numpy and Python, as it is kept."""

import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The state, in tensors, lists and numbers."""
    found: Any = np.random.get_state()  # noqa: NPY002
    (kind, key, *rest), (version, inner, gauss) = found, random.getstate()
    return {
        "torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all(),
        "numpy": [kind, torch.from_numpy(key.astype(np.int64)), *rest],
        "python": [version, torch.tensor(inner), gauss],
    }  # fmt: skip


def set_random_state(state: dict[str, Any]) -> None:
    """Let them go on from there."""
    (kind, key, *rest), (version, inner, gauss) = state["numpy"], state["python"]
    torch.set_rng_state(state["torch"])
    np.random.set_state((kind, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate((version, tuple(inner.tolist()), gauss))
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
