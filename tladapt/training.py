"""The loop: one stage after another, every domain scored before the first and after each."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce, wraps
from typing import ParamSpec

import torch
from rich.progress import Progress
from torch import nn
from torch.optim import Adam, Optimizer

from tladapt.display.progress import DivergedError, Watch, bars
from tladapt.domains import Domain
from tladapt.evaluation import Evaluator
from tladapt.labelshift import LabelShift, alarms, label_shifts, stored
from tladapt.method import REMEMBERED, Method
from tladapt.model import PRECISIONS, Model
from tladapt.report import Report, environment
from tladapt.seeding import generator, seeded
from tladapt.stage import Stage
from tladapt.streams import Stream, domains_of, members
from tladapt.task import Task
from tladapt.tasks import Classification

P = ParamSpec("P")


def cosine(progress: float) -> float:
    """The factor of the learning rate: from 1 at the start of a stage to 0 at its end, along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def train(
    model: Model, stream: Stream, method: Method | None = None, *, epochs: int | None = None, steps: int | None = None,
    batch_size: int = 64, lr: float = 1e-3, optimizer: Callable[..., Optimizer] = Adam,
    schedule: Callable[[float], float] = cosine, increment: str = "domain", task: Task | None = None,
    evaluate: Sequence[Domain] | None = None, learned: int = 0, precision: str | None = None, seed: int = 0,
    may_remember: str = "samples", scenario: str = "", progress: bool | None = None,
) -> Iterator[Report]:  # fmt: skip
    """Learn a stream stage by stage; yields the report so far after each stage.

    Parameters
    ----------
    model : Model
        Trained in place, on the device it is on; left in evaluation mode.
    stream : list of Domain or tuple of Domain
        The stages; see `adaptation` and `scenarios.by_class`.
    method : Method, optional
        What is added to the loss of the task; by default nothing, which is fine-tuning. A new one for every fit.
    epochs, steps : int, optional
        The length of a stage: passes over its largest domain (default 10), or steps of the optimiser.
    batch_size : int
        Rows per step from the labelled, and from the unlabelled, part of every domain of the stage.
    lr, optimizer, schedule
        `optimizer(parameters, lr=lr)` is built anew for every stage; `schedule` maps progress in [0, 1) to a
        factor of lr.
    increment : {"domain", "class", "task"}
        Which classes may be predicted; see `live_classes`.
    task : Task, optional
        Classification by default.
    evaluate : list of Domain, optional
        The columns of the report; by default the domains of the stream.
    learned : int
        So many first stages are the past of a model that comes trained: methods look at them, nothing is trained.
    precision : {"float32", "bfloat16"}, optional
        What the layers compute in from now on (`model.precision`); losses, gradients and weights stay in single
        precision. By default as the model has it, which is "float32" for a new one.
    seed : int
        Of the batches, of dropout and of every term's own random numbers; not of the model, which is yours.
    may_remember : {"nothing", "statistics", "outputs", "samples"}
        The most of the data that a method may keep after a stage; one that keeps more is refused.
    scenario : str
        A name for the report.
    progress : bool, optional
        Progress bars; by default only where standard error is a terminal.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, or no stage of the stream can serve a term of the method.
    DivergedError
        If a loss is no longer finite.
    """
    _check(model, stream, method, learned, epochs=epochs, steps=steps, batch_size=batch_size, lr=lr)
    if precision not in (None, *PRECISIONS):
        raise ValueError(f"precision={precision!r}: expected one of {', '.join(map(repr, PRECISIONS))}")
    method, task = method or Method(), task or Classification()
    _check_memory(method, may_remember)
    evaluator = Evaluator(domains_of(stream, evaluate), task, increment, min(512, 8 * batch_size))
    for domain in evaluator.domains:
        task.check(domain, len(model.classes))
    teachable = _teachable(stream, method)
    model.precision = precision or model.precision

    def reports() -> Iterator[Report]:
        started, numbers = time.perf_counter(), {domain.name: i for i, domain in enumerate(evaluator.domains)}
        model.reserve(len(numbers))
        method.seed(seed)
        scores, notes, first = [evaluator.scores(model, set())], list[str](), dict[int, int]()
        shifts = dict[str, LabelShift]()
        with bars(progress) as bar:
            teach = partial(learn, model, method, lr=lr, optimizer=optimizer, schedule=schedule, bar=bar)
            for index, stage in enumerate(map(members, stream)):
                first = {numbers[domain.name]: index for domain in stage} | first
                now = Stage(
                    stage, [numbers[domain.name] for domain in stage], index, evaluator.live(model, set(first)), task,
                    seed=seed, batch_size=batch_size, device=model.device,
                )  # fmt: skip
                shifts |= label_shifts(model, now)
                if index < learned or not teachable[index]:
                    method.consolidate(model.eval(), now)
                    if index < learned:
                        model.meet(now.ids)
                    else:
                        notes.append(f"stage {index} ({now.name}): nothing to learn from; the model is as it was")
                elif idle := teach(now, steps=steps or (epochs or 10) * now.steps):
                    notes.append(f"stage {index} ({now.name}): {', '.join(idle)} had nothing to act on")
                scores.append(evaluator.scores(model, set(first)))
                yield Report(
                    scenario=scenario, method=repr(method), seed=seed, metric=task.metric, share=task.share,
                    higher_is_better=task.higher_is_better, increment=increment, batchnorm=model.batchnorm,
                    remembers=method.remembers, precision=model.precision, domains=list(numbers),
                    stages=[" + ".join(d.name for d in members(past)) for past in stream[: index + 1]],
                    first=[first.get(i, len(stream)) for i in range(len(numbers))], scores=list(scores),
                    notes=notes + alarms(shifts), label_shift=stored(shifts), seconds=time.perf_counter() - started,
                    environment=environment(model.device.type),
                )  # fmt: skip

    return reports()


