"""Rows of data sets, labels and inputs of the many kinds in which people have them."""

import random
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from tladapt import Domain, Model, fit

X = torch.arange(24.0).reshape(12, 2)
Y = torch.arange(12) % 3


class Rows(Dataset):
    """The rows of a list, with any attributes."""

    def __init__(self, rows: list, **attributes: Any):
        self.rows = rows
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int):
        return self.rows[row]


class Duck:
    """Rows without a base class that never raise an IndexError."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, row: int):
        return X[row % 12], row % 3


class Passes(IterableDataset):
    """The rows of a list, one after another."""

    def __init__(self, rows: list):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)


def pairs(labels: Any = Y) -> list:
    return [(x, label) for x, label in zip(X, labels, strict=True)]


def domain(train: Any, **options: Any) -> Domain:
    return Domain("a", train, None, **options)


# Labels


WORDS = ["cat", "dog", "bee"] * 4


@pytest.mark.parametrize(
    "y",
    [
        WORDS, tuple(WORDS), np.array(WORDS), np.array(WORDS, dtype=object), np.array(WORDS)[:, None],
        [word.encode() for word in WORDS], np.array(WORDS, dtype="S"), pandas.Series(WORDS),
        pandas.DataFrame({"y": WORDS}), pandas.Series(WORDS, dtype="string"), pandas.Series(WORDS, dtype="category"),
        pandas.Index(WORDS),
    ],
    ids=lambda y: type(y).__name__,
)  # fmt: skip
def test_words_are_classes_in_the_order_of_their_names(y):
    found = domain((X, y))
    assert found.classes == ("bee", "cat", "dog")
    assert [found.classes[number] for number in found.train.y.tolist()] == WORDS


def test_numbers_written_as_words_are_in_the_order_of_their_size():
    assert domain((X, ["10", "9", "1"] * 4)).classes == ("1", "9", "10")


def test_categories_keep_their_order_and_those_without_rows():
    y = pandas.Series(pandas.Categorical(["low", "high"] * 6, categories=["low", "mid", "high"]))
    found = domain((X, y))
    assert found.classes == ("low", "mid", "high")
    assert found.train.y.tolist() == [0, 2] * 6


def test_words_are_places_in_the_classes_that_are_given():
    found = domain((X, WORDS), classes=["dog", "cat", "bee", "ant"])
    assert found.classes == ("dog", "cat", "bee", "ant")
    assert found.train.y.tolist() == [1, 0, 2] * 4


def test_words_of_test_and_validation_data_are_matched_to_those_of_the_training_data():
    found = Domain("a", (X, WORDS), (X[:2], ["dog", "ant"]), (X[:2], ["ant", "bee"]))
    assert found.classes == ("bee", "cat", "dog", "ant")
    assert found.test is not None
    assert found.validation is not None
    assert (found.test.y.tolist(), found.validation.y.tolist()) == ([2, 3], [3, 0])


def test_the_words_of_a_target_are_gone_with_its_labels():
    target = Domain("a", (X, WORDS), (X[:4], ["dog", "dog", "bee", "dog"])).unlabelled()
    assert target.classes == ("bee", "dog")
    assert target.test is not None
    assert target.test.y.tolist() == [1, 1, 0, 1]
    assert domain((X, WORDS)).unlabelled().classes == ()


def test_the_classes_that_a_target_was_given_stay():
    assert domain((X, WORDS), classes=["dog", "cat", "bee"]).unlabelled().classes == ("dog", "cat", "bee")


@pytest.mark.parametrize(
    "y",
    [
        Y.double(), Y.numpy().astype(float), Y.tolist(), pandas.Series(Y.numpy()),
        pandas.Series(Y.numpy(), dtype="Int64"),
        Y.numpy().astype(object), list(Y), [np.int64(label) for label in Y], Y[:, None], Y.numpy().astype("uint16"),
    ],
    ids=lambda y: type(y).__name__,
)  # fmt: skip
def test_numbers_of_any_kind_are_the_same_labels(y):
    assert torch.equal(domain((X, y), classes=3).train.y, Y)


def test_huge_whole_numbers_are_no_classes():
    found = domain((X, torch.arange(12) * 10**9))
    assert found.classes == ()
    assert found.labels is None


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["cat", 3] * 6, "row 0 is 'cat', row 1 3; give all as words or all as numbers"),
        (["cat", None] * 6, "row 1 has no label"),
        (["cat", float("nan")] * 6, "row 1 has no label"),
        (pandas.Series(["cat", pandas.NA] * 6), "row 1 has no label"),
        ([0, None] * 6, "row 1 has no label"),
        (["cat"] * 11 + ["cow"], "the label 'cow' is not one of the classes"),
        (Y.to(torch.complex64), "complex"),
        (Y - 1, "label -1.* numbers to predict .regression. as floats"),
    ],
)
def test_labels_that_cannot_be_right_are_refused_in_one_line(y, message):
    with pytest.raises((ValueError, TypeError), match=f"^Domain.*{message}") as refused:
        domain((X, y), classes=["cat", "dog", "bee"])
    assert "\n" not in str(refused.value)


def test_a_dict_of_names_says_their_numbers():
    assert domain((X, Y), classes={"c": 2, "a": 0, "b": 1}).classes == ("a", "b", "c")


@pytest.mark.parametrize("classes", ["abc", 3.5, ["a", "a"], 0, -1])
def test_classes_that_are_no_list_of_names_are_refused(classes):
    with pytest.raises((TypeError, ValueError), match="classes"):
        domain((X, Y), classes=classes)


def test_a_number_of_classes_that_is_not_that_of_the_words_is_refused():
    with pytest.raises(ValueError, match=r"classes=5, but the labels name 3 \(bee, cat, dog\)"):
        domain((X, WORDS), classes=5)


@pytest.mark.parametrize(
    ("classes", "y", "places"),
    [
        ([1, 2, 3], [1, 3], [0, 2]),
        ([1, 2, 3], [0, 2], [0, 2]),
        ([10, 20], [20, 10], [1, 0]),
        (["1", "2"], [1, 0], [1, 0]),
    ],
)
def test_numbers_as_classes_are_the_labels_that_they_are(classes, y, places):
    found = domain((X[:2], y), classes=classes)
    assert found.train.y.tolist() == places
    assert found.classes == tuple(map(str, classes))


@pytest.mark.parametrize("name", [X, None, ["a"], 3.5])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(TypeError, match="give the name first"):
        Domain(name, (X, Y))


# Labels of data sets


def test_the_labels_are_those_of_the_rows_beside_targets_that_are_stale():
    targets = Y.clone()
    targets[5] = 0
    assert torch.equal(domain(Rows(pairs(), targets=targets)).train.y, Y)


@pytest.mark.parametrize("holder", ["data set", "transforms", "subset"])
def test_the_labels_are_those_of_the_rows_beside_a_transform_of_targets(holder, monkeypatch):
    monkeypatch.setattr("tladapt.readers.datasets.READ", 0)

    class Both:
        target_transform = staticmethod(lambda label: label)

    attributes = {"transforms": Both()} if holder == "transforms" else {"target_transform": Both.target_transform}
    changed = Y.clone()
    changed[4] = 0  # not the first or last of its class
    rows: Dataset = Rows(pairs(changed), targets=Y, **attributes)
    rows = Subset(rows, range(12)) if holder == "subset" else rows
    assert torch.equal(domain(rows).train.y, changed)


def test_a_row_of_a_large_data_set_that_does_not_say_what_its_targets_say_is_refused_when_it_is_read(monkeypatch):
    monkeypatch.setattr("tladapt.readers.datasets.READ", 0)
    changed = Y.clone()
    changed[4] = 0
    found = domain(Rows(pairs(changed), targets=Y))
    with pytest.raises(ValueError, match=r"Rows: row 4 has another label than its `targets`; .* \(dataset, labels\)"):
        found.train.rows(torch.tensor([4, 5]))
    assert len(found.unlabelled().train.rows(torch.arange(12))) == 12


def test_labels_that_are_given_stand_above_those_of_the_rows():
    found = domain((Rows(pairs()), 2 - Y))
    assert torch.equal(found.train.y, 2 - Y)
    assert len(found.train.rows(torch.arange(12))) == 12


def test_targets_of_a_subset_are_those_of_its_rows():
    whole = Rows(pairs(), targets=Y.tolist())
    assert domain(Subset(whole, [7, 2, 5])).train.y.tolist() == [1, 2, 2]


@pytest.mark.parametrize(
    ("rows", "y"),
    [
        (pairs(WORDS), [1, 2, 0] * 4),
        (pairs(Y.double().tolist()), Y.tolist()),
        (pairs([None] * 12), []),
        ([{"x": x, "label": label} for x, label in pairs()], Y.tolist()),
        ([{"x": x, "labels": label} for x, label in pairs()], Y.tolist()),
        ([({"x": x}, label) for x, label in pairs()], Y.tolist()),
        ([{"x": x} for x in X], []),
        ([[x, label] for x, label in pairs()], Y.tolist()),
        ([(x,) for x in X], []),
        ([(x.numpy(), np.int64(label)) for x, label in pairs()], Y.tolist()),
        ([(x.tolist(), label) for x, label in pairs()], Y.tolist()),
        ([(x.double(), label) for x, label in pairs()], Y.tolist()),
        ([(x.half(), label) for x, label in pairs()], Y.tolist()),
    ],
)
@pytest.mark.parametrize("kind", [Rows, Passes])
def test_rows_of_any_form_are_inputs_and_a_label(rows, y, kind):
    found = domain(kind(rows))
    x: Any = found.train.rows(torch.arange(12))
    x = x["x"] if isinstance(x, dict) else x
    assert torch.equal(x, X)
    assert found.train.y.tolist() == y


def test_an_object_with_a_length_and_rows_is_a_data_set():
    found = domain(Duck())
    assert torch.equal(found.train.y, Y)
    assert torch.equal(found.train.rows(torch.arange(12)), X)  # type: ignore[arg-type]


def test_several_labels_a_row_are_taken_with_targets_too():
    many = torch.rand(12, 5).round()
    assert torch.equal(domain(Rows(pairs(many), targets=many)).train.y, many)


def test_a_data_set_of_one_input_is_passed_by_place():
    torch.manual_seed(0)
    rows = Rows([{"pixels": x, "label": int(label)} for x, label in pairs()])
    fit(Model.of(nn.Linear(2, 3)), [domain(rows)], steps=1, progress=False)


def test_a_network_with_other_arguments_is_named():
    torch.manual_seed(0)
    rows = Rows([{"left": x, "right": x, "label": int(label)} for x, label in pairs()])
    network = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3))
    message = r"the forward of Sequential takes \(input.*\), but the data has the inputs left, right"
    with pytest.raises(TypeError, match=message):
        fit(Model.of(network), [Domain("a", rows, rows)], steps=1, progress=False)


def test_the_parts_of_a_concatenation_must_name_their_classes_alike():
    one, other = Rows(pairs(), classes=["a", "b", "c"]), Rows(pairs(), classes=["c", "b", "a"])
    assert domain(ConcatDataset([one, one])).classes == ("a", "b", "c")
    with pytest.raises(ValueError, match="equal numbers mean different classes"):
        domain(ConcatDataset([one, other]))


@pytest.mark.parametrize("classes", [3, None, ["a", "b"], ["a", "a", "b"], [1, 2, 3], "abc"])
def test_an_attribute_that_does_not_name_the_classes_is_left_alone(classes):
    assert domain(Rows(pairs(), classes=classes)).classes == ("0", "1", "2")


def test_names_that_are_given_stand_above_those_of_the_data_set():
    rows = Rows(pairs(), classes=["n01", "n02", "n03"])
    assert domain(rows, classes=["ant", "bee", "cat"]).classes == ("ant", "bee", "cat")
    assert domain(rows, classes=3).classes == ("n01", "n02", "n03")
    found = domain(rows, classes=["n03", "n02", "n01"])
    assert torch.equal(found.train.y, 2 - Y)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(x, 0, label) for x, label in pairs()], "3 parts"),
        ([((x, x), label) for x, label in pairs()], "2 inputs; let it return them in a dict"),
        ([([x, x], label) for x, label in pairs()], "2 inputs"),
        ([{"x": x, "label": 0, "labels": 0} for x in X], "both 'label' and 'labels' may be the label"),
        ([{"label": 0}] * 12, "a label, but no inputs"),
    ],
)
def test_rows_that_have_no_plain_meaning_are_refused_with_the_mend(rows, message):
    with pytest.raises(TypeError, match=f"Domain.*Rows: .*{message}"):
        domain(Rows(rows))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(X[0], 0), (X[0].byte(), 0)], "row 1 is of the type uint8, others of float32"),
        ([(Y[0], 0), (X[0, 0], 0)], "row 1 is of the type float32, others of int64"),
        ([("text", 0)] * 2, "no tensors of one shape .str"),
        ([{"x": X[0]}, {"y": X[0]}], "row 1 does not have the inputs x"),
        ([(X[0].to(torch.complex64), 0)] * 2, "complex"),
    ],
)
def test_rows_that_do_not_go_together_are_refused_with_their_number(rows, message):
    with pytest.raises(ValueError, match=f"Rows.*{message}"):
        domain(Rows(rows)).train.rows(torch.tensor([0, 1]))


def test_whole_numbers_in_some_rows_of_a_data_set_become_floats_as_in_the_first():
    x = domain(Rows([(X[0], 0), (Y[:2], 0)])).train.rows(torch.tensor([0, 1]))
    assert isinstance(x, Tensor)
    assert x.dtype == torch.float32


def test_no_rows_of_a_data_set_are_none():
    rows = domain(Rows(pairs())).train.rows(torch.empty(0, dtype=torch.long))
    assert isinstance(rows, Tensor)
    assert rows.shape == (0, 2)


class Noisy(Duck):
    """Rows that draw from all global random numbers."""

    def __getitem__(self, row: int):
        return X[row] + torch.rand(2) + np.random.rand() + random.random(), row % 3  # noqa: NPY002


def test_a_domain_of_a_data_set_leaves_the_random_numbers_of_the_user_alone():
    def state() -> list:
        return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]  # noqa: NPY002

    before = state()
    found = Domain("a", Noisy(), Noisy())
    fit(Model.of(nn.Linear(2, 3)), [found, found.unlabelled()], steps=1, progress=False)
    assert state()[1:] == before[1:]


# Inputs


@pytest.mark.parametrize(
    "x",
    [
        X.double(), X.half(), X.bfloat16(), X.numpy(), X.numpy().astype(">f8"), X.numpy().astype(np.longdouble),
        X.tolist(), list(X),
        list(X.numpy()), X.numpy().astype(object), pandas.DataFrame(X.numpy()), X.clone().requires_grad_(),
        pandas.DataFrame({"a": X[:, 0].numpy(), "b": X[:, 1].long().numpy()}),
        pandas.DataFrame({"a": X[:, 0].numpy(), "b": pandas.Series(X[:, 1].long().numpy(), dtype="Int64")}),
        np.asfortranarray(X.numpy()), X.T.contiguous().T, TensorDataset(X)[:][0],
    ],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_inputs_of_any_kind_are_the_same_rows(x):
    found = domain((x, Y)).train.x
    assert found.dtype == torch.float32
    assert torch.equal(found, X)
    assert not found.requires_grad


def test_a_frame_with_a_column_of_booleans_is_read():
    frame = pandas.DataFrame({"a": X[:, 0].numpy(), "b": Y.numpy() > 0})
    assert torch.equal(domain((frame, Y)).train.x[:, 1], (Y > 0).float())


def test_a_mapping_is_a_dict_of_inputs():
    transformers = pytest.importorskip("transformers")
    batch = transformers.BatchEncoding({"input_ids": Y[:, None], "attention_mask": torch.ones(12, 1)})
    assert domain((batch, Y)).train.x.keys() == {"input_ids", "attention_mask"}
    assert torch.equal(domain({"input_ids": Y[:, None], "labels": Y}).train.y, Y)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TensorDataset(X, Y, Y), "TensorDataset of 3 tensors"),
        ((X, Y, Y), "a tuple of 3"),
        (((X, X), Y), "a tuple of 2 inputs; give a dict"),
        ([X, Y], "tensors of different shapes"),
        ((X.to_sparse(), Y), r"\.to_dense\(\)"),
        ((sparse.csr_matrix(X.numpy()), Y), r"\.toarray\(\)"),
        ((X.to(torch.complex64), Y), "complex"),
        ((np.ma.masked_equal(X.numpy(), 3), Y), r"masked values; .*\.filled\(\)"),
        (
            (pandas.DataFrame({"a": X[:, 0].numpy(), "city": WORDS}), Y),
            "the column 'city' has 'cat', which is not a number",
        ),
        (
            (pandas.DataFrame({"a": pandas.Series([1, None] * 6, dtype="Int64")}), Y),
            "holds NaN or infinity, first in row 1",
        ),
        (pandas.DataFrame({"a": X[:, 0].numpy(), "label": Y.numpy()}), r"frame.drop\(columns='label'\)"),
        (({"x": X, "labels": Y}, Y), "labels in the dict of inputs and beside it"),
        ((pandas.DataFrame(X.numpy()), pandas.Series(Y.numpy()).sample(frac=1, random_state=0)), "another order"),
        ((X, 3), "expected one label per row, got int"),
        ((X, iter(Y)), "expected one label per row, got .*iterator"),
        ("old.csv", "is str, 'old.csv'; expected numbers .read files with"),
        (([[1.0, 2.0], [3.0]] * 6, Y), "expected a tensor, array, data frame"),
        ((np.array(["2020-01-01"] * 12, dtype="datetime64[D]"), Y), "expected a tensor, array, data frame"),
    ],
)
def test_inputs_that_are_none_are_refused_in_one_line(source, message):
    with pytest.raises((TypeError, ValueError), match=message) as refused:
        domain(source)
    assert "\n" not in str(refused.value)


def storage(x: Any) -> int:
    return x.untyped_storage().nbytes()


@pytest.mark.parametrize("lazy", [False, True])
def test_no_label_and_no_test_row_stays_in_the_memory_of_the_inputs(lazy):
    both = torch.cat([X, Y[:, None]], 1)
    x, y = both[:, :2], both[:, 2].long()
    found = domain((x, y), classes=3).unlabelled().for_training(torch.device("cpu")).train
    assert storage(found.x) == found.x.numel() * 4
    halves = Domain("b", X[:9], X[9:]).for_training(torch.device("cpu")).train
    assert storage(halves.x) == 9 * 2 * 4
    named = Domain("c", {"x": both[:, :1], "z": both[:, 1:2]}, None).train.x
    assert [storage(part) for part in named.values()] == [48, 48]
