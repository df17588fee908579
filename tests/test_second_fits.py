"""A model that is fitted more than once: statistics belong to a domain's name; a failed fit leaves a method as new."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tladapt import DANN, EWC, Domain, LwF, Method, Model, Replay, adaptation, fit, learning, train
from tladapt.checks import scalar

SHIFTS = {"a": 0.0, "b": 10.0, "c": -20.0}


def rows(name: str, count: int = 80) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(ord(name)))
    y = torch.arange(count) % 2
    return x + 3.0 * y[:, None] + SHIFTS[name], y


@functools.cache
def domain(name: str) -> Domain:
    return Domain(name, rows(name))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def per_domain() -> Model:
    return Model.of(network(), batchnorm="per-domain")


def accuracy(model: Model, name: str, number: int | None = None) -> float:
    x, y = rows(name)
    with torch.no_grad():
        numbers = None if number is None else torch.full((len(x),), number)
        return float((model(x, numbers).logits.argmax(1) == y).float().mean())


FITS = [*itertools.permutations("abc")]


@pytest.mark.parametrize("names", FITS, ids="".join)
def test_every_domain_keeps_its_statistics_whatever_fit_it_came_in(names: tuple[str, ...]):
    first, second, third = names
    model = per_domain()
    fit(model, [domain(first), domain(second)], steps=60, lr=0.01)
    layer = model.norms[0]
    kept = layer.running_mean.clone()
    fit(model, [domain(third)], steps=60, lr=0.01)
    assert model.domains == names
    assert torch.equal(layer.running_mean[:2], kept)
    assert accuracy(model, third) > 0.9  # the newest domain's
    assert accuracy(model, third) == accuracy(model, third, 2)


def test_a_domain_that_is_trained_again_is_the_newest_and_keeps_its_place():
    model = per_domain()
    fit(model, [domain("a"), domain("b")], steps=40, lr=0.01)
    layer = model.norms[0]
    other = layer.running_mean[1].clone()
    fit(model, [domain("a")], steps=40, lr=0.01)
    assert model.domains == ("a", "b")
    assert torch.equal(layer.running_mean[1], other)
    assert accuracy(model, "a") == accuracy(model, "a", 0) > 0.9


def test_another_order_of_domains_changes_no_statistics_of_the_others():
    model = per_domain()
    fit(model, [domain("a"), domain("b")], steps=40, lr=0.01)
    layer = model.norms[0]
    before = layer.running_mean.clone()
    report = fit(model, [domain("c"), (domain("c"), domain("a").unlabelled())], steps=3, lr=0.001)
    assert report.domains == ["c", "a"]
    assert model.domains == ("a", "b", "c")
    assert torch.equal(layer.running_mean[1], before[1])
    assert not torch.equal(layer.running_mean[0], before[0])


def test_saved_and_loaded_between_two_fits(tmp_path: Path):
    models = [per_domain(), per_domain()]
    for model in models:
        fit(model, [domain("b"), domain("a")], steps=20, lr=0.01)
    models[0].save(tmp_path)
    models[0] = Model.load(tmp_path, network())
    for model in models:
        fit(model, [domain("c"), domain("b")], steps=20, lr=0.01)
        assert model.domains == ("b", "a", "c")
    states = [model.state_dict() for model in models]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_model_that_was_trained_by_other_means_gets_new_places():
    model = per_domain()
    x, _ = rows("a")
    model.reserve(2)
    model.train()(x, torch.arange(len(x)) % 2)
    before = model.norms[0].running_mean.clone()
    fit(model, [domain("c")], steps=3)
    assert model.domains == ("", "", "c")
    assert torch.equal(model.norms[0].running_mean[:2], before)


def test_outside_a_fit_numbers_are_places_even_after_one_that_was_left_early():
    model = per_domain()
    fit(model, [domain("a"), domain("b")], steps=20, lr=0.01)
    before = [accuracy(model, "b", 1)]
    reports: Any = train(model, [domain("c"), domain("b")], steps=1, lr=1e-6)
    next(reports)
    reports.close()
    assert accuracy(model, "b", 1) == pytest.approx(before[0], abs=0.1)
    assert model._places is None


def test_a_second_fit_goes_on_where_it_was_left_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def begun() -> Model:
        model = per_domain()
        fit(model, [domain("a"), domain("b")], steps=5, lr=0.01)
        return model

    def second(model: Model, folder: Path) -> None:
        fit(model, [domain("c"), domain("a")], EWC(), steps=5, lr=0.01, checkpoint=folder, every=2)

    def stopped(name: str, loss: Any, like: Tensor) -> Tensor:
        calls.append(name)
        if len(calls) == 15:  # two terms a step: in the middle of the second stage
            raise KeyboardInterrupt
        return scalar(name, loss, like)

    whole, calls = begun(), list[str]()
    second(whole, tmp_path / "whole")
    with monkeypatch.context() as patch:
        started = begun()
        patch.setattr(learning, "scalar", stopped)
        with pytest.raises(KeyboardInterrupt):
            second(started, tmp_path / "cut")
    resumed = begun()
    second(resumed, tmp_path / "cut")
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


class Raises(Method):
    """Raises an error in one stage."""

    def __init__(self, stage: int) -> None:
        super().__init__()
        self.stage, self.now = stage, 0

    def prepare(self, model: Model, stage: Any) -> None:
        self.now = stage.index

    def adjust(self, model: Model, batch: Any) -> None:
        if self.now == self.stage:
            raise RuntimeError("mine")


@pytest.mark.parametrize("build", [DANN, EWC, LwF, lambda: Replay(10)])
def test_a_method_whose_first_stage_failed_is_as_new(build: Callable[[], Method]):
    stream = [(domain("a"), domain("b").unlabelled()), domain("b")]
    term = build()
    with pytest.raises(RuntimeError, match="mine"):
        fit(Model.of(network()), stream, term + Raises(0), steps=3)
    models = [Model.of(network()), Model.of(network())]
    reports = [fit(model, stream, method, steps=3) for model, method in zip(models, (term, build()), strict=True)]
    assert reports[0].scores == reports[1].scores
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_method_that_failed_later_has_a_memory():
    ewc = EWC()
    with pytest.raises(RuntimeError, match="mine"):
        fit(Model.of(network()), [domain("a"), domain("b")], ewc + Raises(1), steps=3)
    assert ewc.total is not None
    with pytest.raises(ValueError, match="has the memory of an earlier fit"):
        fit(Model.of(network()), [domain("a")], ewc, steps=1)


def test_a_generator_that_is_never_started_changes_nothing():
    model = Model.of(network())
    train(model, adaptation(domain("a"), domain("b")), precision="bfloat16")
    assert model.precision == "float32"
    assert model.domains == ()
