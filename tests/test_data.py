"""Data of any kind as rows and labels: what is read, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from tladapt import Data
from tladapt.data import each, length
from tladapt.readers.arrays import as_data
from tladapt.readers.lazy import Lazy

X = torch.arange(12.0).reshape(6, 2)
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Rows(Dataset):
    """(x, y) pairs that count how often they are read."""

    def __init__(self, x=X, y=Y):
        self.x, self.y, self.reads = x, y, [0]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        self.reads[0] += 1
        return self.x[row], int(self.y[row])


class WithTargets(Rows):
    target_transform = None

    @property
    def targets(self):
        return self.y.tolist()


class Bare(Dataset):
    """Inputs without labels."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[row]


class Noisy(Rows):
    """Rows that differ at every reading, as augmented images do."""

    def __getitem__(self, row):
        return torch.rand(2), int(self.y[row])


@pytest.fixture
def every_warning():
    """Let torch repeat the warnings that it gives once per process."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


def everything(data: Data) -> Tensor:
    x = data.rows(torch.arange(len(data)))
    assert isinstance(x, Tensor)
    return x


@pytest.mark.parametrize(
    ("x", "y"),
    [(X, Y), (X.numpy(), Y.numpy()), (X.double().numpy(), Y.int()), (X.tolist(), Y.tolist()), (X, Y.to(torch.uint8))],
    ids=["tensors", "arrays", "wide arrays", "lists", "small labels"],
)
def test_inputs_of_any_kind_are_read_in_single_precision_and_labels_as_whole_numbers(x, y):
    data = as_data((x, y), "train")
    assert torch.equal(everything(data), X)
    assert torch.equal(data.y, Y)
    assert (everything(data).dtype, data.y.dtype) == (torch.float32, torch.int64)


def test_bytes_stay_bytes():
    assert everything(as_data((X.byte(), Y), "train")).dtype == torch.uint8


def test_measured_labels_stay_fractions():
    assert as_data((X, np.linspace(0, 1, 6)), "train").y.dtype == torch.float32


@pytest.mark.usefixtures("every_warning")
def test_a_data_frame_is_read():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X.numpy(), columns=["width", "height"])
    data = as_data((frame, pandas.Series(Y.numpy())), "train")
    assert torch.equal(everything(data), X)
    assert torch.equal(data.y, Y)


def test_a_flipped_array_is_read():
    assert torch.equal(everything(as_data((X.numpy()[:, ::-1], Y), "train")), X.flip(1))


@pytest.mark.usefixtures("every_warning")
def test_a_read_only_array_is_read_without_a_warning():
    x = X.numpy().copy()
    x.setflags(write=False)
    assert torch.equal(everything(as_data((x, Y), "train")), X)


def test_inputs_alone_have_no_labels():
    data = as_data(X, "train")
    assert (len(data), len(data.y)) == (6, 0)


def test_inputs_can_be_a_dict():
    data = as_data(({"ids": Y, "image": X}, Y), "train")
    rows = data.rows(torch.tensor([4, 1]))
    assert isinstance(rows, dict)
    assert torch.equal(rows["image"], X[[4, 1]])
    assert torch.equal(rows["ids"], Y[[4, 1]])
    assert data.shape == {"ids": (), "image": (2,)}
    assert (len(data), length(data.x)) == (6, 6)


def test_each_goes_through_the_keys():
    doubled = each(lambda a, b: a + b, {"a": X}, {"a": X})
    assert isinstance(doubled, dict)
    assert torch.equal(doubled["a"], 2 * X)


def test_data_passes_through_as_it_is():
    data = Data(X, Y[:2])
    assert as_data(data, "train") is data


@pytest.mark.parametrize("kind", [Data, Lazy])
def test_taken_rows_keep_their_labels_and_the_unlabelled_ones_follow(kind):
    data = Data(X, Y) if kind is Data else as_data(Rows(), "train")
    taken = data.take(torch.tensor([5, 1]), torch.tensor([0, 3]))
    assert torch.equal(everything(taken), X[[5, 1, 0, 3]])
    assert torch.equal(taken.y, Y[[5, 1]])
    assert type(taken) is kind


def test_the_shape_is_that_of_one_row():
    assert Data(torch.zeros(4, 1, 8, 8), Y[:0]).shape == (1, 8, 8)


def test_targets_of_a_large_data_set_are_believed_once_a_few_rows_agree(monkeypatch):
    monkeypatch.setattr("tladapt.readers.datasets.READ", 100)
    many = WithTargets(X.repeat(50, 1), Y.repeat(50))
    assert torch.equal(as_data(many, "train").y, Y.repeat(50))
    assert many.reads[0] < 10


def test_targets_that_are_not_what_the_rows_say_are_not_believed():
    class Remapped(WithTargets):
        targets = (Y + 5).tolist()  # type: ignore[assignment]

    assert torch.equal(as_data(Remapped(), "train").y, Y)


@pytest.mark.parametrize(
    "dataset",
    [Rows(), TensorDataset(X, Y), Subset(Rows(), range(6)), ConcatDataset([Rows(X[:2], Y[:2]), Rows(X[2:], Y[2:])])],
    ids=["own", "tensors", "subset", "concatenation"],
)
def test_a_dataset_without_targets_is_asked_row_by_row(dataset):
    data = as_data(dataset, "train")
    assert torch.equal(data.y, Y)
    assert torch.equal(everything(data), X)


class Transformed(WithTargets):
    """`targets` holds what the rows say before their transform."""

    def target_transform(self, y):
        return 9 - y

    def __getitem__(self, row):
        return self.x[row], self.target_transform(int(self.y[row]))


def test_transformed_targets_are_read_from_the_rows():
    assert torch.equal(as_data(Transformed(), "train").y, 9 - Y)


@pytest.mark.parametrize("dataset", [Bare(X), TensorDataset(X)], ids=["plain rows", "tuples of one"])
def test_a_dataset_of_inputs_only_has_no_labels(dataset):
    data = as_data(dataset, "train")
    assert len(data.y) == 0
    assert torch.equal(everything(data), X)


def test_a_dataset_of_dicts_gives_dicts():
    data = as_data(Bare([{"ids": torch.tensor([i, i])} for i in range(4)]), "train")
    rows = data.rows(torch.tensor([3, 0]))
    assert isinstance(rows, dict)
    assert rows["ids"].tolist() == [[3, 3], [0, 0]]


def test_a_dataset_is_read_when_asked_so_that_augmentation_stays_random():
    data = as_data(Noisy(), "train")
    assert not torch.equal(everything(data), everything(data))
    assert (data.fixed, Data(X, Y).fixed) == (False, True)


def test_pictures_without_a_transform_are_refused_with_the_remedy():
    pictures = as_data(Bare([(Image.new("L", (4, 4)), 0)] * 3), "train")
    with pytest.raises(ValueError, match=r"Bare: its rows are no tensors of one shape .* transform"):
        pictures.rows(torch.tensor([0, 1]))


def test_rows_of_different_sizes_are_refused_with_the_remedy():
    ragged = as_data(Bare([torch.zeros(2), torch.zeros(3)]), "train")
    with pytest.raises(ValueError, match=r"one shape .* resize"):
        ragged.rows(torch.tensor([0, 1]))


def test_a_dataset_row_that_is_not_finite_is_refused_when_it_is_read():
    broken = as_data(Bare([torch.zeros(2), torch.tensor([0.0, torch.nan])]), "train")
    broken.rows(torch.tensor([0]))
    with pytest.raises(ValueError, match="Bare holds NaN or infinity, first in row 1"):
        broken.rows(torch.tensor([0, 1]))


def test_a_stream_of_rows_without_a_length_is_refused_by_name():
    class Endless(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(TypeError, match="train"):
        as_data(Endless(), "train")


def test_large_finite_numbers_are_no_infinity():
    x = torch.full((3, 2), 3e38)  # whose sum is
    assert torch.equal(everything(as_data(x, "train")), x)


def broken_at(row: int, value: float) -> Tensor:
    x = X.clone()
    x[row, 1] = value
    return x


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((X[:0], Y[:0]), "train is empty"),
        ([], "train is empty"),
        ({}, "train is empty"),
        (Bare([]), "train is empty"),
        ((broken_at(3, torch.nan), Y), "train holds NaN or infinity, first in row 3"),
        ((broken_at(5, -torch.inf), Y), "train holds NaN or infinity, first in row 5"),
        (({"a": X, "b": broken_at(2, torch.inf)}, Y), "train holds NaN or infinity, first in row 2"),
        ((X, [0, 1, 2, 0, 1, torch.nan]), "train labels holds NaN or infinity, first in row 5"),
        ((X, Y[:4]), r"train has \[6\] rows and 4 labels"),
        (({"a": X, "b": X[:5]}, Y), r"train has \[5, 6\] rows"),
    ],
)
def test_what_is_wrong_with_the_values_is_said_with_the_argument_and_the_row(source, message):
    with pytest.raises(ValueError, match=message):
        as_data(source, "train")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["cat", "dog", "cow"], "train is list"),
        (None, "train is NoneType"),
        (3.5, "train is the single value 3.5"),
        (({"a": X, "b": "text"}, Y), r"train\['b'\] is str"),
    ],
)
def test_what_is_no_data_is_refused_by_name(source, message):
    with pytest.raises(TypeError, match=message):
        as_data(source, "train")
