from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tladapt import DANN, Batch, Domain, Method, Model, Replay, Stage, fit


def numbered(name: str, start: int, rows: int, y: Tensor | None = None) -> Domain:
    """A domain whose rows hold their own numbers, of class number % 3 if nothing else is said."""
    number = torch.arange(start, start + rows)
    return Domain(name, (number.float()[:, None].repeat(1, 2), number % 3 if y is None else y), test=0.0, classes=3)


def remember(replay: Replay, *stages: Stage, seed: int = 0) -> Replay:
    replay.seed(seed)
    for stage in stages:
        replay.prepare(None, stage)  # type: ignore[arg-type]
        replay.consolidate(None, stage)  # type: ignore[arg-type]
    return replay


def drawn(replay: Replay, stage: Stage) -> Batch:
    replay.prepare(None, stage)  # type: ignore[arg-type]
    batch = replay.extend(None, stage.batch(0))  # type: ignore[arg-type]
    assert batch is not None
    return batch


def held(replay: Replay) -> tuple[list[int], list[int], list[int]]:
    """The numbers of the labelled rows, their labels, and the numbers of the unlabelled rows."""
    labelled, rest = replay.memory.held
    numbers = replay.memory.get_buffer("x")[: labelled + rest, 0].long().tolist()
    return numbers[:labelled], replay.memory.y[:labelled].tolist(), numbers[labelled:]


# Which rows stay


@pytest.mark.parametrize("sizes", [(20, 20), (8, 32), (32, 8)])
def test_every_row_stays_with_the_same_probability(sizes: tuple[int, int], make_stage: Callable):
    first, second = numbered("a", 0, sizes[0]), numbered("b", sizes[0], sizes[1])
    stages, runs, count = (make_stage(first), make_stage(second, ids=(1,), index=1)), 400, torch.zeros(40)
    for seed in range(runs):
        numbers, labels, _ = held(remember(Replay(10), *stages, seed=seed))
        assert len(set(numbers)) == len(numbers) == 10
        assert labels == [number % 3 for number in numbers]
        count[numbers] += 1
    p = 10 / 40
    assert (count - runs * p).abs().max() < 5 * (runs * p * (1 - p)) ** 0.5
    assert ((count - runs * p) ** 2 / (runs * p * (1 - p))).sum() < 40 + 5 * (2 * 40) ** 0.5  # chi-square
    whole = count[: sizes[0]].sum() / count.sum()
    assert whole == pytest.approx(sizes[0] / 40, abs=0.03)


def test_rows_that_were_dropped_do_not_come_back(make_stage: Callable):
    stages = [make_stage(numbered(str(i), 20 * i, 20), ids=(i,), index=i) for i in range(4)]
    replay, before = Replay(12), set[int]()
    replay.seed(0)
    for i, stage in enumerate(stages):
        replay.prepare(None, stage)  # type: ignore[arg-type]
        replay.consolidate(None, stage)  # type: ignore[arg-type]
        now = set(held(replay)[0])
        assert len(now) == 12
        assert now <= before | set(range(20 * i, 20 * i + 20))
        before = now


def test_a_memory_larger_than_the_data_keeps_all(make_stage: Callable):
    replay = remember(Replay(100), make_stage(numbered("a", 0, 9)), make_stage(numbered("b", 9, 6), ids=(1,), index=1))
    numbers, labels, rest = held(replay)
    assert sorted(numbers) == list(range(15))
    assert labels == [number % 3 for number in numbers]
    assert rest == []
    domains = replay.memory.domain[:15].tolist()
    assert domains == [int(number >= 9) for number in numbers]


def test_a_domain_that_comes_again_is_not_stored_twice(make_stage: Callable):
    a, b = numbered("a", 0, 9), numbered("b", 9, 6).unlabelled(keep=1)
    stages = make_stage(a), make_stage(a, b, index=1), make_stage(b, a, ids=(1, 0), index=2)
    numbers, labels, rest = held(remember(Replay(100), *stages))
    assert sorted(numbers + rest) == list(range(15))
    assert labels == [number % 3 for number in numbers]


