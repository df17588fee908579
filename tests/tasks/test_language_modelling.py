"""Language modelling: the tokens that follow, the loss per token, perplexity, and tokens drawn from the model."""

import math

import pytest
import torch
from torch import Tensor

from tladapt import Batch, Domain, LanguageModelling, Output
from tladapt.stage import Part
from tladapt.tasks.language import next_tokens

TASK = LanguageModelling()
Y = torch.tensor([[2, 0, -1], [1, -1, -1], [3, 3, 3]])


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)


def batch(y: Tensor, n: int, weights: tuple[float, ...] = ()) -> Batch:
    zeros = torch.zeros(n, dtype=torch.long)
    parts = tuple(Part(1, True, weight=weight) for weight in weights)
    return Batch(torch.zeros(n, 1), y, zeros, zeros, parts=parts)


def single(logits: Tensor) -> list[list[float]]:
    """Minus the log-likelihood of every token, text by text."""
    chances = logits.detach().softmax(-1)
    return [[-math.log(chances[i, t, c]) for t, c in enumerate(row) if c >= 0] for i, row in enumerate(Y.tolist())]


def test_the_next_token_is_told_where_the_mask_holds_one():
    ids, mask = (
        torch.tensor([[4, 5, 6, 9], [7, 9, 9, 9], [9, 9, 4, 5]]),
        torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 1, 1]]),
    )
    assert next_tokens(ids, mask).tolist() == [[5, 6, -1, -1], [-1] * 4, [-1, -1, 5, -1]]
    assert torch.equal(next_tokens(ids, mask.bool()), next_tokens(ids, mask))
    assert ids[0].tolist() == [4, 5, 6, 9]


def test_the_loss_is_the_mean_over_tokens_by_hand(logits: Tensor):
    losses = [loss for text in single(logits) for loss in text]
    assert TASK.loss(Output(logits, logits), batch(Y, 3)).item() == pytest.approx(sum(losses) / len(losses))


def test_texts_that_were_added_count_by_their_weight(logits: Tensor):
    first, second, third = single(logits)
    loss = TASK.loss(Output(logits, logits), batch(Y, 3, weights=(1.0, 2.0, 0.5)))
    expected = (sum(first) + 2 * sum(second) + 0.5 * sum(third)) / (2 + 2 * 1 + 0.5 * 3)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("y", [Y[:0], torch.full((2, 3), -1)])
def test_without_a_token_to_tell_the_loss_is_0(y: Tensor, logits: Tensor):
    loss = TASK.loss(Output(logits, logits), batch(y, 3))
    assert (loss.item(), loss.shape) == (0.0, ())


def test_perplexity_is_over_all_tokens_together(logits: Tensor):
    losses = [loss for text in single(logits) for loss in text]
    marks = torch.cat(
        [TASK.marks(Output(part, part), y, None) for part, y in zip(logits.split(1), Y.split(1), strict=True)]
    )
    assert marks.shape == (3, 2)
    assert marks[:, 1].tolist() == [2, 1, 3]
    assert TASK.score(marks) == pytest.approx(math.exp(sum(losses) / len(losses)))


def test_a_guess_among_so_many_has_a_perplexity_of_so_many():
    blank = torch.zeros(3, 3, 4)
    assert TASK.score(TASK.marks(Output(blank, blank), Y, None)) == pytest.approx(4)
    live = torch.tensor([[True, True, True, True], [True, True, False, False], [True, True, True, True]])
    assert TASK.marks(Output(blank, blank), Y, live)[1].tolist() == pytest.approx([math.log(2), 1])
    assert TASK.score(torch.tensor([[1e9, 1.0]])) == math.inf
    assert math.isnan(TASK.score(torch.zeros(1, 2)))


def test_a_token_is_drawn_for_every_place_that_holds_something():
    chances, mask = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([[True, True, False]])
    output = Output(torch.zeros(4000, 3, 1), chances.log().expand(4000, 3, 3), mask.expand(4000, 3))
    drawn = TASK.sample(lambda y: output, torch.Generator().manual_seed(0))
    assert (drawn[:, 2] == -1).all()
    for place in (0, 1):
        torch.testing.assert_close(drawn[:, place].bincount() / 4000, chances, atol=0.03, rtol=0)
    both = torch.stack([drawn[:, 0], drawn[:, 1]]).float()
    assert torch.corrcoef(both)[0, 1].abs() < 0.05


def test_surprise_is_what_the_tokens_cost_together(logits: Tensor):
    assert TASK.surprise(Output(logits, logits), Y).item() == pytest.approx(sum(map(sum, single(logits))))


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"domain 'a' has labels of shape \(4,\); .* next_tokens"):
        TASK.check(Domain("a", (torch.zeros(4, 3), torch.arange(4)), test=None), 9)
    with pytest.raises(ValueError, match="has 5 classes, the model 4"):
        TASK.check(Domain("a", (torch.zeros(3, 3), Y + 1), test=None), 4)
    TASK.check(Domain("a", (torch.zeros(3, 3), Y), test=None), 4)
    TASK.check(Domain("a", torch.zeros(3, 3)), 4)
