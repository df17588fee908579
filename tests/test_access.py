"""What a method may read, and what it may keep: the labels and rows of the stage, and no more than was allowed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tladapt.methods
from tladapt import DANN, EWC, Classification, Domain, LwF, Method, Model, Replay, fit, training
from tladapt.data import Data
from tladapt.evaluation import Evaluator
from tladapt.method import REMEMBERED

METHODS = [getattr(tladapt.methods, name) for name in tladapt.methods.__all__]
SUMS = [lambda: DANN() + Replay(10) + EWC(), lambda: LwF() + EWC(), lambda: DANN() + LwF()]
BUILDS = [*METHODS, *SUMS]


class Locked(Data):
    """Rows and labels that raise when they are read, unless they are open; its length is no secret."""

    def __init__(self, x: Tensor, y: Tensor, where: str, closed: set[str]) -> None:
        self._x, self._y, self.where, self.closed = x, y, where, closed

    def __len__(self) -> int:
        return len(self._x)

    def _opened(self, what: Tensor) -> Tensor:
        if self.where in self.closed:
            raise AssertionError(f"{self.where} was read")
        return what

    @property
    def x(self) -> Tensor:
        return self._opened(self._x)

    @property
    def y(self) -> Tensor:
        return self._opened(self._y)

    def to(self, device: torch.device) -> Data:
        return Locked(self._x, self._y, self.where, self.closed)

    def take(self, labelled: Tensor, unlabelled: Tensor | None = None) -> Data:
        index = labelled if unlabelled is None else torch.cat([labelled, unlabelled])
        return Locked(self._x[index], self._y[labelled], self.where, self.closed)

    def without_labels(self) -> Data:
        return Locked(self._x, self._y[:0], self.where, self.closed)


def locked(name: str, closed: set[str]) -> Domain:
    random = torch.Generator().manual_seed(sum(map(ord, name)))
    x, y = torch.randn(36, 4, generator=random), torch.arange(36) % 2
    parts = (x[:20], y[:20]), (x[20:28], y[20:28]), (x[28:], y[28:])
    names = (name, f"test data of {name}", f"validation data of {name}")
    train, test, validation = (Locked(*part, where, closed) for part, where in zip(parts, names, strict=True))
    return Domain(name, train, test, validation, classes=2)


def network() -> Model:
    torch.manual_seed(0)
    return Model.of(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2)))


@pytest.fixture
def closed(monkeypatch) -> set[str]:
    """What may not be read now: in a stage, the domains outside it and all test data; while scoring, the rest."""
    shut = set[str]()
    learn, scores = training.learn, Evaluator.scores
    names = [part for name in "abc" for part in (name, f"test data of {name}", f"validation data of {name}")]

    def within(model, method, stage, **rest):
        stayed = {part for name in stage.name.split(" + ") for part in (name, f"validation data of {name}")}
        shut.update(set(names) - stayed)
        try:
            return learn(model, method, stage, **rest)
        finally:
            shut.clear()

    def scored(*rest):
        shut.update(name for name in names if not name.startswith("test"))
        try:
            return scores(*rest)
        finally:
            shut.clear()

    monkeypatch.setattr(training, "learn", within)
    monkeypatch.setattr(Evaluator, "scores", scored)
    return shut


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: getattr(build, "__name__", "sum"))
def test_a_method_reads_its_stage_and_nothing_else(build: Callable[[], Method], closed: set[str]):
    a, b, c = (locked(name, closed) for name in "abc")
    report = fit(network(), [a, (a, b.unlabelled()), c], build(), steps=3, batch_size=8)
    assert all(score is not None for score in report.scores[-1])


class Peeks(Method):
    """Reads what it should not: the rows of a domain that it saw in an earlier stage."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Data | None = None

    def consolidate(self, model, stage):
        self.kept = self.kept or stage.domains[0].train

    def loss(self, model, batch, output):
        if self.kept is not None:
            self.kept.rows(torch.tensor([0]))
        return super().loss(model, batch, output)


def test_a_method_that_reads_more_is_caught(closed: set[str]):
    with pytest.raises(AssertionError, match="a was read"):
        fit(network(), [locked("a", closed), locked("b", closed)], Peeks(), steps=2)


# What may be kept


@pytest.mark.parametrize("most", REMEMBERED)
@pytest.mark.parametrize("build", BUILDS, ids=lambda build: getattr(build, "__name__", "sum"))
def test_a_method_that_remembers_more_than_it_may_is_refused(build: Callable[[], Method], most: str, closed: set[str]):
    model, method = network(), build()
    stream = [locked("a", closed), (locked("c", closed), locked("b", closed).unlabelled())]
    if REMEMBERED.index(method.remembers) <= REMEMBERED.index(most):
        assert fit(model, stream, method, steps=1, may_remember=most).remembers == method.remembers
        return
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=f"remembers .*may_remember='{most}'"):
        fit(model, stream, method, steps=1, may_remember=most)
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))


def test_an_unknown_bound_is_refused():
    domain = Domain("a", (torch.randn(8, 4), torch.arange(8) % 2))
    with pytest.raises(ValueError, match="may_remember='pixels': expected one of 'nothing', 'statistics'"):
        fit(network(), [domain], may_remember="pixels", task=Classification())
