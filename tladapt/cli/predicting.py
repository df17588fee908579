"""`tladapt predict`."""

import argparse
import csv
import io
import json
import sys
from typing import Any

import numpy as np

from tladapt.cli.saved import opened, read
from tladapt.display.evaluation import headline
from tladapt.display.harmless import harmless
from tladapt.model import Model
from tladapt.predicting.answering import predicted
from tladapt.predicting.predictions import Predictions
from tladapt.predicting.scoring import Evaluation, labels_for, scored
from tladapt.readers.numerals import is_number
from tladapt.storage.files import write_text
from tladapt.task import Task

SCHEMA = 2  # 2: probabilities of all classes, and the score
FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for the beginning of one
SUFFIXES = (".csv", ".json")
TAKEN = ("prediction", "probability")  # columns, and beginnings of columns, of the output


def predict(options: argparse.Namespace) -> None:
    """Print, or write, the prediction for every image or row, and the probability of every class."""
    _check(options)
    model, task = opened(options)
    found, score = _answered(model, task, options)
    if any(isinstance(answer, np.ndarray) and answer.ndim != 1 for answer in found.predictions[:1]):
        raise ValueError(f"MODEL_DIR {options.model}: {type(task).__name__} gives an array per row; use Model.predict")
    as_json = options.json if options.out is None else options.out.suffix.lower() == ".json"
    document = _json(options, found, score) if as_json else _csv(found)
    if options.out is None:
        sys.stdout.write(document)
    else:
        write_text(options.out, document)
        print(f"{len(found)} predictions in {harmless(str(options.out))}")
    if score is not None and (options.out is not None or not as_json):
        print(f"tladapt predict: {harmless(headline(score))}", file=sys.stderr)


def _check(options: argparse.Namespace) -> None:
    """Refuse what could not be written, before anything is computed."""
    if options.id is not None and options.id.startswith(TAKEN):
        raise ValueError(f"--id {options.id}: the output has a column of this name; rename the column of the input")
    if options.out is None:
        return
    if options.out.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--out {options.out}: expected a name that ends in .csv or .json")
    if options.json and options.out.suffix.lower() == ".csv":
        raise ValueError(f"--out {options.out}: the suffix chooses CSV; leave out --json, or name it .json")
    if options.out.resolve() in [path.resolve() for path in options.input]:
        raise ValueError(f"--out {options.out}: it is the input, which would be lost; choose another name")


def _answered(model: Model, task: Task, options: argparse.Namespace) -> tuple[Predictions, Evaluation | None]:
    """Return the predictions, and their score if every row has a label that the model can predict."""
    is_labelled, problem = False, ""
    try:
        rows = read(options, model, options.id)
        is_labelled = bool(rows.labels) and bool(len(labels_for(rows, model, task)))
    except ValueError as error:
        rows, problem = read(options, model, options.id, labelled=False), str(error)
    try:
        if is_labelled:
            return scored(model, rows, task, options.domain, options.batch_size)
        found = predicted(model, rows, options.domain, task, options.batch_size)
    except ValueError as error:
        raise ValueError(f"MODEL_DIR {options.model}: {error}") from error
    if problem:
        print(f"tladapt predict: not scored: {harmless(problem)}", file=sys.stderr)
    return found, None


def _json(options: argparse.Namespace, found: Predictions, score: Evaluation | None) -> str:
    about = {"schema": SCHEMA, "model": str(options.model), "classes": list(found.classes)}
    about["predictions"] = [_row(found, number) for number in range(len(found))]
    if score is not None:
        about["score"] = score.to_dict()
    return json.dumps(about, allow_nan=False) + "\n"


def _row(found: Predictions, number: int) -> dict[str, Any]:
    """Return a row as JSON has it, the probabilities by class name."""
    answer = found.predictions[number]
    row: dict[str, Any] = {found.id_name: found.ids[number]}
    row["prediction"] = answer.tolist() if isinstance(answer, np.ndarray) else answer
    if found.probabilities is None:
        return row
    chances = [round(chance, 6) for chance in found.probabilities[number].tolist()]
    if not isinstance(answer, tuple):
        row["probability"] = max(chances)
    row["probabilities"] = dict(zip(found.classes, chances, strict=True))
    return row


def _csv(found: Predictions) -> str:
    """Return the predictions as CSV; the columns of the probabilities are named probability_CLASS."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number in range(len(found)):
        cells = _cells(found, number)
        if number == 0:
            writer.writerow(map(_cell, cells))
        writer.writerow(map(_cell, cells.values()))
    return text.getvalue()


def _cells(found: Predictions, number: int) -> dict[str, Any]:
    """Return a row by column."""
    answer = found.predictions[number]
    cells: dict[str, Any] = {found.id_name: found.ids[number]}
    if isinstance(answer, np.ndarray):  # several numbers
        named = zip(found.classes, answer.tolist(), strict=True)
        return cells | {f"prediction_{name}": value for name, value in named}
    cells["prediction"] = "|".join(answer) if isinstance(answer, tuple) else answer
    if found.probabilities is None:
        return cells
    chances = [round(chance, 6) for chance in found.probabilities[number].tolist()]
    if not isinstance(answer, tuple):
        cells["probability"] = max(chances)
    return cells | {f"probability_{name}": chance for name, chance in zip(found.classes, chances, strict=True)}


def _cell(value: Any) -> Any:
    """Escape a name for terminals and spreadsheets: `'` goes before what would be a formula.

    >>> _cell("=1+1"), _cell("-1"), _cell("cup"), _cell(-0.5)
    ("'=1+1", '-1', 'cup', -0.5)
    """
    if not isinstance(value, str):
        return value
    text = harmless(value)
    return f"'{text}" if text.startswith(FORMULA) and not is_number(text) else text
