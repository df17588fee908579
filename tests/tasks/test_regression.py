"""Regression."""

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import root_mean_squared_error
from torch import Tensor

from tladapt import Domain, Method, Output, Regression, fit

TASK = Regression()


def output(logits: Tensor) -> Output:
    return Output(logits, logits)


def domain(name: str = "a", rows: int = 24, shift: float = 0.0) -> Domain:
    """Prices: twice one number, plus another, in thousands."""
    x = torch.randn(rows, 2, generator=torch.Generator().manual_seed(sum(map(ord, name)))) + shift
    return Domain(name, (x, 1000 * (2 * x[:, 0] + x[:, 1] + 10)), test=0.4)


@pytest.mark.parametrize("width", [1, 3])
def test_the_loss_is_the_squared_error_in_its_unit(width: int, make_batch: Callable):
    logits, y = torch.randn(5, width), torch.randn(3, width) * 10 + 20
    expected = (logits[:3] - (y - 20) / 10).square().mean()
    torch.testing.assert_close(Regression(10.0, 20.0).loss(output(logits), make_batch(y, 5)), expected)
    if width == 1:
        torch.testing.assert_close(Regression(10.0, 20.0).loss(output(logits), make_batch(y[:, 0], 5)), expected)


def test_the_loss_of_no_label_is_zero(make_batch: Callable):
    assert TASK.loss(output(torch.randn(4, 1)), make_batch(torch.empty(0), 4)).tolist() == 0.0


def test_minus_one_is_a_number_like_others(make_batch: Callable):
    logits = torch.zeros(1, 1, requires_grad=True)
    loss = TASK.loss(output(logits), make_batch(torch.tensor([-1.0])))
    assert loss == 1
    assert torch.autograd.grad(loss, logits)[0].tolist() == [[2.0]]


def test_a_row_counts_as_much_as_it_weighs(make_batch: Callable):
    logits, y, thrice = torch.randn(3, 2).double(), torch.randn(3, 2), torch.tensor([0, 1, 2, 2, 2])
    weighed = TASK.loss(output(logits), make_batch(y, weights=(1.0, 1.0, 3.0)))
    torch.testing.assert_close(weighed, TASK.loss(output(logits[thrice]), make_batch(y[thrice])))


def test_the_score_is_the_error_of_scikit_learn_in_the_unit_of_y():
    task, logits, y = Regression(5.0, 3.0), torch.randn(20, 1), torch.randn(20) * 5
    marks = torch.cat([task.marks(output(logits[rows]), y[rows], None) for rows in torch.arange(20).split(6)])
    answers = task.predict(output(logits), None)
    torch.testing.assert_close(answers, 3 + 5 * logits)
    assert task.score(marks) == pytest.approx(root_mean_squared_error(y, answers[:, 0]), rel=1e-6)
    assert (task.metric, task.share, task.higher_is_better) == ("RMSE", False, False)


def test_answers_are_drawn_with_the_deviation_of_its_unit(information: Callable):
    drawn = Regression(3.0, 7.0).sample(lambda _: output(torch.ones(20000, 1)), torch.Generator().manual_seed(0))
    assert float(drawn.mean()) == pytest.approx(10, abs=0.1)
    assert float(drawn.std()) == pytest.approx(3, abs=0.1)
    information(Regression(3.0, 7.0), torch.tensor([[0.5, -2.0]]), torch.ones_like)


def test_surprise_is_minus_the_log_density():
    logits, y = torch.randn(5, 2), torch.randn(5, 2) * 4
    normal = torch.distributions.Normal(1 + 4 * logits, 4.0)
    assert Regression(4.0, 1.0).surprise(output(logits), y) == pytest.approx(-normal.log_prob(y).sum().item(), rel=1e-5)


def test_the_mean_surprise_is_the_entropy():
    result, many = output(torch.zeros(20000, 1)), 20000
    y = Regression(2.0).sample(lambda _: result, torch.Generator().manual_seed(0))
    entropy = math.log(2.0) + math.log(2 * math.pi * math.e) / 2
    assert float(Regression(2.0).surprise(result, y)) / many == pytest.approx(entropy, abs=0.02)


def test_the_divergence_is_that_of_two_normal_distributions():
    new, old = torch.randn(4, 3), torch.randn(4, 3)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(old, 1.0), torch.distributions.Normal(new, 1.0)
    )
    for temperature in (1.0, 5.0):
        torch.testing.assert_close(TASK.divergence(new, old, temperature), expected.sum(1).mean())


def test_scale_and_centre_come_from_the_labels_of_a_domain():
    task = Regression.of(domain())
    y = domain().train.y
    assert (task.scale, task.centre) == pytest.approx((float(y.std(correction=0)), float(y.mean())))
    with pytest.raises(ValueError, match=r"Regression.of\('a'\): wants training labels that differ; give scale="):
        Regression.of(domain().unlabelled())


def test_prices_in_thousands_are_learned_at_the_usual_rate(make_model: Callable):
    old = domain(rows=80)
    report = fit(make_model(classes=1), [old], Method(), steps=200, lr=0.02, task=Regression.of(old))
    assert report.new is not None
    assert report.new < 800 < 1800 < (report.scores[0][0] or 0)  # the deviation of the labels is about 2200


def test_methods_act_on_it(life: Callable, make_model: Callable):
    life(make_model(classes=1), domain(), domain("b", shift=0.5), Regression(2000.0, 10000.0))


def test_labels_that_do_not_fit_the_model_are_refused():
    with pytest.raises(ValueError, match=r"domain 'a' has labels of shape \(15,\), the model 2 outputs; .*classes=1\)"):
        TASK.check(domain(), 2)
    TASK.check(domain(), 1)


@pytest.mark.parametrize("arguments", [{"scale": 0.0}, {"scale": -1.0}, {"scale": math.inf}, {"centre": math.nan}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match=r"Regression\((scale|centre)="):
        Regression(**arguments)
