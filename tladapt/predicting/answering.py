"""The answers of a model: passes through the network in batches, and what the outputs mean for each task."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import index as as_integer
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.checks import check_task
from tladapt.data import Data, Draw, Tensors, each
from tladapt.domains import Domain
from tladapt.model import Model, Output
from tladapt.predicting.inputs import Rows, rows_of
from tladapt.predicting.predictions import Predictions
from tladapt.task import Task, masked
from tladapt.tasks import Classification, MultiLabel, Regression, Representation, SpeechToText

ROWS, VALUES = 512, 2**27  # most rows, and numbers, that go through the network together
Answers = tuple[list[Any], Tensor | None]  # of a batch: one per row, and the probabilities if the task has them
MISFIT = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)  # by networks on inputs of other kinds


def predict(
    model: Model,
    data: Any,
    *,
    domain: int | str | None = None,
    task: Task | None = None,
    batch_size: int | None = None,
    classes: Sequence[str | int] | None = None,
    id_column: str | None = None,
) -> Predictions:
    """Return the predictions of `model`; see `Model.predict`."""
    rows = rows_of(model, data, id_column=id_column, labelled=False)
    task = task_of(model, task)
    return predicted(model, rows, domain, task, batch_size, live_of(model, task, classes))


def predicted(
    model: Model, rows: Rows, domain: int | str | None, task: Task, batch_size: int | None = None,
    live: Tensor | None = None,
) -> Predictions:  # fmt: skip
    """Return the predictions for rows that have been read."""
    outputs = outputs_of(model, rows, domain, batch_size, live)
    return joined([answers_of(output, task, model.classes) for _, output in outputs], model, rows)


def live_of(model: Model, task: Task, classes: Sequence[str | int] | None) -> Tensor | None:
    """Return the classes that may be predicted, (1, C) bool; None stands for all.

    Raises
    ------
    ValueError, TypeError
        If they are not classes of the model, or the task has none.
    """
    if classes is None:
        return None
    if not isinstance(task, Classification | MultiLabel):
        raise ValueError(f"classes={classes!r}: {type(task).__name__} has no classes to choose from; leave it out")
    if isinstance(classes, str) or not len(classes):
        raise TypeError(f"classes={classes!r}: expected a list of the class names that may be predicted")
    names = [str(name) for name in classes]
    unknown = [name for name in names if name not in model.classes]
    if unknown:
        raise ValueError(f"classes: {unknown[0][:60]!r} is not a class of the model ({', '.join(model.classes)[:300]})")
    return torch.tensor([[name in names for name in model.classes]])


def predict_proba(model: Model, data: Any, **options: Any) -> np.ndarray:
    """Return the probabilities (n, C); see `Model.predict_proba`."""
    found = predict(model, data, **options)
    if found.probabilities is None:
        name = type(task_of(model, options.get("task"))).__name__
        raise ValueError(f"model.predict_proba: {name} has no probability per class and row; use model.predict")
    return found.probabilities


def task_of(model: Model, task: Task | None = None) -> Task:
    """Return the task to predict for: the one given, else the one that the model was trained on.

    Raises
    ------
    ValueError
        If the task is not known: the model has one output and was never trained here, or it was trained on a task that
        is not one of tladapt's and is loaded from a file.
    """
    check_task(task)
    if task is not None:
        return task
    if isinstance(model.task, str):
        raise ValueError(f"the model was trained on {model.task}, a task of your own code; pass an instance as task=")
    if model.task is None and len(model.classes) < 2:
        raise ValueError(
            "the model has one output, which cannot tell classes apart; pass its task, such as task=Regression()"
        )
    return Classification() if model.task is None else model.task


def outputs_of(
    model: Model, rows: Rows, domain: int | str | None = None, batch_size: int | None = None,
    live: Tensor | None = None,
) -> Iterator[tuple[Tensor, Output]]:  # fmt: skip
    """Yield row numbers and the output for them, on the CPU, batch by batch; logits of classes not `live` are -1e4."""
    size = _at_once(rows.data) if batch_size is None else _checked_size(batch_size)
    number = domain_number(model, rows.domain if domain is None else domain, strict=domain is not None)
    chunks = torch.arange(len(rows.data)).split(size)
    draws = (Draw(("predicted", i), chunk) for i, chunk in enumerate(chunks))
    with evaluating(model):
        for chunk, x in zip(chunks, rows.data.stream(draws), strict=True):
            output = _output(model, x, number, rows)
            yield chunk, replace(output, logits=masked(output.logits, live))


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Context manager for evaluation mode without gradients; every module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def domain_number(model: Model, domain: int | str | Domain | None, *, strict: bool = True) -> int | None:
    """Return the number of a domain of the model; None for None, and for an unknown name if not `strict`.

    Raises
    ------
    ValueError, TypeError
        If the model has no such domain.
    """
    if domain is None:
        return None
    name = domain.name if isinstance(domain, Domain) else domain
    if isinstance(name, str):
        if name in model.domains:
            return model.domains.index(name)
        if not strict:
            return None
        known = ", ".join(map(repr, model.domains)) or "none by name; give a number, counted from 0"
        raise ValueError(f"domain={name!r}: expected a domain that the model was trained on ({known})")
    try:
        number = as_integer(name)
    except TypeError as error:
        raise TypeError(f"domain={name!r}: expected the name or the number of a domain") from error
    count = max([len(model.domains), *(len(norm.met) for norm in model.norms)])
    if number < 0 or (count and number >= count):
        raise ValueError(f"domain={number}: expected a number from 0 to {max(count, 1) - 1}")
    return number


def _checked_size(batch_size: Any) -> int:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r}: expected an integer >= 1")
    return batch_size


def _at_once(data: Data) -> int:
    """Return how many rows go through the network together: fewer if they are large."""
    shapes = data.shape.values() if isinstance(data.shape, dict) else [data.shape]
    size = sum(torch.Size(shape).numel() for shape in shapes)
    return max(1, min(ROWS, VALUES // max(1, size)))  # rows of no columns have no size


def _output(model: Model, x: Tensors, number: int | None, rows: Rows) -> Output:
    x = each(lambda part: part.to(model.device, non_blocking=True), x)
    count = len(next(iter(x.values()))) if isinstance(x, dict) else len(x)
    domain = None if number is None else torch.full((count,), number, device=model.device)
    try:
        output = model(x, domain)
    except MISFIT as error:
        shape = rows.data.shape
        raise ValueError(
            f"the network does not take rows of shape {shape}; give rows like those it was trained on, the first axis "
            "being the rows"
        ) from error
    logits = output.logits
    if logits.ndim < 2 or len(logits) != count:
        raise ValueError(
            f"the network returns {tuple(logits.shape)} for {count} rows of shape {rows.data.shape}; give one row per "
            "sample, such as x[None] for a single one"
        )
    if not logits.isfinite().all():
        raise ValueError("the network returns NaN or infinity; its weights are damaged, or its inputs of another scale")
    mask = None if output.mask is None else output.mask.cpu()
    return replace(output, features=output.features.cpu(), logits=logits.float().cpu(), mask=mask)


def joined(found: list[Answers], model: Model, rows: Rows) -> Predictions:
    """Return the answers of several batches as the predictions for all rows."""
    answers = [answer for batch, _ in found for answer in batch]
    chances = [part for _, part in found if part is not None]
    probabilities = torch.cat(chances).numpy() if chances else None
    return Predictions(rows.ids, answers, model.classes, probabilities, rows.id_name, rows.index)


def answers_of(output: Output, task: Task, classes: tuple[str, ...]) -> Answers:
    """Return the answers for some rows, and their probabilities if the task has them."""
    logits = output.logits
    if isinstance(task, Representation):
        raise ValueError("the model was trained on Representation, which predicts nothing; use model(x).features")
    if isinstance(task, MultiLabel):
        chances = logits.sigmoid()
        chosen = [[name for name, there in zip(classes, row, strict=True) if there] for row in (logits > 0).tolist()]
        return [tuple(names) for names in chosen], chances
    if isinstance(task, Regression):
        numbers = task.predict(output, None)
        return (numbers[:, 0].tolist() if numbers.shape[1:] == (1,) else list(numbers.numpy())), None
    if isinstance(task, SpeechToText):
        return task.decode(task.predict(output, None)), None
    if isinstance(task, Classification) and logits.ndim == 2:
        if logits.shape[1] != len(classes):
            raise ValueError(f"the network has {logits.shape[1]} outputs per row, but {len(classes)} classes")
        return [classes[number] for number in logits.argmax(1).tolist()], logits.softmax(1)
    return list(task.predict(output, None).numpy()), None
