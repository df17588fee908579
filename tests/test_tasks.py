"""Classification of samples and of pixels: loss, answers, score, and answers drawn from the model."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt import Batch, Classification, Domain, Output
from tladapt.stage import Part
from tladapt.task import masked

TASK = Classification()


def batch(y: Tensor, n: int, live: Tensor | None = None, domain: Tensor | None = None) -> Batch:
    domain = torch.zeros(n, dtype=torch.long) if domain is None else domain
    return Batch(torch.zeros(n, 1), y, domain, torch.arange(n), live=live)


def output(logits: Tensor) -> Output:
    return Output(logits, logits)


def score(answers: list, y: list) -> float:
    """That of a model that is sure of these answers."""
    logits = F.one_hot(torch.tensor(answers), 3).float()
    return TASK.score(TASK.marks(output(logits), torch.tensor(y), None))


def test_dead_classes_get_a_large_negative_logit_and_live_ones_keep_theirs():
    logits, live = torch.randn(3, 4), torch.tensor([[True, False, True, False]])
    result = masked(logits, live)
    assert torch.equal(result[:, [0, 2]], logits[:, [0, 2]])
    assert (result[:, [1, 3]] == -1e4).all()
    assert masked(logits, None) is logits


def test_each_sample_has_its_own_live_classes():
    live = torch.tensor([[True, False], [False, True]])
    assert (masked(torch.zeros(2, 2), live) == -1e4).tolist() == [[False, True], [True, False]]


def test_losses_and_gradients_stay_finite_where_classes_are_dead():
    logits = torch.randn(4, 3, requires_grad=True)
    dead = torch.tensor([[True, False, False]])
    loss = TASK.loss(output(logits), batch(torch.tensor([0, 1, 2, 0]), 4, dead))  # labels of dead classes too
    loss.backward()
    assert logits.grad is not None
    assert math.isfinite(loss.item())
    assert logits.grad.isfinite().all()
    old, new = masked(logits, dead).softmax(-1), masked(2 * logits, dead).log_softmax(-1)
    assert F.kl_div(new, old, reduction="batchmean").isfinite()


def test_the_loss_is_the_cross_entropy_of_the_labelled_rows():
    logits, y = torch.randn(6, 3), torch.tensor([2, 0, 1, 1])
    loss = TASK.loss(output(logits), batch(y, 6))
    assert torch.equal(loss, F.cross_entropy(logits[:4], y))


def test_the_loss_of_no_labelled_rows_is_zero():
    loss = TASK.loss(output(torch.randn(6, 3)), batch(torch.empty(0, dtype=torch.long), 6))
    assert (loss.item(), loss.shape) == (0.0, ())


def test_the_loss_is_over_the_classes_that_live_in_each_rows_domain():
    logits, y = torch.randn(2, 4), torch.tensor([1, 2])
    live = torch.tensor([[True, True, False, False], [False, False, True, True]])
    loss = TASK.loss(output(logits), batch(y, 2, live, torch.tensor([0, 1])))
    apart = F.cross_entropy(logits[:1, :2], y[:1]) + F.cross_entropy(logits[1:, 2:], y[1:] - 2)
    assert loss == pytest.approx(apart.item() / 2)


def test_pixels_are_classified_like_samples():
    logits, y = torch.randn(3, 4, 5, 6), torch.randint(6, (2, 4, 5))
    loss = TASK.loss(output(logits), batch(y, 3))
    assert loss == pytest.approx(F.cross_entropy(logits[:2].movedim(-1, 1), y).item())


def test_dead_classes_are_dead_in_every_pixel():
    logits, y = torch.randn(2, 4, 5, 3), torch.zeros(2, 4, 5, dtype=torch.long)
    live = torch.tensor([[True, True, False], [True, False, False]])
    loss = TASK.loss(output(logits), batch(y, 2, live, torch.tensor([1, 0])))
    assert loss == pytest.approx(F.cross_entropy(logits[1, ..., :2].flatten(0, 1), y[1].flatten()).item() / 2)
    assert TASK.predict(output(logits), live[:1]).max() == 1
    assert TASK.predict(output(logits), live[1:]).shape == (2, 4, 5)


def test_the_answer_is_the_most_likely_live_class():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 0.0]])
    said = output(logits)
    assert TASK.predict(said, None).tolist() == [1, 0]
    assert TASK.predict(said, torch.tensor([[False, False, True]])).tolist() == [2, 2]
    assert TASK.predict(said, torch.tensor([[True, False, True], [False, True, True]])).tolist() == [2, 1]


def test_the_score_is_the_share_of_right_answers():
    assert score([0, 1, 2], [0, 1, 1]) == pytest.approx(2 / 3)
    assert score([[0, 1], [1, 1]], [[0, 1], [0, 0]]) == 0.5
    assert (TASK.metric, TASK.higher_is_better, TASK.share) == ("accuracy", True, True)


def test_where_there_is_nothing_to_answer_nothing_is_scored_learned_or_drawn():
    logits, y = torch.randn(2, 4, 3, requires_grad=True), torch.tensor([[0, 1, -1, -1], [2, 1, 0, -1]])
    held, kept = y >= 0, logits.detach()[y >= 0]
    for weights in ((1.0, 1.0), (1.0, 3.0)):
        parts = tuple(Part(1, True, None, weight) for weight in weights)
        loss = TASK.loss(output(logits), replace(batch(y, 2), parts=parts))
        each = torch.tensor(weights)[:, None].expand(2, 4)[held]
        expected = torch.dot(each, F.cross_entropy(kept, y[held], reduction="none")) / each.sum()
        assert loss.item() == pytest.approx(expected.item())
    assert score([[0, 0, 2, 2], [2, 0, 0, 1]], y.tolist()) == 3 / 5
    said = Output(logits, logits, held)
    drawn = TASK.sample(lambda _: said, torch.Generator().manual_seed(0))
    assert ((drawn >= 0) == held).all()
    assert TASK.surprise(said, y).item() == pytest.approx(F.cross_entropy(kept, y[held], reduction="sum").item())


@pytest.mark.parametrize("balanced", [False, True])
def test_a_batch_with_nothing_to_answer_has_no_loss(balanced):
    logits = torch.randn(2, 4, 3, requires_grad=True)
    loss = Classification(balanced).loss(output(logits), batch(torch.full((2, 4), -1), 2))
    loss.backward()
    assert logits.grad is not None
    assert (loss.item(), float(logits.grad.abs().sum())) == (0.0, 0.0)


def test_sampled_answers_come_as_often_as_the_model_says():
    logits, n = torch.tensor([0.0, 1.0, 2.0, -1e4]), 20000
    drawn = TASK.sample(lambda _: output(logits.expand(n, -1)), torch.Generator().manual_seed(0))
    shares, expected = drawn.bincount(minlength=4) / n, logits.softmax(0)
    assert (shares - expected).abs().max() < 4 * math.sqrt(0.25 / n)
    assert shares[3] == 0


def test_sampled_answers_are_one_per_pixel_and_repeat_with_their_generator():
    logits = torch.randn(2, 4, 5, 3)
    first, again = (TASK.sample(lambda _: output(logits), torch.Generator().manual_seed(7)) for _ in range(2))
    assert first.shape == (2, 4, 5)
    assert torch.equal(first, again)


def test_sampled_pixels_follow_their_own_logits():
    y = torch.randint(3, (2, 4, 5))
    assert torch.equal(TASK.sample(lambda _: output(100 * F.one_hot(y, 3).float()), torch.Generator()), y)


def test_surprise_is_minus_the_log_likelihood_summed():
    logits, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    expected = -logits.log_softmax(-1)[torch.arange(5), y].sum()
    assert TASK.surprise(output(logits), y) == pytest.approx(expected.item(), rel=1e-5)


def test_fractions_are_no_classes():
    measured = Domain("web", (torch.randn(10, 2), torch.rand(10)))
    with pytest.raises(ValueError, match="domain 'web' has float labels that are not whole numbers"):
        TASK.check(measured, classes=3)


def test_a_domain_with_more_classes_than_the_model_is_refused():
    with pytest.raises(ValueError, match=r"domain 'web' has 5 classes, the model 3; .*classes=5"):
        TASK.check(Domain("web", (torch.randn(10, 2), torch.arange(10) % 5)), classes=3)


def test_a_domain_with_fewer_classes_than_the_model_is_welcome():
    TASK.check(Domain("web", (torch.randn(10, 2), torch.arange(10) % 2)), classes=3)
