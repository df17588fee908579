"""Numbers that are no longer finite: in the statistics and outputs of a model, and behind errors of torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import torch
from torch import Tensor

from tladapt.display.progress import DivergedError, Watch
from tladapt.method import Method
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage

STATISTICS = ("running_mean", "running_var")


@contextmanager
def naming_divergence(watch: Watch, model: Model, method: Method, stage: Stage) -> Iterator[None]:
    """Context manager in which an error that comes from numbers that are not finite becomes a `DivergedError`.

    Decompositions and random draws raise errors of their own for NaN, before the losses are looked at.
    """
    try:
        yield
    except DivergedError:
        raise
    except Exception as error:
        watch.look()
        if _is_sound(model, stage):
            raise
        name = _term_that_raised(error.__traceback__, method) or "task"
        raise DivergedError(
            f"{name}: the outputs of the model are no longer finite in stage {watch.stage}, step {watch.done}; lower lr"
            + ("" if name == "task" else f" or the weight of {name}")
        ) from error


def require_finite_model(watch: Watch, model: Model, batch: Batch | None = None) -> None:
    """Raise `DivergedError` if statistics of a layer, or the outputs for this batch, are no longer finite."""
    where = f"in stage {watch.stage}, step {watch.done}"
    for name, value in _statistics(model):
        if not value.isfinite().all():
            raise DivergedError(f"{name} is no longer finite {where}; scale the inputs, or lower lr or a weight")
    if batch is not None and not is_finite(_answer(model, batch)):
        raise DivergedError(f"the outputs of the model are no longer finite {where}; lower lr or a weight")


def is_finite(output: Output) -> bool:
    """Whether there is no NaN and no infinity; a logit of minus infinity is a class that the model rules out."""
    logits = output.logits
    wrong = logits.isnan() | (logits == torch.inf)
    return bool(output.features.isfinite().all()) and not bool(wrong.any())


def _statistics(model: Model) -> Iterator[tuple[str, Tensor]]:
    for prefix, layer in model.named_modules():
        for name in STATISTICS:
            if isinstance(value := layer._buffers.get(name), Tensor):
                yield f"{prefix}.{name}", value


def _is_sound(model: Model, stage: Stage) -> bool:
    """Whether weights and outputs are finite; a model that raises an error here is not at fault for its numbers."""
    values = [*model.parameters(), *(value for _, value in _statistics(model))]
    if not all(value.isfinite().all() for value in values):
        return False
    try:
        return is_finite(_answer(model, stage.batch(0)))
    except Exception:
        return True


@torch.no_grad()
def _answer(model: Model, batch: Batch) -> Output:
    """The output in evaluation mode."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        return model(batch.x, batch.domain, batch.y)
    finally:
        for part, training in modes:
            part.training = training


def _term_that_raised(traceback: TracebackType | None, method: Method) -> str | None:
    """The name of the term whose verb was running."""
    names = {id(term): name for name, term in method.terms.items()}
    found = None
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get("self")
        found = names.get(id(owner), found)
        traceback = traceback.tb_next
    return found
