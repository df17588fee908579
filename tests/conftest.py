"""Options and small things that many tests share: blobs in the plane, a network eight wide, a stage of them."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tladapt import Classification, Domain, Method, Model, Report, Stage, adaptation, fit

torch.set_num_threads(1)  # the networks are tiny, and the order of a sum over threads would not be


# A shell without job control starts its background jobs with Ctrl-C ignored, and child processes would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def without_address(value: object) -> str:
    """Return the id of a parameter; with an address in it, the processes of pytest-xdist would collect other tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))


@pytest.fixture(scope="session")
def tladapt_data() -> Path:
    """The folder of data sets that are too large to come with the code."""
    folder = os.environ.get("TLADAPT_DATA")
    if not folder:
        pytest.skip("needs data: set TLADAPT_DATA to its folder")
    if not Path(folder).is_dir():
        pytest.skip(f"needs data: TLADAPT_DATA={folder} is no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def make_domain() -> Callable[..., Domain]:
    """`make_domain(name, rows, shift, classes)`: a blob in the plane per class; half as many rows to test on.

    Twelve more rows are for validation.
    """

    def build(
        name: str = "a", rows: int = 24, shift: float = 0.0, classes: tuple[int, ...] = (0, 1), of: int = 0
    ) -> Domain:
        random = torch.Generator().manual_seed(sum(map(ord, name)))

        def blobs(count: int) -> tuple[Tensor, Tensor]:
            y = torch.tensor(classes)[torch.arange(count) % len(classes)]
            angle = y * 2.4  # blobs on a circle, far apart whatever their number
            x = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.5 * torch.randn(len(y), 2, generator=random)
            return x + shift, y

        x, y = blobs(rows + rows // 2)
        return Domain(name, (x[:rows], y[:rows]), (x[rows:], y[rows:]), blobs(12), classes=of or max(classes) + 1)

    return build


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Model]:
    """`make_model(seed, classes, norm)`: a network eight wide, with a BatchNorm layer if `norm`."""

    def build(
        seed: int = 0, classes: int = 2, norm: bool = False, batchnorm: str = "joint", inputs: int = 2, width: int = 8
    ) -> Model:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first, last = nn.Linear(inputs, width), nn.Linear(width, classes)
        layers = [first, *[nn.BatchNorm1d(width)] * norm, nn.ReLU(), last]
        return Model.of(nn.Sequential(*layers), batchnorm=batchnorm)

    return build


@pytest.fixture(scope="session")
def make_stage() -> Callable[..., Stage]:
    """`make_stage(*domains, ids, index, live, seed, batch_size)`: a stage, its domains numbered from 0 by default."""

    def build(
        *domains: Domain, ids: tuple[int, ...] = (), index: int = 0, live: Tensor | None = None, seed: int = 0,
        batch_size: int = 8,
    ) -> Stage:  # fmt: skip
        ids = ids or tuple(range(len(domains)))
        return Stage(domains, ids, index, live, Classification(), seed=seed, batch_size=batch_size)

    return build


@pytest.fixture(scope="session")
def stages(make_domain: Callable[..., Domain], make_stage: Callable[..., Stage]) -> list[Stage]:
    """A source, then the source beside a target without labels."""
    a, b = make_domain("a"), make_domain("b", rows=20, shift=0.5).unlabelled()
    return [make_stage(a), make_stage(a, b, index=1)]


def mean(runs: Iterable[Report]) -> Report:
    return Report.mean(list(runs))


@pytest.fixture(scope="session")
def contradicted(make_model: Callable[..., Model]) -> Callable[[Callable[[], Method]], Report]:
    """`contradicted(method)`: the mean of 3 runs over left, then right of a plane; up and down change their meaning."""

    def domain(name: str, at: float, sign: int, seed: int) -> Domain:
        random = torch.Generator().manual_seed(seed)
        y = torch.arange(120) % 2
        x = 0.5 * torch.randn(120, 2, generator=random)
        x[:, 0] += at
        x[:, 1] += sign * (2 * y - 1)
        return Domain(name, (x[:60], y[:60]), (x[60:], y[60:]))

    def run(method: Callable[[], Method], seed: int) -> Report:
        stream = [domain("left", -2.0, 1, seed), domain("right", 2.0, -1, seed + 10)]
        return fit(make_model(seed, width=16), stream, method(), steps=150, lr=0.02, batch_size=16, seed=seed)

    return lambda method: mean(run(method, seed) for seed in range(3))


@pytest.fixture(scope="session")
def misleading() -> Callable[[int, str], tuple[Domain, Domain]]:
    """`misleading(seed, how)`: x0 tells the class everywhere, x1 only in the source; there shifted or noise."""

    def domain(name: str, how: str, seed: int) -> Domain:
        random = torch.Generator().manual_seed(seed)
        y = torch.arange(200) % 2
        x = 0.4 * torch.randn(200, 2, generator=random) + (2 * y[:, None] - 1)
        if how == "shift":
            x[:, 1] += 3
        if how == "noise":
            x[:, 1] = 4 * torch.randn(200, generator=random)
        return Domain(name, (x[:100], y[:100]), (x[100:], y[100:]))

    return lambda seed, how: (domain("source", "", seed), domain("target", how, seed + 10))


@pytest.fixture(scope="session")
def misled(make_model: Callable[..., Model], misleading: Callable) -> Callable[[Callable[[], Method], str], Report]:
    """`misled(method, how)`: the mean of 3 runs of an adaptation to such a target."""

    def run(method: Callable[[], Method], how: str, seed: int) -> Report:
        stream = adaptation(*misleading(seed, how))
        return fit(make_model(seed, width=16), stream, method(), steps=200, lr=0.02, batch_size=50, seed=seed)

    return lambda method, how: mean(run(method, how, seed) for seed in range(3))
