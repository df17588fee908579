"""A network is learned at the rate that suits it, unless another is given."""

from typing import ClassVar

import pytest
import torch
from torch.optim import SGD

from tladapt import Domain, Method, fit
from tladapt.backbones import mlp, word2vec
from tladapt.scenarios import Scenario

WORDS = {"input_ids": torch.tensor([[1, 2], [2, 3], [3, 1], [1, 1]]), "attention_mask": torch.ones(4, 2)}
TEXTS = Domain("texts", (WORDS, torch.tensor([0, 1, 0, 1])), test=None)


class Rates(SGD):
    """Notes the rate of every step."""

    seen: ClassVar[list[float]] = []

    def step(self, closure=None):  # type: ignore[override]
        self.seen.append(self.param_groups[0]["lr"])
        super().step()


def rates(**options) -> list[float]:
    Rates.seen.clear()
    model = word2vec((3, 4), classes=2)
    fit(model, [TEXTS], steps=2, optimizer=Rates, schedule=lambda _: 1.0, **options)
    return list(Rates.seen)


def test_word_vectors_are_learned_ten_times_as_fast_as_other_networks():
    assert mlp(2, classes=2).lr == 1e-3
    assert rates() == [0.01, 0.01]


def test_a_rate_that_is_given_counts():
    assert rates(lr=0.5) == [0.5, 0.5]


def test_a_loaded_network_keeps_its_rate(tmp_path):
    model = word2vec((3, 4), classes=2)
    model.save(tmp_path)
    assert type(model).load(tmp_path).lr == 0.01


def test_a_scenario_takes_the_networks_rate_unless_it_has_its_own():
    made = Scenario(
        name="texts", about="", stream=[TEXTS], network=lambda batchnorm: word2vec((3, 4), classes=2), method=Method,
        optimizer=Rates, steps=1, schedule=lambda _: 1.0,
    )  # fmt: skip
    for lr, expected in ((None, 0.01), (0.3, 0.3)):
        Rates.seen.clear()
        made.but(lr=lr).run(progress=False)
        assert Rates.seen == [expected]


def test_dropout_is_in_the_recipe_and_drops_in_training_alone(tmp_path):
    model = mlp(3, (50,), dropout=0.5, classes=2)
    x = torch.ones(1, 3)
    assert not torch.equal(model.train()(x).features, model(x).features)
    assert torch.equal(model.eval()(x).features, model(x).features)
    model.save(tmp_path)
    assert type(model).load(tmp_path).recipe == model.recipe
    assert mlp(3, classes=2).recipe == {"backbone": "mlp", "arguments": {"inputs": 3, "hidden": [400, 400]}}
    with pytest.raises(ValueError, match=r"mlp\(dropout=1\): expected a share from 0 to below 1"):
        mlp(3, dropout=1, classes=2)