def test_a_domain_that_comes_again_has_no_second_chance(make_stage: Callable):
    stage = make_stage(numbered("a", 0, 20))
    assert held(remember(Replay(5), stage)) == held(remember(Replay(5), stage, stage, stage))


def test_two_seeds_keep_different_rows(make_stage: Callable):
    stage = make_stage(numbered("a", 0, 40))
    assert held(remember(Replay(10), stage, seed=0)) != held(remember(Replay(10), stage, seed=1))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("few", "capacity", "kept"), [(20, 20, 10), (6, 20, 6), (3, 1, 1), (20, 3, 2), (40, 400, 40)])
def test_a_few_labelled_rows_keep_half_of_the_places(few, capacity, kept, balanced, make_stage: Callable):
    stages = [make_stage(numbered("few", 0, few))]
    for i in (1, 2, 3):
        many = numbered(str(i), 100 + 300 * i, 300).unlabelled()
        stages.append(make_stage(many, ids=(i,), index=i))
    numbers, labels, rest = held(remember(Replay(capacity, balanced=balanced), *stages))
    assert len(numbers) >= kept
    assert labels == [number % 3 for number in numbers]
    assert len(numbers) + len(rest) == min(capacity, few + 900)


def test_many_labelled_rows_leave_the_unlabelled_ones_their_share(make_stage: Callable):
    a, b = numbered("a", 0, 90), numbered("b", 90, 30).unlabelled()
    shares = [len(held(remember(Replay(40), make_stage(a, b), seed=seed))[2]) for seed in range(60)]
    assert sum(shares) / 60 == pytest.approx(40 * 30 / 120, abs=1.5)


def test_the_labelled_rows_that_stay_are_a_uniform_sample(make_stage: Callable):
    stages = make_stage(numbered("few", 0, 20)), make_stage(numbered("b", 20, 400).unlabelled(), ids=(1,), index=1)
    count = torch.zeros(20)
    for seed in range(300):
        count[held(remember(Replay(10), *stages, seed=seed))[0]] += 1
    assert (count - 75).abs().max() < 5 * (300 * 0.25 * 0.75) ** 0.5


# Balance


def test_balanced_gives_every_class_an_equal_share(make_stage: Callable):
    a = numbered("a", 0, 36, torch.tensor([0] * 25 + [1] * 6 + [2] * 5))
    for capacity, shares in ((9, [3, 3, 3]), (15, [5, 5, 5]), (20, [9, 6, 5]), (99, [25, 6, 5])):
        labels = torch.tensor(held(remember(Replay(capacity, balanced=True), make_stage(a)))[1])
        assert labels.bincount(minlength=3).tolist() == shares


def test_balanced_counts_the_classes_of_all_stages(make_stage: Callable):
    a = numbered("a", 0, 30, torch.zeros(30, dtype=torch.long))
    b = numbered("b", 30, 8, torch.tensor([1] * 6 + [2] * 2))
    replay = remember(Replay(9, balanced=True), make_stage(a), make_stage(b, ids=(1,), index=1))
    assert torch.tensor(held(replay)[1]).bincount().tolist() in ([4, 3, 2], [3, 4, 2])


def test_balanced_gives_the_unlabelled_rows_of_a_domain_a_share(make_stage: Callable):
    a, b = numbered("a", 0, 30, torch.arange(30) % 2), numbered("b", 30, 50).unlabelled()
    _, labels, rest = held(remember(Replay(9, balanced=True), make_stage(a, b)))
    assert (labels.count(0), labels.count(1), len(rest)) == (3, 3, 3)


def test_balanced_is_fair_within_a_class(make_stage: Callable):
    stages = [make_stage(numbered(n, s, 10, torch.zeros(10, dtype=torch.long)), ids=(i,), index=i)
              for i, (n, s) in enumerate((("a", 0), ("b", 10)))]  # fmt: skip
    count = torch.zeros(20)
    for seed in range(300):
        count[held(remember(Replay(5, balanced=True), *stages, seed=seed))[0]] += 1
    assert (count - 75).abs().max() < 5 * (300 * 0.25 * 0.75) ** 0.5


# What comes back


