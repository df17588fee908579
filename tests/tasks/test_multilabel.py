"""Several labels on one sample."""

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from tladapt import Domain, MultiLabel, Output

TASK = MultiLabel()


def output(logits: Tensor) -> Output:
    return Output(logits, logits)


def domain(name: str = "a", rows: int = 24, shift: float = 0.0) -> Domain:
    """Three classes, each where one of three numbers is positive; one label in ten is not known."""
    random = torch.Generator().manual_seed(sum(map(ord, name)))
    x = torch.randn(rows, 3, generator=random) + shift
    y = (x > shift).float().masked_fill(torch.rand(rows, 3, generator=random) < 0.1, -1.0)
    return Domain(name, (x, y), test=0.4, classes=["red", "wet", "old"])


def test_the_loss_is_the_binary_cross_entropy_of_the_known_labels(make_batch: Callable):
    logits, y = torch.randn(5, 3), torch.tensor([[0.0, 1.0, -1.0], [1.0, -1.0, -1.0], [0.0, 0.0, 1.0]])
    known = y >= 0
    expected = F.binary_cross_entropy_with_logits(logits[:3][known], y[known])
    torch.testing.assert_close(TASK.loss(output(logits), make_batch(y, 5)), expected)


def test_the_loss_of_no_label_is_zero_and_has_finite_gradients(make_batch: Callable):
    logits = torch.randn(4, 3, requires_grad=True)
    assert TASK.loss(output(logits), make_batch(torch.empty(0, 3), 4)).tolist() == 0.0
    unknown = TASK.loss(output(logits), make_batch(-torch.ones(2, 3), 4))
    (gradient,) = torch.autograd.grad(unknown, logits)
    assert unknown == 0
    assert gradient.abs().max() == 0


def test_a_row_counts_as_much_as_it_weighs(make_batch: Callable):
    logits, y = torch.randn(3, 2), torch.tensor([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    thrice = torch.tensor([0, 1, 2, 2, 2])
    weighed = TASK.loss(output(logits), make_batch(y, weights=(1.0, 1.0, 3.0)))
    torch.testing.assert_close(weighed, TASK.loss(output(logits[thrice]), make_batch(y[thrice])))


def test_classes_that_are_not_live_are_not_learned_and_never_predicted(make_batch: Callable):
    logits, y = torch.randn(4, 3, requires_grad=True), torch.ones(4, 3)
    live = torch.tensor([[True, True, False]])
    loss = TASK.loss(output(logits), make_batch(y, live=live))
    torch.testing.assert_close(loss, TASK.loss(output(logits[:, :2]), make_batch(y[:, :2])))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[:, 2].abs().max() == 0
    assert TASK.predict(output(logits.abs() + 1), live).tolist() == [[1, 1, 0]] * 4


def test_the_answer_is_what_is_more_likely_there_than_not():
    assert TASK.predict(output(torch.tensor([[0.1, -0.1], [-2.0, 5.0]])), None).tolist() == [[1, 0], [0, 1]]


def test_the_score_is_the_mean_average_precision_of_scikit_learn():
    random = torch.Generator().manual_seed(0)
    logits, y = torch.randn(40, 4, generator=random), torch.randint(-1, 2, (40, 4), generator=random).float()
    y[:, 3] = -y[:, 3].abs()  # a class without a positive is left out
    marks = torch.cat([TASK.marks(output(logits[rows]), y[rows], None) for rows in torch.arange(40).split(7)])
    expected = [average_precision_score(y[k, c], logits[k, c]) for c in range(3) for k in [y[:, c] >= 0]]
    assert TASK.score(marks) == pytest.approx(sum(expected) / 3)
    assert (TASK.metric, TASK.share, TASK.higher_is_better) == ("mean average precision", True, True)


def test_a_class_that_is_not_live_scores_as_chance_does():
    logits, y = torch.tensor([[3.0, 1.0], [2.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert TASK.score(TASK.marks(output(logits), y, None)) == 1.0
    assert TASK.score(TASK.marks(output(logits), y, torch.tensor([[True, False]]))) == 0.75  # 1, and a half


def test_answers_are_drawn_as_often_as_the_model_says(information: Callable):
    logits = torch.tensor([[0.0, 1.0, -2.0, -1e4]])
    drawn = TASK.sample(lambda _: output(logits.expand(20000, -1)), torch.Generator().manual_seed(0))
    assert (drawn.mean(0) - logits[0].sigmoid()).abs().max() < 4 * math.sqrt(0.25 / 20000)
    information(TASK, logits, lambda row: row.sigmoid() * (1 - row.sigmoid()))


def test_surprise_is_minus_the_log_likelihood_of_what_is_known():
    logits, y = torch.randn(5, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0], [-1.0, -1.0]])
    chances = torch.where(y == 1, logits.sigmoid(), 1 - logits.sigmoid())
    assert TASK.surprise(output(logits), y) == pytest.approx(-chances[y >= 0].log().sum().item(), rel=1e-5)


def test_the_divergence_is_that_of_each_class_there_or_not():
    new, old = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    p, q = (torch.stack([(x / 3).sigmoid(), 1 - (x / 3).sigmoid()], -1) for x in (old, new))
    assert TASK.divergence(new, old, 3.0) == pytest.approx(9 * float((p * (p / q).log()).sum((1, 2)).mean()))
    assert TASK.divergence(old, old, 3.0) == 0
    dead = torch.full((4, 1), -1e4, dtype=torch.float64)
    torch.testing.assert_close(
        TASK.divergence(torch.cat([new, dead], 1), torch.cat([old, dead], 1), 3.0), TASK.divergence(new, old, 3.0)
    )


def test_methods_act_on_it(life: Callable, make_model: Callable):
    life(make_model(classes=3, inputs=3), domain(), domain("b", shift=0.5), TASK)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.zeros(10, 2), r"'a' has labels \(10, 2\) of torch.float32; .* floats \(10, 3\), a column per class"),
        (torch.zeros(10, 3, dtype=torch.long), "of torch.int64"),
        (torch.full((10, 3), 0.5), "domain 'a' has the label 0.5; expected 1.0, 0.0, or -1.0"),
    ],
)  # fmt: skip
def test_other_labels_are_refused(y: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        TASK.check(Domain("a", (torch.randn(10, 2), y), test=0.0, classes=3), 3)


def test_test_data_without_a_positive_is_refused():
    x, y = torch.randn(10, 2), torch.ones(10, 3)
    with pytest.raises(ValueError, match="'a' has no positive in its test data"):
        TASK.check(Domain("a", (x, y), (x, 0 * y)), 3)
    TASK.check(Domain("a", (x, 0 * y), (x, y)), 3)
    TASK.check(Domain("a", x, (x, y)), 3)


def test_one_class_may_come_without_a_column(make_batch: Callable):
    one = Domain("a", (torch.randn(10, 2), torch.arange(10) % 2.0), test=0.0)
    TASK.check(one, 1)
    logits = torch.randn(10, 1)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], one.train.y)
    torch.testing.assert_close(TASK.loss(output(logits), make_batch(one.train.y)), expected)
