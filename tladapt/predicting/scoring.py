"""Scores of a model on labelled rows."""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.intervals import wilson
from tladapt.model import Model, Output
from tladapt.predicting.answering import Answers, answers_of, joined, live_of, outputs_of, task_of
from tladapt.predicting.inputs import Rows, rows_of
from tladapt.predicting.predictions import Predictions
from tladapt.task import Task
from tladapt.tasks import Classification, MultiLabel, Regression, Representation, SpeechToText


class Evaluation:
    """The score of a model on labelled rows, and, for classification, what it rests on.

    Attributes
    ----------
    metric, score : str, float
        What was measured, and its value; `float(evaluation)` is the score.
    share, higher_is_better : bool
        Whether the score is a share, shown in percent, and whether a higher one is better.
    rows : int
        The number of rows that were scored.
    interval : tuple of float, optional
        The 95 % confidence interval of the accuracy over rows like these (Wilson's); None for other metrics.
    classes : tuple of str
        The names of the C classes.
    confusion : array (C, C), optional
        How many rows of each class (row) were predicted as each class (column); None if rows have no single class.

    Examples
    --------
    >>> found = Evaluation("accuracy", 0.75, 4, ("cup", "pen"), np.array([[1, 1], [0, 2]]), interval=(0.301, 0.954))
    >>> found.per_class, round(float(found), 2)
    ({'cup': 0.5, 'pen': 1.0}, 0.75)
    >>> print(found)
    accuracy 75.0 % (3 of 4 rows; 95 % interval 30.1 to 95.4 %)
    class  rows  accuracy in %  predicted as
    cup       2           50.0  cup 1, pen 1
    pen       2          100.0  pen 2
    """

    def __init__(
        self, metric: str, score: float, rows: int, classes: Sequence[str], confusion: np.ndarray | None = None, *,
        interval: tuple[float, float] | None = None, share: bool = True, higher_is_better: bool = True,
    ) -> None:  # fmt: skip
        self.metric, self.score, self.rows, self.classes = metric, score, rows, tuple(classes)
        self.confusion, self.interval = confusion, interval
        self.share, self.higher_is_better = share, higher_is_better

    def __float__(self) -> float:
        return float(self.score)

    @property
    def per_class(self) -> dict[str, float]:
        """The share of right predictions for the rows of each class that occurs."""
        if self.confusion is None:
            return {}
        counts, right = self.confusion.sum(1).tolist(), self.confusion.diagonal().tolist()
        shares = zip(self.classes, right, counts, strict=True)
        return {name: hits / count for name, hits, count in shares if count}

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as values that JSON has."""
        found: dict[str, Any] = {"metric": self.metric, "score": self.score, "share": self.share}
        found |= {"higher_is_better": self.higher_is_better, "rows": self.rows}
        found["interval"] = None if self.interval is None else list(self.interval)
        if self.confusion is not None:
            found |= {"classes": list(self.classes), "per_class": self.per_class, "confusion": self.confusion.tolist()}
        return found

    def __str__(self) -> str:
        from tladapt.display.evaluation import text  # which is made of this

        return text(self)

    __repr__ = __str__


def evaluate(
    model: Model, data: Any, y: Any = None, *, task: Task | None = None, domain: int | str | None = None,
    label: str | None = None, batch_size: int | None = None, classes: Sequence[str | int] | None = None,
) -> Evaluation:  # fmt: skip
    """Return the score of `model` on labelled rows; see `Model.evaluate`."""
    if y is not None:
        data = (data, y)
    rows = rows_of(model, data, part="test", label=label)
    task = task_of(model, task)
    _, found = scored(model, rows, task, domain, batch_size, live_of(model, task, classes))
    return found


def scored(
    model: Model, rows: Rows, task: Task, domain: int | str | None = None, batch_size: int | None = None,
    live: Tensor | None = None,
) -> tuple[Predictions, Evaluation]:  # fmt: skip
    """Return the predictions for labelled rows, and their score, from one pass over them.

    Raises
    ------
    ValueError
        If the rows have no labels, or a label is not one that the model can predict.
    """
    y = labels_for(rows, model, task)
    answers, marks = list[Answers](), list[Tensor]()
    for chunk, output in outputs_of(model, rows, domain, batch_size, live):
        if not isinstance(task, Representation):
            answers.append(answers_of(output, task, model.classes))
        labelled = chunk[chunk < len(y)]
        if len(labelled):
            marks.append(_marks(task, output.at(slice(0, len(labelled))), y[labelled]))
    predictions = joined(answers, model, rows)
    return predictions, _evaluation(task, predictions, torch.cat(marks), y, model.classes)


def _marks(task: Task, output: Output, y: Tensor) -> Tensor:
    try:
        return task.marks(output, y, None)
    except (IndexError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"labels of shape {tuple(y.shape)} do not fit outputs of shape {tuple(output.logits.shape)} for "
            f"{type(task).__name__}; give labels as in training, or the task that the model was trained on"
        ) from error


def _evaluation(task: Task, predictions: Predictions, marks: Tensor, y: Tensor, classes: tuple[str, ...]) -> Evaluation:
    confusion, interval = None, None
    if isinstance(task, Classification) and y.ndim == 1:
        place = {name: number for number, name in enumerate(classes)}
        answers = torch.tensor([place[name] for name in predictions.predictions[: len(y)]])
        pairs = torch.bincount(y * len(classes) + answers, minlength=len(classes) ** 2)
        confusion = pairs.reshape(len(classes), len(classes)).numpy()
        if task.metric == "accuracy":
            interval = wilson(task.score(marks), len(y))
    return Evaluation(
        task.metric, task.score(marks), len(y), classes, confusion, interval=interval, share=task.share,
        higher_is_better=task.higher_is_better,
    )  # fmt: skip


def labels_for(rows: Rows, model: Model, task: Task) -> Tensor:
    """Return the labels as the task of the model wants them: classes are matched by name if their names are known.

    Raises
    ------
    ValueError
        If there are none, or one is not a class of the model.
    """
    if rows.labels is not None:
        return _from_names(rows.labels, model, task)
    y = rows.data.y.cpu()
    if not len(y):
        raise ValueError(
            "the data has no labels to score; give (x, y), a folder with a folder per class, or a table with the label "
            "column (label=)"
        )
    if isinstance(task, Classification) and y.is_floating_point() and not bool((y % 1).any()):
        y = y.long()
    if y.is_floating_point() or not isinstance(task, Classification):
        if isinstance(task, Classification):
            raise ValueError(f"the labels are of {y.dtype}, expected class numbers or class names")
        return y
    return _from_numbers(y, rows.classes, model.classes)


def _from_names(labels: list[str], model: Model, task: Task) -> Tensor:
    if isinstance(task, Regression):
        return _as_numbers(labels)
    if isinstance(task, SpeechToText):
        return task.encode(labels)
    if isinstance(task, MultiLabel):
        raise ValueError("the model was trained on several labels per row, but each row has one; give (x, y) as arrays")
    place = {name: number for number, name in enumerate(model.classes)}
    require_known(labels, model.classes)
    return torch.tensor([place[label] for label in labels])


def require_known(labels: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse a label that is not a class of the model.

    Raises
    ------
    ValueError
        If there is one; the message names the classes, and one that is spelled alike.
    """
    unknown = sorted({*labels} - {*classes})
    if not unknown:
        return
    alike = difflib.get_close_matches(unknown[0], classes, 1)
    hint = f"; did you mean {alike[0]!r}?" if alike else ""
    names = ", ".join([name[:60] for name in classes[:10]] + ["..."] * (len(classes) > 10))
    raise ValueError(f"the label {unknown[0][:60]!r} is not a class of the model ({names}){hint}")


