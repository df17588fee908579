"""Predictions and scores of a trained model, on data of every kind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from tladapt import (
    CORAL,
    Classification,
    Domain,
    Model,
    MultiLabel,
    Regression,
    Representation,
    Segmentation,
    SpeechToText,
    adaptation,
    fit,
)
from tladapt.backbones import cnn, mlp, text
from tladapt.intervals import wilson
from tladapt.predicting.predictions import Predictions
from tladapt.predicting.scoring import Evaluation
from tladapt.readers.files import read_domains
from tladapt.readers.texts import Texts, word_tokenizer

X = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])


def identity(classes: Any = ("cup", "pen")) -> Model:
    """Logits that are the inputs."""
    count = classes if isinstance(classes, int) else len(classes)
    head = nn.Linear(count, count)
    with torch.no_grad():
        head.weight.copy_(torch.eye(count))
        head.bias.zero_()
    return Model(nn.Identity(), head, classes=classes)


def table_of(found: Evaluation) -> list[list[int]]:
    assert found.confusion is not None
    return found.confusion.tolist()


def chances(found: Predictions) -> np.ndarray:
    assert found.probabilities is not None
    return found.probabilities


class Rows(Dataset):
    """Inputs, or inputs and labels."""

    def __init__(self, x: Tensor, y: Any = None) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> Any:
        return self.x[row] if self.y is None else (self.x[row], self.y[row])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark cups and bright pens: a folder per class, a folder without classes, a trained model of both."""
    home = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for i, folder in enumerate(("day/cup", "day/pen", "new")):
        (home / folder).mkdir(parents=True)
        for number in range(12):
            low = 140 if folder.endswith("pen") or (i == 2 and number % 2) else 0
            pixels = random.integers(low, low + 80, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(home / folder / f"{number:02}.png")
    (day, new), reader = read_domains([home / "day", home / "new"], size=8)
    torch.manual_seed(0)
    model = cnn(3, 8, 4, 8, classes=day.classes)
    fit(model, adaptation(day, new), CORAL(), steps=40, lr=0.01)
    model.inputs = reader.spec()
    model.save(home / "model")
    return home


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled tables whose ids are no features, and a trained model."""
    pandas = pytest.importorskip("pandas")
    home = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    for name, shift in (("a", 0.0), ("b", 0.5)):
        y = np.arange(60) % 2
        frame = {"age": (4 * y + random.normal(size=60) + shift).round(3), "city": np.where(y, "rome", "oslo")}
        pandas.DataFrame(frame | {"kind": np.where(y, "yes", "no")}).to_csv(home / f"{name}.csv", index=False)
    (a, b), reader = read_domains([home / "a.csv", home / "b.csv"], label="kind")
    torch.manual_seed(0)
    model = mlp(a.train.shape[0], (8,), classes=a.classes)
    fit(model, [a, b], steps=60, lr=0.02)
    model.inputs = reader.spec()
    model.save(home / "model")
    return home


# What is predicted


@pytest.mark.parametrize(
    "data",
    [X, X.numpy(), X.tolist(), X.double(), Rows(X), Rows(X, [0, 1, 1]), (X, torch.tensor([1, 0, 0])), Domain("x", X)],
    ids=["tensor", "array", "list", "double", "dataset", "labelled dataset", "pair", "domain"],
)
def test_rows_of_any_kind_give_the_same(data):
    found = identity().predict(data)
    assert found.predictions == ["cup", "pen", "pen"]
    assert found.classes == ("cup", "pen")
    assert found.ids == [0, 1, 2]
    expected = X.softmax(1).numpy()
    assert np.allclose(chances(found), expected)
    assert np.array_equal(identity().predict_proba(data), chances(found))
    assert np.allclose(found.confidence, expected.max(1))


def test_the_result_is_a_sequence_of_rows():
    found = identity().predict(X)
    assert len(found) == len(list(found)) == 3
    assert found[1] == found.to_dicts()[1]
    assert list(found[0]) == ["row", "prediction", "probability", "probability_cup", "probability_pen"]
    assert found[0]["probability"] == found[0]["probability_cup"] > 0.8
    assert "3 rows; classes: cup, pen" in repr(found)
    assert "pen" in repr(found)


def test_a_long_result_is_shown_in_a_few_lines():
    found = identity().predict(torch.eye(2).repeat(50, 1))
    assert len(repr(found).splitlines()) == 8
    assert "95 more" in repr(found)


def test_inputs_of_several_tensors_are_predicted():
    class Sum(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b

    model = Model(Sum(), identity().head, classes=["cup", "pen"])
    assert model.predict({"a": X, "b": 0 * X}).predictions == ["cup", "pen", "pen"]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_batches_change_nothing(size):
    torch.manual_seed(0)
    model = Model.of(nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)))
    found = model.predict_proba(X, batch_size=size)
    assert np.allclose(found, model.eval()(X).logits.softmax(1).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("size", [0, -1, 1.5, "8", True])
def test_a_wrong_batch_size_is_refused(size):
    with pytest.raises(ValueError, match=r"batch_size=.*: expected an integer >= 1"):
        identity().predict(X, batch_size=size)


def test_a_prediction_leaves_the_model_and_the_random_numbers_as_they_were():
    model = Model.of(nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)))
    model.train()
    norm = next(part for part in model.modules() if isinstance(part, nn.BatchNorm1d))
    norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    found = model.predict(X)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not norm.training
    assert isinstance(found.probabilities, np.ndarray)
    with pytest.raises(ValueError, match="does not take rows"):
        model.predict(torch.ones(2, 3))
    assert model.training  # after a failure, too


def test_the_statistics_of_a_domain_can_be_chosen():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    model = Model.of(network, batchnorm="per-domain")
    x, y = torch.randn(40, 2), torch.arange(40) % 2
    near, far = Domain("near", (x, y)), Domain("far", (x + 9, y))
    fit(model, [near, far], steps=20)
    assert model.domains == ("near", "far")
    by_name, by_number = model.predict_proba(x, domain="near"), model.predict_proba(x, domain=0)
    assert np.array_equal(by_name, by_number)
    newest = model.predict_proba(x)
    assert np.array_equal(newest, model.predict_proba(x, domain="far"))
    assert not np.allclose(newest, by_name)
    assert np.array_equal(model.predict_proba(near), model.predict_proba(near.train.x, domain="near"))
    with pytest.raises(ValueError, match=r"domain='moon': expected .*'near', 'far'"):
        model.predict(x, domain="moon")
    with pytest.raises(ValueError, match="domain=2: expected a number from 0 to 1"):
        model.predict(x, domain=2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (torch.ones(3), "rows of shape"), (torch.ones(3, 5), "rows of shape"), ([], "empty"),
        ("nowhere", "model.inputs is empty"), ([Path("a.png")], "model.inputs is empty"), (["a.png"], "model.inputs"),
        (torch.full((2, 2), float("nan")), "NaN"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_line(data, words):
    with pytest.raises((ValueError, TypeError), match=words) as error:
        identity().predict(data)
    assert "\n" not in str(error.value)
    assert "mat1" not in str(error.value)


# Files


def test_a_folder_a_file_and_a_list_of_files_are_read(images):
    model = Model.load(images / "model")
    folder = model.predict(str(images / "new"))
    assert folder.id_name == "file"
    assert folder.ids == [str(file) for file in sorted((images / "new").iterdir())]
    assert folder.predictions == ["cup", "pen"] * 6
    single = model.predict(images / "new" / "03.png")
    assert (single.ids, single.predictions) == ([folder.ids[3]], ["pen"])
    for kind in (str, Path):
        some = model.predict([kind(folder.ids[5]), kind(folder.ids[0])])
        assert (some.ids, some.predictions) == ([folder.ids[5], folder.ids[0]], ["pen", "cup"])
        assert np.allclose(chances(some), chances(folder)[[5, 0]], atol=1e-6)
    assert len(model.predict([images / "new", images / "day"])) == 36


def test_a_missing_file_is_named(images):
    with pytest.raises(ValueError, match=r"nothing\.png: no such file or folder"):
        Model.load(images / "model").predict([images / "new" / "00.png", "nothing.png"])


def test_a_table_and_a_frame_are_read(table):
    pandas = pytest.importorskip("pandas")
    model = Model.load(table / "model")
    from_file = model.predict(table / "b.csv")
    assert from_file.ids == [str(row + 1) for row in range(60)]
    frame = pandas.read_csv(table / "b.csv")
    frame.index = [f"customer {row}" for row in range(60)]
    from_frame = model.predict(frame.drop(columns="kind"))
    assert from_frame.predictions == from_file.predictions
    assert np.array_equal(chances(from_frame), chances(from_file))
    assert from_frame.ids == list(frame.index)
    joined = frame.join(from_frame.to_frame())
    assert (joined["kind"] == joined["prediction"]).mean() > 0.9
    assert list(joined["probability_yes"]) == chances(from_frame)[:, 1].tolist()
    two = model.predict([table / "a.csv", table / "b.csv"])
    assert len(two) == len(set(two.ids)) == 120


def test_ids_come_from_a_column(table, tmp_path):
    pandas = pytest.importorskip("pandas")
    model, frame = Model.load(table / "model"), pandas.read_csv(table / "b.csv")
    frame["customer"] = [f"c{row}" for row in range(60)]
    frame.to_csv(tmp_path / "new.csv", index=False)
    for source in (frame, tmp_path / "new.csv"):
        found = model.predict(source, ids="customer")
        assert (found.ids[:2], found.id_name, found[0]["customer"]) == (["c0", "c1"], "customer", "c0")
    with pytest.raises(ValueError, match=r"no column 'name' for the ids; expected one of age, city"):
        model.predict(table / "b.csv", ids="name")
    with pytest.raises(ValueError, match=r"ids='x'"):
        model.predict(torch.ones(2, 2), ids="x")


def test_files_have_no_id_column(images):
    with pytest.raises(ValueError, match="files have no columns"):
        Model.load(images / "model").predict(images / "new", ids="name")


def test_strings_are_texts_for_a_model_of_texts(tmp_path):
    pytest.importorskip("transformers")
    reader = Texts(word_tokenizer(["good", "bad"]), length=4)
    sizes: dict[str, Any] = {"model_type": "bert", "vocab_size": 8}
    sizes |= {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = text(sizes, classes=["no", "yes"])
    model.inputs = reader.spec()
    found = model.predict(["good", "bad good"])
    expected = model.eval()(reader.encode(["good", "bad good"])).logits.softmax(1)
    assert np.allclose(chances(found), expected.detach().numpy(), atol=1e-6)
    (tmp_path / "new.csv").write_text("text\ngood\nbad good\n")
    assert np.allclose(chances(model.predict(tmp_path / "new.csv")), chances(found))
    assert np.allclose(chances(model.predict(np.array(["good", "bad good"]))), chances(found))
    with pytest.raises(ValueError, match="pass texts as a list of strings"):
        model.predict("good")


# Tasks


def test_several_labels_have_a_probability_each():
    found = identity().predict(torch.tensor([[2.0, 1.0], [-1.0, -1.0]]), task=MultiLabel())
    assert found.predictions == [("cup", "pen"), ()]
    assert np.allclose(chances(found), torch.tensor([[2.0, 1.0], [-1.0, -1.0]]).sigmoid())
    assert "probability" not in found[0]


def test_numbers_are_predicted_in_their_unit():
    found = identity(1).predict([[0.5], [-1.0]], task=Regression(scale=10.0, centre=30.0))
    assert found.predictions == [35.0, 20.0]
    assert found.probabilities is None
    assert found[0] == {"row": 0, "prediction": 35.0}
    pairs = identity(2).predict([[0.5, 1.0]], task=Regression())
    assert pairs.predictions[0].tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="Regression has no probability"):
        identity(1).predict_proba([[0.5]], task=Regression())


def test_one_output_is_not_taken_for_a_class():
    with pytest.raises(ValueError, match="one output, which cannot tell classes apart"):
        identity(1).predict([[0.5]])


def test_masks_and_texts_are_predicted():
    found = identity().predict(torch.eye(2)[torch.tensor([[[0, 1]], [[1, 1]]])], task=Segmentation())  # (2, 1, 2, 2)
    assert [mask.tolist() for mask in found.predictions] == [[[0, 1]], [[1, 1]]]
    said = identity(3).predict(torch.eye(3)[torch.tensor([[1, 0, 2, 2]])], task=SpeechToText("ab"))
    assert said.predictions == ["ab"]


def test_features_are_not_predictions():
    with pytest.raises(ValueError, match="predicts nothing; use model"):
        identity().predict(X, task=Representation())


@pytest.mark.parametrize(
    "task", [Regression(3.0, 2.0), MultiLabel(), Classification(balanced=True), Segmentation("mIoU", 1)]
)  # fmt: skip
def test_a_model_knows_what_it_was_trained_on_after_loading(task, tmp_path):
    model = mlp(2, (4,), classes=2)
    model.task, model.domains = task, ("a", "b")
    model.save(tmp_path)
    loaded = Model.load(tmp_path)
    assert type(loaded.task) is type(task)
    assert vars(loaded.task) == vars(task)
    assert loaded.domains == ("a", "b")


def test_fit_sets_the_task_and_the_domains():
    torch.manual_seed(0)
    x = torch.randn(20, 2)
    model = mlp(2, (4,), classes=1)
    fit(model, [Domain("a", (x, x[:, 0]))], task=Regression(scale=2.0), steps=1)
    assert isinstance(model.task, Regression)
    assert model.domains == ("a",)
    expected = 2 * model(x).logits[:, 0].detach()
    assert np.allclose(model.predict(x).predictions, expected.numpy())


def test_a_task_of_your_own_is_asked_for_after_loading(tmp_path):
    class Mine(Classification):
        pass

    model = mlp(2, (4,), classes=2)
    model.task = Mine()
    assert len(model.predict(X)) == 3
    model.save(tmp_path)
    loaded = Model.load(tmp_path)
    loaded.save(tmp_path)  # keeps the name
    with pytest.raises(ValueError, match="trained on Mine, a task of your own code; pass an instance as task="):
        Model.load(tmp_path).predict(X)
    assert len(loaded.predict(X, task=Mine())) == 3


@pytest.mark.parametrize(
    "task", [3, [], {"name": "eval"}, {"name": 3}, {"name": "Regression", "arguments": {"scale": "x"}},
             {"name": "Regression", "arguments": {"y": 1}}, {"name": "os", "arguments": {}}],
)  # fmt: skip
def test_a_damaged_task_is_refused_in_a_line(task, tmp_path):
    mlp(2, (4,), classes=2).save(tmp_path)
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(about | {"task": task}))
    if task == {"name": "eval"}:  # the name of a task of somebody's own
        with pytest.raises(ValueError, match="task of your own code"):
            Model.load(tmp_path).predict(X)
        return
    with pytest.raises(ValueError, match=r"Model\.load") as error:
        Model.load(tmp_path)
    assert "\n" not in str(error.value)


# Scores


def test_the_score_of_a_domain_is_that_of_the_report():
    torch.manual_seed(0)
    x, y = torch.randn(60, 2), torch.arange(60) % 2
    a, b = Domain("a", (x + y[:, None], y)), Domain("b", (x - y[:, None], y))
    model = Model.of(
        nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)), batchnorm="per-domain"
    )
    report = fit(model, [a, b], steps=20)
    assert [float(model.evaluate(domain)) for domain in (a, b)] == report.scores[-1]
    assert model.evaluate(a).rows == len(a.test or ())


def test_an_evaluation_has_its_parts():
    found = identity().evaluate(X, ["cup", "pen", "cup"])
    assert (found.metric, found.rows) == ("accuracy", 3)
    assert found.score == pytest.approx(2 / 3)
    assert table_of(found) == [[1, 1], [0, 1]]
    assert found.per_class == {"cup": 0.5, "pen": 1.0}
    assert found.interval == wilson(2 / 3, 3)
    assert json.loads(json.dumps(found.to_dict()))["confusion"] == [[1, 1], [0, 1]]
    assert "accuracy 66.7 % (2 of 3 rows; 95 % interval" in str(found)


@pytest.mark.parametrize(
    "y",
    [[0, 1, 0], np.array([0, 1, 0]), torch.tensor([0, 1, 0]), ["cup", "pen", "cup"], np.array(["cup", "pen", "cup"])],
)
def test_labels_are_numbers_or_names(y):
    assert table_of(identity().evaluate(X, y)) == [[1, 1], [0, 1]]
    assert table_of(identity().evaluate((X, y))) == [[1, 1], [0, 1]]


def test_classes_of_a_domain_are_matched_by_name():
    y = torch.tensor([1, 0, 1])  # cup, pen, cup
    domain = Domain("x", (X, y), (X, y), classes=["pen", "cup"])
    assert table_of(identity().evaluate(domain)) == [[1, 1], [0, 1]]


def test_names_that_are_numbers_are_matched_by_name():
    model = identity(("1", "2"))
    assert table_of(model.evaluate(X, [1, 2, 1])) == [[1, 1], [0, 1]]
    with pytest.raises(ValueError, match="the label '0' is not a class of the model"):
        model.evaluate(X, [0, 1, 0])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["cup", "pens", "cup"], r"the label 'pens' is not a class of the model \(cup, pen\); did you mean 'pen'"),
        ([0, 1, 2], "the label 2 is not a class number of the model, 0 to 1"),
        ([0, 1, -1], "-1"), ([0, 1], "2 labels"), ([0.5, 1.0, 0.0], "expected class numbers"),
        (None, "no labels to score"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(y, words):
    with pytest.raises(ValueError, match=words):
        identity().evaluate(X, y)


def test_a_folder_a_table_and_a_frame_are_scored(images, table):
    pandas = pytest.importorskip("pandas")
    found = Model.load(images / "model").evaluate(images / "day")
    assert (found.score, found.rows, found.classes) == (1.0, 24, ("cup", "pen"))
    model = Model.load(table / "model")
    from_file, from_frame = model.evaluate(table / "b.csv"), model.evaluate(pandas.read_csv(table / "b.csv"))
    assert from_file.to_dict() == from_frame.to_dict()
    assert from_file.score > 0.9
    renamed = pandas.read_csv(table / "b.csv").rename(columns={"kind": "truth"})
    assert model.evaluate(renamed, label="truth").to_dict() == from_file.to_dict()
    with pytest.raises(ValueError, match="no labels to score"):
        model.evaluate(renamed)
    with pytest.raises(ValueError, match="no labels to score"):
        Model.load(images / "model").evaluate(images / "new")
    with pytest.raises(ValueError, match="names of their folders"):
        Model.load(images / "model").evaluate(images / "day", label="kind")


def test_a_table_with_classes_in_another_order_is_matched_by_name(table, tmp_path):
    lines = (table / "b.csv").read_text().splitlines()
    turned = [lines[0], *reversed(lines[1:])]
    (tmp_path / "turned.csv").write_text("\n".join(turned) + "\n")
    only = [lines[0], *(line for line in lines[1:] if line.endswith("yes"))]
    (tmp_path / "only.csv").write_text("\n".join(only) + "\n")
    model = Model.load(table / "model")
    assert model.evaluate(tmp_path / "turned.csv").score == model.evaluate(table / "b.csv").score
    one = model.evaluate(tmp_path / "only.csv")
    assert one.per_class == {"yes": model.evaluate(table / "b.csv").per_class["yes"]}


def test_a_domain_without_test_data_is_not_scored_on_its_training_rows():
    with pytest.raises(ValueError, match="x: no test data to score"):
        identity().evaluate(Domain("x", (X, [0, 1, 1]), test=None))


def test_other_tasks_are_scored_by_their_metric():
    numbers = identity(1).evaluate([[3.0], [4.0]], np.array([3.0, 2.0]), task=Regression())
    assert (numbers.metric, numbers.score) == ("RMSE", pytest.approx(2**0.5))
    assert (numbers.confusion, numbers.interval, numbers.per_class) == (None, None, {})
    assert str(numbers) == "RMSE 1.414 (2 rows; lower is better)"
    labels = identity().evaluate(X, np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), task=MultiLabel())
    assert labels.score == 1.0
    balanced = identity().evaluate(X, [0, 1, 0], task=Classification(balanced=True))
    assert (balanced.metric, balanced.score, balanced.interval) == ("balanced accuracy", 0.75, None)


# Rows of a table as a program has them


@pytest.mark.parametrize(
    "kind", ["columns", "arrays", "records", "record", "row", "frames", "missing labels", "a file and frames"]
)
def test_rows_of_a_table_may_be_dicts_or_frames(table, kind):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(table / "b.csv")
    expected = chances(Model.load(table / "model").predict(frame))
    sources: dict[str, Any] = {
        "columns": frame.to_dict("list"), "arrays": {name: frame[name].to_numpy() for name in frame},
        "records": frame.to_dict("records"), "record": frame.iloc[3].to_dict(), "row": frame.iloc[3],
        "frames": [frame[:20], frame[20:]], "missing labels": frame.assign(kind=[None] * 60),
        "a file and frames": [table / "b.csv", frame],
    }  # fmt: skip
    found = chances(Model.load(table / "model").predict(sources[kind]))
    if kind in ("record", "row"):
        expected = expected[[3]]
    elif kind == "a file and frames":
        expected = np.concatenate([expected, expected])
    assert np.array_equal(found, expected)


def test_columns_of_unequal_length_are_refused(table):
    with pytest.raises(ValueError, match="the columns differ in length"):
        Model.load(table / "model").predict({"age": [1, 2], "city": ["oslo"]})


def test_labels_may_stand_beside_a_frame(table):
    pandas = pytest.importorskip("pandas")
    model, frame = Model.load(table / "model"), pandas.read_csv(table / "b.csv")
    expected = model.evaluate(frame).to_dict()
    for labels in (frame["kind"], list(frame["kind"]), frame["kind"].to_numpy()):
        assert model.evaluate(frame.drop(columns="kind"), labels).to_dict() == expected
        assert model.evaluate((frame, labels)).to_dict() == expected
    swapped = frame.assign(kind=frame["kind"].map({"yes": "no", "no": "yes"}))
    assert model.evaluate(swapped, frame["kind"]).to_dict() == expected  # those that are given, not the column
    with pytest.raises(ValueError, match="60 rows and 2 labels"):
        model.evaluate(frame, ["yes", "no"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: identity().predict(X, task="regression"), "task: expected a task such as"),
        (lambda: identity().predict(X, task=Classification), r"write Classification\(\)"),
        (lambda: identity().evaluate(X, [0.0, 1.0, 2.5], task=Regression()), "do not fit outputs of shape"),
        (lambda: identity().evaluate(Domain("x", (X, [0, 1, 1])), [0, 1, 1]), "leave out y"),
        (
            lambda: identity().predict(X, domain=1.5),  # type: ignore[arg-type]
            "expected the name or the number of a domain",
        ),
        (lambda: identity().predict(X, domain=-1), "expected a number from 0 to 0"),
        (lambda: identity().predict(X[0]), "give one row per sample, such as x"),
        (lambda: identity().evaluate(X, np.eye(2)[[0, 1, 0]].astype(int)), "one-hot"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises((ValueError, TypeError), match=words) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "y", [[0.0, 1.0, 0.0], [[0], [1], [0]], [False, True, False]], ids=["floats", "column", "bools"]
)
def test_class_numbers_have_many_forms(y):
    assert table_of(identity().evaluate(X, np.array(y))) == [[1, 1], [0, 1]]


# Some classes only


def test_the_score_of_a_task_is_that_of_the_report():
    torch.manual_seed(0)
    x, y = torch.randn(80, 2), torch.arange(80) % 4
    x = x + 2 * torch.stack([y % 2, y // 2], 1)
    tasks = [Domain(f"task {i}", (x[y // 2 == i], y[y // 2 == i]), classes=4) for i in range(2)]
    model = mlp(2, (8,), classes=4)
    report = fit(model, tasks, steps=30, increment="task")
    found = [model.evaluate(task, classes=[2 * i, 2 * i + 1]).score for i, task in enumerate(tasks)]
    assert found == report.scores[-1]
    some = model.predict(tasks[1], classes=["2", "3"])
    assert {*some.predictions} <= {"2", "3"}
    assert np.allclose(chances(some)[:, 2:].sum(1), 1)


@pytest.mark.parametrize(
    ("classes", "words"),
    [(["mug"], r"'mug' is not a class of the model \(cup, pen\)"), ("cup", "expected a list"), ([], "expected a list")],
)
def test_classes_that_there_are_not_are_refused(classes, words):
    with pytest.raises((ValueError, TypeError), match=words):
        identity().predict(X, classes=classes)


def test_numbers_have_no_classes_to_choose():
    with pytest.raises(ValueError, match="Regression has no classes to choose from"):
        identity().predict(X, task=Regression(), classes=["cup"])


def test_rows_of_a_domain_have_the_ids_that_they_were_given_with(images):
    (_, new), _ = read_domains([images / "day", images / "new"], size=8)
    model = Model.load(images / "model")
    found, expected = model.predict(new), model.predict(images / "new")
    order = [expected.ids.index(name) for name in found.ids]
    assert sorted(order) == list(range(12))
    assert np.allclose(chances(found), chances(expected)[order], atol=1e-6)
