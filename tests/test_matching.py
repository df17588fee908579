"""Classes by name, and one type of inputs and labels, over all domains of a stream and its model."""

import copy
import itertools
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tladapt import (
    DANN,
    MMD,
    Domain,
    Method,
    Model,
    MultiLabel,
    Regression,
    Replay,
    Report,
    Segmentation,
    adaptation,
    fit,
)
from tladapt.streams import Stream

NAMES = ("ant", "bee", "cat")


def blobs(classes: Sequence[int], rows: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points around a place of their own per class, and the places in `classes`."""
    random = torch.Generator().manual_seed(seed)
    place = torch.arange(rows) % len(classes)
    centre = torch.tensor(classes)[place].float()
    angle = torch.stack([(2 * centre).cos(), (2 * centre).sin()], 1)
    return 3 * angle + 0.3 * torch.randn(rows, 2, generator=random), place


def named(name: str, shown: Sequence[str], order: Sequence[str] | None = None, **options) -> Domain:
    """A domain in which a class looks the same whatever its number: that in `order`, by default in `shown`."""
    every = (*NAMES, "dog", "elk")
    x, place = blobs([every.index(word) for word in shown], seed=sum(map(ord, name)))
    words = [shown[number] for number in place.tolist()]
    order = order or shown
    y = torch.tensor([order.index(word) for word in words])
    return Domain(name, (x, y), classes=order, **options)


def network(outputs: int, classes: Sequence[str] | None = None) -> Model:
    torch.manual_seed(0)
    return Model.of(nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, outputs)), classes=classes)


def learn(model: Model, stream: Stream, method: Method | None = None, **options) -> Report:
    return fit(model, stream, method, steps=80, lr=0.01, progress=False, **options)


# Names


@pytest.mark.parametrize("order", list(itertools.permutations(NAMES)), ids="-".join)
@pytest.mark.parametrize("known", [True, False], ids=["model with names", "model with numbers"])
def test_the_order_of_the_classes_in_a_domain_makes_no_difference(order, known):
    model = network(3, NAMES if known else None)
    report = learn(model, [named("a", NAMES), named("b", NAMES, order)])
    assert min(report.scores[-1]) > 0.9  # type: ignore[type-var]
    assert model.classes == NAMES


def test_the_order_of_the_names_in_the_model_makes_no_difference():
    model = network(3, NAMES[::-1])
    report = learn(model, adaptation(named("a", NAMES), named("b", ("cat", "ant", "bee"))), MMD())
    assert min(report.scores[-1]) > 0.9  # type: ignore[type-var]
    assert model.classes == NAMES[::-1]


def test_a_later_domain_with_fewer_classes_is_scored_by_name():
    model = network(3, NAMES)
    learn(model, [named("a", NAMES)])
    report = fit(model, [named("later", ("bee", "cat"))], steps=1, lr=1e-9, progress=False)
    assert report.scores[0][0] > 0.9  # type: ignore[operator]


def test_domains_with_other_classes_share_the_outputs_of_a_model_that_has_room():
    model = network(5)
    report = learn(model, [(named("a", NAMES), named("b", ("bee", "cat", "dog")))])
    assert min(report.scores[-1]) > 0.9  # type: ignore[type-var]
    assert model.classes == (*NAMES, "dog", "output 4")


def test_domains_with_more_classes_than_the_model_has_outputs_are_refused_by_name():
    with pytest.raises(ValueError, match=r"4 classes \(ant, bee, cat, dog\), the model has 3; 'dog' is a class of 'b'"):
        learn(network(3), [named("a", NAMES), named("b", ("bee", "cat", "dog"))])


def test_a_class_to_learn_that_the_model_does_not_have_is_refused_by_name():
    with pytest.raises(ValueError, match=r"domain 'b' has the class 'dog'.* \(ant, bee, cat\)"):
        learn(network(3, NAMES), [named("a", NAMES), named("b", ("bee", "dog"))])


@pytest.mark.parametrize("known", [True, False], ids=["model with names", "model with numbers"])
def test_rows_of_a_class_that_only_the_target_has_are_not_scored_and_that_is_said(known):
    source, target = named("a", NAMES), named("b", (*NAMES, "dog"))
    report = learn(network(3, NAMES if known else None), adaptation(source, target), MMD())
    unknown = int((target.test.y == 3).sum())  # type: ignore[union-attr]
    assert [note for note in report.notes if "dog" in note] == [
        f"b: {unknown} rows of the test data are not scored, because the model does not have the class dog"
    ]
    assert report.scores[-1][1] > 0.9  # type: ignore[operator]


def test_numbers_that_only_the_target_has_are_not_scored_and_that_is_said():
    x, y = blobs(range(4))
    source = Domain("a", (x[y < 3], y[y < 3]))
    report = learn(network(3), adaptation(source, Domain("b", (x, y))), MMD())
    assert any("does not have the class 3" in note for note in report.notes)
    assert report.scores[-1][1] > 0.9  # type: ignore[operator]


def test_a_target_that_has_only_classes_of_its_own_has_no_score():
    report = learn(network(3, NAMES), adaptation(named("a", NAMES), named("b", ("dog", "elk"))), MMD())
    assert report.scores[-1][1] is None
    assert any("dog, elk" in note for note in report.notes)


def test_a_domain_that_is_only_scored_may_have_a_class_of_its_own():
    a, b = named("a", NAMES), named("b", ("cat", "dog"))
    report = learn(network(3, NAMES), [a], evaluate=[a, b])
    assert report.scores[-1][1] > 0.9  # type: ignore[operator]
    assert any("dog" in note for note in report.notes)


def test_numbers_beside_names_are_places_in_the_list_of_names():
    x, y = blobs(range(3), seed=3)
    report = learn(network(3), [named("a", NAMES), Domain("b", (x, y))])
    assert min(report.scores[-1]) > 0.9  # type: ignore[type-var]


def test_numbers_are_names_where_the_model_has_other_numbers():
    x, y = blobs(range(3))
    report = learn(network(3, ["1", "2", "3"]), [Domain("a", (x, (y + 1).tolist()), classes=["0", "1", "2", "3"])])
    assert report.scores[-1][0] > 0.9  # type: ignore[operator]


def test_each_of_a_class_incremental_stream_may_name_its_own_classes():
    stream = [named("a", ("ant", "bee")), named("b", ("cat", "dog"))]
    model = network(4)
    report = learn(model, stream, Replay(200), increment="class")
    assert min(report.scores[-1]) > 0.7  # type: ignore[type-var]
    assert model.classes == ("ant", "bee", "cat", "dog")


def test_classes_named_alike_leave_the_domains_as_they_are():
    seen: list[Tensor] = []

    class Spy(Method):
        def prepare(self, model, stage):
            seen.extend(domain.train.y for domain in stage.domains)

    domain = named("a", NAMES)
    learn(network(3, NAMES), [domain], Spy())
    assert torch.equal(seen[0], domain.train.y)


def test_the_domains_of_the_user_keep_their_labels():
    domain = named("b", NAMES, NAMES[::-1])
    before, classes = domain.train.y.clone(), domain.classes
    learn(network(3, NAMES), [named("a", NAMES), domain])
    assert torch.equal(domain.train.y, before)
    assert domain.classes == classes


def test_masks_are_matched_by_name():
    x = torch.rand(8, 2, 4, 4)
    y = (x[:, 0] > 0.5).long()
    torch.manual_seed(0)
    model = Model(Pixels(), nn.Linear(2, 2), classes=["sky", "road"])
    a = Domain("a", (x, y), classes=["sky", "road"])
    b = Domain("b", (x, 1 - y), classes=["road", "sky"])
    report = learn(model, [a, b], task=Segmentation())
    assert abs(report.scores[-1][0] - report.scores[-1][1]) < 0.05  # type: ignore[operator]


class Pixels(nn.Module):
    """The pixels of images as rows of features."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Pictures(Dataset):
    """A data set with the attributes of an ImageFolder."""

    def __init__(self, shown: Sequence[str], attribute: str):
        every = (*NAMES, "dog")
        self.x, self.y = blobs([every.index(word) for word in shown], seed=len(shown))
        self.targets = self.y.tolist()
        found = {
            "classes": list(shown), "class_to_idx": {word: i for i, word in enumerate(shown)},
            "features": {"label": Feature(list(shown))},
        }  # fmt: skip
        setattr(self, attribute, found[attribute])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int):
        return self.x[row], int(self.y[row])


