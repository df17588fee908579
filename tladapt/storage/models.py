"""A model on disk: weights as safetensors, the rest as JSON; nothing in them can be executed."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tladapt import backbones
from tladapt.model import Model

SCHEMA = 1


def save_model(model: Model, folder: str | Path) -> None:
    """Write `model.safetensors` and `model.json` into `folder`; the architecture itself is code and is not saved."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    domains = max((len(layer.trained) for layer in model.norms), default=1)
    about = {"schema": SCHEMA, "recipe": model.recipe, "classes": model.classes, "inputs": model.inputs}
    about |= {"batchnorm": model.batchnorm, "domains": domains}
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(about, indent=1) + "\n")


def load_model(folder: str | Path, module: nn.Module | None = None) -> Model:
    """The model saved in `folder`; `module` is the network it was made from, if that was your own.

    Raises
    ------
    ValueError
        If a file is missing or damaged, `module` is needed, or the weights do not fit it.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / "model.json").read_text())
        weights = load_file(folder / "model.safetensors")
        classes, batchnorm, recipe = tuple(map(str, about["classes"])), about["batchnorm"], about["recipe"]
        domains, inputs = int(about["domains"]), dict(about["inputs"])
        if about["schema"] != SCHEMA:
            raise ValueError(f"schema {about['schema']}, expected {SCHEMA}")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"Model.load({str(folder)!r}): no model saved by Model.save ({error})") from error
    if module is not None:
        model = Model.of(module, classes, batchnorm=batchnorm, recipe=recipe)
    elif recipe is not None:
        model = backbones.build(recipe, classes, batchnorm)
    else:
        raise ValueError(f"Model.load({str(folder)!r}): made from your own network; pass one of its kind as module=")
    model.reserve(domains)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"Model.load({str(folder)!r}): the weights do not fit the network: {error}") from error
    model.inputs = inputs
    return model.eval()
