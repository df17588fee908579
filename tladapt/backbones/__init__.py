"""Networks by name; each builder returns a `Model` that knows how to be built again."""

from collections.abc import Sequence
from typing import Any

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


def build(recipe: dict[str, Any], classes: int | Sequence[str], batchnorm: str) -> Model:
    """The network of a recipe, untrained.

    Raises
    ------
    ValueError
        If the recipe names no backbone, or arguments that it does not have.
    """
    name = recipe.get("backbone") if isinstance(recipe, dict) else recipe
    if name not in __all__:
        raise ValueError(f"backbone {name!r}: expected one of {', '.join(__all__)}")
    try:
        if isinstance(recipe["arguments"].get(WHOLE.get(name)), str):  # a saved model loads nothing from elsewhere
            raise TypeError(f"{WHOLE[name]} is a place to load from, not what was there")
        return globals()[name](**recipe["arguments"], classes=classes, batchnorm=batchnorm)
    except (TypeError, KeyError) as error:
        raise ValueError(f"backbone {name!r}: its arguments do not fit ({error})") from error