class Feature:
    """What `datasets` of Hugging Face says of a label."""

    def __init__(self, names: list[str]):
        self.names = names


@pytest.mark.parametrize("attribute", ["classes", "class_to_idx", "features"])
def test_data_sets_are_matched_by_the_names_that_they_have(attribute):
    web, phone = (Pictures(shown, attribute) for shown in (NAMES, ("cat", "bee")))
    assert Domain("web", web, test=None).classes == NAMES
    report = learn(network(3), [Domain("web", web, web), Domain("phone", phone, phone)])
    assert min(report.scores[-1]) > 0.9  # type: ignore[type-var]


def test_the_test_data_may_be_of_a_data_set_that_numbers_its_classes_otherwise():
    web, phone = Pictures(NAMES, "classes"), Pictures(("cat", "dog"), "classes")
    domain = Domain("web", web, phone)
    assert domain.classes == (*NAMES, "dog")
    assert domain.test is not None
    assert domain.test.y.unique().tolist() == [2, 3]


def test_one_class_is_said():
    x, _ = blobs([0])
    report = fit(network(2), [Domain("a", (x, ["sick"] * 60))], steps=1, progress=False)
    assert report.notes[0] == "all labelled rows have the class 'sick': with one class there is nothing to tell apart"


# Types of inputs

