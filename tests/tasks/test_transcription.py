"""Speech to text: CTC against torch and against all paths, greedy answers, edit distances, exact draws."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby, product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tladapt import Batch, Domain, Model, Output, SpeechToText
from tladapt.stage import Part
from tladapt.tasks.edits import edits

TASK = SpeechToText("abc")


def output(logits: Tensor, frames: list[int] | None = None) -> Output:
    if frames is None:
        return Output(logits, logits)
    return Output(logits, logits, torch.arange(logits.shape[1]) < torch.tensor(frames)[:, None])


def said(*paths: list[int], classes: int = 4) -> Tensor:
    """Logits of a model that is sure of these paths."""
    return 50 * F.one_hot(torch.tensor(paths), classes).float()


def batch(y: Tensor, n: int, live: Tensor | None = None, domain: Tensor | None = None) -> Batch:
    domain = torch.zeros(n, dtype=torch.long) if domain is None else domain
    return Batch(torch.zeros(n, 1), y, domain, torch.arange(n), live=live)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def by_paths(logits: Tensor) -> dict[tuple[int, ...], float]:
    """The probability of every text, by adding up all paths."""
    chances, found = logits.double().softmax(-1), defaultdict[tuple[int, ...], float](float)
    for path in product(range(logits.shape[1]), repeat=len(logits)):
        text = tuple(c for c, _ in groupby(path) if c)
        found[text] += float(math.prod(chances[t, c] for t, c in enumerate(path)))
    return dict(found)


# Texts


def test_texts_become_numbers_and_texts_again():
    y = TASK.encode(["abc", "", "cc"], length=4)
    assert y.tolist() == [[1, 2, 3, -1], [-1] * 4, [3, 3, -1, -1]]
    assert TASK.decode(y) == ["abc", "", "cc"]
    assert SpeechToText(TASK.classes[1:]).characters == TASK.characters


def test_a_text_that_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match="encode: 'd' is none of the characters 'abc'"):
        TASK.encode(["abc", "dab"])
    with pytest.raises(ValueError, match=r"encode\(length=2\): a text has 3 characters"):
        TASK.encode(["abc"], length=2)


@pytest.mark.parametrize("arguments", [("",), ("aba",), (["a", "bc"],), (["a", 3],), ("abc", "accuracy")])
def test_arguments_that_are_none_are_refused(arguments):
    with pytest.raises(ValueError, match=r"SpeechToText\("):
        SpeechToText(*arguments)


# The loss


def test_the_loss_is_that_of_torch_per_character_and_row():
    logits, y = noise(4, 7, 4), TASK.encode(["ab", "c", "abca"])
    losses = F.ctc_loss(
        logits[:3].log_softmax(-1).transpose(0, 1), torch.tensor([1, 2, 3, 1, 2, 3, 1]), torch.tensor([7, 5, 6]),
        torch.tensor([2, 1, 4]), reduction="none",
    )  # fmt: skip
    texts = TASK.encode(["ab", "c", "abca"], length=6)
    loss = TASK.loss(output(logits, [7, 5, 6, 7]), batch(texts, 4))
    expected = (losses[0] / 2 + losses[1] + losses[2] / 4) / 3
    torch.testing.assert_close(loss, expected)
    rows = [TASK.surprise(output(logits, [7, 5, 6, 7]).at(slice(i, i + 1)), y[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.stack(rows), losses)


@pytest.mark.parametrize("text", ["", "a", "aa", "abc", "cab"])
def test_surprise_adds_up_all_paths(text):
    logits = noise(1, 5, 4)
    chance = by_paths(logits[0])[tuple(i for i in TASK.encode([text], length=3)[0].tolist() if i > 0)]
    assert float(TASK.surprise(output(logits), TASK.encode([text], length=3))) == pytest.approx(-math.log(chance))


def test_what_is_behind_the_last_frame_counts_for_nothing():
    logits, y = noise(2, 6, 4), TASK.encode(["ab", "c"])
    other = logits.clone()
    other[0, 4:] = 9.0
    first, second = (TASK.loss(output(part, [4, 6]), batch(y, 2)) for part in (logits, other))
    assert torch.equal(first, second)
    first, second = (TASK.predict(output(part, [4, 6]), None) for part in (logits, other))
    assert torch.equal(first, second)


def test_without_labelled_rows_it_is_zero():
    loss = TASK.loss(output(noise(3, 5, 4)), batch(torch.empty(0, 2, dtype=torch.long), 3))
    assert (loss.item(), loss.shape) == (0.0, ())


def test_rows_weigh_as_the_batch_says():
    logits, y = noise(3, 6, 4), TASK.encode(["ab", "c", "a"])
    parts = (Part(1, True), Part(2, True, "replay", 3.0))
    loss = TASK.loss(output(logits), replace(batch(y, 3), parts=parts))
    each = [TASK.loss(output(logits[i : i + 1]), batch(y[i : i + 1], 1)) for i in range(3)]
    torch.testing.assert_close(loss, (each[0] + 3 * each[1] + 3 * each[2]) / 7)


def test_a_text_without_a_path_adds_nothing_and_breaks_nothing():
    logits, y = noise(2, 3, 4).requires_grad_(), TASK.encode(["aa", "bb"])
    loss = TASK.loss(output(logits, [3, 2]), batch(y, 2))
    loss.backward()
    alone = TASK.loss(output(logits[:1].detach()), batch(y[:1], 1))
    torch.testing.assert_close(loss.detach(), alone / 2)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[1].abs().max() == 0


def test_only_live_characters_and_the_blank_are_possible():
    logits, y = noise(2, 5, 4), TASK.encode(["ab", "c"])
    live = torch.tensor([[False, True, True, False], [False, False, False, True]])
    domain = torch.tensor([0, 1])
    few = [logits[0][:, [0, 1, 2]], logits[1][:, [0, 3]]]
    apart = [
        F.ctc_loss(part.log_softmax(-1), torch.tensor(text), torch.tensor(5), torch.tensor(len(text)), reduction="sum")
        / len(text)
        for part, text in zip(few, ([1, 2], [1]), strict=True)
    ]
    torch.testing.assert_close(TASK.loss(output(logits), batch(y, 2, live, domain)), sum(apart) / 2)
    assert set(TASK.predict(output(noise(8, 20, 4)), live[:1]).flatten().tolist()) == {-1, 1, 2}


# Answers and score


def test_the_answer_is_the_path_without_repeats_and_blanks():
    paths = [[1, 1, 0, 1, 2, 2], [0, 0, 3, 3, 3, 0], [0, 0, 0, 0, 0, 0], [2, 1, 2, 0, 0, 2]]
    answers = TASK.predict(output(said(*paths)), None)
    assert TASK.decode(answers) == ["aab", "c", "", "babb"]
    assert answers[0].tolist() == [1, 1, 2, -1, -1, -1]
    assert TASK.decode(TASK.predict(output(said(*paths), [1, 3, 6, 4]), None)) == ["a", "c", "", "bab"]


HAND = (("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("abab", "baba", 2), ("same", "same", 0),
        ("saturday", "sunday", 3), ("xabc", "abc", 1), ("abc", "xyz", 3))  # fmt: skip


def test_edit_distances_by_hand_and_all_at_once():
    task = SpeechToText("abcdefghijklmnopqrstuvwxyz")
    given, wanted = (task.encode(texts, length=9) for texts in ([a for a, *_ in HAND], [b for _, b, _ in HAND]))
    assert edits(given, wanted).tolist() == [distance for *_, distance in HAND]
    assert edits(wanted, given).tolist() == [distance for *_, distance in HAND]
    assert edits(given[:0], wanted[:0]).shape == (0,)


def recursive(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return recursive(a[1:], b[1:])
    return 1 + min(recursive(a[1:], b), recursive(a, b[1:]), recursive(a[1:], b[1:]))


def test_edit_distances_of_random_sequences():
    random = torch.Generator().manual_seed(0)
    pairs = [[torch.randint(3, (int(n),), generator=random).tolist() for n in torch.randint(6, (2,), generator=random)]
             for _ in range(100)]  # fmt: skip
    given, wanted = (torch.tensor([pair[i] + [-1] * (6 - len(pair[i])) for pair in pairs]) for i in (0, 1))
    assert edits(given, wanted).tolist() == [recursive(*pair) for pair in pairs]


def test_the_character_error_rate_is_over_all_characters_together():
    y = TASK.encode(["ab", "abca"], length=5)
    marks = TASK.marks(output(said([1, 1, 2, 0, 0], [1, 0, 3, 3, 0])), y, None)
    assert marks.tolist() == [[0, 2, 1], [2, 4, 1]]
    assert TASK.score(marks) == pytest.approx(2 / 6)
    assert (TASK.metric, TASK.higher_is_better, TASK.share) == ("character error rate", False, True)


def test_the_word_error_rate_counts_words():
    task = SpeechToText("ab ", "word error rate")
    y = task.encode(["ab a b", "b"])
    path = [[1, 2, 3, 2, 3, 2, 0, 0], [1, 3, 3, 2, 0, 0, 0, 0]]  # "ab b b", "a b"
    marks = task.marks(output(said(*path)), y, None)
    assert marks.tolist() == [[1, 3, 1], [1, 1, 1]]
    assert task.score(marks) == 0.5
    silent = task.marks(output(said([0] * 8, [0] * 8)), task.encode(["", ""], length=2), None)
    assert task.score(silent) == 0


def test_frames_that_suffice_for_no_text_are_refused():
    logits = noise(2, 3, 4)
    some = TASK.marks(output(logits), TASK.encode(["aa", "abca"]), None)
    assert some[:, 2].tolist() == [1, 0]
    assert math.isfinite(TASK.score(some))
    none = TASK.marks(output(logits, [2, 3]), TASK.encode(["aa", "abca"]), None)
    with pytest.raises(ValueError, match="no text fits into the frames"):
        TASK.score(none)


# Draws


@pytest.mark.parametrize("frames", [3, 2])
def test_texts_come_as_often_as_all_their_paths_together(frames):
    n, logits = 20000, noise(1, 3, 3)
    task, expected = SpeechToText("ab"), by_paths(logits[0, :frames])
    asked = output(logits.expand(n, -1, -1), [frames] * n)
    drawn = task.sample(lambda y: asked, torch.Generator().manual_seed(0))
    assert drawn.shape == (n, 3)
    counts = Counter(tuple(i for i in row if i > 0) for row in drawn.tolist())
    assert set(counts) <= set(expected)
    for text, chance in expected.items():
        assert abs(counts[text] / n - chance) < 4 * math.sqrt(chance * (1 - chance) / n) + 1e-9


def test_draws_repeat_with_their_generator_and_have_a_path():
    asked = output(noise(50, 6, 4), [3 + i % 4 for i in range(50)])
    first, again = (TASK.sample(lambda y: asked, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    rows = torch.stack([TASK.surprise(asked.at(slice(i, i + 1)), first[i : i + 1]) for i in range(50)])
    assert rows.isfinite().all()
    assert (rows > 0).all()  # 0 would be a text without a path


def test_the_divergence_is_that_of_all_paths_by_the_frames():
    new, old = noise(1, 3, 3), noise(2, 3, 3)[1:]
    q, p = ((logits[0] / 2).softmax(-1) for logits in (new, old))
    paths = list(product(range(3), repeat=3))
    theirs, ours = ([math.prod(float(r[t, c]) for t, c in enumerate(path)) for path in paths] for r in (p, q))
    expected = sum(a * math.log(a / b) for a, b in zip(theirs, ours, strict=True))
    assert float(TASK.divergence(new, old, 2.0)) == pytest.approx(4 * expected / 3, rel=1e-4)


def test_it_lives_with_every_kind_of_method(life: Callable):
    def domain(name: str, shift: float) -> Domain:
        y = TASK.encode(["ab", "c", "abca", "b"] * 5)
        return Domain(name, (noise(20, 8, 2) + shift, y), test=0.3)

    class Frames(nn.Module):
        """The first six frames hold something."""

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, torch.arange(8).expand(len(x), -1) < 6

    life(Model(Frames(), nn.Linear(2, 4), classes=TASK.classes), domain("a", 0.0), domain("b", 1.0), TASK)


# What cannot be learned


def domain(y: Tensor) -> Domain:
    return Domain("calls", (torch.zeros(len(y), 9), y), test=0.0, classes=9)


WRONG = {
    r"domain 'calls' has labels that are no texts; give task.encode\(texts\)": torch.tensor([1, 2]),
    "domain 'calls' has labels that are no texts": torch.tensor([[0.5, 1.0]]),
    "domain 'calls' has the label 0; characters are 1 to 3, and 0 is the blank": torch.tensor([[1, 0]]),
    "domain 'calls' has the label 4": torch.tensor([[1, 4, -1]]),
    "domain 'calls' has a text with a gap": torch.tensor([[1, -1, 2]]),
}


@pytest.mark.parametrize("message", WRONG)
def test_labels_that_are_no_texts_are_refused(message):
    with pytest.raises(ValueError, match=message):
        TASK.check(domain(WRONG[message]), classes=4)


def test_a_model_needs_the_characters_and_the_blank():
    y = TASK.encode(["abc", ""])
    TASK.check(domain(y), classes=4)
    TASK.check(domain(y).unlabelled(), classes=4)
    with pytest.raises(ValueError, match=r"3 characters and the blank need a model of 4 classes.*task\.classes"):
        TASK.check(domain(y), classes=3)
