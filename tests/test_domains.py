"""Domains: what is held out, and that labels that are gone are gone."""

import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from tladapt import Data, Domain

N, CLASSES = 60, 3
Y = torch.arange(N) % CLASSES
X = torch.stack([torch.arange(N), Y], 1).float()  # a row's number and its label


def rows(data: Data | None) -> Tensor:
    assert data is not None
    x = data.rows(torch.arange(len(data)))
    assert isinstance(x, Tensor)
    return x


def names(data: Data | None) -> list[int]:
    return rows(data)[:, 0].int().tolist()


def counts(y: Tensor) -> list[int]:
    return y.bincount(minlength=CLASSES).tolist()


def partly_labelled(m: int) -> Domain:
    return Domain("web", Data(X, Y[:m]), test=None)


def test_the_classes_are_what_the_labels_show():
    assert Domain("web", (X, Y)).classes == ("0", "1", "2")


def test_the_classes_can_be_named_or_counted():
    assert Domain("web", (X, Y), classes=["cat", "dog", "cow"]).classes == ("cat", "dog", "cow")
    assert len(Domain("web", (X, Y), classes=7).classes) == 7


def test_a_class_that_only_the_test_data_has_is_a_class():
    assert len(Domain("web", (X, Y), test=(X[:1], [4])).classes) == 5


@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "data set"])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_hold_out_takes_its_share_and_nothing_twice(share, lazy):
    domain = Domain("web", TensorDataset(X, Y) if lazy else (X, Y), test=share)
    assert len(domain.test or ()) == share * N
    assert sorted(names(domain.train) + names(domain.test)) == list(range(N))


@pytest.mark.parametrize("part", ["test", "validation"])
def test_which_rows_are_held_out_depends_on_no_label(part):
    held = set()
    for y in (Y, Y.flip(0), Y * 0, (torch.arange(N) == 7).long(), torch.randn(N), torch.zeros(N, 4)):
        domain = Domain("web", (X, y), **{"test": None, part: 0.2})
        held.add(tuple(names(getattr(domain, part))))
    assert len(held) == 1


def test_the_hold_out_takes_the_same_rows_whatever_their_order():
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    one, two = Domain("web", (X, Y)), Domain("web", (X[order], Y[order]))
    assert sorted(names(one.test)) == sorted(names(two.test))


def test_equal_rows_are_held_out_in_proportion():
    x = (torch.arange(1000) % 2).float()[:, None]
    test = Domain("coins", (x, x[:, 0].long()), test=0.2).test
    assert test is not None
    assert len(test) == 200
    assert 70 < test.y.sum() < 130


def test_held_out_rows_keep_their_own_labels():
    domain = Domain("web", (X, Y))
    for data in (domain.train, domain.test):
        assert data is not None
        assert torch.equal(rows(data)[:, 1].long(), data.y)


