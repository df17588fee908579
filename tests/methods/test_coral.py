import warnings
from collections.abc import Callable

import pytest
import torch

from tladapt import CORAL, Method, Output
from tladapt.methods.coral import coral, covariance, relative_coral

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorch_adapt.layers import CORALLoss


def rows(n: int, seed: int, d: int = 6) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_a_sample_is_at_no_distance_from_itself():
    assert coral(rows(9, 0), rows(9, 0)) == 0


def test_the_mean_does_not_matter():
    assert coral(rows(9, 0).double(), rows(9, 0).double() + 5) < 1e-24


def test_two_by_two_by_hand():
    source = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]])  # covariance [[1, 1], [1, 1]]
    target = torch.tensor([[2.0, -1.0], [-2.0, 1.0], [0.0, 0.0]])  # covariance [[4, -2], [-2, 1]]
    assert torch.equal(covariance(source), torch.ones(2, 2))
    assert torch.equal(covariance(target), torch.tensor([[4.0, -2.0], [-2.0, 1.0]]))
    assert coral(source, target).item() == pytest.approx((9 + 9 + 9 + 0) / (4 * 2**2))


@pytest.mark.parametrize(("n", "m"), [(12, 12), (5, 30), (2, 3)])
def test_it_equals_the_coral_loss_of_pytorch_adapt(n: int, m: int):
    ours, theirs = coral(rows(n, 0), rows(m, 1)), CORALLoss()(rows(n, 0), rows(m, 1))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def test_the_covariance_is_that_of_torch():
    torch.testing.assert_close(covariance(rows(9, 3)), torch.cov(rows(9, 3).T))


def test_the_gradient_is_right():
    x, y = rows(4, 0, 3).double().requires_grad_(), rows(5, 1, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(coral, (x, y))


def test_relative_to_their_size_covariances_are_at_most_one_apart():
    x, y = rows(9, 0).double(), rows(12, 1).double()
    here, there = torch.cov(x.T), torch.cov(y.T)
    expected = (here - there).square().sum() / (here.square().sum() + there.square().sum())
    torch.testing.assert_close(relative_coral(x, y), expected)
    assert relative_coral(x, x) == 0
    assert 0 < relative_coral(x, y) < 1
    assert relative_coral(x, 1e-3 * x) == pytest.approx(1, abs=1e-5)


def test_relative_to_their_size_neither_scale_nor_repeated_features_count():
    x, y = rows(9, 0).double(), rows(12, 1).double()
    torch.testing.assert_close(relative_coral(1000 * x, 1000 * y), relative_coral(x, y))
    torch.testing.assert_close(relative_coral(x.repeat(1, 8), y.repeat(1, 8)), relative_coral(x, y))
    narrow, wide = (torch.randn(2, 512, d, generator=torch.Generator().manual_seed(0)) for d in (8, 64))
    scale = torch.tensor([1.0, 3.0])
    apart = [relative_coral(a, b * scale.repeat(a.shape[1] // 2)) for a, b in (narrow, wide)]
    assert apart[1] == pytest.approx(apart[0].item(), rel=0.15)


def test_constant_features_are_at_no_distance():
    x = torch.ones(5, 3, requires_grad=True)
    found = relative_coral(x, torch.zeros(4, 3))
    found.backward()
    assert found == 0
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_its_gradient_is_right_too():
    x, y = rows(4, 0, 3).double().requires_grad_(), rows(5, 1, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(relative_coral, (x, y))


def test_the_weight_is_a_factor():
    source, target = Output(rows(4, 0), rows(4, 0)), Output(rows(7, 1), rows(7, 1))
    expected = 2.5 * relative_coral(source.features, target.features)
    torch.testing.assert_close(CORAL(2.5).discrepancy(source, target, 0.3), expected)


def test_it_compares_labelled_and_unlabelled_rows(make_model: Callable, stages: list):
    model, batch = make_model(), stages[1].batch(0)
    features = model(batch.x).features
    torch.testing.assert_close(CORAL().loss(model, batch, model(batch.x)), relative_coral(features[:8], features[8:]))


def test_it_helps_where_the_spread_misleads(misled: Callable):
    assert misled(CORAL, "noise").new > misled(Method, "noise").new + 0.08
