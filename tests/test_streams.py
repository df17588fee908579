"""Streams: which domains come when, and which classes may be predicted."""

import pytest
import torch

from tladapt import Data, Domain, adaptation
from tladapt.scenarios import by_class
from tladapt.streams import domains_of, live_classes, members

X, Y = torch.randn(24, 2), torch.arange(24) % 4


def domain(name: str, x=X, y=Y, **options) -> Domain:
    return Domain(name, (x, y), **options)


A, B = domain("a"), domain("b")


def test_adaptation_is_the_source_and_then_both_without_the_targets_labels():
    first, second = adaptation(A, B)
    assert first is A
    assert members(second)[0] is A
    target = members(second)[1]
    assert (target.name, len(target.train.y), len(target.train)) == ("b", 0, len(B.train))


def test_adaptation_can_keep_a_few_labels_per_class():
    target = members(adaptation(A, B, keep=2)[1])[1]
    assert target.train.y.bincount().tolist() == [2, 2, 2, 2]


def test_the_members_of_a_stage_are_its_domains():
    assert members(A) == (A,)
    assert members((A, B)) == (A, B)
    assert members([A, B]) == (A, B)


def test_each_domain_counts_once_in_the_order_of_its_coming():
    unlabelled = B.unlabelled()
    assert domains_of([A, (A, unlabelled), A]) == [A, unlabelled]
    assert domains_of([(B, A)]) == [B, A]


def test_domains_to_evaluate_on_give_the_columns():
    c = domain("c")
    found = domains_of([A, B.unlabelled()], evaluate=[c, B, A])
    assert [(d.name, d.test) for d in found] == [(d.name, d.test) for d in (c, B, A)]


@pytest.mark.parametrize("stream", [A, "ab", [], ()])
def test_what_is_no_list_of_stages_is_refused(stream):
    with pytest.raises(TypeError, match=r"stream: give a list of stages"):
        domains_of(stream)


@pytest.mark.parametrize("stream", [[X], [(A, (X, Y))], [A, None], ["a"], [["a", "b"]]])
def test_what_is_no_domain_is_refused(stream):
    with pytest.raises(TypeError, match=r"stream: expected a Domain, got a"):
        domains_of(stream)


def test_a_stage_without_a_domain_is_refused():
    with pytest.raises((TypeError, ValueError), match="stream"):
        domains_of([A, ()])


def test_two_domains_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"stream: two domains are named 'a'"):
        domains_of([A, domain("a")])


def test_two_domains_of_one_name_are_refused_without_test_data_too():
    with pytest.raises(ValueError, match=r"two domains are named 'a'"):
        domains_of([Domain("a", X), Domain("a", X + 1)])


def test_two_domains_of_one_name_to_evaluate_on_are_refused():
    with pytest.raises(ValueError, match=r"evaluate: give every domain of the stream \(a\) once"):
        domains_of([A], evaluate=[A, B, domain("b")])


def test_a_domain_stays_the_same_when_labels_are_taken_from_it():
    bare = Domain("a", (X, Y), test=None)
    assert domains_of([bare, bare.unlabelled(), bare.unlabelled(2)]) == [bare]


def test_domains_of_different_shape_are_refused_with_both_names():
    with pytest.raises(ValueError, match=r"the rows of 'c' have the shape \(3,\), those of 'a' \(2,\)"):
        domains_of([A, domain("c", torch.randn(24, 3))])


def test_the_evaluation_must_not_miss_a_domain_of_the_stream():
    with pytest.raises(ValueError, match=r"evaluate: give every domain of the stream \(a, b\) once"):
        domains_of([A, B], evaluate=[A])


def halves() -> list[Domain]:
    return by_class(domain("digits"), 2)


def test_domain_incremental_streams_allow_every_class():
    assert live_classes("domain", halves(), 4, seen={0}) is None


def test_class_incremental_streams_allow_the_classes_seen_so_far_whatever_the_domain():
    nothing, one, both = (live_classes("class", halves(), 4, seen) for seen in (set[int](), {0}, {0, 1}))
    assert nothing is None
    assert one is not None
    assert both is not None
    assert one.tolist() == [[True, True, False, False]] * 2
    assert both.all()


@pytest.mark.parametrize("seen", [set(), {0}, {0, 1}])
def test_task_incremental_streams_allow_each_domain_its_own_classes(seen):
    live = live_classes("task", halves(), 4, seen)
    assert live is not None
    assert live.tolist() == [[True, True, False, False], [False, False, True, True]]


def test_a_domain_without_all_its_labels_may_have_any_class():
    first, second = halves()
    live = live_classes("task", [first, second.unlabelled(keep=1)], 5, seen=set())
    assert live is not None
    assert live.tolist() == [[True, True, False, False, False], [True] * 5]


def test_an_unknown_increment_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"increment='classes': expected one of 'domain', 'class', 'task'"):
        live_classes("classes", [A], 4, seen=set())


def test_by_class_deals_out_every_row_with_its_label():
    whole = domain("digits", validation=(X, Y))
    first, second = by_class(whole, 2)
    assert (first.name, second.name) == ("digits 0-1", "digits 2-3")
    assert (first.labels, second.labels) == ([0, 1], [2, 3])
    for part, own in ((first, whole.train.y < 2), (second, whole.train.y >= 2)):
        assert torch.equal(part.train.y, whole.train.y[own])
        assert isinstance(part.train.x, torch.Tensor)
        assert torch.equal(part.train.x, whole.train.x[own])
        assert set(part.labels or ()) >= set((part.test or part.train).y.tolist())
        assert set(part.labels or ()) == set((part.validation or part.train).y.tolist())
        assert part.classes == whole.classes


def test_by_class_names_a_single_class_once():
    named = domain("animals", classes=["cat", "dog", "cow", "hen"])
    assert [part.name for part in by_class(named, 4)] == [f"animals {name}" for name in named.classes]
    assert [part.name for part in by_class(named, 2)] == ["animals cat-dog", "animals cow-hen"]


@pytest.mark.parametrize("stages", [3, 5, 0, -2])
def test_by_class_needs_classes_that_can_be_dealt_out(stages):
    with pytest.raises(ValueError, match=rf"by_class\(stages={stages}\)"):
        by_class(domain("digits"), stages)


@pytest.mark.parametrize("unlabelled", [A.unlabelled(), A.unlabelled(keep=1), Domain("a", Data(X, Y[:5]), test=None)])
def test_by_class_needs_every_label(unlabelled):
    with pytest.raises(ValueError, match=r"by_class\(domain='a'\): every training row needs a label"):
        by_class(unlabelled, 2)
