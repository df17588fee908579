"""For tests of methods that choose what trains: a deep network with BatchNorm and dropout, and fingerprints."""

import hashlib
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from tladapt import Domain, Model


@pytest.fixture(params=["joint", "per-domain", "frozen"])
def batchnorm(request: pytest.FixtureRequest) -> str:
    """Every policy."""
    return request.param


@pytest.fixture(params=[partial(AdamW, weight_decay=0.1), partial(SGD, momentum=0.9)], ids=["AdamW", "SGD"])
def optimizer(request: pytest.FixtureRequest) -> Callable[..., Optimizer]:
    """Those that move a weight without any gradient, too: by weight decay, by momentum."""
    return request.param


@pytest.fixture(scope="session")
def make_deep() -> Callable[..., Model]:
    """`make_deep(batchnorm, seed)`: an encoder of three layers, each with BatchNorm and dropout, for two domains."""

    def build(batchnorm: str = "joint", seed: int = 0) -> Model:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = [
                nn.Sequential(nn.Linear(width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2)) for width in (2, 8, 8)
            ]
            model = Model(nn.Sequential(*layers), nn.Linear(8, 2), batchnorm=batchnorm)
        model.reserve(2)
        return model

    return build


@pytest.fixture(scope="session")
def fingerprints() -> Callable[[nn.Module], dict[str, str]]:
    """`fingerprints(module)`: a hash of every weight and buffer."""

    def hashes(module: nn.Module) -> dict[str, str]:
        values = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        return {name: hashlib.sha256(value.detach().numpy().tobytes()).hexdigest() for name, value in values.items()}

    return hashes


@pytest.fixture(scope="session")
def two(make_domain: Callable[..., Domain]) -> list[Domain]:
    """Two labelled domains, far from where the statistics of a new BatchNorm layer are."""
    return [make_domain("a", shift=3.0), make_domain("b", rows=20, shift=4.0)]
