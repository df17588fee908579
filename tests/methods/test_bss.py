import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tladapt import BSS, Output, Stage
from tladapt.methods.bss import smallest


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def penalty(features: Tensor, k: int) -> Tensor:
    return smallest(features, k).square().sum()


def test_two_by_two_by_hand():
    features = torch.tensor([[3.0, 0.0], [4.0, 0.0], [0.0, 2.0]])  # singular values 5 and 2
    assert penalty(features, 1).item() == pytest.approx(4)
    assert penalty(features, 2).item() == pytest.approx(29)


@pytest.mark.parametrize(("n", "d"), [(9, 4), (4, 9), (6, 6)])
def test_they_are_the_roots_of_the_smallest_eigenvalues(n: int, d: int):
    features = rows(n, d)
    values = torch.linalg.eigvalsh(features @ features.T if n < d else features.T @ features)
    torch.testing.assert_close(penalty(features, 2), values[:2].sum())


@pytest.mark.parametrize("k", [1, 3])
def test_it_equals_that_of_the_authors(k: int):
    features = rows(12, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch.svd, as theirs has it, is old
        _, s, _ = torch.svd(features.t())
    result = torch.zeros((), dtype=torch.float64)
    for i in range(k):
        result += torch.pow(s[s.size(0) - 1 - i], 2)
    torch.testing.assert_close(0.001 * penalty(features, k), 0.001 * result)


def test_all_of_them_are_the_squares_of_all_features():
    features = rows(5, 3)
    for k in (3, 4, 100):
        torch.testing.assert_close(penalty(features, k), features.square().sum())


@pytest.mark.parametrize(("n", "d", "k"), [(6, 4, 1), (4, 6, 2), (2, 5, 4), (1, 3, 1)])
def test_the_gradient_is_right(n: int, d: int, k: int):
    assert torch.autograd.gradcheck(lambda x: penalty(x, k), rows(n, d).requires_grad_())


DEGENERATE = {
    "zeros": torch.zeros(5, 4),
    "ones": torch.ones(5, 4),
    "equal rows": torch.arange(4.0).expand(6, 4),
    "equal singular values": torch.eye(4),
    "a unit that never fires": torch.cat([rows(6, 3).float(), torch.zeros(6, 1)], 1),
    "one row": torch.ones(1, 4),
    "one row of zeros": torch.zeros(1, 4),
    "one feature": torch.ones(4, 1),
    "tiny": 1e-30 * torch.ones(5, 4),
    "huge": 1e15 * rows(5, 4).float(),
}


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("kind", DEGENERATE)
def test_it_is_finite_whatever_the_matrix(kind: str, k: int):
    features = DEGENERATE[kind].clone().requires_grad_()
    value = penalty(features, k)
    value.backward()
    assert value.isfinite()
    assert value >= 0
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_it_sees_the_labelled_rows_alone(make_model: Callable, stages: list[Stage]):
    model, batch = make_model(), stages[1].batch(0)
    output = model(batch.x)
    assert 0 < len(batch.y) < len(batch)
    torch.testing.assert_close(BSS(0.5, 2).loss(model, batch, output), 0.5 * penalty(output.features[batch.source], 2))


def test_without_labels_it_is_0(make_model: Callable, make_domain: Callable, make_stage: Callable):
    model, batch = make_model(), make_stage(make_domain("a").unlabelled()).batch(0)
    loss = BSS().loss(model, batch, model(batch.x))
    assert loss == 0
    assert not loss.requires_grad


def test_a_sample_of_several_positions_counts_as_their_mean(make_model: Callable, stages: list[Stage]):
    features, batch = rows(8 * 3, 5).float().view(8, 3, 5), stages[0].batch(0)
    held = torch.tensor([[True, True, False]]).expand(8, 3)
    loss = BSS(1.0).loss(make_model(), batch, Output(features, features, held))
    torch.testing.assert_close(loss, penalty(features[:, :2].mean(1), 1))


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"weight": -1.0}, {"k": 0}, {"k": 1.5}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="BSS"):
        BSS(**arguments)


def test_it_takes_the_variation_away_where_there_was_least():
    features = torch.nn.Parameter(rows(8, 3))
    before = torch.linalg.svdvals(features).detach()
    stepper = torch.optim.SGD([features], lr=0.1)
    for _ in range(100):
        stepper.zero_grad()
        penalty(features, 1).backward()
        stepper.step()
    after = torch.linalg.svdvals(features).detach()
    torch.testing.assert_close(after[:2], before[:2])
    assert after[2] < 1e-6 * before[2]