def test_the_hold_out_depends_on_the_seed_alone():
    first, again, other = (names(Domain("web", (X, Y), seed=seed).test) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_nothing_is_held_out_for_no_share_or_no_test():
    assert Domain("web", (X, Y), test=0).test is None
    assert Domain("web", (X, Y), test=None).test is None
    assert len(Domain("web", (X, Y), test=None).train) == N


def test_nothing_is_held_out_of_data_without_labels():
    domain = Domain("web", X)
    assert (len(domain.train), domain.test) == (N, None)


def test_the_hold_out_leaves_the_unlabelled_rows_to_learn_from():
    domain = Domain("web", Data(X, Y[:30]), test=0.2)
    assert (len(domain.test or ()), len(domain.train.y), len(domain.train)) == (6, 24, 54)


def test_labelled_pixels_can_be_held_out():
    x, y = torch.randn(20, 1, 4, 4), torch.randint(3, (20, 4, 4))
    domain = Domain("scans", (x, y), test=0.25)
    assert domain.test is not None
    assert (domain.train.y.shape, domain.test.y.shape) == ((15, 4, 4), (5, 4, 4))
    assert (rows(domain.train).shape, rows(domain.test).shape) == ((15, 1, 4, 4), (5, 1, 4, 4))


def test_given_test_data_is_taken_as_it_is():
    domain = Domain("web", (X, Y), test=(X[:5], Y[:5]), validation=(X[5:9], Y[5:9]))
    assert (len(domain.train), len(domain.test or ()), len(domain.validation or ())) == (N, 5, 4)


def test_test_data_may_have_no_labels():
    test = Domain("web", X, test=X[:5]).test
    assert test is not None
    assert (len(test), len(test.y)) == (5, 0)


def test_an_unlabelled_domain_has_the_same_rows_and_test_data_and_no_label():
    domain = Domain("web", (X, Y), validation=(X[:6], Y[:6]))
    gone = domain.unlabelled()
    assert sorted(names(gone.train)) == sorted(names(domain.train))
    assert gone.test is domain.test
    assert len(gone.train.y) == 0
    assert gone.labels is None
    assert gone.validation is not None
    assert len(gone.validation.y) == 0
    assert gone.classes == domain.classes


@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "data set"])
@pytest.mark.parametrize("given", ["sorted by class", "at random"])
def test_the_order_of_an_unlabelled_domain_depends_on_its_rows_alone(lazy, given):
    order = Y.argsort() if given == "sorted by class" else torch.randperm(N)
    domain = Domain("web", TensorDataset(X[order], Y[order]) if lazy else (X[order], Y[order]), test=None)
    expected = Domain("web", X, validation=X).unlabelled()
    assert names(domain.unlabelled().train) == names(expected.train) == names(expected.validation)
    assert names(expected.unlabelled().train) == names(expected.train)


def test_the_order_of_an_unlabelled_domain_looks_random():
    x = torch.arange(3000.0)[:, None]
    order = Domain("web", x).unlabelled().train.x[:, 0]
    correlation = torch.corrcoef(torch.stack([order, torch.arange(3000.0)]))[0, 1]
    assert correlation.abs() < 0.06  # three standard deviations


def test_the_classes_of_an_unlabelled_domain_are_no_fact_about_its_labels():
    assert Domain("web", (X, Y), test=(X, Y % 2)).unlabelled().classes == ("0", "1")
    assert Domain("web", (X, Y), test=(X, Y % 2), classes=5).unlabelled().classes == ("0", "1", "2", "3", "4")


def test_the_domain_itself_keeps_its_labels():
    domain = Domain("web", (X, Y), validation=(X[:6], Y[:6]))
    domain.unlabelled(keep=1)
    assert (len(domain.train.y), len((domain.validation or domain.train).y), domain.labels) == (48, 6, [0, 1, 2])


@pytest.mark.parametrize("keep", [0, 2])
def test_no_label_can_be_dug_out_of_memory(keep):
    gone = Domain("web", (X, Y), validation=(X, Y)).unlabelled(keep)
    assert gone.validation is not None
    assert gone.train.y.untyped_storage().nbytes() == 8 * keep * CLASSES
    assert gone.validation.y.untyped_storage().nbytes() == 0


@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "data set"])
def test_kept_labels_come_first_and_are_right(lazy):
    domain = Domain("web", TensorDataset(X, Y) if lazy else (X, Y), test=0.0)
    kept = domain.unlabelled(keep=4)
    assert counts(kept.train.y) == [4, 4, 4]
    assert torch.equal(rows(kept.train)[:12, 1].long(), kept.train.y)
    assert sorted(names(kept.train)) == list(range(N))
    assert kept.labels is None


def test_keeping_more_labels_than_there_are_keeps_all():
    kept = Domain("web", (X, Y), test=0.0).unlabelled(keep=100)
    assert len(kept.train.y) == N
    assert torch.equal(rows(kept.train)[:, 1].long(), kept.train.y)


