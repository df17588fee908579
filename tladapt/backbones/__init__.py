"""Networks by name; each builder returns a `Model` that knows how to be built again."""

from collections.abc import Sequence
from typing import Any

from tladapt.backbones.small import cnn, lenet, mlp
from tladapt.model import Model

__all__ = ["cnn", "lenet", "mlp"]


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
        return globals()[name](**recipe["arguments"], classes=classes, batchnorm=batchnorm)
    except (TypeError, KeyError) as error:
        raise ValueError(f"backbone {name!r}: its arguments do not fit ({error})") from error
