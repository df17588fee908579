import pytest
import torch
from torch import Tensor

from tladapt.methods.quadratic import quadratic

SHAPES = [(3, 4), (4,), (2, 3, 2, 2), ()]


def parts(seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in SHAPES]


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


@pytest.mark.parametrize("weighed", [True, False])
def test_the_sum_and_its_gradient_are_those_of_autograd(weighed: bool):
    theta = [t.requires_grad_() for t in parts(0)]
    anchor, importance = flat(parts(1)), flat(parts(2)).square() if weighed else None
    expected = ((flat(theta) - anchor).square() * (1.0 if importance is None else importance)).sum()
    found = quadratic(theta, anchor, importance)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    right = torch.autograd.grad(3 * expected, theta)
    assert all(torch.allclose(a, b) for a, b in zip(torch.autograd.grad(3 * found, theta), right, strict=True))
    assert torch.autograd.gradcheck(lambda *t: quadratic(t, anchor, importance), theta)


def test_the_layout_of_a_weight_changes_nothing():
    weight = torch.randn(4, 3, 2, 2)
    last = weight.to(memory_format=torch.channels_last).requires_grad_()
    anchor, importance = torch.randn(48), torch.rand(48)
    plain = weight.clone().requires_grad_()
    for leaf in (plain, last):
        quadratic([leaf], anchor, importance).backward()
    assert plain.grad is not None
    assert last.grad is not None
    assert torch.allclose(plain.grad, last.grad)


def test_a_loss_taken_back_twice_has_the_same_gradient_twice():
    theta = torch.ones(3, requires_grad=True)
    loss = quadratic([theta], torch.zeros(3))
    first, second = (torch.autograd.grad(loss, theta, retain_graph=True)[0] for _ in range(2))
    assert first.tolist() == second.tolist() == [2.0, 2.0, 2.0]


def test_nothing_held_costs_nothing():
    assert quadratic([], torch.zeros(0)).item() == 0