def _last(function: Callable[P, Iterator[Report]]) -> Callable[P, Report]:
    @wraps(function)
    def fit(*args: P.args, **kwargs: P.kwargs) -> Report:
        *_, report = function(*args, **kwargs)
        return report

    fit.__name__ = fit.__qualname__ = "fit"
    fit.__doc__ = (function.__doc__ or "").replace("yields the report so far after each stage", "returns the report")
    return fit


fit = _last(train)  # the same arguments, in one place


def learn(
    model: Model, method: Method, stage: Stage, *, steps: int, lr: float, optimizer: Callable[..., Optimizer],
    schedule: Callable[[float], float], bar: Progress | None = None,
) -> list[str]:  # fmt: skip
    """Learn one stage; returns the names of the terms that had nothing to act on."""
    model.train()
    with model.restoring():
        method.train().prepare(model, stage)
        method.to(model.device)
        stepper = _stepper(model, method, lr, optimizer)
        with seeded(generator(stage.seed, stage.index, "model").initial_seed()):
            idle = _steps(model, method, stage, stepper, schedule, Watch(stage.name, bar, steps))
        if not all(p.isfinite().all() for group in stepper.param_groups for p in group["params"]):
            raise DivergedError(f"the weights are no longer finite after stage {stage.name}; lower lr or a weight")
        method.consolidate(model.eval(), stage)
    return idle


def _stepper(model: Model, method: Method, lr: float, optimizer: Callable[..., Optimizer]) -> Optimizer:
    """The optimiser of all that trains in the stage, each part at its own rate."""
    rates: dict[float, list[nn.Parameter]] = {}
    for parameter in (*model.trained(), *(p for p in method.parameters() if p.requires_grad)):
        rates.setdefault(model.rates.get(parameter, 1.0), []).append(parameter)
    return optimizer([{"params": part, "lr": lr * rate} for rate, part in rates.items()], lr=lr)


