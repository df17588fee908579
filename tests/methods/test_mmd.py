import math
import warnings
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from tladapt import MMD, Method, Output
from tladapt.methods.mmd import mmd

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorch_adapt.layers import MMDLoss


def rows(n: int, seed: int, d: int = 4) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(source: Tensor, target: Tensor, scales: Sequence[float], bandwidth: float) -> float:
    """The estimate with a loop over every pair."""

    def kernel(a: Tensor, b: Tensor) -> float:
        return sum(math.exp(-float((a - b).square().sum()) / (s * bandwidth)) for s in scales) / len(scales)

    def within(rows: Tensor) -> float:
        pairs = [kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(a, b) for a in source for b in target]
    return within(source) + within(target) - 2 * sum(across) / len(across)


@pytest.mark.parametrize("scales", [(1.0,), (0.25, 1.0, 4.0)])
@pytest.mark.parametrize(("n", "m"), [(5, 5), (2, 7)])
def test_it_equals_the_sum_over_pairs(n: int, m: int, scales: tuple[float, ...]):
    source, target = rows(n, 0), rows(m, 1) + 0.5
    expected = by_hand(source, target, scales, 3.0)
    assert mmd(source, target, scales, bandwidth=3.0).item() == pytest.approx(expected, abs=1e-12)


def test_the_bandwidth_is_the_mean_squared_distance_of_all_pairs():
    source, target = rows(5, 0), rows(3, 1)
    every = torch.cat([source, target])
    pairs = [float((a - b).square().sum()) for i, a in enumerate(every) for j, b in enumerate(every) if i != j]
    expected = by_hand(source, target, (0.5, 2.0), sum(pairs) / len(pairs))
    assert mmd(source, target, (0.5, 2.0)).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("n", "m"), [(12, 12), (5, 30)])
def test_it_equals_the_mmd_loss_of_pytorch_adapt(n: int, m: int):
    source, target, scales = rows(n, 0).float(), rows(m, 1).float() + 1, (0.25, 0.5, 1.0, 2.0, 4.0)
    theirs = MMDLoss(kernel_scales=1 / torch.tensor(scales), mmd_type="quadratic", bandwidth=5.0)(source, target)
    torch.testing.assert_close(mmd(source, target, scales, bandwidth=5.0), theirs, atol=1e-6, rtol=1e-5)


def test_the_gradient_is_right():
    x, y = rows(4, 0).requires_grad_(), rows(5, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: mmd(x, y, (0.5, 2.0), bandwidth=3.0), (x, y))


def test_no_gradient_flows_through_the_bandwidth():
    x, y = rows(4, 0).requires_grad_(), rows(5, 1)
    every = torch.cat([x, y]).detach()
    width = float(torch.cdist(every, every).square().sum()) / 72
    (free,) = torch.autograd.grad(mmd(x, y, (1.0,)), x)
    (fixed,) = torch.autograd.grad(mmd(x, y, (1.0,), bandwidth=width), x)
    torch.testing.assert_close(free, fixed, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize(
    "same", [rows(6, 0).float(), torch.full((6, 4), 0.3), torch.zeros(6, 4)], ids=["rows", "row", "0"]
)
def test_the_gradient_is_finite_where_source_equals_target(same: Tensor):
    source, target = same.clone().requires_grad_(), same.clone().requires_grad_()
    loss = mmd(source, target, (0.25, 1.0, 4.0))
    loss.backward()
    assert loss.isfinite()
    assert source.grad is not None
    assert target.grad is not None
    assert source.grad.isfinite().all()
    assert target.grad.isfinite().all()


def test_it_is_about_0_for_one_distribution_and_not_for_two():
    same = torch.stack([mmd(rows(20, s), rows(20, s + 100), (1.0,)) for s in range(50)])
    apart = torch.stack([mmd(rows(20, s), rows(20, s + 100) + 1, (1.0,)) for s in range(50)])
    assert abs(same.mean()) < 4 * same.std() / 50**0.5  # unbiased: on both sides of 0
    assert apart.min() > same.max()


def test_the_weight_is_a_factor():
    source, target = Output(rows(4, 0), rows(4, 0)), Output(rows(7, 1), rows(7, 1))
    expected = 2.5 * mmd(source.features, target.features, (1.0, 3.0))
    torch.testing.assert_close(MMD(2.5, [1.0, 3.0]).discrepancy(source, target, 0.3), expected)


def test_it_compares_labelled_and_unlabelled_rows(make_model: Callable, stages: list):
    model, batch = make_model(), stages[1].batch(0)
    features = model(batch.x).features
    expected = mmd(features[:8], features[8:], MMD().scales)
    torch.testing.assert_close(MMD().loss(model, batch, model(batch.x)), expected)


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (-1.0,)])
def test_scales_out_of_range_are_refused(scales: tuple[float, ...]):
    with pytest.raises(ValueError, match=r"MMD\(.*scales="):
        MMD(scales=scales)


def test_it_helps_where_a_shift_misleads(misled: Callable):
    assert misled(MMD, "shift").new > misled(Method, "shift").new + 0.3
