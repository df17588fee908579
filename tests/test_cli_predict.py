"""`tladapt predict` and `tladapt evaluate`: what they print and write, and what they refuse."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tladapt import Classification, Model, MultiLabel, Regression
from tladapt.backbones import mlp
from tladapt.cli import main
from tladapt.readers.tables import Table

Ran = Callable[..., tuple[str, str]]


def pictures(folder: Path, classes: tuple[str, ...], count: int = 8) -> Path:
    random = np.random.default_rng(0)
    for i, name in enumerate(classes or ("", "")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(140 * i, 140 * i + 80, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}{number}.png")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of dark cups and bright pens, and a run on them."""
    home = tmp_path_factory.mktemp("home")
    pictures(home / "day", ("cup", "pen"))
    pictures(home / "new", ())
    pictures(home / "truth", ("pen", "cup"))  # bright cups: all wrong
    main(["run", "--source", str(home / "day"), "--target", str(home / "new"), "--test", str(home / "truth"),
          "--size", "8", "--steps", "30", "--out", str(home / "result")])  # fmt: skip
    return home


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str]) -> Ran:
    """`ran(*arguments)`: what a command prints, on standard output and on standard error."""

    def run(*arguments: object) -> tuple[str, str]:
        capsys.readouterr()
        main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`refused(*arguments)`: the one line that a command ends in."""

    def line(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert ended.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        (one,) = printed.err.splitlines()
        return one

    return line


def saved(
    folder: Path, task: Any = None, classes: tuple[str, ...] = ("no", "yes"), reader: Table | None = None
) -> Path:
    """A model whose logits are the columns a and b of a table, or the negative of a."""
    model = mlp(2, (2,), classes=classes)
    sign = -1.0 if len(classes) == 1 else 1.0
    hidden, biases, head, bias = model.parameters()
    with torch.no_grad():
        hidden.copy_(torch.eye(2))
        biases.fill_(9.0)  # far from the kink of ReLU
        head.copy_(sign * torch.eye(2)[: len(classes)])
        bias.fill_(-sign * 9.0)
    model.inputs = Table("kind", {"a": [0.0, 1.0, 0.0], "b": [0.0, 1.0, 0.0]}).spec()
    model.task = task
    model.save(folder)
    return folder


def table(path: Path, text: str = "id,a,b,kind\nx1,2,0,no\nx2,0,1,yes\nx3,0,3,no\n") -> Path:
    path.write_text(text)
    return path


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# Where the model is


def test_the_folder_of_a_run_leads_to_its_model(home, ran):
    assert ran("predict", home / "result", home / "new") == ran("predict", home / "result" / "model", home / "new")


def test_the_folders_of_seeds_are_found_or_named(home, ran, refused, tmp_path):
    shutil.copytree(home / "result" / "model", tmp_path / "runs" / "seed-0" / "model")
    assert ran("predict", tmp_path / "runs", home / "new") == ran("predict", home / "result", home / "new")
    shutil.copytree(home / "result" / "model", tmp_path / "runs" / "seed-1" / "model")
    assert "2 models in it; name one of them, such as" in refused("predict", tmp_path / "runs", home / "new")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_what_holds_no_model_is_named(home, refused, command):
    assert "day: no saved model in it" in refused(command, home / "day", home / "new")
    assert "gone: no such folder" in refused(command, home / "gone", home / "new")
    assert "gone.png: no such file or folder" in refused(command, home / "result", home / "gone.png")


def test_a_network_of_your_own_is_explained_to_a_terminal(refused, tmp_path):
    Model.of(nn.Linear(2, 2)).save(tmp_path / "own")
    line = refused("predict", tmp_path / "own", table(tmp_path / "x.csv"))
    assert "saved from a network of your own code, which no command can build; in Python: Model.load(" in line
    assert "module=" not in line


# Predictions


def test_every_class_has_its_column(tmp_path, ran):
    out, err = ran("predict", saved(tmp_path / "m"), table(tmp_path / "x.csv"))
    rows = parsed(out)
    assert list(rows[0]) == ["row", "prediction", "probability", "probability_no", "probability_yes"]
    expected = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]).softmax(1)
    found = [[float(row["probability_no"]), float(row["probability_yes"])] for row in rows]
    assert np.allclose(found, expected, atol=1e-6)
    assert [row["prediction"] for row in rows] == ["no", "yes", "yes"]
    assert err.startswith("tladapt predict: accuracy 66.7 % (2 of 3 rows; 95 % interval ")


def test_rows_are_named_by_a_column(tmp_path, ran, refused):
    model, path = saved(tmp_path / "m"), table(tmp_path / "x.csv")
    rows = parsed(ran("predict", model, path, "--id", "id")[0])
    assert [row["id"] for row in rows] == ["x1", "x2", "x3"]
    assert "no column 'name' for the ids" in refused("predict", model, path, "--id", "name")
    assert "--id prediction:" in refused("predict", model, path, "--id", "prediction")


def test_the_output_goes_to_a_file_by_its_suffix(tmp_path, ran, refused):
    model, path = saved(tmp_path / "m"), table(tmp_path / "x.csv")
    out, err = ran("predict", model, path, "--out", tmp_path / "new" / "p.csv")
    assert out == f"3 predictions in {tmp_path / 'new' / 'p.csv'}\n"
    assert "accuracy 66.7 %" in err
    assert (tmp_path / "new" / "p.csv").read_text() == ran("predict", model, path)[0]
    ran("predict", model, path, "--out", tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text()) == json.loads(ran("predict", model, path, "--json")[0])
    assert "p.xlsx: expected a name that ends in .csv or .json" in refused(
        "predict", model, path, "--out", tmp_path / "p.xlsx"
    )
    before = path.read_text()
    assert "it is the input" in refused("predict", model, path, "--out", path)
    assert path.read_text() == before


def test_json_has_all_probabilities_and_the_score(tmp_path, ran):
    out, err = ran("predict", saved(tmp_path / "m"), table(tmp_path / "x.csv"), "--json")
    document = json.loads(out)
    assert err == ""
    assert (document["schema"], document["classes"]) == (2, ["no", "yes"])
    assert document["predictions"][0]["probabilities"].keys() == {"no", "yes"}
    assert document["score"]["confusion"] == [[1, 1], [0, 1]]


def test_labels_that_the_model_has_not_are_no_hindrance(tmp_path, ran):
    path = table(tmp_path / "x.csv", "a,b,kind\n2,0,no\n0,1,maybe\n")
    out, err = ran("predict", saved(tmp_path / "m"), path)
    assert len(parsed(out)) == 2
    assert err == "tladapt predict: not scored: the label 'maybe' is not a class of the model (no, yes)\n"


def test_rows_without_a_label_are_predicted_too(tmp_path, ran, refused):
    path = table(tmp_path / "x.csv", "a,b,kind\n2,0,no\n0,1,\n")
    out, err = ran("predict", saved(tmp_path / "m"), path)
    assert len(parsed(out)) == 2
    assert err.startswith("tladapt predict: not scored: ")
    assert "row 2" in err
    assert "row 2" in refused("evaluate", tmp_path / "m", path)


def test_several_files_are_predicted_together(home, ran):
    files = [home / "new" / "13.png", home / "new" / "02.png"]
    rows = parsed(ran("predict", home / "result", *files)[0])
    assert [row["file"] for row in rows] == list(map(str, files))
    assert [row["prediction"] for row in rows] == ["pen", "cup"]


def test_names_that_a_spreadsheet_would_compute_are_escaped(tmp_path, ran):
    model = saved(tmp_path / "m", classes=("=1+1", "yes"))
    out, _ = ran("predict", model, table(tmp_path / "x.csv", "@id,a,b\n=2+2,2,0\n-5,0,1\n"), "--id", "@id")
    rows = parsed(out)
    assert [row["'@id"] for row in rows] == ["'=2+2", "-5"]
    assert rows[0]["prediction"] == "'=1+1"
    assert "probability_=1+1" in rows[0]


def test_other_tasks_are_predicted_or_refused(tmp_path, ran, refused):
    path = table(tmp_path / "x.csv", "a,b\n2,0\n0,-1\n")
    rows = parsed(ran("predict", saved(tmp_path / "r", Regression(10.0, 5.0), ("0",)), path)[0])
    assert [list(row) for row in rows] == [["row", "prediction"]] * 2
    assert [float(row["prediction"]) for row in rows] == pytest.approx([-15.0, 5.0])
    rows = parsed(ran("predict", saved(tmp_path / "p", Regression(), ("h", "w")), path)[0])
    assert [float(row["prediction_w"]) for row in rows] == pytest.approx([0.0, -1.0])
    rows = parsed(ran("predict", saved(tmp_path / "l", MultiLabel()), path)[0])
    assert list(rows[0]) == ["row", "prediction", "probability_no", "probability_yes"]
    assert [row["prediction"] for row in rows] == ["no", ""]
    one = refused("predict", saved(tmp_path / "u", None, ("0",)), path)
    assert "one output, which cannot tell classes apart" in one


def test_the_statistics_of_a_domain_are_asked_for_by_name(home, ran, refused):
    model, new = home / "result", home / "new"
    assert ran("predict", model, new, "--domain", "day") == ran("predict", model, new)  # joint: of all
    assert "domain='moon': expected a domain that the model was trained on ('day', 'new')" in refused(
        "predict", model, new, "--domain", "moon"
    )


# Scores


def test_a_model_is_scored_on_folders_and_tables(home, tmp_path, ran):
    out, err = ran("evaluate", home / "result", home / "day")
    assert err == ""
    assert out.splitlines()[0] == "accuracy 100.0 % (16 of 16 rows; 95 % interval 80.6 to 100.0 %)"
    assert "cup       8          100.0  cup 8" in out
    document = json.loads(ran("evaluate", saved(tmp_path / "m"), table(tmp_path / "x.csv"), "--json")[0])
    assert document["schema"] == 1
    assert (document["score"], document["rows"], document["confusion"]) == (pytest.approx(2 / 3), 3, [[1, 1], [0, 1]])


def test_the_label_column_can_be_named(tmp_path, ran, refused):
    model, path = saved(tmp_path / "m"), table(tmp_path / "x.csv", "a,b,truth\n2,0,no\n0,1,yes\n")
    assert ran("evaluate", model, path, "--label", "truth")[0].startswith("accuracy 100.0 % (2 of 2 rows")
    assert "x.csv: no labels; give a folder per class, or name their column with --label" in refused(
        "evaluate", model, path
    )


def test_numbers_of_a_table_are_scored(tmp_path, ran, refused):
    model = saved(tmp_path / "r", Regression(10.0, 5.0), ("0",))
    out, _ = ran("evaluate", model, table(tmp_path / "x.csv", "a,b,kind\n2,0,-15\n0,-1,8\n"))
    assert out == "RMSE 2.121 (2 rows; lower is better)\n"
    words = table(tmp_path / "w.csv", "a,b,kind\n2,0,high\n")
    assert "the label 'high' is not a number" in refused("evaluate", model, words)


def test_balanced_accuracy_is_kept_with_the_model(tmp_path, ran):
    model = saved(tmp_path / "m", Classification(balanced=True))
    assert ran("evaluate", model, table(tmp_path / "x.csv"))[0].startswith("balanced accuracy 75.0 % (3 rows)")


# A small labelled sample beside a target without labels


def test_labelled_rows_score_a_target_without_labels_and_change_nothing_else(home, tmp_path, ran):
    report = json.loads((home / "result" / "report.json").read_text())
    assert report["scores"][-1] == [1.0, 0.0]
    arguments = ("run", "--source", home / "day", "--target", home / "new", "--size", 8, "--steps", 30)
    ran(*arguments, "--out", tmp_path / "without")
    first, second = (folder / "model" / "model.safetensors" for folder in (home / "result", tmp_path / "without"))
    assert first.read_bytes() == second.read_bytes()


def test_labelled_rows_of_a_table_score_its_target(tmp_path, ran, refused):
    rows = [f"{i % 7},{i % 2},{('no', 'yes')[i % 2]}" for i in range(40)]
    source = table(tmp_path / "source.csv", "\n".join(["a,b,kind", *rows]) + "\n")
    target = table(tmp_path / "target.csv", "\n".join(["a,b", *(row.rpartition(",")[0] for row in rows)]) + "\n")
    arguments = ("run", "--source", source, "--target", target, "--label", "kind", "--steps", 1)
    report = json.loads(ran(*arguments, "--test", source, "--json")[0])
    assert None not in report["scores"][-1]
    assert "--test: give --source and --target" in refused("run", "digits", "--test", source)
    labelled = (*arguments[:4], source.rename(tmp_path / "other.csv"), *arguments[5:])
    assert "no such file" in refused(*labelled, "--test", "gone.csv")
