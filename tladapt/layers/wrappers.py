"""Wrappers that torch puts around a network: `DataParallel`, `DistributedDataParallel`, `torch.compile`."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

INNER = ("module", "_orig_mod")  # where the wrappers keep the network, which is part of the names of its weights


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the network within the wrappers; it shares its weights with them.

    >>> network = nn.Linear(2, 2)
    >>> unwrapped(DataParallel(network)) is network
    True
    """
    while (inner := _inner(module)) is not None:
        module = inner
    return module


def _inner(module: nn.Module) -> nn.Module | None:
    if isinstance(module, DataParallel | DistributedDataParallel):
        return module.module
    return getattr(module, "_orig_mod", None) if type(module).__name__ == "OptimizedModule" else None


def renamed(weights: dict[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Return `weights` under the names `wanted`, where both differ only by wrappers; else as they are.

    >>> import torch
    >>> list(renamed({"encoder.module.0.weight": torch.zeros(1)}, ["encoder.0.weight"]))
    ['encoder.0.weight']
    """
    names = list(wanted)
    if weights.keys() == set(names):
        return weights
    by_plain = {_without_wrappers(name): name for name in names}
    plain = [_without_wrappers(name) for name in weights]
    same = len(by_plain) == len(names) and len(set(plain)) == len(plain) and set(plain) == set(by_plain)
    if not same:
        return weights
    return {by_plain[name]: value for name, value in zip(plain, weights.values(), strict=True)}


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in INNER)