def _as_numbers(labels: list[str]) -> Tensor:
    numbers = list[float]()
    for row, label in enumerate(labels):
        try:
            numbers.append(float(label))
        except ValueError as error:
            raise ValueError(f"row {row + 1}: the label {label[:60]!r} is not a number, as regression needs") from error
    return torch.tensor(numbers)


def _from_numbers(y: Tensor, names: Sequence[str] | None, classes: tuple[str, ...]) -> Tensor:
    """Return class numbers of the model for class numbers of the data.

    If the names of the data's classes are known and are not just numbers, the classes are matched by name.
    """
    count = len(classes)
    if names is not None and not _are_counted(names):
        here = y[y >= 0].unique().tolist()
        require_known([str(names[number]) for number in here], classes)
        table = torch.full((len(names),), -1)
        for number in here:
            table[number] = classes.index(str(names[number]))
        return torch.where(y < 0, y, table[y.clamp(min=0)])
    if not _are_counted(classes) and all(name.isdecimal() for name in classes):  # such as 1, 2, 3
        require_known([str(number) for number in y[y >= 0].unique().tolist()], classes)
        place = {int(name): number for number, name in enumerate(classes)}
        return torch.tensor([place[number] if number >= 0 else -1 for number in y.flatten().tolist()]).reshape(y.shape)
    lowest = 0 if y.ndim == 1 else -1  # masks have -1 where there is no label
    outside = y[(y < lowest) | (y >= count)]
    if len(outside):
        raise ValueError(f"the label {int(outside[0])} is not a class number of the model, 0 to {count - 1}")
    return y


def _are_counted(names: Sequence[str]) -> bool:
    """Whether the names are just the numbers of the classes, from 0."""
    return [str(name) for name in names] == [str(number) for number in range(len(names))]
