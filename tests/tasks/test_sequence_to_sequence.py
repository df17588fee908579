"""Sequence to sequence: BLEU and ROUGE-L by hand, answers up to their end, samples drawn token by token."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt import Batch, Domain, Output, SequenceToSequence
from tladapt.stage import Part
from tladapt.tasks.translation import bleu

IDS, END = 12, 0
BLEU, ROUGE = (SequenceToSequence(metric, end=END) for metric in ("BLEU", "ROUGE-L"))


def padded(rows: list[list[int]], length: int = 9) -> Tensor:
    return torch.tensor([row + [-1] * (length - len(row)) for row in rows])


def answering(rows: list[list[int]]) -> Output:
    """An output whose answers are these; nothing is said after them."""
    y = padded(rows)
    logits = F.one_hot(y.clamp(min=0), IDS).float() * (y >= 0)[..., None]
    return Output(logits, logits)


def score(task: SequenceToSequence, answers: list[list[int]], true: list[list[int]]) -> float:
    marks = [task.marks(answering([a]), padded([t]), None) for a, t in zip(answers, true, strict=True)]
    return task.score(torch.cat(marks))


def test_answers_end_where_they_say_so_or_say_nothing():
    answers = [[5, 6, END, 7, 8], [5, 6], [END, 5], []]
    assert BLEU.predict(answering(answers), None).tolist() == padded([[5, 6, END], [5, 6], [END], []]).tolist()


def test_dead_ids_are_not_said_and_no_silence_is_broken():
    live = torch.ones(1, IDS, dtype=torch.bool)
    live[0, [END, 5]] = False
    answers = BLEU.predict(answering([[5, 6], []]), live)
    assert answers[0, 1] == 6
    assert answers[0, 0] != 5
    assert (answers[1] == -1).all()


BY_HAND = {
    "the same": ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], 1.0),
    "the last one wrong": ([1, 2, 3, 4, 5], [1, 2, 3, 4, 6], (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
    "too short": ([1, 2, 3, 4], [1, 2, 3, 4, 5, 6], math.exp(1 - 6 / 4)),
    "too long is no bonus": ([1, 2, 3, 4, 5], [1, 2, 3, 4], (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
    "repeated": ([7, 7, 7, 7, 7], [7, 1, 2, 3, 7], (2 / 5 * (1 / 2) / 4 * (1 / 4) / 3 * (1 / 8) / 2) ** 0.25),
    "nothing right": ([1, 2, 3, 4], [5, 6, 7, 8], 0.0),
    "no 4-gram in it": ([1, 2, 3], [1, 2, 3], 0.0),
    "nothing said": ([], [1, 2, 3, 4], 0.0),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_bleu_by_hand(case: str):
    answer, true, expected = BY_HAND[case]
    assert score(BLEU, [answer], [true]) == pytest.approx(expected)
    assert score(BLEU, [[*answer, END]], [[*true, END]]) == pytest.approx(expected)  # the end is no part of it


def test_bleu_counts_over_all_samples_together():
    answers, true = [[1, 2, 3, 4, 5], [6, 7]], [[1, 2, 3, 4, 5], [6, 8, 9]]
    matched, counted = [6, 4, 3, 2], [7, 5, 3, 2]
    expected = math.prod(m / n for m, n in zip(matched, counted, strict=True)) ** 0.25 * math.exp(1 - 8 / 7)
    assert score(BLEU, answers, true) == pytest.approx(expected)
    assert bleu(matched, counted, 7, 8) == pytest.approx(expected)


def test_bleu_against_another_way_to_count():
    random = torch.Generator().manual_seed(0)

    def draw(rows: int) -> list[list[int]]:
        sizes = torch.randint(4, 10, (rows,), generator=random).tolist()
        return [torch.randint(1, 4, (size,), generator=random).tolist() for size in sizes]

    answers, true = draw(20), draw(20)
    precisions = []
    for n in range(1, 5):
        matched = counted = 0
        for a, t in zip(answers, true, strict=True):
            grams, left = [a[i : i + n] for i in range(len(a) - n + 1)], [t[i : i + n] for i in range(len(t) - n + 1)]
            counted += len(grams)
            for gram in grams:
                if gram in left:
                    left.remove(gram)
                    matched += 1
        precisions.append(matched / counted)
    brevity = min(1.0, math.exp(1 - sum(map(len, true)) / sum(map(len, answers))))
    expected = brevity * math.exp(sum(map(math.log, precisions)) / 4)
    assert 0.05 < expected < 0.95
    assert score(BLEU, answers, true) == pytest.approx(expected)


def test_rouge_by_hand():
    # "police killed the gunman", "police kill the gunman" and "the gunman kill police" of the paper: 3/4 and 1/2
    police, killed, the, gunman, kill = range(1, 6)
    true = [police, killed, the, gunman]
    assert score(ROUGE, [[police, kill, the, gunman]], [true]) == pytest.approx(3 / 4)
    assert score(ROUGE, [[the, gunman, kill, police]], [true]) == pytest.approx(2 / 4)
    assert score(ROUGE, [[the, END]], [[*true, END]]) == pytest.approx(2 * 1 * 0.25 / 1.25)
    assert score(ROUGE, [[], true], [true, true]) == pytest.approx(1 / 2)  # the mean over samples
    assert score(ROUGE, [[]], [[END]]) == 0.0


@pytest.mark.parametrize("task", [BLEU, ROUGE])
def test_marks_of_many_rows_are_those_of_each(task: SequenceToSequence):
    answers, true = [[1, 2, 3, 4, 5, END], [6, 7], []], [[1, 2, 4, 5, END], [6, 7, 8, 9, 5], [1, END]]
    together = task.marks(answering(answers), padded(true), None)
    assert len(together) == 3
    assert task.score(together) == score(task, answers, true)
    assert task.share
    assert task.higher_is_better


def test_the_loss_is_the_mean_over_tokens_and_counts_samples_by_their_weight():
    logits = torch.randn(4, 3, IDS, generator=torch.Generator().manual_seed(0))
    y, zeros = torch.tensor([[3, END, -1], [1, 2, END]]), torch.zeros(4, dtype=torch.long)
    losses = -logits.log_softmax(-1)[:2].gather(-1, y.clamp(min=0)[..., None])[..., 0]
    first, second = losses[0, :2].sum(), losses[1].sum()
    plain = Batch(torch.zeros(4, 1), y, zeros, zeros)
    torch.testing.assert_close(BLEU.loss(Output(logits, logits), plain), (first + second) / 5)
    weighted = Batch(torch.zeros(4, 1), y, zeros, zeros, parts=(Part(1, True, None, 1.0), Part(1, True, "me", 3.0)))
    torch.testing.assert_close(BLEU.loss(Output(logits, logits), weighted), (first + 3 * second) / 11)
    none = Batch(torch.zeros(4, 1), y[:0], zeros, zeros)
    assert BLEU.loss(Output(logits, logits), none) == 0
    torch.testing.assert_close(BLEU.surprise(Output(logits[:2], logits[:2]), y), first + second)


def test_samples_are_drawn_token_by_token_from_the_models_own_distribution():
    n, start = 6000, torch.tensor([0.2, 0.5, 0.3])  # ends at once, 1, 2
    after = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.1, 0.4], [0.0, 0.9, 0.1]])  # given what came before

    def ask(y: Tensor | None) -> Output:
        logits = torch.zeros(n, 3, 3)
        logits[:, 0] = start.log()
        if y is not None:
            for place in (1, 2):
                known = y[:, place - 1] > 0
                logits[known, place] = after[y[known, place - 1]].clamp(min=1e-9).log()
        return Output(logits, logits)

    drawn = BLEU.sample(ask, torch.Generator().manual_seed(0))
    seen = {row: int((drawn == torch.tensor(row)).all(1).sum()) / n for row in map(tuple, drawn.unique(dim=0).tolist())}
    for row, share in seen.items():
        chance, before = 1.0, None
        for token in row:
            if token < 0:
                break
            chance *= float(start[token] if before is None else after[before, token])
            before = token
        assert share == pytest.approx(chance, abs=0.025)
    assert seen[0, -1, -1] == pytest.approx(0.2, abs=0.025)
    assert all(-1 not in row[: row.index(0)] if 0 in row else -1 not in row for row in seen)


def test_arguments_and_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"metric='BLUE'\): expected one of 'BLEU', 'ROUGE-L'"):
        SequenceToSequence("BLUE", end=1)
    with pytest.raises(ValueError, match=r"domain 'a' has labels of shape \(4,\), expected \(n, length\)"):
        BLEU.check(Domain("a", (torch.zeros(4, 3), torch.arange(4)), test=None), IDS)
    with pytest.raises(ValueError, match="has 12 classes, the model 5"):
        BLEU.check(Domain("a", (torch.zeros(2, 3), padded([[11], [2]])), test=None), 5)
    BLEU.check(Domain("a", torch.zeros(4, 3)), IDS)
