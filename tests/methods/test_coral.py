import warnings
from collections.abc import Callable

import pytest
import torch

from tladapt import CORAL, Method, Output
from tladapt.methods.coral import coral, covariance

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


def test_the_weight_is_a_factor():
    source, target = Output(rows(4, 0), rows(4, 0)), Output(rows(7, 1), rows(7, 1))
    expected = 2.5 * coral(source.features, target.features)
    torch.testing.assert_close(CORAL(2.5).discrepancy(source, target, 0.3), expected)


def test_it_compares_labelled_and_unlabelled_rows(make_model: Callable, stages: list):
    model, batch = make_model(), stages[1].batch(0)
    features = model(batch.x).features
    torch.testing.assert_close(CORAL().loss(model, batch, model(batch.x)), coral(features[:8], features[8:]))


def test_it_helps_where_the_spread_misleads(misled: Callable):
    assert misled(CORAL, "noise").new > misled(Method, "noise").new + 0.08
