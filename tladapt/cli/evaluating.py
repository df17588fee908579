"""`tladapt evaluate`."""

import argparse
import json

from tladapt.cli.saved import opened, read
from tladapt.predicting.scoring import scored

SCHEMA = 1


def evaluate(options: argparse.Namespace) -> None:
    """Print the score of a saved model on labelled files or rows."""
    model, task = opened(options)
    rows = read(options, model)
    if rows.labels is None:
        names = ", ".join(map(str, options.input))
        raise ValueError(f"INPUT {names}: no labels; give a folder per class, or name their column with --label")
    _, found = scored(model, rows, task, options.domain, options.batch_size)
    if options.json:
        about = {"schema": SCHEMA, "model": str(options.model), "data": list(map(str, options.input))}
        print(json.dumps(about | found.to_dict(), allow_nan=False))
        return
    print(found)
