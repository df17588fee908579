"""The saved model and the rows that `predict` and `evaluate` are given."""

import argparse
from pathlib import Path

from tladapt.model import Model
from tladapt.predicting.answering import domain_number, task_of
from tladapt.predicting.inputs import Rows, reader_of, rows_of
from tladapt.storage.models import OwnNetworkError
from tladapt.task import Task

NAME = "model.json"  # the file that every saved model has


def opened(options: argparse.Namespace) -> tuple[Model, Task]:
    """Return the model in MODEL_DIR, ready to read files, and its task.

    Raises
    ------
    ValueError
        If there is none, or it cannot be used from a terminal; the message begins with MODEL_DIR.
    """
    folder = model_folder(options.model)
    try:
        model = Model.load(folder)
        domain_number(model, options.domain)
        task = task_of(model)
        reader_of(model, options.label)
    except OwnNetworkError as error:
        raise ValueError(
            f"MODEL_DIR {folder}: saved from a network of your own code, which no command can build; in Python: "
            f"Model.load({str(folder)!r}, network).predict(files), or train a network of tladapt.backbones"
        ) from error
    except ValueError as error:
        raise ValueError(f"MODEL_DIR {folder}: {error}") from error
    return model, task


def model_folder(given: Path) -> Path:
    """Return the folder of the model: the one given, or the model of the run that is kept in it.

    Raises
    ------
    ValueError
        If there is none, or several.
    """
    if (given / NAME).exists():
        return given
    if (given / "model" / NAME).exists():
        return given / "model"
    seeds = sorted(path.parent for path in given.glob(f"seed-*/model/{NAME}"))
    if len(seeds) > 1:
        raise ValueError(f"MODEL_DIR {given}: {len(seeds)} models in it; name one of them, such as {seeds[0]}")
    if not seeds:
        what = "no saved model in it" if given.is_dir() else "no such folder"
        raise ValueError(f"MODEL_DIR {given}: {what}; give the folder of `tladapt run --out DIR`, or of Model.save")
    return seeds[0]


def read(options: argparse.Namespace, model: Model, id_column: str | None = None, labelled: bool = True) -> Rows:
    """Return the rows of INPUT, with their labels if `labelled`.

    Raises
    ------
    ValueError
        If a file is missing, or cannot be read.
    """
    for path in options.input:
        if not path.exists():
            raise ValueError(f"INPUT {path}: no such file or folder")
    source = options.input[0] if len(options.input) == 1 else options.input
    return rows_of(model, source, id_column=id_column, label=options.label, labelled=labelled)