FLOATS = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 2


class Seen(nn.Module):
    """Flattens images, and keeps the largest value of every batch."""

    def __init__(self):
        super().__init__()
        self.largest: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        self.largest.append(float(x.max()))
        return x.flatten(1)


class Images(Dataset):
    """Images that are read row by row."""

    def __init__(self, x: Tensor):
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int):
        return self.x[row], row % 2


@pytest.mark.parametrize("method", [Method, MMD, DANN, lambda: Replay(20)], ids=["none", "MMD", "DANN", "Replay"])
@pytest.mark.parametrize("order", ["bytes first", "floats first"])
@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "data set"])
def test_bytes_beside_floats_from_0_to_1_are_seen_on_one_scale(method, order, lazy):
    seen = Seen()
    pixels = (255 * FLOATS).byte()
    data = (Images(pixels), Images(pixels)) if lazy else ((pixels, Y), (pixels, Y))
    domains = [Domain("bytes", *data), Domain("floats", (FLOATS, Y)), Domain("more", (FLOATS, Y))]
    a, b, c = domains if order == "bytes first" else domains[::-1]
    fit(Model(seen, nn.Linear(16, 2)), [a, (a, b.unlabelled()), c], method(), steps=3, progress=False)
    assert max(seen.largest) <= 1


@pytest.mark.parametrize("other", [255 * FLOATS, FLOATS - 0.5, (255 * FLOATS).long(), FLOATS > 0.5])
def test_bytes_beside_what_may_have_another_scale_are_refused_before_training(other):
    a, b = Domain("bytes", ((255 * FLOATS).byte(), Y)), Domain("other", (other, Y))
    with pytest.raises(ValueError, match=r"'bytes' are bytes .* those of 'other' (float32|int64|bool)"):
        fit(Model(Seen(), nn.Linear(16, 2)), [a, b], steps=1, progress=False)


@pytest.mark.parametrize(
    "kinds", [(torch.int64, torch.float32), (torch.bool, torch.float32), (torch.int32, torch.int64)]
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_whole_and_broken_numbers_go_together(kinds, part):
    x = torch.randint(2, (40, 2))
    a, b = (Domain(name, (x.to(kind), Y), (x.to(kind), Y)) for name, kind in zip("ab", kinds, strict=True))
    stream = [a, b, a] if part == "train" else [Domain("c", (x.to(kinds[0]), Y), (x.to(kinds[1]), Y))]
    fit(network(2), stream, Replay(10), steps=2, progress=False)


@pytest.mark.parametrize(
    "kind", ["int64", "int32", "int16", "int8", "uint16", "bool", "float16", "float64", ">f4", ">i8"]
)
def test_numbers_of_any_type_teach_what_the_same_floats_do(kind):
    counts = np.random.default_rng(0).integers(0, 2, (40, 2))
    weights = []
    for x in (counts.astype("float32"), counts.astype(kind)):
        model = network(2)
        fit(model, [Domain("a", (x, Y), test=None)], steps=3, progress=False)
        weights.append(model.head.weight)
    assert torch.equal(*weights)


def test_ids_of_words_stay_whole():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    fit(Model.of(body), [Domain("a", (torch.randint(9, (40, 3)), Y))], steps=2, progress=False)


def test_a_network_that_reads_whole_numbers_in_its_own_way_gets_them():
    class OneHot(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.one_hot(x, 5).flatten(1).float()

    model = Model(OneHot(), nn.Linear(15, 2))
    fit(model, [Domain("a", (torch.randint(5, (40, 3)), Y))], steps=2, progress=False)


# Types of labels


@pytest.mark.parametrize("method", [Method, lambda: Replay(20)], ids=["none", "Replay"])
def test_whole_and_broken_numbers_to_predict_go_together(method):
    x = torch.randn(40, 2)
    stream = [Domain("a", (x, torch.randint(0, 5, (40,)))), Domain("b", (x, torch.rand(40))), Domain("c", x)]
    report = fit(network(1), stream, method(), task=Regression(), steps=2, progress=False)
    assert report.scores[-1][0] is not None


def test_an_unlabelled_stage_may_come_before_broken_numbers():
    x = torch.randn(40, 2)
    stream = [Domain("a", x), Domain("b", (x, torch.rand(40))), Domain("c", (x, torch.rand(40)))]
    fit(network(1), stream, Replay(10) + DANN(), task=Regression(), steps=2, progress=False)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.int32, torch.uint8])
