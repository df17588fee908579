"""Data that is not in memory: read row by row, ahead of its turn, by other processes, or in the order it comes in."""

import os
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from tladapt import DANN, EWC, Classification, Domain, LwF, Method, Model, Replay, Stage, fit
from tladapt.data import Draw
from tladapt.readers import folders
from tladapt.readers.arrays import as_data
from tladapt.readers.files import read_domains
from tladapt.readers.folders import ImageFiles, Images
from tladapt.readers.lazy import Lazy, Ordered

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more processes than there are cores

X, Y = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3


class Rows(Dataset):
    def __init__(self, x: Tensor = X, y: Tensor = Y) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.x[row], int(self.y[row])


class Augmented(Rows):
    """Noise of torch, numpy and Python, as augmentation has it."""

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        noise = torch.randn(4) + float(np.random.rand()) + random.random()  # noqa: NPY002
        return self.x[row] + 0.1 * noise, int(self.y[row])


class Process(Rows):
    """Rows that hold the process which read them."""

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.full((4,), float(os.getpid())), int(self.y[row])


class Shards(IterableDataset):
    """Rows one after another; counts the passes and the rows that were read."""

    def __init__(self, x: Tensor = X, y: Tensor | None = Y) -> None:
        self.x, self.y, self.seen = x, y, {"passes": 0, "rows": 0}  # counted by copies too

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self):
        self.seen["passes"] += 1
        for row in range(len(self.x)):
            self.seen["rows"] += 1
            yield self.x[row] if self.y is None else (self.x[row], int(self.y[row]))


class Sevens(Shards):
    """A pass that ends too early."""

    def __len__(self) -> int:
        return len(self.x) + 7


def network() -> Model:
    torch.manual_seed(0)
    return Model.of(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))


def weights(model: Model) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(*stages: Domain | tuple[Domain, ...], method: Method | None = None) -> Tensor:
    model = network()
    fit(model, list(stages), method, epochs=2, batch_size=7, lr=0.01)
    return weights(model)


# Read by other processes


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_set_teaches_what_its_tensors_do(workers: int):
    read = Domain("a", Rows(), None, workers=workers)
    assert torch.equal(trained(read), trained(Domain("a", (X, Y), None)))


@pytest.mark.parametrize(
    "make", [Method, lambda: LwF() + EWC(), lambda: Replay(20) + DANN()], ids=["none", "old", "new"]
)
def test_random_augmentation_is_the_same_however_many_processes_read(make):
    def run(workers: int) -> Tensor:
        a, b = (Domain(name, Augmented(X + i), None, classes=3, workers=workers) for i, name in enumerate("ab"))
        return trained(a, (a, b.unlabelled()), method=make())

    assert torch.equal(run(0), run(2))


def test_augmentation_differs_from_step_to_step_and_leaves_other_random_numbers_alone():
    data = as_data(Augmented(), "train")
    draws = [Draw(("a", step), torch.arange(5)) for step in (0, 1, 0)]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    expected = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    first, second, again = data.stream(draws)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected  # noqa: NPY002
    assert isinstance(first, Tensor)
    assert torch.equal(first, again)  # type: ignore[arg-type]
    assert not torch.equal(first, second)  # type: ignore[arg-type]


def test_workers_are_other_processes_and_as_many_as_were_asked_for():
    data = as_data(Process(), "train", workers=2)
    found = {float(x[0, 0]) for x in data.stream(Draw((i,), torch.arange(4)) for i in range(8))}  # type: ignore[index]
    assert len(found) == 2
    assert float(os.getpid()) not in found


def test_what_is_scored_is_read_by_workers_too():
    class Known(Process):
        def __getitem__(self, row: int) -> tuple[Tensor, int]:
            assert row == 0 or os.getpid() != parent, "read by the process that trains, which looks at the first row"
            return self.x[row], int(self.y[row])

    parent = os.getpid()
    rows = Known()
    data = Lazy(rows, Y, workers=1)
    report = fit(network(), [Domain("a", (X, Y), data)], steps=2)
    assert report.scores[-1][0] is not None


class Archive(Rows):
    """Opens its file when it is first read, and is not to be opened twice by one process nor shared with another."""

    opened: int | None = None

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        self.opened = self.opened or os.getpid()
        assert self.opened == os.getpid(), "opened by another process"
        return super().__getitem__(row)


