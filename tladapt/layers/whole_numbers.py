"""Whether a network reads whole numbers as such, or has to be given floats."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tladapt.data import Tensors, each
from tladapt.seeding import seeded

FEW = 2  # rows that are enough to see it


def has_whole_numbers(x: Tensors) -> bool:
    """Whether an input is of whole numbers (or booleans) that are not bytes.

    >>> has_whole_numbers(torch.tensor([1])), has_whole_numbers({"image": torch.zeros(1, dtype=torch.uint8)})
    (True, False)
    """
    parts = x.values() if isinstance(x, dict) else [x]
    return any(not part.is_floating_point() and part.dtype != torch.uint8 for part in parts)


def reads_whole_numbers(network: nn.Module, answer: Callable[[Tensors], Any], x: Tensors) -> bool:
    """Whether `answer`, the network's forward pass, takes whole numbers: embeddings do, a linear layer does not.

    A few rows are tried in evaluation mode, without gradients and with random numbers of their own, so that nothing
    else changes.
    """
    if any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in network.modules()):
        return True
    modes = {part: part.training for part in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), seeded(0):
            answer(each(lambda part: part[:FEW], x))
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return False
    finally:
        for part, mode in modes.items():
            part.training = mode
    return True
