"""What every task must live through."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tladapt import DANN, EWC, Batch, Domain, LwF, Method, Model, Replay, Task, fit
from tladapt.methods.weights import flat
from tladapt.model import Output
from tladapt.stage import Part

METHODS: list[Callable] = [EWC, Replay, LwF, DANN, lambda: EWC() + Replay(9) + LwF() + DANN()]


@pytest.fixture(params=METHODS, ids=["EWC", "Replay", "LwF", "DANN", "sum"])
def life(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`life(model, old, new, task, also)`: learned with one of the methods and `also`, with labels and without."""

    def live(model: Model, old: Domain, new: Domain, task: Task, also: Callable[[], Method] = Method) -> None:
        stream, before = [old, (old, new.unlabelled()), new.unlabelled(keep=3)], flat(model).detach().clone()
        report = fit(model, stream, request.param() + also(), steps=3, batch_size=4, lr=0.01, task=task)
        moved = flat(model).detach() - before
        assert moved.isfinite().all()
        assert moved.abs().max() > 0
        assert all(isinstance(score, float) and score >= 0 for row in report.scores for score in row)
        assert (report.metric, report.share) == (task.metric, task.share)
        assert not [note for note in report.notes if "stage 3" in note]  # every term had something to act on
        assert str(report)

    return live


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """`make_batch(y, n, live, weights)`: n rows, of which the first have the labels y and count so much each."""

    def build(y: Tensor, n: int | None = None, live: Tensor | None = None, weights: tuple[float, ...] = ()) -> Batch:
        n = len(y) if n is None else n
        parts = tuple(Part(1, True, None, weight) for weight in weights)
        return Batch(
            torch.zeros(n, 1), y, torch.zeros(n, dtype=torch.long), torch.arange(n), live=live,
            parts=(*parts, Part(n - len(y), False)) if n > len(y) else parts,
        )  # fmt: skip

    return build


@pytest.fixture(scope="session")
def information() -> Callable[[Task, Tensor, Callable[[Tensor], Tensor]], None]:
    """`information(task, logits, expected)`: the mean square of the score of drawn answers is the variance they have.

    logits (1, ..., k); `expected(logits)` is the information of each of them.
    """

    def check(task: Task, logits: Tensor, expected: Callable[[Tensor], Tensor], n: int = 4000) -> None:
        many = logits.expand(n, *logits.shape[1:]).clone().requires_grad_()
        output = Output(many, many)
        y = task.sample(lambda _: output, torch.Generator().manual_seed(0))
        (score,) = torch.autograd.grad(task.surprise(output, y), many)
        assert score.mean(0).abs().max() < 0.1  # of the right answers, it vanishes in the mean
        torch.testing.assert_close(score.square().mean(0), expected(logits[0]), atol=0.05, rtol=0.1)

    return check
