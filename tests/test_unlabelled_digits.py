"""The scenario in which no label is learned from."""

import pytest
import torch
from torch import Tensor

from tladapt import Representation
from tladapt.scenarios import digits
from tladapt.scenarios.unlabelled import unlabelled_digits
from tladapt.streams import domains_of, members


def test_no_training_row_has_a_label_and_every_test_row_has():
    for domain in (domain for stage in unlabelled_digits().stream for domain in members(stage)):
        assert len(domain.train.y) == 0
        assert domain.test is not None
        assert len(domain.test.y) == len(domain.test) > 200


def test_the_images_lie_otherwise_than_those_of_digits_and_always_alike():
    plain, loose, again = (
        domains_of(make().stream)[0].train.x for make in (digits, unlabelled_digits, unlabelled_digits)
    )
    assert isinstance(plain, Tensor)
    assert isinstance(loose, Tensor)
    assert isinstance(again, Tensor)
    assert torch.equal(loose, again)
    assert (plain[0] - loose[0]).abs().max() > 0.1


def test_the_network_draws_at_random_when_it_is_trained_only():
    model, x = unlabelled_digits().model(), torch.rand(4, 1, 8, 8)
    assert not torch.equal(model.train()(x).features, model(x).features)
    assert torch.equal(model.eval()(x).features, model(x).features)


def test_the_metric_can_be_chosen():
    task = unlabelled_digits("clustering accuracy").task
    assert isinstance(task, Representation)
    assert task.metric == "clustering accuracy"
    with pytest.raises(ValueError, match="metric='Dice'"):
        unlabelled_digits("Dice")
