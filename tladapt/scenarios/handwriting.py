"""Real handwritten digits that come with scikit-learn: no network, no data folder."""

import copy
from functools import cache, partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.backbones import cnn
from tladapt.domains import Domain
from tladapt.methods import MMD, Method, Replay
from tladapt.model import Model
from tladapt.scenarios.scenario import Scenario
from tladapt.scenarios.splits import by_class
from tladapt.streams import adaptation, domains_of
from tladapt.training import fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLANT = 0.5  # pixels per row: fixed before any method of this library was run on it
TEST = 0.3  # the share of each domain that only the evaluator sees
IMAGES = {"kind": "images", "size": 8, "channels": 1}


def digits() -> Scenario:
    """Upright digits with labels, then other people's digits, slanted, without: 2 x 899 images of 8 x 8 pixels.

    Source and target share no image: the source is the first half of scikit-learn's set (in its order, which is by
    writer), the target the second half, slanted by half a pixel per row.
    """
    (x, y), upright = labelled_digits(), upright_digits()
    slanted = Domain("slanted", (slant(x[899:], SLANT), y[899:]), TEST, classes=10)
    return Scenario(
        name="digits", about="upright handwritten digits, then slanted ones of other writers without labels",
        stream=adaptation(upright, slanted), ceiling=[upright, (upright, slanted)], method=MMD,
        network=partial(cnn, 1, 8, classes=10), inputs=IMAGES, steps=300,
    )  # fmt: skip


def split_digits(increment: str = "class") -> Scenario:
    """Five stages of two digits each, 1 797 images of 8 x 8 pixels; class- or task-incremental."""
    x, y = labelled_digits()
    return Scenario(
        name="split-digits", about="handwritten digits, two new ones in each of five stages",
        stream=by_class(Domain("digits", (x, y), TEST, classes=10), 5), increment=increment,
        method=partial(Replay, 200), network=partial(cnn, 1, 8, classes=10), inputs=IMAGES, steps=100,
    )  # fmt: skip


def few_digits(labels: int = 5) -> Scenario:
    """A network that comes trained on upright digits; then `labels` images per digit, slanted, of other writers.

    As in `digits`, but slanted by a pixel per row: what the network knows is of use, and is forgotten at once.
    """
    x, y = labelled_digits()
    all_slanted = Domain("slanted", (slant(x[899:], 2 * SLANT), y[899:]), TEST, classes=10)
    few = all_slanted.unlabelled(keep=labels).train
    slanted = Domain("slanted", few.take(torch.arange(len(few.y))), all_slanted.test, classes=10)
    return Scenario(
        name="few-digits", about="a network trained on upright digits, then a few labelled slanted ones",
        stream=[upright_digits(), slanted], learned=1, method=Method, network=_trained_on_upright, inputs=IMAGES,
        steps=60,
    )  # fmt: skip


def upright_digits() -> Domain:
    """The upright digits of the first writers."""
    x, y = labelled_digits()
    return Domain("upright", (x[:899], y[:899]), TEST, classes=10)


def _trained_on_upright(batchnorm: str = "joint") -> Model:
    return copy.deepcopy(_trained(torch.initial_seed(), batchnorm))


@cache
def _trained(seed: int, batchnorm: str) -> Model:
    """A network that starts as torch's random numbers, seeded by `seed`, have it, and learns the upright digits."""
    model = cnn(1, 8, classes=10, batchnorm=batchnorm)
    fit(model, [upright_digits()], steps=100, progress=False)
    return model


def slant(x: Tensor, shift: float) -> Tensor:
    """Images (n, channels, height, width) with each row moved by `shift` pixels more than the one above.

    Around the middle row, by linear interpolation; what leaves the image is lost, as on a form's box.
    """
    height, width = x.shape[2:]  # the grid counts both from -1 to 1
    turn = torch.tensor([[1.0, shift * height / width, 0.0], [0.0, 1.0, 0.0]]).expand(len(x), 2, 3)
    return F.grid_sample(x, F.affine_grid(turn, list(x.shape), align_corners=False), align_corners=False)


def picture(scenario: Scenario, count: int = 12, cmap: str = "gray_r") -> "Figure":
    """Training images of every domain of a scenario of images, a row each, evenly spread over the set.

    `cmap` is matplotlib's name for the colours of grey images; by default ink is black.
    """
    from matplotlib.figure import Figure

    domains = domains_of(scenario.stream)
    figure = Figure(figsize=(0.62 * count, 0.8 * len(domains)), layout="constrained")
    for row, domain in zip(figure.subplots(len(domains), count, squeeze=False), domains, strict=True):
        images = domain.train.rows(torch.linspace(0, len(domain.train) - 1, count).long())
        assert isinstance(images, Tensor)  # a dict is no image
        for axes, image in zip(row, images, strict=True):
            axes.imshow(image.permute(1, 2, 0).numpy(), cmap=cmap)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(domain.name, rotation=0, ha="right", va="center")
    return figure


def labelled_digits() -> tuple[Tensor, Tensor]:
    """All 1 797 images (n, 1, 8, 8), from 0 to 1, and their labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(y)
