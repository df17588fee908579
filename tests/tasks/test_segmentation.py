"""Segmentation."""

from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score
from torch import Tensor, nn
from torch.nn import functional as F

from tladapt import Classification, Domain, Model, Output, Segmentation, fit

TASK = Segmentation()


def output(logits: Tensor) -> Output:
    return Output(logits, logits)


def sure(y: Tensor, classes: int) -> Output:
    """An output that says y, and nothing else."""
    return output(100 * F.one_hot(y.clamp(min=0), classes).float())


def pixels(seed: int = 0, classes: int = 3, n: int = 6) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    y = torch.randint(-1, classes, (n, 4, 5), generator=random)
    return torch.randn(n, 4, 5, classes, generator=random), y


def domain(name: str = "a", rows: int = 16, shift: float = 0.0) -> Domain:
    """A bright square on a dark ground; the border is not labelled."""
    random = torch.Generator().manual_seed(sum(map(ord, name)))
    y = torch.zeros(rows, 6, 6, dtype=torch.long)
    y[:, 2:4, 1:4] = 1
    x = (2.0 * y + 0.3 * torch.randn(rows, 6, 6, generator=random) + shift)[:, None]
    y[:, 0] = -1
    return Domain(name, (x, y), test=0.4)


class Pixelwise(nn.Module):
    """Features (n, H, W, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).movedim(1, -1)


def small(classes: int = 2) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model(Pixelwise(), nn.Linear(4, classes))


@pytest.mark.parametrize("foreground", [None, 1, (0, 2)])
@pytest.mark.parametrize(("metric", "reference"), [("Dice", f1_score), ("mIoU", jaccard_score)])
def test_the_score_is_that_of_scikit_learn(metric: str, reference: Callable, foreground: int | tuple | None):
    logits, y = pixels()
    task = Segmentation(metric, foreground)
    marks = torch.cat([task.marks(output(logits[rows]), y[rows], None) for rows in torch.arange(6).split(4)])
    known, labels = y >= 0, [foreground] if isinstance(foreground, int) else foreground
    expected = reference(y[known], logits.argmax(-1)[known], average="macro", labels=labels)
    assert task.score(marks) == pytest.approx(expected)
    assert marks.shape == (6, 9)
    assert (task.metric, task.share, task.higher_is_better) == (metric, True, True)


@pytest.mark.parametrize(("metric", "expected"), [("Dice", 2 * 2 / (3 + 4)), ("mIoU", (2 / 5 + 3 / 6) / 2)])
def test_of_two_classes_dice_means_the_foreground_and_miou_both(metric: str, expected: float):
    y = torch.tensor([[[1, 1, 1, 0], [0, 0, 0, 0]]])
    y[0, 0, 3] = 0
    answer = torch.tensor([[[1, 1, 0, 1], [1, 0, 0, 0]]])
    task = Segmentation(metric)
    assert task.score(task.marks(sure(answer, 2), y, None)) == pytest.approx(expected)


def test_pixels_without_a_label_do_not_count():
    logits, y = pixels()
    other = torch.where((y < 0)[..., None], -logits, logits)
    assert torch.equal(TASK.marks(output(logits), y, None), TASK.marks(output(other), y, None))


def test_a_class_that_is_nowhere_is_left_out():
    y = torch.tensor([[[0, 1], [1, 1]]])
    task = Segmentation("Dice", foreground=(0, 1, 2))
    assert task.score(task.marks(sure(y, 3), y, None)) == 1.0
    assert task.score(task.marks(sure(torch.tensor([[[2, 1], [1, 1]]]), 3), y, None)) == pytest.approx(1 / 3)
    nothing = torch.zeros(1, 2, 2, dtype=torch.long)
    assert TASK.score(TASK.marks(sure(nothing, 2), nothing, None)) == 1.0


def test_only_live_classes_are_answered():
    logits, y = pixels()
    marks = TASK.marks(output(logits), y, torch.tensor([[True, False, True]])).view(6, 3, 3)
    assert marks[:, 1, :2].sum() == 0  # neither rightly nor wrongly found
    assert torch.equal(marks[:, 1, 2], (y == 1).sum((1, 2)))


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_the_loss_is_the_cross_entropy_and_the_soft_dice(weight: float, make_batch: Callable):
    logits, y = pixels(classes=2)
    chances, there = logits[:4].softmax(-1)[..., 1], y[:4] >= 0
    shared = 2 * (chances * (y[:4] == 1))[there].sum() + 1
    dice = shared / (chances[there].sum() + (y[:4] == 1).sum() + 1)
    entropy = F.cross_entropy(logits[:4].movedim(-1, 1), y[:4], ignore_index=-1)
    loss = Segmentation(weight=weight).loss(output(logits), make_batch(y[:4], 6))
    torch.testing.assert_close(loss, entropy + weight * (1 - dice))


def test_without_the_dice_it_is_classification_bit_for_bit(make_batch: Callable):
    logits, y = pixels()
    batch = make_batch(y, weights=(1.0, 2.0, 1.0, 1.0, 1.0, 1.0))
    assert torch.equal(
        Segmentation(weight=0.0).loss(output(logits), batch), Classification().loss(output(logits), batch)
    )


def test_the_loss_of_no_label_is_zero_and_has_finite_gradients(make_batch: Callable):
    logits = torch.randn(3, 4, 5, 2, requires_grad=True)
    none = torch.empty(0, 4, 5, dtype=torch.long)
    assert TASK.loss(output(logits), make_batch(none, 3)).tolist() == 0.0
    unknown = TASK.loss(output(logits), make_batch(torch.full((2, 4, 5), -1), 3))
    (gradient,) = torch.autograd.grad(unknown, logits)
    assert unknown == 0
    assert gradient.abs().max() == 0


def test_a_row_counts_as_much_as_it_weighs(make_batch: Callable):
    logits, y = pixels(n=3)
    thrice = torch.tensor([0, 1, 2, 2, 2])
    weighed = TASK.loss(output(logits), make_batch(y, weights=(1.0, 1.0, 3.0)))
    torch.testing.assert_close(weighed, TASK.loss(output(logits[thrice]), make_batch(y[thrice])))


def test_classes_that_are_not_live_are_not_learned(make_batch: Callable):
    logits, y = pixels()
    logits = logits.requires_grad_()
    live = torch.tensor([[True, True, False]])
    loss = Segmentation(foreground=(0, 1, 2)).loss(output(logits), make_batch(y.clamp(max=1), live=live))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.isfinite().all()
    assert gradient[..., 2].abs().max() == 0


def test_answers_are_drawn_as_the_model_says(information: Callable):
    logits = torch.tensor([[[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]]])
    information(TASK, logits, lambda row: row.softmax(-1) * (1 - row.softmax(-1)))


def test_methods_act_on_it(life: Callable):
    life(small(), domain(), domain("b", shift=0.5), TASK)


def test_a_bright_square_is_found():
    report = fit(small(), [domain(rows=30)], steps=150, lr=0.02, task=TASK)
    assert report.new is not None
    assert report.new > 0.95


def test_one_label_per_row_is_refused():
    with pytest.raises(ValueError, match=r"domain 'a' has one label per row; give masks .* or task=Classification\(\)"):
        TASK.check(Domain("a", (torch.randn(10, 2), torch.arange(10) % 2)), 2)


def test_a_foreground_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"Segmentation\(foreground=\(3,\)\): the model has 2 classes"):
        Segmentation(foreground=3).check(domain(), 2)


@pytest.mark.parametrize("arguments", [{"metric": "dice"}, {"foreground": -1}, {"foreground": ()}, {"weight": -1.0}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match=f"Segmentation\\({next(iter(arguments))}="):
        Segmentation(**arguments)