def test_what_a_data_set_opens_is_not_shared_with_the_processes_that_read():
    archive = Archive()
    a = Domain("a", archive, archive, workers=2)
    report = fit(network(), [a, Domain("b", Archive(X + 1), None, workers=1)], EWC() + Replay(8), steps=3)
    assert report.scores[-1][0] is not None
    assert archive.opened is None


class Tape(Shards):
    """An iterable archive."""

    opened: int | None = None

    def __iter__(self):
        self.opened = self.opened or os.getpid()
        assert self.opened == os.getpid(), "opened by another process"
        yield from super().__iter__()


def test_what_an_iterable_opens_is_not_shared_with_the_process_that_reads():
    tape = Tape()
    domain = Domain("a", tape, tape, workers=1)
    fit(network(), [domain, Domain("b", (X + 1, Y), None)], EWC() + Replay(8), steps=3)
    assert tape.opened is None


class Broken(Rows):
    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        if row == 33:
            raise OSError("33.jpg cannot be read")
        return super().__getitem__(row)


def test_an_error_in_another_process_is_one_line():
    domain = Domain("a", (Broken(X, torch.zeros(60)), Y), None, workers=1)
    with pytest.raises(ValueError, match=r"^Broken: row 33 cannot be read: 33\.jpg cannot be read$"):
        fit(network(), [domain], epochs=1)


@pytest.mark.parametrize("workers", [-1, 1.5, "2", None, True])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(ValueError, match=r"Domain\('a', workers="):
        Domain("a", Rows(), None, workers=workers)


def test_double_precision_is_read_as_single():
    data = as_data((Rows(X.double()), Y), "train")
    assert torch.equal(data.rows(torch.arange(60)), X)  # type: ignore[arg-type]


# In the order in which rows come


@pytest.mark.parametrize("workers", [0, 3])
def test_an_iterable_data_set_teaches_and_is_read_once_per_epoch(workers: int):
    shards = Shards()
    data = as_data((shards, Y), "train", workers)
    assert isinstance(data, Ordered)
    assert (len(data), shards.seen["passes"]) == (60, 1)  # to see what a row is
    model = network()
    shards.seen |= {"passes": 0, "rows": 0}
    report = fit(model, [Domain("a", data, (X, Y))], epochs=3, batch_size=8, lr=0.05)
    assert report.scores[-1][0] > report.scores[0][0]  # type: ignore[operator]
    if not workers:  # another process counts for itself
        assert shards.seen["passes"] <= 3 + 5  # three epochs of eight steps of eight rows, and looks at its first row
        assert shards.seen["rows"] <= 3 * 64 + 5


def test_the_rows_of_an_iterable_come_in_their_order_epoch_after_epoch():
    domain = Domain("a", (Shards(torch.arange(10.0)[:, None], None), torch.zeros(10).long()), None)
    stage = Stage((domain,), (0,), 0, None, Classification(), batch_size=4)
    rows = [int(row) for batch in stage.stream(0, 5) for row in batch.x[:, 0]]  # type: ignore[call-overload,index]
    assert rows == [*range(10), *range(10)]
    assert [batch.index.tolist() for batch in stage.stream(2, 3)] == [[8, 9, 0, 1]]


def test_the_labels_of_an_iterable_are_read_in_one_pass_or_given():
    shards = Shards()
    assert torch.equal(as_data(shards, "train").y, Y)
    assert shards.seen["rows"] == 61
    given = Shards()
    assert torch.equal(as_data((given, Y), "train").y, Y)
    assert given.seen["rows"] == 1
    assert len(as_data(Shards(X, None), "train").y) == 0


def test_rows_of_an_iterable_may_be_asked_for_in_any_order():
    data = as_data(Shards(), "train")
    index = torch.tensor([5, 40, 3, 59, 0])
    assert torch.equal(data.rows(index), X[index])  # type: ignore[arg-type]
    taken = data.take(torch.tensor([7, 50]), torch.tensor([1, 2]))
    assert torch.equal(taken.rows(torch.arange(4)), X[[7, 50, 1, 2]])  # type: ignore[arg-type]


