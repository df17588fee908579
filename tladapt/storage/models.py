"""A model on disk: weights as safetensors, the rest as JSON; nothing in them can be executed."""

import hashlib
import json
import re
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import FailFast
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tladapt import backbones
from tladapt.layers.copying import copy_of
from tladapt.layers.wrappers import renamed
from tladapt.model import Model
from tladapt.storage.budget import Budget
from tladapt.storage.documents import STRICT, checked, one_line, read_document
from tladapt.storage.files import made, replacing, write_text
from tladapt.storage.tasks import task_from, task_spec

SCHEMA = 1
WEIGHTS = "model.safetensors"
SIZE, PARTS = 2**26, 4_000_000  # bytes and values of the largest model.json: that of a large tokenizer


class OwnNetworkError(ValueError):
    """The network is code of the user's, so a folder cannot give it back."""


@dataclass(config=STRICT)
class _About:
    """What model.json says."""

    recipe: dict[str, Any] | None
    classes: Annotated[list[str], FailFast()]
    inputs: dict[str, Any]
    batchnorm: Literal["joint", "per-domain", "frozen"]
    precision: Literal["float32", "bfloat16"] = "float32"  # that of models saved before there was a choice
    task: dict[str, Any] | None = None  # what it was trained on
    domains: Annotated[list[str], FailFast()] = field(default_factory=list)  # by number
    sha256: str | None = None  # of the weights; models saved before it was kept have none


def save_model(model: Model, folder: str | Path) -> None:
    """Write `model.safetensors` and `model.json` into `folder`; the architecture itself is code and is not saved.

    Each is replaced as a whole or not at all, and the one names the digest of the other.

    Raises
    ------
    ValueError
        If they cannot be written.
    """
    folder = made(Path(folder))
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as temporary:
        try:
            save_file(weights, temporary)
        except SafetensorError as error:  # which tells in words what the system said
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error)) from error
        digest = _digest(temporary)
    about = {"schema": SCHEMA, "recipe": model.recipe, "classes": model.classes, "inputs": model.inputs}
    about |= {"task": task_spec(model.task), "domains": model.domains}
    about |= {"batchnorm": model.batchnorm, "precision": model.precision, "sha256": digest}
    write_text(folder / "model.json", json.dumps(about, indent=1) + "\n")


def load_model(folder: str | Path, module: nn.Module | None = None) -> Model:
    """The model saved in `folder`; `module` is the network, or the `Model`, it was, if that was your own.

    Nothing of the folder is executed, nothing is loaded from elsewhere, and a network that is built from it takes no
    more memory and time than its weights justify, whoever wrote it.

    Raises
    ------
    ValueError
        If a file is missing or damaged, `module` is needed, or the weights do not fit it.
    """
    folder = Path(folder)
    try:
        about, weights = _read(folder)
        model = _build(about, weights, module)
        weights = renamed(weights, model.state_dict())
        _require_fit(model, weights)
        model.load_state_dict(weights)
        model.inputs, model.precision = dict(about.inputs), about.precision
        model.task, model.domains = task_from(about.task), tuple(about.domains)
    except OwnNetworkError as error:
        raise OwnNetworkError(f"Model.load({str(folder)!r}): {error}") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"Model.load({str(folder)!r}): {one_line(error)}") from error
    return model.eval()


def _require_fit(model: Model, weights: dict[str, Tensor]) -> None:
    """Raise an error that names the first weight that the network lacks, or has in another shape."""
    own = model.state_dict()
    advice = "pass the network that was saved, of the same layers and sizes"
    for name in own:
        if name not in weights:
            raise ValueError(f"the network has {name!r}, which is not among the saved weights; {advice}")
    for name, value in weights.items():
        if name not in own:
            raise ValueError(f"the saved weights have {name!r}, which the network does not have; {advice}")
        if own[name].shape != value.shape:
            saved, needed = tuple(value.shape), tuple(own[name].shape)
            raise ValueError(
                f"{name!r} has the shape {saved} in the saved weights and {needed} in the network; {advice}"
            )


def _read(folder: Path) -> tuple[_About, dict[str, Tensor]]:
    found = read_document(folder / "model.json", SIZE, PARTS, finite=False)  # some configurations hold infinity
    if (schema := found.get("schema")) != SCHEMA:
        raise ValueError(f"model.json has schema {repr(schema)[:40]}, expected {SCHEMA}")
    try:
        about = checked(_About, {name: found[name] for name in _About.__dataclass_fields__ if name in found})
        json.dumps(about.inputs, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"model.json: {error}") from error
    path = folder / WEIGHTS
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no file")
    if about.sha256 is not None and _digest(path) != about.sha256:
        raise ValueError(f"{path.name} is damaged, or not the one that model.json was saved with")
    weights = load_file(path)
    if strange := [name for name, value in weights.items() if value.is_complex()]:
        raise ValueError(f"{path.name}: {strange[0]!r} holds complex numbers")
    return about, weights


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _build(about: _About, weights: dict[str, Tensor], module: nn.Module | None) -> Model:
    model = _of_your_own(about, module)
    with Budget(weights):
        if model is None:
            widest = max([0, *(side for value in weights.values() if value.numel() for side in value.shape)])
            model = backbones.build(about.recipe, about.classes, about.batchnorm, widest)
        model.reserve(max([1, *(len(value) for name, value in weights.items() if name.endswith(".met"))]))
    return model


def _of_your_own(about: _About, module: nn.Module | None) -> Model | None:
    if isinstance(module, Model):
        return copy_of(module)
    if module is not None:
        return Model.of(module, about.classes, batchnorm=about.batchnorm, recipe=about.recipe)
    if about.recipe is None:
        raise OwnNetworkError("saved from a network of your own code; build that network and pass it as module=")
    return None
