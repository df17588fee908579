import copy
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

import tladapt.methods.earlystopping
from tladapt import (
    DANN,
    EWC,
    LPFT,
    Classification,
    Domain,
    EarlyStopping,
    LinearProbe,
    LoRA,
    Method,
    Model,
    Output,
    Replay,
    Stage,
    fit,
)  # fmt: skip
from tladapt.evaluation import scored
from tladapt.methods.weights import flat


def level(progress: float) -> float:
    """One learning rate for the whole stage, so that a stage of fewer steps is the beginning of a longer one."""
    return 1.0


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[float]], list[float]]:
    """`scripted(scores)`: what the looks find, whatever the model is; but scored all the same."""

    def script(scores: Sequence[float]) -> list[float]:
        left, real = iter(scores), list[float]()

        def score(*arguments: object) -> float:
            real.append(scored(*arguments))  # type: ignore[arg-type]
            return next(left)

        monkeypatch.setattr(tladapt.methods.earlystopping, "scored", score)
        return real

    return script


def rising() -> Iterator[float]:
    yield from range(1000)


class Counts(Method):
    """How many steps the stages took."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = list[int]()

    def prepare(self, model: Model, stage: Stage) -> None:
        self.steps.append(0)

    def loss(self, model: Model, batch: object, output: Output) -> Tensor:
        self.steps[-1] += 1
        return output.logits.new_zeros(())


# Looking


def test_where_nothing_is_taken_back_the_looks_do_not_matter(
    batchnorm: str, scripted: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]
):
    looks = scripted(rising())
    model, other = make_deep(batchnorm), make_deep(batchnorm)
    before = torch.get_rng_state()
    fit(model, two, EarlyStopping(every=1), steps=6)
    fit(other, two, Method(), steps=6)
    assert fingerprints(model) == fingerprints(other)
    assert len(looks) == 12
    assert torch.equal(torch.get_rng_state(), before)


def test_a_look_changes_no_mode(scripted: Callable, make_deep: Callable, make_stage: Callable, two: list[Domain]):
    scripted(rising())
    model, stage, method = make_deep().train(), make_stage(*two), EarlyStopping()
    model.encoder.get_submodule("1.3").eval()  # as nothing that the model knows of asked for
    before = [part.training for part in model.modules()]
    method.prepare(model, stage)
    method.look(model, stage)
    assert [part.training for part in model.modules()] == before


def test_it_looks_every_so_many_steps_and_at_the_end(scripted: Callable, make_deep: Callable, two: list[Domain]):
    looks = scripted(rising())
    fit(make_deep(), two[:1], EarlyStopping(every=3), steps=10)
    assert len(looks) == 4  # after 3, 6, 9 and 10
    looks.clear()
    fit(make_deep(), two[:1], EarlyStopping(), steps=10, batch_size=8)  # 24 rows
    assert len(looks) == 4


def test_it_scores_all_labelled_validation_data_of_the_stage(
    make_deep: Callable, make_stage: Callable, two: list[Domain], make_domain: Callable
):
    a, b, c, d = *two, make_domain("c").unlabelled(), Domain("d", (torch.randn(6, 2), torch.arange(6) % 2))
    assert d.validation is None
    assert c.validation is not None
    assert not len(c.validation.y)
    stage, model, method = make_stage(c, a, d, b, ids=(4, 2, 1, 0)), make_deep().eval(), EarlyStopping()
    model.reserve(5)
    with torch.no_grad():
        right = [model(d.validation.x, None).logits.argmax(1).eq(d.validation.y) for d in (a, b)]  # type: ignore[union-attr]
    assert method.judged(model, stage) == pytest.approx(sum(float(r.float().mean()) for r in right) / 2)


def test_only_live_classes_may_be_answered(make_stage: Callable, make_model: Callable, make_domain: Callable):
    domain = make_domain("b", classes=(2, 3), of=4)
    live = torch.tensor([[True, True, False, False], [False, False, True, True]])
    model = make_model(classes=4)
    with torch.no_grad():
        model.head.bias[0] += 100
    free, bound = make_stage(domain, ids=(1,)), make_stage(domain, ids=(1,), live=live)
    assert EarlyStopping().judged(model, free) == 0
    assert EarlyStopping().judged(model, bound) > 0


# Stopping and taking back


@pytest.mark.parametrize(
    ("scores", "patience", "steps", "kept"),
    [
        ([0.1, 0.5, 0.3, 0.4, 0.2, 0.1], 3, 6, 2),  # the look after the last step comes, too
        ([0.5, 0.4, 0.3], 1, 3, 1),
        ([0.1, 0.5, 0.5, 0.5, 0.5, 0.5], 3, 6, 2),  # of equal ones the first
        ([0.1, 0.5, 0.3, 0.6, 0.2, 0.1, 0.1, 0.1], 3, 8, 4),
        ([0.1, 0.5, 0.3, 0.4, 0.2, 0.9], 3, 6, 6),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 3, 8, 8),
        ([-1.0, float("nan"), float("nan"), float("nan")], 2, 4, 1),
    ],
)
def test_the_best_look_comes_back(
    scores: list[float], patience: int, steps: int, kept: int, batchnorm: str, scripted: Callable, make_deep: Callable,
    fingerprints: Callable, two: list[Domain],
):  # fmt: skip
    looks, counts = scripted(scores), Counts()
    model, other = make_deep(batchnorm), make_deep(batchnorm)
    fit(model, two[:1], EarlyStopping(patience, every=1) + counts, steps=8, schedule=level)
    fit(other, two[:1], Method(), steps=kept, schedule=level)
    assert (counts.steps, len(looks)) == ([steps], steps)
    assert fingerprints(model) == fingerprints(other)


class Errors(Classification):
    """The less, the better."""

    higher_is_better = False


def test_a_score_may_be_the_better_the_lower(
    scripted: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]
):
    scripted([0.3, 0.1, 0.2, 0.4, 0.5, 0.6])
    model, other = make_deep(), make_deep()
    fit(model, two[:1], EarlyStopping(every=1), steps=6, schedule=level, task=Errors())
    fit(other, two[:1], Method(), steps=2, schedule=level, task=Errors())
    assert fingerprints(model) == fingerprints(other)


def test_without_a_number_all_stays(scripted: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    scripted([float("nan")] * 9)
    model, other = make_deep(), make_deep()
    fit(model, two[:1], EarlyStopping(9, every=1), steps=4)
    fit(other, two[:1], Method(), steps=4)
    assert fingerprints(model) == fingerprints(other)


def test_every_stage_begins_anew(scripted: Callable, make_deep: Callable, two: list[Domain]):
    scripted([0.9, 0.8, 0.7, 0.1, 0.2, 0.3, 0.4])
    counts, method = Counts(), EarlyStopping(1, every=1)
    fit(make_deep(), two, method + counts, steps=4)
    assert counts.steps == [3, 4]
    assert method.best is None
    assert method.stage is None


def test_the_past_of_a_model_is_not_looked_at(scripted: Callable, make_deep: Callable, two: list[Domain]):
    looks = scripted(rising())
    fit(make_deep(), two, EarlyStopping(every=2), steps=4, learned=1)
    assert len(looks) == 2


# In a sum


def test_anchors_are_taken_where_it_went_back_to(
    scripted: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]
):
    scripted([0.1, 0.5, 0.3, 0.4, 0.2, 0.1])
    ewc, alone, model, other = EWC(), EWC(), make_deep(), make_deep()
    fit(model, two[:1], EarlyStopping(every=1) + ewc, steps=8, schedule=level)
    fit(other, two[:1], alone, steps=2, schedule=level)
    assert torch.equal(ewc.anchor, flat(model).detach())  # type: ignore[arg-type]
    assert torch.equal(ewc.total, alone.total)  # type: ignore[arg-type]
    assert fingerprints(model) == fingerprints(other)


SUMS = {
    "DANN": lambda: DANN(), "Replay": lambda: Replay(20), "LinearProbe": lambda: LinearProbe(), "LPFT": lambda: LPFT(),
}  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_in_a_sum_too(name: str, scripted: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    scripted([*[0.5] * 4, 0.1, 0.5, 0.3, 0.4, 0.2, 0.1])
    (a, b), models = two, (make_deep(), make_deep())
    copies = list[Model]()

    class Copies(Method):
        """What the model was after two steps of the second stage."""

        def extend(self, model: Model, batch: object) -> None:
            copies.append(copy.deepcopy(model))

    fit(models[0], [a, (a, b.unlabelled())], SUMS[name]() + EarlyStopping(every=1) + Copies(), steps=8, batch_size=8)
    assert fingerprints(models[0]) == fingerprints(copies[4 + 2])
    assert all(p.requires_grad for p in models[0].parameters())


def test_it_takes_back_what_a_merge_has_put_in_place(scripted: Callable, make_deep: Callable, two: list[Domain]):
    scripted([0.1, 0.5, 0.3, 0.4, 0.2, 0.1])
    model, other = make_deep(), make_deep()
    fit(model, two[:1], LoRA(2) + EarlyStopping(every=1), steps=8, schedule=level, lr=0.1)
    fit(other, two[:1], LoRA(2), steps=2, schedule=level, lr=0.1)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in other.named_parameters()]
    for value, expected in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected)


# Data to choose with


def test_a_stage_without_labelled_validation_data_is_refused(make_deep: Callable):
    x, y = torch.randn(20, 2), torch.arange(20) % 2
    without, with_it = Domain("without", (x, y)), Domain("with", (x, y), validation=0.2)
    with pytest.raises(ValueError, match=r"^EarlyStopping\(.*stage 0 \(without\).*Domain\(\.\.\., validation=0\.2\)$"):
        fit(make_deep(), [without], EarlyStopping(), steps=3)
    with pytest.raises(ValueError, match=r"stage 0 \(with\)"):
        fit(make_deep(), [with_it.unlabelled(keep=2)], EarlyStopping(), steps=3)
    fit(make_deep(), [with_it, (without, with_it)], EarlyStopping(), steps=3)


@pytest.mark.parametrize("arguments", [{"patience": 0}, {"patience": 1.5}, {"every": 0}, {"every": -1}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match=r"EarlyStopping\(.*whole number, at least 1"):
        EarlyStopping(**arguments)


def test_wrong_labels_are_not_learned_by_heart():
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 20, generator=random), torch.arange(300) % 2
    x[:, 0] += 2.0 * (2 * y - 1)
    given = torch.where(torch.rand(300, generator=random) < 0.3, 1 - y, y)
    domain = Domain("a", (x[:200], given[:200]), (x[200:], y[200:]), validation=0.3)

    def accuracy(method: Method, seed: int) -> float:
        torch.manual_seed(seed)
        model = Model.of(nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2)))
        return fit(model, [domain], method, steps=200, lr=0.01, seed=seed).scores[-1][0] or 0.0

    gains = [accuracy(EarlyStopping(), seed) - accuracy(Method(), seed) for seed in range(3)]
    assert sum(gains) / 3 > 0.05
