import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from tladapt import Domain, LwF, Method, Model, Replay, Stage


def moved(model: Model, seed: int = 0, by: float = 0.5) -> Model:
    """The model, a random step from where it was."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn(parameter.shape, generator=random)
    return model


def begun(method: LwF, model: Model, old: Stage, new: Stage) -> LwF:
    """The old stage is over, the new one is prepared."""
    method.prepare(model, old)
    method.consolidate(model, old)
    method.prepare(model, new)
    return method


def divergence(old: Tensor, new: Tensor, temperature: float) -> Tensor:
    """T^2 KL(p || q), row by row."""
    p, q = (old / temperature).softmax(1), (new / temperature).softmax(1)
    return temperature**2 * (p * (p / q).log()).sum(1)


def lazy(domain: Domain) -> Domain:
    """The same data as a torch data set, which is read again at every step."""
    assert isinstance(domain.train.x, Tensor)
    assert len(domain.train.y) == len(domain.train)
    rows = Subset(TensorDataset(domain.train.x, domain.train.y), range(len(domain.train)))
    return Domain(domain.name, rows, test=0.0)


def test_the_first_stage_has_nothing_to_preserve(make_model: Callable, stages: list[Stage]):
    model, method, batch = make_model(), LwF(), stages[0].batch(0)
    method.prepare(model, stages[0])
    loss = method.loss(moved(model), batch, model(batch.x))
    assert loss == 0
    assert not loss.requires_grad


def test_it_is_0_where_the_model_is_the_old_one(make_model: Callable, stages: list[Stage]):
    model, batch = make_model(), stages[1].batch(0)
    method = begun(LwF(), model, *stages)
    loss = method.loss(model, batch, model(batch.x))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert loss.requires_grad
    assert all(g.abs().max() < 1e-6 for g in torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_it_is_the_divergence_by_hand(weight: float, temperature: float, make_model: Callable, stages: list[Stage]):
    model, batch = make_model(classes=3), stages[1].batch(2)
    method = begun(LwF(weight, temperature), model, *stages)
    old = model(batch.x).logits.detach()
    new = moved(model)(batch.x)
    expected = weight * divergence(old, new.logits, temperature).mean()
    torch.testing.assert_close(method.loss(model, batch, new), expected)


def test_its_gradient_hardly_depends_on_a_high_temperature(make_model: Callable, stages: list[Stage]):
    model, batch = make_model(), stages[1].batch(0)
    methods = [begun(LwF(temperature=t), model, *stages) for t in (50.0, 100.0)]
    moved(model)
    output = model(batch.x)
    first, second = (
        torch.autograd.grad(method.loss(model, batch, output), output.logits, retain_graph=True)[0]
        for method in methods
    )
    torch.testing.assert_close(first, second, rtol=0.1, atol=1e-4)


ORDERS = {
    "one domain": lambda a, b, c: ((b,), (1,)),
    "source and target": lambda a, b, c: ((a, b.unlabelled()), (0, 1)),
    "two sources": lambda a, b, c: ((a, c), (0, 2)),
    "target before source": lambda a, b, c: ((a.unlabelled(), b), (0, 1)),
    "the newer domain first": lambda a, b, c: ((c, a), (2, 0)),
    "a few labels": lambda a, b, c: ((a, b.unlabelled(keep=2)), (0, 1)),
    "a few labels first": lambda a, b, c: ((a.unlabelled(keep=2), b, c.unlabelled(keep=1)), (0, 1, 2)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_row_has_the_old_models_answer_to_it(
    order: str, make_model: Callable, make_domain: Callable, make_stage: Callable, stages: list[Stage]
):
    a, b, c = make_domain("a"), make_domain("b", rows=20), make_domain("c", rows=7)
    domains, ids = ORDERS[order](a, b, c)
    stage, model = make_stage(*domains, ids=ids, index=1), make_model(classes=3)
    method, old = begun(LwF(), model, stages[0], stage), copy.deepcopy(model)
    moved(model)
    for step in range(4):
        batch = stage.batch(step)
        expected = divergence(old(batch.x).logits, model(batch.x).logits, 2.0).mean()
        torch.testing.assert_close(method.loss(model, batch, model(batch.x)), expected)


@pytest.mark.parametrize("norm", [False, True])
def test_a_teacher_answers_as_what_was_kept(
    norm: bool, make_model: Callable, make_domain: Callable, make_stage: Callable
):
    a, b, c = make_domain("a"), make_domain("b", rows=20), make_domain("c", rows=7)
    old, kept, read = make_stage(a), *(make_stage(f(b), f(c), ids=(1, 2), index=1) for f in (lambda d: d, lazy))
    model = make_model(norm=norm)
    with_answers, with_teacher = (begun(LwF(), model.train(), old, stage) for stage in (kept, read))
    assert with_answers.teacher is None
    assert with_answers.answers is not None
    assert with_teacher.answers is None
    assert with_teacher.teacher is not None
    moved(model)
    for step in range(3):
        batch, again = kept.batch(step), read.batch(step)
        assert torch.equal(batch.index, again.index)
        output = model(batch.x)
        ours, theirs = with_answers.loss(model, batch, output), with_teacher.loss(model, again, output)
        torch.testing.assert_close(ours, theirs)


def test_the_teacher_does_not_learn(make_model: Callable, make_domain: Callable, make_stage: Callable):
    model, stage = make_model(norm=True).train(), make_stage(lazy(make_domain("a")), index=1)
    method = begun(LwF(), model, stage, stage)
    assert method.teacher is not None
    before, batch = copy.deepcopy(method.teacher.state_dict()), stage.batch(0)
    method.loss(moved(model), batch, model(batch.x)).backward()
    assert all(torch.equal(value, before[key]) for key, value in method.teacher.state_dict().items())
    assert all(not p.requires_grad and p.grad is None for p in method.teacher.parameters())
    method.consolidate(model, stage)
    assert method.teacher is None
    assert method.answers is None


def test_with_a_teacher_a_fresh_object_goes_on(make_model: Callable, make_domain: Callable, make_stage: Callable):
    model, stage = make_model(), make_stage(lazy(make_domain("a")), index=1)
    method, fresh, batch = begun(LwF(), model, stage, stage), LwF(), stage.batch(0)
    moved(model)
    fresh.load_state_dict(method.state_dict(), strict=False)
    fresh.prepare(model, stage)  # of a model that is no longer the old one
    fresh.load_state_dict(method.state_dict())
    output = model(batch.x)
    assert torch.equal(fresh.loss(model, batch, output), method.loss(model, batch, output))
    assert method.loss(model, batch, output) > 0


def test_the_old_answers_follow_the_model_from_stage_to_stage(make_model: Callable, stages: list[Stage]):
    model, batch = make_model(), stages[1].batch(0)
    method = begun(LwF(), model, *stages)
    method.consolidate(moved(model), stages[1])
    method.prepare(model, stages[1])
    assert method.loss(model, batch, model(batch.x)).item() == pytest.approx(0, abs=1e-6)


def test_rehearsed_samples_are_not_asked_about(
    make_model: Callable, make_domain: Callable, make_stage: Callable, stages: list[Stage]
):
    model, replay, batch = make_model(), Replay(10), stages[1].batch(0)
    method = begun(LwF(), model, *stages)
    replay.prepare(model, stages[0])
    replay.consolidate(model, stages[0])
    replay.prepare(model, make_stage(make_domain("c"), ids=(2,), index=2))  # where the first domain is gone
    moved(model)
    joined = batch.join(replay.extend(model, batch))
    assert len(joined) > len(batch)
    alone, beside = (method.loss(model, rows, model(rows.x)) for rows in (batch, joined))
    torch.testing.assert_close(alone, beside)


# Which classes


def test_class_incremental_only_old_classes_are_preserved(
    make_model: Callable, make_domain: Callable, make_stage: Callable
):
    a, b = make_domain("a", classes=(0, 1), of=4), make_domain("b", classes=(2, 3), of=4)
    seen_a, seen_b = torch.tensor([[True, True, False, False]] * 2), torch.ones(2, 4, dtype=torch.bool)
    old, new = make_stage(a, live=seen_a), make_stage(b, ids=(1,), index=1, live=seen_b)
    model, batch = make_model(classes=4), new.batch(0)
    method = begun(LwF(), model, old, new)
    before = model(batch.x).logits.detach()
    after = moved(model)(batch.x)
    loss = method.loss(model, batch, after)
    torch.testing.assert_close(loss, divergence(before[:, :2], after.logits[:, :2], 2.0).mean())
    (gradient,) = torch.autograd.grad(loss, after.logits)
    assert gradient[:, 2:].abs().max() == 0
    assert gradient[:, :2].abs().max() > 0
    method.consolidate(model, new)
    assert method.sets is not None
    assert method.sets.tolist() == [[True] * 4]  # from now on all are old


def test_task_incremental_every_old_task_is_preserved_apart(
    make_model: Callable, make_domain: Callable, make_stage: Callable
):
    domains = [make_domain(name, classes=(2 * i, 2 * i + 1), of=6) for i, name in enumerate("abc")]
    live = torch.eye(3, dtype=torch.bool).repeat_interleave(2, 1)
    first, second, third = (make_stage(d, ids=(i,), index=i, live=live) for i, d in enumerate(domains))
    model, batch = make_model(classes=6), third.batch(0)
    method = begun(LwF(), model, first, second)
    method.consolidate(model, second)
    method.prepare(model, third)
    before = model(batch.x).logits.detach()
    after = moved(model)(batch.x)
    expected = sum(divergence(before[:, s], after.logits[:, s], 2.0).mean() for s in (slice(0, 2), slice(2, 4)))
    torch.testing.assert_close(method.loss(model, batch, after), expected)


def test_domain_incremental_there_is_one_set_of_classes(make_model: Callable, stages: list[Stage]):
    method = begun(LwF(), make_model(), *stages)
    method.consolidate(make_model(), stages[1])
    assert method.sets is not None
    assert method.sets.tolist() == [[True, True]]


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"weight": -1.0}, {"temperature": 0.0}, {"temperature": -2.0}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="LwF"):
        LwF(**arguments)


def test_it_forgets_less_than_fine_tuning(contradicted: Callable):
    assert contradicted(LwF).forgetting < contradicted(Method).forgetting - 0.15
