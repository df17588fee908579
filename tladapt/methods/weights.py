"""The weights of a model as they act."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from tladapt.methods.adapted import adapted, is_adapter


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Every weight by its name, differentiable; where one is made of others (as by LoRA), what they make.

    The names, and their order, are those of the model without such parts.
    """
    found: dict[str, Tensor] = {}
    seen = set[int]()
    for prefix, module in layers(model):
        for name, weight in (adapted(module) if is_adapter(module) else own(module)).items():
            if id(weight) not in seen:
                seen.add(id(weight))
                found[f"{prefix}.{name}" if prefix else name] = weight
    return found


def flat(model: nn.Module) -> Tensor:
    """All weights as one vector, differentiable."""
    return torch.cat([weight.flatten() for weight in weights(model).values()])


def layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules by name, without those that are to be merged into others."""
    whole = [module for module in model.modules() if to_merge(module) or is_adapter(module)]
    inner = {id(part) for module in whole for part in module.modules() if part is not module or not is_adapter(module)}
    yield from ((name, module) for name, module in model.named_modules() if id(module) not in inner)


def own(module: nn.Module) -> dict[str, Tensor]:
    """The weights of this layer alone, by name: weight before bias, whatever was registered when."""
    names = set(module._parameters)
    if is_parametrized(module):
        names |= {name for name, part in module.parametrizations.items() if to_merge(part)}  # type: ignore[operator]
    return {name: weight for name in sorted(names, reverse=True) if (weight := getattr(module, name)) is not None}


def to_merge(module: nn.Module) -> bool:
    """Whether it makes a weight for this stage only (LoRA), not for good (as a user's weight norm does)."""
    return isinstance(module, ParametrizationList) and any(getattr(part, "merges", False) for part in module)


@torch.no_grad()
def assign(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Give weights and buffers these values, by name; nothing may be left to merge."""
    for name, value in values.items():
        prefix, _, last = name.rpartition(".")
        getattr(model.get_submodule(prefix), last).copy_(value)
