"""Small networks that train in seconds on two cores."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from tladapt.layers.jitter import Jitter
from tladapt.model import Model


def mlp(
    inputs: int, hidden: Sequence[int] = (400, 400), normalise: bool = False, dropout: float = 0.0, *,
    classes: int | Sequence[str], batchnorm: str = "joint",
) -> Model:  # fmt: skip
    """A fully connected network with ReLU; x (n, ...) of `inputs` numbers each.

    With `normalise`, every hidden layer has BatchNorm before ReLU; without it, the policy `batchnorm` has no effect.
    `dropout` is the share of every hidden layer's outputs that are dropped at random in training; without it, the
    network learns a few hundred rows by heart.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"mlp(dropout={dropout!r}): expected a share from 0 to below 1")
    widths = [inputs, *hidden]
    layers = list[nn.Module]()
    for before, after in pairwise(widths):
        norm = [nn.BatchNorm1d(after)] if normalise else []
        drop = [nn.Dropout(dropout)] if dropout else []
        layers += [nn.Linear(before, after), *norm, nn.ReLU(), *drop]
    arguments: dict[str, object] = {"inputs": inputs, "hidden": list(hidden)}
    arguments |= {"normalise": True} if normalise else {}
    arguments |= {"dropout": dropout} if dropout else {}
    recipe = {"backbone": "mlp", "arguments": arguments}
    return _model(nn.Sequential(nn.Flatten(), *layers), widths[-1], classes, batchnorm, recipe)


def cnn(channels: int, size: int, width: int = 32, features: int = 128, *,
        classes: int | Sequence[str], batchnorm: str = "joint") -> Model:  # fmt: skip
    """Two 3 x 3 convolutions with BatchNorm and pooling, and a hidden layer; x (n, channels, size, size)."""
    layers = []
    for a, b in ((channels, width), (width, 2 * width)):
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]
    flat = 2 * width * (size // 4) ** 2
    encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, features), nn.BatchNorm1d(features), nn.ReLU())
    arguments = {"channels": channels, "size": size, "width": width, "features": features}
    return _model(encoder, features, classes, batchnorm, {"backbone": "cnn", "arguments": arguments})


def lenet(
    channels: int, size: int, jitter: bool = False, *, classes: int | Sequence[str], batchnorm: str = "joint"
) -> Model:
    """LeNet: two 5 x 5 convolutions with BatchNorm and a hidden layer of 500; x (n, channels, size, size).

    With `jitter`, training images are turned by up to 10 degrees, moved by up to 8 % and scaled by up to 15 %.
    """
    layers: list[nn.Module] = [Jitter(10.0, 0.08, 0.15)] if jitter else []
    for a, b in ((channels, 20), (20, 50)):
        layers += [nn.Conv2d(a, b, 5), nn.BatchNorm2d(b), nn.MaxPool2d(2), nn.ReLU()]
    flat = 50 * ((size - 12) // 4) ** 2
    encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 500), nn.ReLU())
    arguments = {"channels": channels, "size": size, "jitter": jitter}
    return _model(encoder, 500, classes, batchnorm, {"backbone": "lenet", "arguments": arguments})


def _model(encoder: nn.Module, features: int, classes: int | Sequence[str], batchnorm: str, recipe: dict) -> Model:
    head = nn.Linear(features, classes if isinstance(classes, int) else len(classes))
    return Model(encoder, head, classes=classes, batchnorm=batchnorm, recipe=recipe)