def _steps(
    model: Model, method: Method, stage: Stage, stepper: Optimizer, schedule: Callable[[float], float], watch: Watch
) -> list[str]:
    """The steps of a stage, until a term is done; returns the names of the terms that were idle in all of them."""
    rates = [group["lr"] for group in stepper.param_groups]
    idle = {name: term for name, term in method.terms.items() if _gives(term)}
    for batch in stage.stream(0, watch.steps):
        for group, rate in zip(stepper.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(batch.progress)
        batch = batch.join(method.extend(model, batch))
        output = model(batch.x, batch.domain, batch.y)
        losses = {"task": stage.task.loss(output, batch), **method.losses(model, batch, output)}
        if idle:
            owners = {part.owner for part in batch.parts}
            idle = {name: term for name, term in idle.items() if not losses[name].requires_grad and term not in owners}
        stepper.zero_grad()
        reduce(torch.add, losses.values()).backward()
        method.adjust(model, batch)
        stepper.step()
        watch.see(losses)
        if any(term.done for term in method.terms.values()):
            break
    watch.look()
    return list(idle)


def _gives(term: Method) -> bool:
    """Whether it is there to give a loss or samples; what only takes hold of the model always has that to act on."""
    given = (type(term).loss, type(term).extend) != (Method.loss, Method.extend)
    return given and (term.role not in ("trainable", "weights", "guard") or type(term).loss is not Method.loss)


def _check(model: Model, stream: Stream, method: Method | None, learned: int, **sizes: float | None) -> None:
    """Refuse arguments of a wrong type or out of range."""
    if not isinstance(model, Model):
        raise TypeError(f"model: {type(model).__name__} is no Model; wrap it as Model.of(network, classes=...)")
    if not isinstance(method, Method | None):
        raise TypeError(f"method: {method!r} is no Method; build one, as in DANN()")
    if method is not None and any(term.used for term in method.terms.values()):
        raise ValueError(f"method: {method!r} has the memory of an earlier fit; build a new one for every fit")
    for name, value in sizes.items():
        if value is not None and not (0 < value < math.inf and (name == "lr" or value == int(value))):
            raise ValueError(f"{name}={value}: expected a positive {'' if name == 'lr' else 'whole '}number")
    if sizes["epochs"] is not None and sizes["steps"] is not None:
        raise ValueError("epochs and steps: give one of them")
    if not 0 <= learned < max(len(stream), 1):
        raise ValueError(f"learned={learned}: expected fewer than the {len(stream)} stages of the stream")


def _check_memory(method: Method, most: str) -> None:
    """Refuse terms that remember more than `most` of the data."""
    if most not in REMEMBERED:
        raise ValueError(f"may_remember={most!r}: expected one of {', '.join(map(repr, REMEMBERED))}")
    allowed = REMEMBERED[: REMEMBERED.index(most) + 1]
    for term in method.terms.values():
        if term.remembers not in allowed:
            raise ValueError(
                f"method: {term!r} remembers {term.remembers}, which is more than may_remember={most!r}; leave it out, "
                "or allow it"
            )


def _teachable(stream: Stream, method: Method) -> list[bool]:
    """For each stage, whether anything can be learned in it: from labels, or by a term that needs none.

    Raises
    ------
    ValueError
        If no stage holds, or a memory brings back, the samples that a term needs.
    """
    kinds, past, terms = list[set[str]](), set[str](), method.terms.values()
    for stage in stream:
        data = [domain.train for domain in members(stage)]
        now = {"source" for d in data if len(d.y)} | {"target" for d in data if len(d.y) < len(d)}
        kinds.append(now | past)
        past |= now if method.remembers == "samples" else set()
    for term in terms:
        if not any(term.needs <= kind for kind in kinds):
            raise ValueError(
                f"method: no stage of the stream serves {term!r}: it needs {' and '.join(sorted(term.needs))} samples "
                "at once (source: labelled, target: unlabelled), as in adaptation(source, target)"
            )
    return ["source" in kind or any(term.needs and term.needs <= kind for term in terms) for kind in kinds]