class Shuffled(Shards):
    """Rows in another order in every pass."""

    def __iter__(self):
        yield from random.sample(list(super().__iter__()), len(self))


@pytest.mark.parametrize("workers", [0, 1])
def test_rows_that_come_in_another_order_are_not_given_wrong_labels(workers: int):
    with pytest.raises(ValueError, match="has another label than in the pass before"):
        fit(network(), [Domain("a", Shuffled(), None, workers=workers)], steps=20)


def test_kept_labels_of_an_iterable_cost_no_pass_each():
    passes = []
    for keep in (1, 5):
        shards = Shards()
        a, b = Domain("a", (X, Y), None), Domain("b", shards, None, classes=3)
        shards.seen |= {"passes": 0, "rows": 0}
        fit(network(), [(a, b.unlabelled(keep=keep))], steps=3, batch_size=8)
        passes.append(shards.seen["passes"])
    assert passes[1] < passes[0] + 4  # of 12 more labels


def test_two_passes_at_once_do_not_disturb_each_other():
    data = as_data(Shards(), "train")
    first, second = (data.stream(Draw((i,), torch.tensor([i])) for i in range(60)) for _ in range(2))
    for a, b, row in zip(first, second, X, strict=True):
        assert isinstance(a, Tensor)
        assert isinstance(b, Tensor)
        assert torch.equal(a, b)
        assert torch.equal(a[0], row)


def test_methods_that_look_back_take_an_iterable():
    a, b = (Domain(name, Shards(X + i), None, classes=3) for i, name in enumerate("ab"))
    plain = trained(a, b)
    assert not torch.equal(plain, trained(a, b, method=Replay(20) + EWC() + LwF()))


def test_an_iterable_without_a_length_is_refused_with_the_remedy():
    class Endless(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(TypeError, match="__len__"):
        Domain("a", Endless())


def test_a_pass_that_ends_too_early_is_named():
    with pytest.raises(ValueError, match=r"\[67\] rows and 60 labels"):
        as_data(Sevens(), "train")
    data = as_data((Sevens(X, None), torch.zeros(67).long()), "train")
    with pytest.raises(ValueError, match="Sevens: a pass over it ended before row 60 of 67"):
        data.rows(torch.tensor([59, 60]))


# Folders of images


@pytest.fixture
def photographs(tmp_path):
    pixels = np.random.default_rng(0)
    for name in ("webcam", "phone"):
        for kind in ("cup", "pen"):
            (tmp_path / name / kind).mkdir(parents=True)
            for i in range(6):
                Image.fromarray(pixels.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(
                    tmp_path / name / kind / f"{i}.png"
                )
    return [tmp_path / "webcam", tmp_path / "phone"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_folder_too_large_for_memory_teaches_what_the_same_in_memory_does(photographs, monkeypatch, workers):
    def run() -> tuple[Tensor, type]:
        domains, _ = read_domains(photographs, size=8, workers=workers)
        torch.manual_seed(0)
        model = Model.of(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)))
        report = fit(model, domains, LwF() + Replay(4), steps=3, batch_size=4)
        return torch.cat([weights(model), torch.tensor(report.scores).flatten()]), type(domains[0].train)

    kept, kind = run()
    monkeypatch.setattr(folders, "LARGEST", 100)
    read, lazy = run()
    assert (kind is Lazy, lazy is Lazy) == (False, True)
    assert torch.equal(kept, read)


def test_images_that_are_read_later_say_which_file_is_none(photographs, monkeypatch):
    monkeypatch.setattr(folders, "LARGEST", 100)
    (photographs[0] / "pen" / "9.png").write_text("no image")
    x, *_ = Images(8).read(photographs[0])
    assert isinstance(x, ImageFiles)
    data = as_data(x, "train")
    assert data.fixed
    with pytest.raises(ValueError, match=r"9\.png: no image that can be read"):
        data.rows(torch.arange(len(x)))


def test_orders_of_data_sets_differ_by_epoch():
    stage = Stage((Domain("a", Rows(), None),), (0,), 0, None, Classification(), batch_size=60)
    orders = [batch.index.tolist() for batch in stage.stream(0, 3)]
    assert all(sorted(order) == list(range(60)) for order in orders)
    assert all(a != b for a, b in pairwise(orders))
