from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tladapt import EWC, L2SP, Domain, LoRA, Method, Model, Stage, fit
from tladapt.methods.weights import flat


def moved(model: Model, by: float = 0.3) -> Model:
    """The model, a random step from where it was."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype)
    return model


def vector(module: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def test_it_is_the_formula_by_hand(make_model: Callable, stages: list[Stage]):
    model, method = make_model(norm=True), L2SP(weight=0.7, head=0.2)
    method.prepare(model, stages[0])
    start = vector(model.encoder)
    batch = stages[0].batch(0)
    loss = method.loss(moved(model), batch, model(batch.x))
    expected = 0.7 / 2 * (vector(model.encoder) - start).square().sum() + 0.2 / 2 * vector(model.head).square().sum()
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    found = torch.cat([g.flatten() for g in gradients])
    torch.testing.assert_close(found, torch.cat([0.7 * (vector(model.encoder) - start), 0.2 * vector(model.head)]))


def test_the_start_is_before_the_first_stage_that_is_trained(make_model: Callable, make_domain: Callable):
    model, stream = make_model(), [make_domain(name) for name in "abc"]
    before, method = flat(model.encoder).detach().clone(), L2SP()
    fit(model, stream, method, learned=1, steps=3, lr=0.1)
    assert method.start is not None
    assert torch.equal(method.start[: len(before)], before)
    assert method.start[len(before) :].abs().max() == 0
    assert not torch.equal(flat(model.encoder), before)


def test_it_does_not_move_with_the_model(make_model: Callable, stages: list[Stage]):
    model, method, batch = make_model(), L2SP(), stages[0].batch(0)
    method.prepare(model, stages[0])
    here = method.loss(model, batch, model(batch.x))
    torch.testing.assert_close(here, 0.005 * vector(model.head).square().sum())
    assert method.loss(moved(model), batch, model(batch.x)) > here


def test_it_is_ewc_with_every_weight_of_equal_importance(make_model: Callable, stages: list[Stage]):
    model, batch = make_model(), stages[0].batch(0)
    method, ewc = L2SP(weight=0.3, head=1e-9), EWC(weight=0.3)
    method.prepare(model, stages[0])
    with torch.no_grad():
        for p in model.head.parameters():
            p.zero_()  # where the head is held, too
    here = flat(model).detach().clone()
    ewc.total, ewc.anchor, ewc.rest = torch.ones_like(here), here, torch.zeros(())
    with torch.no_grad():
        for p in model.encoder.parameters():
            p += 0.1
    ours, theirs = (m.loss(model, batch, model(batch.x)) for m in (method, ewc))
    torch.testing.assert_close(ours, theirs)


def test_it_holds_what_the_weights_are_with_the_products_of_lora(make_model: Callable, stages: list[Stage]):
    model, both, batch = make_model(), LoRA() + L2SP(), stages[0].batch(0)
    both.seed(0)
    both.prepare(model, stages[0])
    l2sp = both.terms["L2SP"]
    torch.testing.assert_close(l2sp.loss(model, batch, model(batch.x)), 0.005 * vector(model.head).square().sum())
    for parameter in model.trained():
        with torch.no_grad():
            parameter += 0.1
    during = l2sp.loss(model, batch, model(batch.x))
    both.consolidate(model, stages[0])
    assert torch.equal(l2sp.loss(model, batch, model(batch.x)), during)


def test_a_network_that_is_all_head_works(make_domain: Callable):
    fit(Model.of(nn.Linear(2, 2)), [make_domain("a")], L2SP(), steps=2)


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"weight": float("nan")}, {"head": 0}, {"head": -1.0}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="L2SP"):
        L2SP(**arguments)


def test_it_stays_near_what_the_model_came_with_and_forgets_less(make_model: Callable):
    def domain(name: str, turn: float) -> Domain:
        random = torch.Generator().manual_seed(len(name))
        x = torch.randn(200, 8, generator=random)
        y = (x[:, 0] * (1 - turn) + x[:, 1] * turn > 0).long()
        return Domain(name, (x[:100], y[:100]), (x[100:], y[100:]))

    def run(method: Method, seed: int) -> tuple[float, float]:
        old, new = domain("old", 0.0), domain("newer", 0.8)
        model = make_model(seed, inputs=8, width=64)
        fit(model, [old], steps=100, lr=0.01)
        start = vector(model.encoder)
        report = fit(model, [old, new], method, learned=1, steps=60, lr=0.01, seed=seed)
        return float((vector(model.encoder) - start).norm()), report.forgetting or 0.0

    held, free = ([run(make(), seed) for seed in range(3)] for make in (lambda: L2SP(1.0), Method))
    assert sum(far for far, _ in held) < 0.5 * sum(far for far, _ in free)
    assert sum(lost for _, lost in held) / 3 < sum(lost for _, lost in free) / 3 - 0.02
