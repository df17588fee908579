"""The weights of a model as they act."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Every weight by its name, differentiable; where one is made of others (as by LoRA), what they make.

    The names, and their order, are those of the model without such parts.
    """
    found: dict[str, Tensor] = {}
    inner = {id(m) for part in model.modules() if isinstance(part, ParametrizationList) for m in part.modules()}
    seen = set[int]()
    for prefix, module in model.named_modules():
        if id(module) in inner:
            continue
        names = set(module._parameters)
        if is_parametrized(module):
            names |= set(module.parametrizations)  # type: ignore[arg-type]
        for name in sorted(names, reverse=True):  # weight before bias, whatever was registered when
            if (weight := getattr(module, name)) is not None and id(weight) not in seen:
                seen.add(id(weight))
                found[f"{prefix}.{name}" if prefix else name] = weight
    return found


def flat(model: nn.Module) -> Tensor:
    """All weights as one vector, differentiable."""
    return torch.cat([weight.flatten() for weight in weights(model).values()])
