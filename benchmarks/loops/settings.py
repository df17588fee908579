"""What all loops share: the networks, the data in memory, the sizes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tladapt.scenarios import mnist_usps, split_mnist
from tladapt.streams import domains_of

LR, BATCH, MEMORY, FISHER = 1e-3, 128, 1000, 1024
ADAPT_LR, ADAPT_BATCH, ADAPT_STEPS = 0.01, 64, 100
EWC_WEIGHT, DANN_WEIGHT, HIDDEN, TEMPERATURE = 0.1, 0.1, 256, 2.0
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Sequence:
    """Split-MNIST: five tasks of two digits, and the test digits of all."""

    tasks: list[Pair]
    test: Pair


@dataclass(frozen=True)
class TwoDomains:
    """MNIST with labels, USPS without, and the test digits of USPS."""

    source: Pair
    target: Tensor
    test: Pair


def sequence(device: str = "cpu") -> Sequence:
    """Images as numbers from 0 to 1, (n, 784)."""
    domains = domains_of(split_mnist().stream)
    tasks = [(_flat(domain.train.x).to(device), domain.train.y.to(device)) for domain in domains]
    tests = [domain.test for domain in domains if domain.test is not None]
    x, y = torch.cat([_flat(test.x) for test in tests]), torch.cat([test.y for test in tests])
    return Sequence(tasks, (x.to(device), y.to(device)))


def two_domains(device: str = "cpu") -> TwoDomains:
    """Images as numbers from 0 to 1, (n, 1, 28, 28)."""
    source, target = domains_of(mnist_usps().stream)
    assert target.test is not None
    x, new, test = ((part.x.float() / 255).to(device) for part in (source.train, target.train, target.test))
    return TwoDomains((x, source.train.y.to(device)), new, (test, target.test.y.to(device)))


def mlp() -> tuple[nn.Module, nn.Linear]:
    """Encoder and head of the network 784-400-400-10."""
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU())
    return encoder, nn.Linear(400, 10)


def lenet() -> tuple[nn.Module, nn.Linear]:
    """Encoder and head of LeNet, as in `tladapt.backbones.lenet` without jitter or BatchNorm."""
    layers = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(800, 500), nn.ReLU()), nn.Linear(500, 10)


@torch.no_grad()
def accuracy(network: nn.Module, test: Pair) -> float:
    """The share of right answers."""
    x, y = test
    return float(torch.cat([network(part).argmax(1) for part in x.split(1000)]).eq(y).double().mean())


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1).float() / 255
