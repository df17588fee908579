"""`tladapt predict`."""

import argparse
import csv
import json
import sys

import torch

from tladapt.data import Data, Draw, Tensors
from tladapt.display.harmless import harmless
from tladapt.model import Model
from tladapt.readers.arrays import as_data
from tladapt.readers.files import reader_from
from tladapt.readers.folders import Images
from tladapt.readers.numerals import is_number
from tladapt.readers.sounds import Sounds

ROWS, VALUES = 512, 2**27  # that go through the network at once, at most
FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for the beginning of one
MISFIT = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)  # by networks on inputs of other kinds


def predict(options: argparse.Namespace) -> None:
    """Print the most likely class of every image or row, and its probability."""
    model = Model.load(options.model)
    try:
        reader = reader_from(model.inputs)
    except ValueError as error:
        raise ValueError(f"MODEL_DIR {options.model}: {error}") from error
    if not options.input.exists():
        raise ValueError(f"INPUT {options.input}: no such file or folder")
    x, _, names = reader.read(options.input)
    data = as_data(x, str(options.input))
    draws = (Draw(("predicted",), rows) for rows in torch.arange(len(names)).split(_at_once(data)))
    chances = torch.cat([_chances(model, rows) for rows in data.stream(draws)])
    best = chances.max(-1)
    what = "file" if isinstance(reader, Images | Sounds) else "row"
    rows = [
        {what: name, "prediction": model.classes[c], "probability": round(p, 6)}
        for name, c, p in zip(names, best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    if options.json:
        print(json.dumps({"schema": 1, "model": str(options.model), "predictions": rows}))
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_cell(row[what]), _cell(row["prediction"]), row["probability"]] for row in rows)


def _cell(text: str) -> str:
    """A name that no terminal obeys and no spreadsheet computes: `'` stands before what would be a formula.

    >>> _cell("=1+1"), _cell("-1"), _cell("cup")
    ("'=1+1", '-1', 'cup')
    """
    text = harmless(text)
    return f"'{text}" if text.startswith(FORMULA) and not is_number(text) else text


def _at_once(data: Data) -> int:
    """How many rows go through the network at once: fewer, where they are large."""
    shapes = data.shape.values() if isinstance(data.shape, dict) else [data.shape]
    size = sum(torch.Size(shape).numel() for shape in shapes)
    return max(1, min(ROWS, VALUES // max(1, size)))  # rows of no columns have no size


@torch.no_grad()
def _chances(model: Model, x: Tensors) -> torch.Tensor:
    try:
        logits = model(x).logits
    except MISFIT as error:
        raise ValueError(f"MODEL_DIR: its network does not take what its model.json says it reads ({error})") from error
    if logits.ndim != 2 or logits.shape[1] != len(model.classes):
        raise ValueError(f"MODEL_DIR: its network answers with {tuple(logits.shape[1:])} numbers each, and no class")
    if not (chances := logits.softmax(-1)).isfinite().all():
        raise ValueError("MODEL_DIR: its network answers with NaN or infinity; its weights are not those of a model")
    return chances
