"""Features that are learned without labels."""

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from tladapt import Domain, Method, Output, Representation, VICReg, fit


def output(features: Tensor, mask: Tensor | None = None) -> Output:
    return Output(features, features.new_zeros(*features.shape[:-1], 2), mask)


def blobs(spread: float, rows: int = 60) -> tuple[Tensor, Tensor]:
    x, y = make_blobs(rows, n_features=6, centers=4, cluster_std=spread, random_state=0)[:2]
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def score(task: Representation, features: Tensor, y: Tensor) -> float:
    return task.score(torch.cat([task.marks(output(features[i]), y[i], None) for i in torch.arange(len(y)).split(25)]))


@pytest.mark.parametrize("neighbours", [1, 3, 7])
def test_the_score_is_that_of_the_neighbours_of_scikit_learn(neighbours: int):
    features, y = blobs(6.0)
    nearer = cast(Any, lambda distance: 1 + (2 - distance) / 1e3)  # win among equals
    theirs = KNeighborsClassifier(neighbours, metric="cosine", weights=nearer)
    expected = cross_val_score(theirs, features.double(), y, cv=LeaveOneOut()).mean()
    task = Representation(neighbours=neighbours)
    assert 0.4 < expected < 0.95
    assert score(task, features, y) == pytest.approx(expected)
    assert (task.metric, task.share, task.higher_is_better) == ("k-NN accuracy", True, True)


def test_more_neighbours_than_rows_are_all_the_others():
    features, y = torch.eye(3), torch.tensor([0, 0, 1])
    assert Representation(neighbours=50).score(torch.cat([features, y[:, None]], 1).double()) == pytest.approx(2 / 3)


def test_rows_that_are_equal_are_neighbours_of_each_other():
    features, y = torch.ones(4, 2), torch.tensor([3, 3, 3, 9])
    assert score(Representation(neighbours=3), features, y) == 0.75


@pytest.mark.parametrize("metric", ["k-NN accuracy", "clustering accuracy"])
def test_what_lies_apart_is_told_apart(metric: str):
    task = Representation(metric)
    assert score(task, *blobs(0.1)) == 1.0
    assert score(task, torch.randn(200, 6), torch.arange(200) % 4) < 0.5


def test_clusters_are_taken_for_classes_one_to_one():
    angles = torch.tensor([0.0, 0.01, 0.02, 1.5, 1.51, 1.52])  # two clusters
    y = torch.tensor([7, 7, 2, 2, 2, 7])  # numbered as it happens
    features = torch.stack([angles.cos(), angles.sin()], 1)
    assert score(Representation("clustering accuracy"), features, y) == pytest.approx(4 / 6)
    mostly_one = torch.tensor([7, 7, 7, 7, 7, 2])  # both clusters hold 7, but only one stands for it
    assert score(Representation("clustering accuracy"), features, mostly_one) == pytest.approx(4 / 6)


def test_the_features_are_the_mean_over_what_is_held():
    features, mask = torch.randn(3, 4, 5), torch.tensor([[True, True, False, False]] * 3)
    marks = Representation().marks(output(features, mask), torch.arange(3), None)
    mean = features[:, :2].mean(1).double()
    torch.testing.assert_close(marks, torch.cat([mean / mean.norm(dim=1, keepdim=True), torch.arange(3.0)[:, None]], 1))


def test_answers_are_drawn_around_the_features():
    result, task = output(torch.randn(1, 3).expand(4000, 3).clone().requires_grad_()), Representation()
    y = task.sample(lambda _: result, torch.Generator().manual_seed(0))
    surprise = task.surprise(result, y)
    (gradient,) = torch.autograd.grad(surprise, result.features)
    assert surprise.item() / 4000 == pytest.approx(3 / 2 * math.log(2 * math.pi * math.e), rel=0.01)
    torch.testing.assert_close(gradient.square().mean(0), torch.ones(3), atol=0.1, rtol=0)


def test_the_divergence_is_half_the_squared_distance():
    new, old = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    assert Representation().divergence(new, old, 3.0) == 2.0


def test_without_a_method_nothing_is_learned(make_model: Callable, make_domain: Callable):
    domain, model = make_domain(), make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    labelled = fit(model, [domain], steps=3, task=Representation())
    without = fit(model, [domain.unlabelled()], Method(), steps=3, task=Representation())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert labelled.scores[0] == labelled.scores[1] == without.scores[1]
    assert without.notes == ["stage 1 (a): nothing was learned, as it has no labels and the method needs them"]


def test_methods_act_on_it_beside_one_that_learns(life: Callable, make_model: Callable, make_domain: Callable):
    life(make_model(), make_domain(), make_domain("b", shift=0.5), Representation(), VICReg)


def test_labels_that_are_no_classes_are_refused():
    x = torch.randn(6, 2)
    with pytest.raises(ValueError, match=r"domain 'a' has test labels \(6, 3\) of torch.float32; .*whole numbers"):
        Representation().check(Domain("a", x, (x, torch.rand(6, 3))), 2)
    with pytest.raises(ValueError, match="domain 'a' has one test row, and no other to judge it by"):
        Representation().check(Domain("a", x, (x[:1], torch.tensor([0]))), 2)
    Representation().check(Domain("a", x, None), 2)


@pytest.mark.parametrize("arguments", [{"metric": "knn"}, {"neighbours": 0}, {"neighbours": 1.5}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match=f"Representation\\({next(iter(arguments))}="):
        Representation(**arguments)
