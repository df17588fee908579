"""Networks by name; each builder returns a `Model` that knows how to be built again."""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tladapt.backbones.checkpoints import ELSEWHERE
from tladapt.backbones.deepspeech2 import deepspeech2
from tladapt.backbones.language import language
from tladapt.backbones.small import cnn, lenet, mlp
from tladapt.backbones.speech import speech
from tladapt.backbones.table import table
from tladapt.backbones.text import text
from tladapt.backbones.translation import translation
from tladapt.backbones.unet import unet
from tladapt.backbones.vision import vision
from tladapt.backbones.word2vec import word2vec
from tladapt.model import Model

__all__ = [
    "cnn", "deepspeech2", "language", "lenet", "mlp", "speech", "table", "text", "translation", "unet", "vision",
    "word2vec",
]  # fmt: skip
WHOLE = {  # the argument that may name a place to load from
    "deepspeech2": "weights", "text": "name", "language": "name", "speech": "name", "translation": "name",
    "unet": "weights", "vision": "weights", "word2vec": "vectors",
}  # fmt: skip
COUNT = 2**20  # whole numbers in a recipe are sizes and ids: up to this one, or the widest of the weights
LISTED, FEW = re.compile("layer|label|depth"), 2**12  # of these, libraries make lists before they make any tensor
ATTENTION = (None, "eager", "sdpa")  # any other may be code on the hub
FETCHED = {*ELSEWHERE, "auto_map", "kernel_config", "quantization_config", "trust_remote_code", "use_kernels",
           "use_pretrained_backbone"}  # fmt: skip
PLACES = ("hf_hub:", "hf-hub:", "local-dir:", "http:", "https:", "kernels-community/")  # of timm and transformers


def build(recipe: Any, classes: int | Sequence[str], batchnorm: str, widest: int = 0) -> Model:
    """The network of a recipe, untrained; nothing is loaded or run that the recipe names.

    Parameters
    ----------
    recipe : dict
        {"backbone": a name, "arguments": those of the builder}, of values that JSON has, whoever wrote it.
    classes, batchnorm
        See `Model`.
    widest : int
        The largest side of the weights that are to be loaded.

    Raises
    ------
    ValueError
        If the recipe names no backbone, or arguments that it does not have or cannot take.
    """
    name = recipe.get("backbone") if isinstance(recipe, dict) else recipe
    if not isinstance(name, str) or name not in __all__:
        raise ValueError(f"backbone {repr(name)[:40]}: expected one of {', '.join(__all__)}")
    try:
        arguments = recipe["arguments"]
        if isinstance(arguments.get(WHOLE.get(name)), str):
            raise TypeError(f"{WHOLE[name]} is a place to load from, not what was there")
        _require_own(arguments, widest)
        with _quiet():
            return globals()[name](**arguments, classes=classes, batchnorm=batchnorm)
    except Exception as error:  # of any kind: libraries do not look at what sizes and options they are given
        reason = error if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"backbone {name!r}: its arguments do not fit ({reason})") from error


def _require_own(value: Any, widest: int, key: str = "") -> None:
    """Refuse what loads or runs something from elsewhere, and numbers that Python alone would count for long."""
    elsewhere = (key in FETCHED and value) or (key.endswith("attn_implementation") and value not in ATTENTION)
    if elsewhere or (isinstance(value, str) and value.lower().startswith(PLACES)):
        raise ValueError(f"{key[:40]!r} is a place to load from, or code; a saved model has all that it needs")
    if isinstance(value, int) and abs(value) > max(FEW if LISTED.search(key) else COUNT, widest):
        raise ValueError(f"{key[:40]!r} is larger than the weights")
    if isinstance(value, dict):
        for inner, part in value.items():
            _require_own(part, widest, inner)
    elif isinstance(value, list):
        for part in value:
            _require_own(part, widest, key)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, libraries keep to themselves what they find strange in a configuration: it was said when it was made."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