def test_nothing_comes_back_in_the_first_stage(make_stage: Callable):
    stage, replay = make_stage(numbered("a", 0, 9)), Replay(5)
    replay.prepare(None, stage)  # type: ignore[arg-type]
    assert replay.extend(None, stage.batch(0)) is None  # type: ignore[arg-type]


def test_rows_come_back_with_their_labels_and_domains(make_stage: Callable):
    a, b = numbered("a", 0, 9), numbered("b", 9, 6)
    replay = remember(Replay(12, batch_size=200), make_stage(a), make_stage(b, ids=(1,), index=1))
    batch = drawn(replay, make_stage(numbered("c", 100, 4), ids=(2,), index=2))
    assert isinstance(batch.x, Tensor)
    numbers = batch.x[:, 0].long()
    assert set(numbers.tolist()) == set(held(replay)[0])  # all of them, in 200 draws from 12
    assert torch.equal(batch.y, numbers % 3)
    assert torch.equal(batch.domain, (numbers >= 9).long())
    assert (batch.index == -1).all()
    assert all(part.owner is replay for part in batch.parts)


def test_every_remembered_row_comes_back_as_often(make_stage: Callable):
    replay = remember(Replay(10, batch_size=4000), make_stage(numbered("a", 0, 10)))
    batch = drawn(replay, make_stage(numbered("b", 10, 4), ids=(1,), index=1))
    assert isinstance(batch.x, Tensor)
    assert (batch.x[:, 0].long().bincount() - 400).abs().max() < 5 * (4000 * 0.1 * 0.9) ** 0.5


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
def test_earlier_domains_come_back_equally_often_whatever_their_sizes(labelled: bool, make_stage: Callable):
    sizes = (40, 400, 5, 60)
    domains = [numbered(str(i), 1000 * i, size) for i, size in enumerate(sizes)]
    stages = [make_stage(d if labelled else d.unlabelled(), ids=(i,), index=i) for i, d in enumerate(domains)]
    replay = remember(Replay(1000, batch_size=4000), *stages)
    batch = drawn(replay, make_stage(numbered("new", 9000, 4), ids=(4,), index=4))
    assert isinstance(batch.x, Tensor)
    assert (batch.domain.bincount() - 1000).abs().max() < 5 * (4000 * 0.25 * 0.75) ** 0.5
    assert torch.equal(batch.x[:, 0].long() // 1000, batch.domain)
    smallest = batch.x[batch.domain == 2, 0].long() - 2000
    assert (smallest.bincount(minlength=5) - 200).abs().max() < 5 * (1000 * 0.2 * 0.8) ** 0.5


def test_unlabelled_domains_come_back_without_labels(make_stage: Callable):
    a, b = numbered("a", 0, 9), numbered("b", 9, 6).unlabelled()
    replay = remember(Replay(100), make_stage(a, b))
    batch = drawn(replay, make_stage(numbered("c", 100, 5), ids=(2,), index=1))
    assert isinstance(batch.x, Tensor)
    assert (len(batch.y), len(batch)) == (5, 10)
    assert (batch.x[batch.source] < 9).all()
    assert ((batch.x[batch.target] >= 9) & (batch.x[batch.target] < 15)).all()
    assert batch.domain.tolist() == [0] * 5 + [1] * 5
    assert [part.labelled for part in batch.parts] == [True, False]


def test_as_many_come_back_as_the_larger_part_of_the_batch(make_stage: Callable):
    replay = remember(Replay(100), make_stage(numbered("a", 0, 50)))
    few, many = numbered("b", 50, 3), numbered("c", 60, 30)
    stage = make_stage(few, many.unlabelled(), ids=(1, 2), index=1)
    assert len(drawn(replay, stage)) == 8
    stage = make_stage(few, many, ids=(1, 2), index=1)
    assert len(drawn(replay, stage)) == 3 + 8
    replay.batch_size = 5
    assert len(drawn(replay, stage)) == 5


def test_a_domain_of_the_stage_itself_is_not_rehearsed(make_stage: Callable):
    a, b = numbered("a", 0, 9), numbered("b", 9, 6)
    replay = remember(Replay(100), make_stage(a), make_stage(b, ids=(1,), index=1))
    assert set(drawn(replay, make_stage(a, index=2)).domain.tolist()) == {1}
    assert set(drawn(replay, make_stage(a.unlabelled(), index=2)).domain.tolist()) == {0, 1}  # its labels are needed
    both = make_stage(a, b, ids=(0, 1), index=2)
    replay.prepare(None, both)  # type: ignore[arg-type]
    assert replay.extend(None, both.batch(0)) is None  # type: ignore[arg-type]


def test_images_of_bytes_stay_bytes(make_stage: Callable):
    x = torch.randint(256, (10, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    a = Domain("a", (x, torch.arange(10) % 2), test=0.0)
    replay = remember(Replay(6), make_stage(a))
    kept = replay.memory.get_buffer("x")
    assert kept.dtype == torch.uint8
    assert kept.shape == (6, 1, 8, 8)
    batch = drawn(replay, make_stage(Domain("b", (x, torch.arange(10) % 2), test=0.0), ids=(1,), index=1))
    assert isinstance(batch.x, Tensor)
    assert batch.x.dtype == torch.uint8
    assert all((row == x).flatten(1).all(1).any() for row in batch.x)


def test_a_dict_of_inputs_comes_back_as_one(make_stage: Callable):
    number = torch.arange(10)
    a = Domain("a", ({"ids": number[:, None], "mask": number.float()[:, None].repeat(1, 3)}, number % 2), test=0.0)
    replay = remember(Replay(6), make_stage(a))
    batch = drawn(replay, make_stage(a, ids=(1,), index=1))
    assert isinstance(batch.x, dict)
    assert {key: (value.dtype, value.shape[1:]) for key, value in batch.x.items()} == {
        "ids": (torch.int64, (1,)),
        "mask": (torch.float32, (3,)),
    }
    assert torch.equal(batch.x["ids"].repeat(1, 3).float(), batch.x["mask"])
    assert torch.equal(batch.x["ids"][:, 0] % 2, batch.y)
    joined = make_stage(a, ids=(1,), index=1).batch(0).join(batch)
    assert isinstance(joined.x, dict)
    assert {len(part) for part in joined.x.values()} == {len(joined)}


def test_a_memory_does_not_change_with_the_data(make_stage: Callable):
    x = torch.arange(9.0)[:, None].repeat(1, 2)
    replay = remember(Replay(9), make_stage(Domain("a", (x, torch.arange(9) % 3), test=0.0)))
    before = held(replay)
    x += 50
    assert held(replay) == before


# In the loop


def test_a_few_labelled_rows_teach_beside_many_unlabelled_ones(make_model: Callable):
    few, random = numbered("few", 0, 20), torch.Generator().manual_seed(0)
    many, more = (Domain(name, torch.randn(3000, 2, generator=random)) for name in ("many", "more"))
    report = fit(make_model(classes=3), [few, many, more], DANN() + Replay(20), steps=3)
    assert not any(note.startswith("stage 3") for note in report.notes)


class Rows(Dataset):
    """A data set that is read row by row."""

    def __init__(self, start: int):
        self.domain = numbered("", start, 20)

    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int):
        x = self.domain.train.x
        assert isinstance(x, Tensor)
        return x[row], int(self.domain.train.y[row])


def test_a_stage_that_wins_no_place_in_the_memory_is_no_error(make_stage: Callable):
    domains = [Domain(f"{i}", Rows(20 * i), test=None, classes=3) for i in range(12)]
    stages = [make_stage(domain, ids=(i,), index=i) for i, domain in enumerate(domains)]
    for seed in range(3):
        numbers, labels, _ = held(remember(Replay(3), *stages, seed=seed))
        assert len(numbers) == 3
        assert labels == [number % 3 for number in numbers]


def test_an_alignment_goes_on_with_a_target_that_is_gone(make_model: Callable, make_domain: Callable):
    a, b, c = make_domain("a"), make_domain("b").unlabelled(), make_domain("c")
    report = fit(make_model(), [a, (a, b), c], DANN() + Replay(100), steps=3)
    assert not any("DANN" in note for note in report.notes if note.startswith("stage 3"))


def test_a_target_that_comes_before_any_source_is_remembered_or_refused(make_model: Callable, make_domain: Callable):
    stream, outcome = [make_domain("a").unlabelled(), make_domain("b")], "refused"
    with suppress(ValueError):
        report = fit(make_model(), stream, DANN() + Replay(100), steps=3)
        idle = any("DANN" in note for note in report.notes if note.startswith("stage 2"))
        outcome = "promised, but idle" if idle else "remembered"
    assert outcome in ("refused", "remembered")


@pytest.mark.parametrize("arguments", [{"capacity": 0}, {"capacity": -1}, {"batch_size": 0}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match=r"Replay\(.*at least 1"):
        Replay(**arguments)


def test_it_forgets_less_than_fine_tuning(contradicted: Callable[[Callable[[], Method]], object]):
    held, free = contradicted(lambda: Replay(20)), contradicted(Method)
    assert held.forgetting < free.forgetting - 0.2  # type: ignore[attr-defined]
    assert held.new > free.new - 0.05  # type: ignore[attr-defined]


def test_balanced_rehearsal_too(contradicted: Callable):
    assert contradicted(lambda: Replay(20, balanced=True)).forgetting < 0.1


def test_the_model_is_not_asked(make_model: Callable[..., Model], stages: list[Stage]):
    model = make_model()
    before = [p.clone() for p in model.parameters()]
    replay = Replay(10)
    replay.prepare(model, stages[0])
    replay.consolidate(model, stages[0])
    assert all(map(torch.equal, before, model.parameters()))


# On disk


def images(name: str, start: int) -> Domain:
    x = torch.randn(30, 3, 4, 4, generator=torch.Generator().manual_seed(start))
    return Domain(name, (x + start, torch.arange(30) % 3), test=0.0, classes=3)


def test_a_memory_in_files_rehearses_what_one_in_memory_does(tmp_path):
    def run(**where: str) -> list[Tensor]:
        torch.manual_seed(0)
        model = Model.of(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3)))
        replay = Replay(20, **where)  # type: ignore[arg-type]
        stream = [images("a", 0), images("b", 1), images("c", 2).unlabelled()]
        fit(model, stream, replay + DANN(), steps=4, batch_size=8)
        return [*(p.detach() for p in model.parameters()), *replay.memory.state_dict().values()]

    there = run(folder=str(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(run(), there, strict=True))
    assert list(tmp_path.iterdir()) == []  # the files have no name any more, and are gone with the process


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the operating system shows no list of mapped files")
def test_what_is_kept_in_files_is_no_memory_of_the_process(make_stage: Callable, tmp_path):
    replay = remember(Replay(20, folder=str(tmp_path)), make_stage(images("a", 0)))
    place = replay.memory.get_buffer("x").data_ptr()
    lines = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    spans = [[int(end, 16) for end in line.split("-")] for line in lines]
    assert any(first <= place < last for first, last in spans)


def test_a_memory_in_files_stays_there_when_the_method_is_moved(make_stage: Callable, tmp_path):
    replay = remember(Replay(20, folder=str(tmp_path)), make_stage(images("a", 0)))
    replay.to("meta")
    assert replay.memory.get_buffer("x").device.type == "cpu"
    assert replay.memory.key.device.type == "meta"


def test_a_memory_larger_than_a_part_that_is_read_at_once_holds_every_row(make_stage: Callable, monkeypatch):
    monkeypatch.setattr("tladapt.methods.memory.AT_ONCE", 7)
    numbers, labels, _ = held(remember(Replay(100), make_stage(numbered("a", 0, 30))))
    assert sorted(numbers) == list(range(30))
    assert labels == [number % 3 for number in numbers]


def test_a_full_disk_is_named_before_anything_is_written(make_stage: Callable, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(ValueError, match=r"Replay\(folder=.*No space left on device: it needs twice 3840 bytes"):
        remember(Replay(20, folder=tmp_path), make_stage(images("a", 0)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["nowhere/at/all", 5, ""])
def test_a_folder_that_is_none_is_refused(folder):
    with pytest.raises(ValueError, match=r"Replay\(folder="):
        Replay(folder=folder)
