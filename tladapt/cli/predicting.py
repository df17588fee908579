"""`tladapt predict`."""

import argparse
import csv
import json
import sys

import torch

from tladapt.data import Draw, Tensors
from tladapt.model import Model
from tladapt.readers.arrays import as_data
from tladapt.readers.files import reader_from
from tladapt.readers.folders import Images
from tladapt.readers.sounds import Sounds


def predict(options: argparse.Namespace) -> None:
    """Print the most likely class of every image or row, and its probability."""
    model = Model.load(options.model)
    reader = reader_from(model.inputs)
    if not options.input.exists():
        raise ValueError(f"INPUT {options.input}: no such file or folder")
    x, _, names = reader.read(options.input)
    draws = (Draw(("predicted",), rows) for rows in torch.arange(len(names)).split(512))
    chances = torch.cat([_chances(model, rows) for rows in as_data(x, str(options.input)).stream(draws)])
    best = chances.max(-1)
    what = "file" if isinstance(reader, Images | Sounds) else "row"
    rows = [
        {what: name, "prediction": model.classes[c], "probability": round(p, 6)}
        for name, c, p in zip(names, best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    if options.json:
        print(json.dumps({"schema": 1, "model": str(options.model), "predictions": rows}))
        return
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


@torch.no_grad()
def _chances(model: Model, x: Tensors) -> torch.Tensor:
    try:
        return model(x).logits.softmax(-1)
    except RuntimeError as error:
        raise ValueError(f"MODEL_DIR: its network does not take what its model.json says it reads ({error})") from error
