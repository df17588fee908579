"""What changes from step to step, as it is kept and taken up again."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from tladapt.method import Method
from tladapt.model import Model


@dataclass
class Stepping:
    """All that changes from step to step; `idle` are the terms that have not acted so far in the stage."""

    model: Model
    method: Method
    stepper: Optimizer
    idle: list[str]
    step: int


def passing(model: Model) -> dict[str, Tensor]:
    """The buffers that its own state dict leaves out."""
    known = model.state_dict().keys()
    return {name: buffer for name, buffer in model.named_buffers() if name not in known}


def load_model_state(model: Model, kept: dict[str, Any]) -> None:
    """Give the model its parameters, and all buffers."""
    model.load_state_dict(kept["model"])
    for name, buffer in passing(model).items():
        buffer.copy_(kept["passing"][name])


def load_stepper(now: Stepping, kept: dict[str, Any]) -> None:
    """Give the optimiser its state to the bit: torch itself casts it to the type of the weights."""
    now.stepper.load_state_dict(_numbered(kept, now))
    for name, parameter in zip(_names(now), _parameters(now), strict=True):
        for key, value in kept["state"].get(name, {}).items():
            if isinstance(value, Tensor) and now.stepper.state[parameter][key].dtype != value.dtype:
                now.stepper.state[parameter][key] = value.to(parameter.device)


def _parameters(now: Stepping) -> list[Tensor]:
    return [parameter for group in now.stepper.param_groups for parameter in group["params"]]


def _names(now: Stepping) -> list[str]:
    """The parameters of the optimiser by name, in its order: a number would be another one in another order."""
    parts = {"model": now.model, "method": now.method}
    known = {p: f"{part}.{name}" for part, module in parts.items() for name, p in module.named_parameters()}
    return [known[parameter] for parameter in _parameters(now)]


def stepper_by_name(now: Stepping) -> dict[str, Any]:
    """The state of the optimiser, by the names of the parameters."""
    state, names = now.stepper.state_dict(), _names(now)
    groups = [{**group, "params": [names[i] for i in group["params"]]} for group in state["param_groups"]]
    return {"state": {names[i]: value for i, value in state["state"].items()}, "param_groups": groups}


def _numbered(kept: dict[str, Any], now: Stepping) -> dict[str, Any]:
    """The same, by the places that the parameters have in this optimiser."""
    names, own = _names(now), now.stepper.state_dict()["param_groups"]
    known = {frozenset(group["params"]): group for group in kept["param_groups"]}
    groups = [{**known[frozenset(names[i] for i in group["params"])], "params": group["params"]} for group in own]
    return {"state": {names.index(name): value for name, value in kept["state"].items()}, "param_groups": groups}
