"""Scores on every domain, and the figures against hand-written numbers and against Avalanche's."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tladapt import Classification, Data, Domain, Evaluator, Model, Output
from tladapt.evaluation import backward_transfer, forgetting, forward_transfer, mean, spread
from tladapt.scenarios import by_class

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing it warns of its own dependencies
    from avalanche.evaluation.metrics.accuracy import Accuracy
    from avalanche.evaluation.metrics.forgetting_bwt import BWT, Forgetting
    from avalanche.evaluation.metrics.forward_transfer import ForwardTransfer

# Rows: before any training, after each of three stages. Columns: three domains, each first seen in its own stage.
SCORES = [[0.10, 0.20, 0.30], [0.90, 0.25, 0.20], [0.70, 0.80, 0.50], [0.60, 0.85, 0.95]]
FIRST = [0, 1, 2]


def test_backward_transfer_by_hand():
    assert backward_transfer(SCORES, FIRST) == pytest.approx(((0.60 - 0.90) + (0.85 - 0.80)) / 2)


def test_forgetting_by_hand():
    assert forgetting(SCORES, FIRST) == pytest.approx(((0.90 - 0.60) + (0.80 - 0.85)) / 2)


def test_forward_transfer_by_hand():
    assert forward_transfer(SCORES, FIRST) == pytest.approx(((0.25 - 0.20) + (0.50 - 0.30)) / 2)


def test_domains_of_one_stage_count_apart():
    scores = [[0.1, 0.1, 0.1], [0.9, 0.8, 0.3], [0.5, 0.6, 0.7]]
    assert backward_transfer(scores, [0, 0, 1]) == pytest.approx(((0.5 - 0.9) + (0.6 - 0.8)) / 2)
    assert forward_transfer(scores, [0, 0, 1]) == pytest.approx(0.2)


def test_the_columns_may_come_in_any_order():
    turned = [[row[j] for j in (2, 0, 1)] for row in SCORES]
    for figure in (forgetting, backward_transfer, forward_transfer):
        assert figure(turned, [2, 0, 1]) == figure(SCORES, FIRST)


def test_a_domain_that_never_comes_has_nothing_to_forget_and_transfers_to_the_end():
    assert backward_transfer(SCORES, [0, 1, 3]) == backward_transfer(SCORES, FIRST)
    assert forward_transfer(SCORES, [0, 1, 3]) == pytest.approx(((0.25 - 0.20) + (0.95 - 0.30)) / 2)


def test_one_stage_has_neither_forgetting_nor_transfer():
    one = SCORES[:2]
    assert (forgetting(one, [0]), backward_transfer(one, [0]), forward_transfer(one, [0])) == (None, None, None)


def test_the_figures_of_a_stream_that_is_not_over_are_those_of_the_rows_so_far():
    assert backward_transfer(SCORES[:3], [0, 1, 2]) == pytest.approx(0.70 - 0.90)
    assert forward_transfer(SCORES[:3], [0, 1, 2]) == pytest.approx(((0.25 - 0.20) + (0.50 - 0.30)) / 2)


def test_what_was_not_scored_does_not_count():
    scores = [[row[0], None, row[2]] for row in SCORES]
    assert backward_transfer(scores, FIRST) == pytest.approx(0.60 - 0.90)
    assert forward_transfer(scores, FIRST) == pytest.approx(0.50 - 0.30)
    assert forgetting([[None], [None], [None]], [0]) is None


def test_the_mean_is_over_what_there_is():
    assert mean([0.2, None, 0.4]) == pytest.approx(0.3)
    assert mean([None]) is None
    assert mean([]) is None


def test_the_spread_is_over_what_there_is():
    assert spread([0.2, None, 0.4]) == pytest.approx(0.02**0.5)
    assert spread([0.2, None]) is None
    assert spread([]) is None


def random_scores(seed: int) -> tuple[list[list[float]], int]:
    numbers = np.random.default_rng(seed)
    stages = int(numbers.integers(2, 7))
    return numbers.random((stages + 1, stages)).tolist(), stages


@pytest.mark.parametrize("seed", range(10))
def test_forgetting_and_backward_transfer_equal_avalanches(seed):
    scores, stages = random_scores(seed)
    lost, gained = Forgetting(), BWT()
    for column in range(stages):
        for metric in (lost, gained):
            metric.update(column, scores[column + 1][column], initial=True)
            for row in range(column + 2, stages + 1):
                metric.update(column, scores[row][column])
    first = list(range(stages))
    assert forgetting(scores, first) == pytest.approx(np.mean(list(lost.result().values())), abs=1e-12)
    assert backward_transfer(scores, first) == pytest.approx(np.mean(list(gained.result().values())), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_forward_transfer_equals_avalanches(seed):
    scores, stages = random_scores(seed)
    gained = ForwardTransfer()
    for column in range(1, stages):
        gained.update(column, scores[0][column], initial=True)
        gained.update(column, scores[column][column])
    expected = np.mean(list(gained.result().values()))
    assert forward_transfer(scores, list(range(stages))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_equals_avalanches(seed):
    random = torch.Generator().manual_seed(seed)
    logits, y = torch.randn(50, 4, generator=random), torch.randint(4, (50,), generator=random)
    metric, task = Accuracy(), Classification()
    for rows in torch.arange(50).split(20):
        metric.update(logits[rows], y[rows])
    assert task.score(task.marks(Output(logits, logits), y, None)) == pytest.approx(metric.result(), abs=1e-12)


# The evaluator: a model that answers with the first number of a row

X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [1.0]])


class OneHot(nn.Module):
    def forward(self, x):
        return nn.functional.one_hot(x[:, 0].long(), 4).float()


def echo() -> Model:
    model = Model(OneHot(), nn.Linear(4, 4, bias=False))
    nn.init.eye_(model.head.weight)  # type: ignore[arg-type]
    return model


def scored(name: str, y: list[int] | None) -> Domain:
    return Domain(name, (X, [0, 1, 2, 3, 1]), test=X if y is None else (X, y))


def test_every_domain_has_the_share_of_right_answers():
    domains = [scored("a", [0, 1, 2, 3, 1]), scored("b", [0, 1, 2, 0, 0]), scored("c", None)]
    assert Evaluator(domains, Classification(), "domain").scores(echo(), set()) == [1.0, 0.6, None]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 512])
def test_the_score_does_not_depend_on_the_batch_size(batch_size):
    evaluator = Evaluator([scored("a", [0, 1, 2, 0, 0])], Classification(), "domain", batch_size)
    assert evaluator.scores(echo(), set()) == [0.6]


def test_a_domain_without_test_data_is_not_scored():
    assert Evaluator([Domain("a", X)], Classification(), "domain").scores(echo(), set()) == [None]


def test_only_labelled_test_rows_are_scored():
    part = Domain("a", X, test=Data(X, torch.tensor([0, 0])), classes=4)
    assert Evaluator([part], Classification(), "domain").scores(echo(), set()) == [0.5]


def test_scores_are_over_the_live_classes():
    whole = Domain("digits", (X, [0, 1, 2, 3, 1]), test=(X.flip(0), [1, 3, 2, 1, 0]))
    parts = by_class(whole, 2)
    model = echo()
    nn.init.constant_(model.head.weight[3], 5.0)  # type: ignore[arg-type, index] # class 3 wins where it may
    assert Evaluator(parts, Classification(), "domain").scores(model, {0}) == [0.0, 0.5]
    assert Evaluator(parts, Classification(), "class").scores(model, {0}) == [1.0, 0.0]
    assert Evaluator(parts, Classification(), "class").scores(model, {0, 1}) == [0.0, 0.5]
    assert Evaluator(parts, Classification(), "task").scores(model, {0}) == [1.0, 0.5]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored(training):
    class Modes(OneHot):
        seen = None

        def forward(self, x):
            Modes.seen = self.training
            return super().forward(x)

    model = Model(Modes(), nn.Linear(4, 4)).train(training)
    Evaluator([scored("a", [0, 1, 2, 3, 1])], Classification(), "domain").scores(model, set())
    assert Modes.seen is False
    assert [module.training for module in model.modules()] == [training] * 3


def test_frozen_statistics_stay_frozen_after_an_evaluation():
    model = Model(nn.BatchNorm1d(1), nn.Linear(1, 4), batchnorm="frozen").train()
    Evaluator([scored("a", [0, 1, 2, 3, 1])], Classification(), "domain").scores(model, set())
    assert model.training
    assert not model.encoder.training


def test_scoring_needs_no_gradient_and_leaves_none():
    model = echo()
    Evaluator([scored("a", [0, 1, 2, 3, 1])], Classification(), "domain").scores(model, set())
    assert all(parameter.grad is None for parameter in model.parameters())
