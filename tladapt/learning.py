"""One stage: its steps, from the first or from where a run was left."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import nn
from torch.optim import Optimizer

from tladapt.checks import built_optimizer, rate_factor, require_something_to_train, scalar
from tladapt.display.progress import Bars, Watch
from tladapt.divergence import naming_divergence, require_finite_model
from tladapt.history import stride
from tladapt.method import Method, added_rows
from tladapt.model import Model
from tladapt.seeding import generator, seeded
from tladapt.stage import Batch, Stage
from tladapt.storage.runs import Run
from tladapt.storage.stepping import Stepping


def learn(
    model: Model, method: Method, stage: Stage, *, steps: int, lr: float, optimizer: Callable[..., Optimizer],
    schedule: Callable[[float], float], run: Run, bar: Bars | None = None, stages: int = 1,
) -> list[str]:  # fmt: skip
    """Learn one stage; returns the names of the terms that had nothing to act on."""
    model.train()
    record = run.past.record(stage.index, stage.name)
    watch = Watch(stage.name, bar, steps, record, stride(steps, stages))
    with model.restoring(), naming_divergence(watch, model, method, stage):
        if run.inside(stage.index):
            run.remind(method)
        method.train().prepare(model, stage)
        method.to(model.device)
        stepper = _stepper(model, method, lr, optimizer)
        with seeded(generator(stage.seed, stage.index, "model").initial_seed()), run.guarding(model):
            idle = _steps(model, method, stage, stepper, schedule, watch, run)
        with run.guarding(model):
            method.consolidate(model.eval(), stage)
    return idle


def _stepper(model: Model, method: Method, lr: float, optimizer: Callable[..., Optimizer]) -> Optimizer:
    """The optimiser of all that trains in the stage, each part at its own rate."""
    require_something_to_train(model, method)
    rates: dict[float, list[nn.Parameter]] = {}
    for parameter in (*model.trained(), *(p for p in method.parameters() if p.requires_grad)):
        rates.setdefault(model.rates.get(parameter, 1.0), []).append(parameter)
    return built_optimizer(optimizer, [{"params": part, "lr": lr * rate} for rate, part in rates.items()], lr)


def _steps(
    model: Model, method: Method, stage: Stage, stepper: Optimizer, schedule: Callable[[float], float], watch: Watch,
    run: Run,
) -> list[str]:  # fmt: skip
    """The steps of a stage, until a term is done; returns the names of the terms that were idle in all of them."""
    rates = [group["lr"] for group in stepper.param_groups]
    idle = {name: term for name, term in method.terms.items() if _gives(term)}
    now = Stepping(model, method, stepper, list(idle), 0)
    if run.inside(stage.index):
        run.restore(now)
    idle, watch.done = {name: idle[name] for name in now.idle}, now.step
    batch: Batch | None = None
    for batch in stage.stream(now.step, watch.steps):
        if run.due(now.step):
            watch.require_finite(stepper)
            require_finite_model(watch, model)
            run.keep(now)
        factor = rate_factor(schedule, batch.progress)
        for group, rate in zip(stepper.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        batch = batch.join(added_rows(method, method.extend(model, batch)))
        output = model(batch.x, batch.domain, batch.y)
        losses = {"task": stage.task.loss(output, batch), **method.losses(model, batch, output)}
        losses = {name: scalar(name, loss, output.logits) for name, loss in losses.items()}
        if idle:
            owners = {part.owner for part in batch.parts}
            idle = {name: term for name, term in idle.items() if not losses[name].requires_grad and term not in owners}
        total = reduce(torch.add, losses.values())
        if total.requires_grad:  # otherwise no row and no term of this batch teaches anything
            stepper.zero_grad()
            total.backward()
            method.adjust(model, batch)
            stepper.step()
        watch.see(losses)
        now.step, now.idle = now.step + 1, list(idle)
        if any(term.done for term in method.terms.values()):
            break
    watch.require_finite(stepper)
    require_finite_model(watch, model, batch)
    watch.end()
    return list(idle)


def _gives(term: Method) -> bool:
    """Whether it is there to give a loss or samples; what only takes hold of the model always has that to act on."""
    given = (type(term).loss, type(term).extend) != (Method.loss, Method.extend)
    return given and (term.role not in ("trainable", "weights", "guard") or type(term).loss is not Method.loss)