def test_classes_as_numbers_of_any_type_are_the_same_classes(kind):
    x, y = blobs(range(3))
    weights = []
    for labels in (y, y.to(kind)):
        model = network(3)
        fit(model, [Domain("a", (x, labels), (x, labels))], steps=3, progress=False)
        weights.append(model.head.weight)
    assert torch.equal(*weights)


def test_several_labels_may_be_whole_numbers():
    x, y = torch.randn(40, 2), torch.randint(2, (40, 3))
    y[0] = 1
    fit(network(3), [Domain("a", (x, y), (x, y))], task=MultiLabel(), steps=2, progress=False)


def test_columns_of_labels_are_matched_by_name():
    x, place = blobs(range(3))
    y = nn.functional.one_hot(place, 3).float()
    a, b = Domain("a", (x, y), classes=NAMES), Domain("b", (x, y[:, [2, 0]]), classes=["cat", "ant"])
    report = learn(network(3), [a, b], task=MultiLabel())
    assert min(report.scores[-1]) > 0.9  # type: ignore[type-var]
    with pytest.raises(ValueError, match=r"domain 'd' has the class 'dog'"):
        learn(network(3, NAMES), [a, Domain("d", (x, y), classes=["cat", "ant", "dog"])], task=MultiLabel())


def test_columns_of_numbers_are_matched_by_name():
    x, y, names = torch.randn(60, 2), torch.rand(60, 3), ["long", "wide", "high"]
    a, b = Domain("a", (x, y), classes=names), Domain("b", (x, y.flip(1)), classes=names[::-1])
    report = fit(network(3), [a, b], task=Regression(), steps=1, progress=False)
    assert report.scores[-1][0] == pytest.approx(report.scores[-1][1])
    with pytest.raises(ValueError, match="domain 'b' has no column for wide"):
        fit(network(3), [a, Domain("b", (x, y[:, ::2]), classes=["long", "high"])], task=Regression(), steps=1)


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (torch.rand(40), None, r"float labels that are not whole numbers from 0, such as .*Regression"),
        (torch.arange(40.0) - 1, None, r"float labels that are not whole numbers from 0, such as -1"),
        (torch.full((40,), 30_000_000), None, r"labels up to 30000000; .*Regression"),
        (7 * torch.arange(40), None, r"has 274 classes, the model 2; .*Regression"),
        (Y + 1, None, r"the class numbers of domain 'a' begin at 1; number classes from 0"),
        (nn.functional.one_hot(Y), None, r"labels of shape \(2,\) per row, .* y.argmax\(1\)"),
        (["cheap", "dear"] * 20, Regression(), r"'a' are places among the classes cheap, dear, .* not numbers"),
    ],
)
def test_labels_that_the_task_cannot_learn_are_refused_with_the_remedy(y, task, message):
    with pytest.raises(ValueError, match=message):
        fit(network(2), [Domain("a", (torch.randn(40, 2), y), None)], task=task, steps=1, progress=False)


def test_labels_of_another_form_in_the_next_domain_are_refused():
    x = torch.randn(40, 2)
    with pytest.raises(ValueError, match=r"the labels of 'b' have the shape \(3,\) per row, those of 'a' \(\)"):
        fit(network(2), [Domain("a", (x, Y)), Domain("b", (x, torch.zeros(40, 3)))], task=Regression(), steps=1)


@pytest.mark.parametrize("classes", [3, None])
def test_masks_that_mark_pixels_with_255_are_refused_with_the_remedy(classes):
    x, y = torch.rand(8, 2, 4, 4), torch.randint(0, 3, (8, 4, 4))
    y[:, 0] = 255
    with pytest.raises(ValueError, match=r"255.* -1 instead .*y\[y == 255\] = -1"):
        fit(Model(Pixels(), nn.Linear(2, 3)), [Domain("a", (x, y), classes=classes)], task=Segmentation(), steps=1)


def test_masks_may_mark_pixels_as_torch_does():
    y = torch.randint(0, 3, (8, 4, 4))
    y[:, 0] = -100
    assert Domain("a", (torch.rand(8, 2, 4, 4), y), None).train.y[:, 0].unique().tolist() == [-1]


# Copies


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda domain: pickle.loads(pickle.dumps(domain))])
def test_a_copy_of_a_domain_is_the_same_domain(copied):
    a, b = named("a", NAMES), named("b", NAMES)
    report = fit(network(3), [a, (copied(a), copied(b).unlabelled())], steps=1, evaluate=[a, b], progress=False)
    assert report.domains == ["a", "b"]
