"""What a run did: which network learned from which rows, how long, and how its losses went."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import UninitializedParameter
from typing_extensions import TypedDict

from tladapt.domains import Domain
from tladapt.layers.batchnorm import DomainNorm
from tladapt.layers.head import UpToHead
from tladapt.model import Model
from tladapt.streams import Stream, members

POINTS = 50  # steps of a stage whose losses are kept, and the last one
TOTAL = 5000  # of all stages


class Losses(TypedDict):
    """The losses of a stage, by name, at some of its steps, counted from 0."""

    stage: str
    steps: list[int]
    losses: dict[str, list[float]]


def begun(stage: str) -> Losses:
    """The record of a stage that has not begun."""
    return {"stage": stage, "steps": [], "losses": {}}


def stride(steps: int, stages: int) -> int:
    """The distance of the steps that are kept of a stage.

    >>> stride(30, 2), stride(1000, 2), stride(1000, 1000)
    (1, 20, 200)
    """
    points = max(5, min(POINTS, TOTAL // max(1, stages)))
    return -(-steps // points)


def note(record: Losses, step: int, losses: dict[str, float]) -> None:
    """Add the losses of a step, to six digits."""
    record["steps"].append(step)
    for name, value in losses.items():
        record["losses"].setdefault(name, []).append(float(f"{value:.6g}"))


def taken(record: Losses) -> int:
    """The number of steps of a stage that is over."""
    return record["steps"][-1] + 1 if record["steps"] else 0


def facts(
    model: Model, stream: Stream, scored: Sequence[Domain], *, epochs: int | None, batch_size: int, lr: float,
    optimizer: Callable[..., Any], schedule: Callable[..., Any], task: object, learned: int,
) -> dict[str, Any]:  # fmt: skip
    """What is trained, on what and how; `report.training` but for the steps."""
    parameters = [p for p in model.parameters() if not isinstance(p, UninitializedParameter)]
    return {
        "network": network_name(model),
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "batchnorm_layers": sum(isinstance(layer, _BatchNorm | DomainNorm) for layer in model.modules()),
        "classes": len(model.classes),
        "data": _rows(stream, scored),
        "epochs": epochs,
        "batch_size": int(batch_size),
        "lr": float(lr),
        "optimizer": name_of(optimizer),
        "schedule": name_of(schedule),
        "task": name_of(task),
        "learned": int(learned),
    }


def network_name(model: Model) -> str:
    """The name of a backbone of tladapt, else the class of the network."""
    if model.recipe is not None and isinstance(name := model.recipe.get("backbone"), str):
        arguments = model.recipe.get("arguments")
        name_of_arguments = arguments.get("name") if isinstance(arguments, dict) else None
        return f"{name} {name_of_arguments}" if isinstance(name_of_arguments, str) else name
    network: nn.Module = model.encoder
    return type(network.module if isinstance(network, UpToHead) else network).__name__


def name_of(thing: object) -> str:
    """The name of a function, class, partial or object.

    >>> from torch.optim import SGD
    >>> name_of(SGD), name_of(partial(SGD, momentum=0.9)), name_of(object())
    ('SGD', 'SGD(momentum=0.9)', 'object')
    """
    if isinstance(thing, partial):
        options = [*map(_short, thing.args), *(f"{key}={_short(value)}" for key, value in thing.keywords.items())]
        return f"{name_of(thing.func)}({', '.join(options)})"
    return str(getattr(thing, "__name__", type(thing).__name__))


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, int | float | str | bool | tuple | list | None) else name_of(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _rows(stream: Stream, scored: Sequence[Domain]) -> list[dict[str, Any]]:
    """The rows of every domain as it first comes in the stream; none to train on for one that is only scored."""
    trained: dict[str, Domain] = {}
    for stage in stream:
        for domain in members(stage):
            trained.setdefault(domain.name, domain)
    return [_counted(domain, trained.get(domain.name)) for domain in scored]


def _counted(scored: Domain, trained: Domain | None) -> dict[str, Any]:
    labelled = 0 if trained is None else len(trained.train.y)
    return {
        "domain": scored.name,
        "labelled": labelled,
        "unlabelled": 0 if trained is None else len(trained.train) - labelled,
        "validation": 0 if trained is None or trained.validation is None else len(trained.validation),
        "test": 0 if scored.test is None else len(scored.test.y),
    }
