"""Handwritten digits of which no label is learned from."""

from torch import Tensor, nn

from tladapt.backbones import cnn
from tladapt.domains import Domain
from tladapt.layers.jitter import Jitter
from tladapt.methods import VICReg
from tladapt.model import Model
from tladapt.scenarios.handwriting import IMAGES, SLANT, TEST, labelled_digits, slant
from tladapt.scenarios.scenario import Scenario
from tladapt.seeding import seeded
from tladapt.tasks import Representation

LOOSE = (15.0, 0.1, 0.15)  # how far digits lie from where a form wants them: degrees, shift, scale


def unlabelled_digits(metric: str = "k-NN accuracy") -> Scenario:
    """Loosely written digits, then slanted ones of other writers, no label on either side; 2 x 899 images.

    As in `digits`, but every image lies turned, moved and scaled as it happened, so that pixels alone tell little; and
    `Representation(metric)` is the task.
    """
    x, y = labelled_digits()
    upright = Domain("upright", (_loose(x[:899], 0), y[:899]), TEST, classes=10)
    slanted = Domain("slanted", (_loose(slant(x[899:], SLANT), 1), y[899:]), TEST, classes=10)
    old, new = upright.unlabelled(), slanted.unlabelled()
    return Scenario(
        name="unlabelled-digits", about="handwritten digits, then slanted ones, no label on either side",
        stream=[old, (old, new)], method=VICReg, network=_network, inputs=IMAGES, steps=100,
        task=Representation(metric),
    )  # fmt: skip


def _loose(x: Tensor, seed: int) -> Tensor:
    """Every image turned, moved and scaled, once for all."""
    with seeded(seed):
        return Jitter(*LOOSE)(x)


def _network(batchnorm: str = "joint") -> Model:
    """A small network that turns, moves and scales what it is trained on."""
    plain = cnn(1, 8, width=16, features=64, classes=10, batchnorm=batchnorm)
    return Model(nn.Sequential(Jitter(*LOOSE), plain.encoder), plain.head, classes=10, batchnorm=batchnorm)
