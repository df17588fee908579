"""A stage and its batches: a function of seed, stage, domain and step, and nothing of the test data."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from tladapt import Batch, Classification, Domain, Stage
from tladapt.stage import Part


def domain(name: str, n: int, start: int = 0, keep: int | None = None) -> Domain:
    """Rows that say their own number, labelled by its last binary digit."""
    x = torch.arange(start, start + n).float()[:, None]
    whole = Domain(name, (x, x[:, 0].long() % 2), test=0.0)
    return whole if keep is None else whole.unlabelled(keep)


def stage(*domains: Domain, seed: int = 0, index: int = 0, batch_size: int = 8) -> Stage:
    return Stage(domains, range(len(domains)), index, None, Classification(), seed=seed, batch_size=batch_size)


def numbers(batch: Batch) -> list[int]:
    assert isinstance(batch.x, Tensor)
    return batch.x[:, 0].int().tolist()


def pair(**options) -> Stage:
    return stage(domain("a", 30), domain("b", 20, start=100, keep=0), **options)


def test_a_batch_is_the_same_whatever_was_drawn_before():
    alone = pair().batch(7)
    patient = pair()
    before = [patient.batch(step) for step in range(8)]
    assert numbers(alone) == numbers(before[7])
    assert torch.equal(alone.y, before[7].y)
    assert numbers(patient.batch(2)) == numbers(before[2])  # and going back is the same too


def test_batches_differ_between_seeds_stages_and_steps():
    drawn = [numbers(s.batch(k)) for s, k in ((pair(), 0), (pair(), 1), (pair(seed=1), 0), (pair(index=1), 0))]
    assert len({tuple(rows) for rows in drawn}) == 4


def test_the_rows_of_a_domain_do_not_depend_on_its_company():
    alone, both = stage(domain("a", 30)).batch(3), pair().batch(3)
    assert numbers(alone) == numbers(both)[:8]


def test_two_domains_are_not_drawn_in_step():
    batch = stage(domain("a", 30), domain("b", 30)).batch(0)
    assert numbers(batch)[:8] != numbers(batch)[8:]


def test_an_epoch_sees_every_row_once():
    one = stage(domain("a", 32))
    assert one.steps == 4
    assert sorted(n for step in range(4) for n in numbers(one.batch(step))) == list(range(32))
    assert numbers(one.batch(0)) != numbers(one.batch(4))


def test_where_the_epoch_ends_within_a_batch_the_next_order_begins():
    one = stage(domain("a", 30))
    drawn = [n for step in range(15) for n in numbers(one.batch(step))]  # 120 rows: four orders
    assert one.steps == 4
    assert all(sorted(drawn[i : i + 30]) == list(range(30)) for i in range(0, 120, 30))


def test_a_small_pool_gives_all_its_rows_at_every_step():
    batch = stage(domain("a", 30), domain("b", 3, start=100, keep=0)).batch(5)
    assert sorted(numbers(batch)[8:]) == [100, 101, 102]


def test_an_epoch_is_as_long_as_the_largest_pool_needs():
    assert stage(domain("a", 30), domain("b", 90, keep=0), batch_size=20).steps == 5


def test_labelled_rows_come_first_and_their_labels_are_theirs():
    batch = stage(domain("b", 20, start=101, keep=3), domain("a", 30)).batch(1)
    x = torch.tensor(numbers(batch))
    assert (len(batch), len(batch.y)) == (22, 14)  # 6 + 8 labelled, 8 unlabelled
    assert torch.equal(x[batch.source] % 2, batch.y)
    assert batch.domain.tolist() == [0] * 6 + [1] * 8 + [0] * 8
    assert (x[batch.target] > 100).all()
    assert (batch.source, batch.target) == (slice(0, 14), slice(14, 22))


def test_the_parts_say_which_rows_lie_together():
    batch = stage(domain("b", 20, start=101, keep=3), domain("a", 30)).batch(1)
    assert batch.parts == (Part(6, True), Part(8, True), Part(8, False))
    assert sum(part.size for part in batch.parts) == len(batch)


def test_the_index_is_the_row_in_the_domains_data():
    one = domain("b", 20, start=101, keep=3)
    batch = stage(one).batch(4)
    assert isinstance(one.train.x, Tensor)
    assert one.train.x[batch.index][:, 0].int().tolist() == numbers(batch)


def test_progress_and_live_classes_are_passed_on():
    live = torch.tensor([[True, False]])
    one = Stage([domain("a", 30)], [0], 0, live, Classification())
    assert one.batch(0, progress=0.25).progress == 0.25
    assert one.batch(0).live is live


def test_all_batches_together_hold_every_row_once():
    both = stage(domain("a", 30), domain("b", 20, start=100, keep=2))
    batches = list(both.batches(7))
    assert sorted(n for batch in batches for n in numbers(batch)) == [*range(30), *range(100, 120)]
    assert sum(len(batch.y) for batch in batches) == 34
    assert all(torch.equal(torch.tensor(numbers(b))[b.source] % 2, b.y) for b in batches)
    assert max(map(len, batches)) == 7


def test_a_stage_has_no_test_data_and_no_label_that_was_taken_away():
    source, target = (Domain(name, (torch.randn(20, 1), torch.arange(20) % 2)) for name in "ab")
    both = stage(source, target.unlabelled(keep=1))
    assert [d.test for d in both.domains] == [None, None]
    assert [len(d.train.y) for d in both.domains] == [16, 2]
    assert [d.labels for d in both.domains] == [[0, 1], None]
    assert source.test is not None


def test_a_stage_is_called_by_its_domains():
    assert pair().name == "a + b"


def test_dicts_and_datasets_give_the_same_batches_as_tensors():
    x = torch.arange(30.0)[:, None]
    y = torch.arange(30) % 2
    whole, keyed, read = (Domain("a", s, test=0.0) for s in ((x, y), ({"x": x}, y), TensorDataset(x, y)))
    expected, from_dict, from_dataset = (stage(d).batch(3) for d in (whole, keyed, read))
    assert isinstance(from_dict.x, dict)
    assert isinstance(expected.x, Tensor)
    assert torch.equal(from_dict.x["x"], expected.x)
    assert numbers(from_dataset) == numbers(expected)
    assert torch.equal(from_dataset.y, expected.y)


def remembered(batch: Batch, labelled: list[int], unlabelled: list[int], owner: str) -> Batch:
    x = torch.tensor([*labelled, *unlabelled]).float()[:, None]
    return batch.remembered(x, torch.tensor(labelled) % 2, torch.zeros(len(x), dtype=torch.long), owner)


def test_joined_batches_keep_labelled_rows_first_and_know_whose_they_are():
    fresh = stage(domain("a", 3), domain("b", 2, start=100, keep=0)).batch(0)
    one, two = remembered(fresh, [11, 12], [13], "one"), remembered(fresh, [], [21, 22], "two")
    batch = fresh.join(one).join(two)
    x = torch.tensor(numbers(batch))
    assert numbers(batch)[3:5] == [11, 12]
    assert numbers(batch)[7:] == [13, 21, 22]
    assert torch.equal(x[batch.source] % 2, batch.y)
    assert x[batch.added("one")].tolist() == [11, 12, 13]
    assert x[batch.added("two")].tolist() == [21, 22]
    assert sorted(x[batch.added(None)].tolist()) == sorted(numbers(fresh))
    assert len(x[batch.added("nobody")]) == 0


def test_remembered_rows_have_no_place_in_the_stage():
    fresh = pair().batch(0)
    batch = fresh.join(remembered(fresh, [11], [12], "memory"))
    assert batch.index[batch.added("memory")].tolist() == [-1, -1]
    assert torch.equal(batch.index[batch.added(None)], fresh.index)


def test_weights_are_those_of_the_parts_on_the_device_of_the_batch():
    fresh = stage(domain("a", 3)).batch(0)
    other = fresh.remembered(torch.ones(2, 1), torch.ones(2).long(), torch.zeros(2).long(), "memory", weight=0.5)
    batch = fresh.join(other)
    assert fresh.weights is None
    assert batch.weights is not None
    assert batch.weights.tolist() == [1.0, 1.0, 1.0, 0.5, 0.5]
    there = replace(batch, domain=batch.domain.to("meta")).weights
    assert there is not None
    assert there.is_meta


def test_nothing_joined_changes_nothing():
    batch = pair().batch(0)
    assert batch.join(None) is batch


def test_a_join_keeps_the_progress_and_leaves_both_batches_as_they_were():
    fresh = replace(pair().batch(0), progress=0.5)
    before, other = numbers(fresh), remembered(fresh, [11], [12], "memory")
    assert fresh.join(other).progress == 0.5
    assert (numbers(fresh), numbers(other)) == (before, [11, 12])


def test_dicts_are_joined_by_key():
    one = Batch({"x": torch.tensor([1, 2])}, torch.tensor([0]), torch.zeros(2).long(), torch.arange(2))
    two = Batch({"x": torch.tensor([3, 4])}, torch.tensor([1]), torch.zeros(2).long(), torch.arange(2))
    joined = one.join(two).x
    assert isinstance(joined, dict)
    assert joined["x"].tolist() == [1, 3, 2, 4]


def test_a_batch_cannot_be_changed():
    with pytest.raises(AttributeError):
        pair().batch(0).progress = 1.0  # type: ignore[misc]
