"""A model on disk: weights as safetensors, the rest as JSON; nothing in them can be executed."""

import copy
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tladapt import backbones
from tladapt.model import PRECISIONS, Model

SCHEMA = 1


def save_model(model: Model, folder: str | Path) -> None:
    """Write `model.safetensors` and `model.json` into `folder`; the architecture itself is code and is not saved."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    about = {"schema": SCHEMA, "recipe": model.recipe, "classes": model.classes, "inputs": model.inputs}
    about |= {"batchnorm": model.batchnorm, "precision": model.precision}
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(about, indent=1) + "\n")


def load_model(folder: str | Path, module: nn.Module | None = None) -> Model:
    """The model saved in `folder`; `module` is the network, or the `Model`, it was, if that was your own.

    Raises
    ------
    ValueError
        If a file is missing or damaged, `module` is needed, or the weights do not fit it.
    """
    folder = Path(folder)
    try:
        about, weights = _read(folder)
        model = _build(about, module)
        model.reserve(max([1, *(len(value) for name, value in weights.items() if name.endswith(".met"))]))
        model.load_state_dict(weights)
        model.inputs, model.precision = dict(about["inputs"]), _precision(about)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Model.load({str(folder)!r}): {reason}") from error
    return model.eval()


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    about = json.loads((folder / "model.json").read_text())
    if not isinstance(about, dict):
        raise ValueError("model.json holds no model")
    if (schema := about.get("schema")) != SCHEMA:
        raise ValueError(f"model.json has schema {schema}, expected {SCHEMA}")
    if missing := {"recipe", "classes", "inputs", "batchnorm"} - about.keys():
        raise ValueError(f"model.json lacks {min(missing)!r}")
    return about, load_file(folder / "model.safetensors")


def _precision(about: dict[str, Any]) -> str:
    """That of models saved before there was a choice is single precision."""
    if (found := about.get("precision", PRECISIONS[0])) not in PRECISIONS:
        raise ValueError(f"model.json has the precision {found!r}, expected one of {', '.join(map(repr, PRECISIONS))}")
    return found


def _build(about: dict[str, Any], module: nn.Module | None) -> Model:
    classes, batchnorm, recipe = tuple(map(str, about["classes"])), about["batchnorm"], about["recipe"]
    if isinstance(module, Model):
        return copy.deepcopy(module)
    if module is not None:
        return Model.of(module, classes, batchnorm=batchnorm, recipe=recipe)
    if recipe is None:
        raise ValueError("made from your own network; pass one of its kind as module=")
    return backbones.build(recipe, classes, batchnorm)