def test_which_labels_are_kept_depends_on_the_seed_and_the_name():
    domain, other = (Domain(name, (X, Y), test=0.0) for name in ("web", "phone"))
    drawn = [names(d.unlabelled(3, seed).train)[:9] for d, seed in ((domain, 0), (domain, 0), (domain, 1), (other, 0))]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[0] != drawn[3]


def test_labels_can_be_taken_away_twice():
    kept = Domain("web", (X, Y), test=0.0).unlabelled(keep=4).unlabelled(keep=1)
    assert counts(kept.train.y) == [1, 1, 1]
    assert torch.equal(rows(kept.train)[:3, 1].long(), kept.train.y)
    assert sorted(names(kept.train)) == list(range(N))


def test_labels_for_training_only_leave_the_unlabelled_rows_of_a_partly_labelled_domain():
    gone = partly_labelled(20).unlabelled()
    assert (len(gone.train), len(gone.train.y)) == (N, 0)


def test_only_fully_labelled_data_tells_which_classes_occur():
    assert Domain("web", (X, Y)).labels == [0, 1, 2]
    assert partly_labelled(20).labels is None


def test_what_a_method_sees_has_no_test_data():
    domain = Domain("web", (X, Y))
    seen = domain.for_training(torch.device("cpu"))
    assert seen.test is None
    assert domain.test is not None
    assert names(seen.train) == names(domain.train)


def test_a_domain_says_what_it_has():
    domain = Domain("web", (X, Y))
    assert repr(domain) == "Domain('web', 48 labelled, test 12)"
    assert repr(domain.unlabelled(1)) == "Domain('web', 3 labelled, 45 unlabelled, test 12)"
    assert repr(Domain("web", X)) == "Domain('web', 60 unlabelled, test 0)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": (X[:0], Y[:0])}, r"Domain\('web'\): train is empty"),
        ({"train": (X / 0, Y)}, r"Domain\('web'\): train holds NaN or infinity, first in row 0"),
        ({"train": (X, Y[:9])}, r"Domain\('web'\): train has \[60\] rows and 9 labels"),
        ({"train": (X, Y), "test": (X[:0], Y[:0])}, r"Domain\('web'\): test is empty"),
        ({"train": (X, Y), "test": (X / 0, Y)}, r"Domain\('web'\): test holds NaN"),
        ({"train": (X, Y), "test": (X[:, :1], Y)}, r"'web'\): test has rows of shape \(1,\), not \(2,\)"),
        ({"train": (X, Y), "validation": (X / 0, Y)}, r"Domain\('web'\): validation holds NaN"),
        ({"train": (X, Y), "validation": (X[:, :1], Y)}, r"'web'\): validation has rows of shape \(1,\)"),
        ({"train": ({"a": X}, Y), "test": ({"b": X}, Y)}, r"'web'\): test has rows of shape \{'b'"),
        ({"train": (X, Y), "classes": 2}, r"'web'\): train has the label 2, but there are 2 classes.*classes="),
        ({"train": (X, Y), "classes": ["a", "b"]}, r"'web'\): train has the label 2"),
        ({"train": (X, Y - 1)}, r"'web'\): train has the label -1"),
        ({"train": (X, Y), "test": (X, Y + 1), "classes": 3}, r"'web'\): test has the label 3"),
        ({"train": (X, Y), "validation": (X, Y + 1)}, r"'web'\): validation has the label 3"),
        ({"train": (X, Y), "test": 1.0}, r"'web', test=1.0\): a share"),
        ({"train": (X, Y), "test": -0.1}, r"'web', test=-0.1\): a share"),
        ({"train": (X, Y), "test": 20}, r"'web', test=20\): a share"),
    ],
)
def test_wrong_data_is_refused_with_domain_and_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        Domain("web", **arguments)


def test_a_negative_number_of_labels_to_keep_is_refused():
    with pytest.raises(ValueError, match=r"keep=-1"):
        Domain("web", (X, Y)).unlabelled(keep=-1)


def test_a_misspelled_argument_is_refused():
    with pytest.raises(TypeError, match="classses"):
        Domain("web", (X, Y), classses=3)  # type: ignore[call-arg]
