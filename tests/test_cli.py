"""What the commands print and keep, on the embedded digits and on folders and tables of one's own."""

import io
import json
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tladapt import Model, methods
from tladapt.cli import main
from tladapt.scenarios import SCENARIOS

KEYS = {
    "schema", "scenario", "method", "seed", "metric", "domains", "stages", "scores", "old", "new", "forgetting",
    "backward_transfer", "forward_transfer", "transfer", "negative_transfer", "remembers", "seconds", "environment",
}  # fmt: skip
PICTURES = ("heat_map.png", "forgetting_curves.png")


@pytest.fixture(scope="module", autouse=True)
def wide_terminal() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        yield


def printed(*arguments: object) -> str:
    """What a command prints; nothing but progress may go to standard error."""
    quiet = ["--quiet"] if arguments[0] in ("run", "compare") else []
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        main([*map(str, arguments), *quiet])
    assert err.getvalue() == ""
    return out.getvalue()


def report_of(*arguments: object) -> dict:
    return json.loads(printed("run", *arguments, "--json"))


def kept_report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


APART = ("seconds", "environment", "ceiling", "arguments")


def but_for_time(report: dict) -> dict:
    return {name: value for name, value in report.items() if name not in APART}


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> tuple[str, Path]:
    """What a short run of the digits prints, and where it is kept."""
    out = tmp_path_factory.mktemp("digits") / "not" / "there yet"
    return printed("run", "digits", "--method", "DANN + Replay(20)", "--steps", 2, "--out", out), out


def test_a_run_prints_the_table_and_nothing_else(digits):
    lines = digits[0].splitlines()
    assert lines[0].startswith("digits · DANN(weight=0.1, hidden=256) + Replay(capacity=20")
    assert all(name in digits[0] for name in ("before training", "upright", "upright + slanted"))
    assert all(any(line.startswith(name) for line in lines) for name in ("old domains", "new domains", "forgetting"))
    assert any(line.startswith("ceiling (trained with the labels of the new domains): old ") for line in lines)
    assert " ".join(digits[0].split()).endswith(f"Saved to {digits[1]}")
    assert "\x1b" not in digits[0]
    assert "task" not in digits[0]  # the names of losses belong to progress bars


def test_a_run_keeps_report_model_and_pictures(digits):
    to_go_on = {"arguments.json", "checkpoint.safetensors", "ceiling", "source-only"}
    assert {file.name for file in digits[1].iterdir()} == {"report.json", "model", *PICTURES, *to_go_on}
    assert {file.name for file in (digits[1] / "model").iterdir()} == {"model.json", "model.safetensors"}
    for picture in PICTURES:
        with Image.open(digits[1] / picture) as image:
            assert min(image.size) > 100


def test_a_report_has_the_promised_keys(digits):
    report = kept_report(digits[1])
    assert report.keys() >= KEYS
    assert (report["schema"], report["scenario"], report["seed"], report["metric"]) == (1, "digits", 0, "accuracy")
    assert report["domains"] == ["upright", "slanted"]
    assert report["stages"] == ["upright", "upright + slanted"]
    assert np.array(report["scores"]).shape == (3, 2)
    assert report["old"] == report["scores"][2][0]
    assert report["new"] == report["scores"][2][1]
    assert report["transfer"] == pytest.approx(report["scores"][2][1] - report["scores"][1][1])
    assert report["against_source_only"] == pytest.approx(report["new"] - report["source_only"][1])
    assert report["negative_transfer"] is (report["against_source_only"] < -0.1)  # beyond the noise of 269 test rows
    assert report["remembers"] == "samples"


def test_json_prints_the_report_that_is_kept(digits, tmp_path):
    text = printed("run", "digits", "--method", "DANN + Replay(20)", "--steps", 2, "--json", "--out", tmp_path)
    assert text.count("\n") == 1
    assert json.loads(text) == kept_report(tmp_path)
    assert but_for_time(json.loads(text)) == but_for_time(kept_report(digits[1]))
    assert weights(tmp_path) == weights(digits[1])


def test_the_seed_decides(tmp_path):
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        printed("run", "digits", "--steps", 2, "--seed", seed, "--out", tmp_path / out, "--json")
    a, b, c = (but_for_time(kept_report(tmp_path / out)) for out in "abc")
    assert a == b
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    assert (a["seed"], c["seed"]) == (3, 4)


def test_the_order_of_a_sum_changes_no_bit(tmp_path):
    found = set()
    for i, order in enumerate(permutations(["DANN", "Replay(200)", "EWC"])):
        out = tmp_path / str(i)
        report = report_of("digits", "--method", " + ".join(order), "--steps", 2, "--seed", 1, "--out", out)
        found.add((json.dumps(but_for_time(report)), weights(out)))
    assert len(found) == 1


def test_several_seeds_give_a_summary(tmp_path):
    text = printed("run", "digits", "--seeds", 2, "--steps", 1, "--out", tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "seed-0", "seed-1", "report.json", "arguments.json", "ceiling", *PICTURES,
    }  # fmt: skip
    runs = [kept_report(tmp_path / f"seed-{seed}") for seed in (0, 1)]
    summary = kept_report(tmp_path)
    assert [run["seed"] for run in runs] == summary["seeds"] == [0, 1]
    assert summary["seed"] is None
    assert np.allclose(summary["scores"], np.mean([run["scores"] for run in runs], 0))
    assert summary["spread"]["new"] == pytest.approx(np.std([run["new"] for run in runs], ddof=1))
    assert "±" in text
    assert "over 2 seeds" in text
    assert all((tmp_path / f"seed-{seed}" / "model" / "model.safetensors").exists() for seed in (0, 1))
    alone = report_of("digits", "--seed", 1, "--steps", 1)
    assert but_for_time(alone) == but_for_time(runs[1])
    assert alone["scores"] == SCENARIOS["digits"]().but(steps=1).run(seed=1).scores  # its network is of the seed, too


def test_the_method_is_the_one_that_is_typed():
    assert report_of("digits", "--steps", 1, "--method", "Replay(7)")["method"].startswith("Replay(capacity=7")
    assert report_of("digits", "--steps", 1)["method"].startswith("MMD(")
    assert report_of("digits", "--steps", 1, "--method", "Method()")["method"] == "Method()"


def test_the_increment_says_which_classes_may_be_predicted(tmp_path):
    def first_stage(increment: str) -> list[float]:
        report = report_of("split-digits", "--steps", 1, "--increment", increment, "--out", tmp_path / increment)
        assert report["increment"] == increment
        return report["scores"][1]

    assert min(first_stage("task")) > 0.2  # one of two everywhere, even by chance
    known, *unseen = first_stage("class")
    assert known > 0.2
    assert max(unseen) == 0
    first_stage("domain")
    assert len({weights(tmp_path / increment) for increment in ("task", "class", "domain")}) == 3


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_the_batchnorm_policy_is_recorded_and_kept(batchnorm, tmp_path):
    report = report_of("digits", "--steps", 1, "--batchnorm", batchnorm, "--out", tmp_path)
    assert report["batchnorm"] == Model.load(tmp_path / "model").batchnorm == batchnorm


def test_precision_layout_and_compilation_are_heard(tmp_path, monkeypatch):
    compiled = list[Model]()
    monkeypatch.setattr(Model, "compile", lambda model: compiled.append(model))
    options = ["--precision", "bfloat16", "--channels-last", "--compile", "--model", "cnn"]
    report_of("digits", "--steps", 1, *options, "--out", tmp_path)
    assert Model.load(tmp_path / "model").precision == "bfloat16"
    kernels = [p for p in compiled[0].parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_the_network_is_the_one_that_is_named(name, tmp_path):
    report_of("digits", "--steps", 1, "--model", name, "--batch-size", 8, "--lr", "0.01", "--out", tmp_path)
    recipe = Model.load(tmp_path / "model").recipe
    assert recipe is not None
    assert recipe["backbone"] == name


def test_epochs_steps_and_rate_are_heard(tmp_path):
    runs = {
        "2 steps": ["--steps", 2], "3 steps": ["--steps", 3], "1 epoch": ["--epochs", 1, "--batch-size", 315],
        "rate": ["--steps", 2, "--lr", "0.1"], "rows": ["--steps", 2, "--batch-size", 8],
    }  # fmt: skip
    for name, arguments in runs.items():
        report_of("digits", "--model", "mlp", *arguments, "--out", tmp_path / name)
    report_of("digits", "--model", "mlp", "--steps", 2, "--batch-size", 315, "--out", tmp_path / "2 steps of 315")
    assert len({weights(tmp_path / name) for name in runs}) == len(runs)
    assert weights(tmp_path / "1 epoch") == weights(tmp_path / "2 steps of 315")  # 630 rows to train on


@pytest.mark.parametrize(
    ("baseline", "stages"),
    [
        ("source-only", ["upright", "upright"]), ("from-scratch", ["upright + slanted"]),
        ("joint", ["upright + slanted"]), ("ceiling", ["upright", "upright + slanted"]),
    ],
)  # fmt: skip
def test_a_baseline_learns_other_data_and_scores_the_same(baseline, stages):
    report = report_of("digits", "--steps", 1, "--baseline", baseline)
    assert report["stages"] == stages
    assert report["domains"] == ["upright", "slanted"]
    assert report["scenario"] == f"digits ({baseline})"
    assert report["method"] == "Method()"


def test_methods_are_listed_with_what_they_make_true():
    text = printed("methods")
    for name in methods.__all__:
        says = (getattr(methods, name).__doc__ or "").strip().splitlines()[0]
        assert f"{name}(" in text
        assert says.split()[0] in text
    assert "capacity=500" in text


def test_scenarios_are_listed_with_what_they_can_be_told():
    text = printed("scenarios")
    assert all(name in text for name in SCENARIOS)
    assert "heart:cleveland-va" in text
    assert "Upright digits with labels" in " ".join(text.split())


def test_earlier_reports_are_shown_in_order(digits, tmp_path):
    report_of("digits", "--steps", 1, "--method", "Method", "--out", tmp_path)
    text = printed("report", tmp_path, digits[1])
    assert text.index("digits · Method()") < text.index("digits · DANN(")
    shown, _, _ = digits[0].partition("Saved to")
    assert text.endswith(shown)


def test_the_package_runs_as_a_module_and_as_a_process():
    environment = {**os.environ, "COLUMNS": "100"}
    wrong = subprocess.run(
        [sys.executable, "-m", "tladapt", "run", "digits", "--method", "DAN"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "did you mean DANN?" in wrong.stderr


def test_progress_is_shown_on_a_terminal_with_the_losses_by_name(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm-256color")
    reader, terminal = os.openpty()
    seen = []

    def drain() -> None:
        while part := _read(reader):
            seen.append(part)

    thread = threading.Thread(target=drain)
    thread.start()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        main(["run", "digits", "--steps", "2", "--method", "DANN + Replay(9)", "--json"])
        monkeypatch.undo()
    thread.join()
    os.close(reader)
    text = b"".join(seen).decode()
    assert all(name in text for name in ("upright + slanted", "2/2", "task ", "DANN ", "Replay "))
    assert json.loads(capsys.readouterr().out)["stages"] == ["upright", "upright + slanted"]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end is closed
        return b""


def test_lines_are_shown_where_there_is_no_terminal_and_none_with_quiet(capfd):
    main(["run", "digits", "--steps", "1", "--json"])
    assert "digits, seed 0: upright + slanted 1/1: task " in capfd.readouterr().err
    main(["run", "digits", "--steps", "1", "--json", "--quiet"])
    assert capfd.readouterr().err == ""


# Data of one's own


def pictures(folder: Path, classes: tuple[str, ...], bright: int, grey: bool = False) -> Path:
    """Noise, dark in the first class and bright in the second, in sizes that differ."""
    random = np.random.default_rng(bright)
    for c, name in enumerate(classes or (".", ".")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(10):
            shape = (7 + i, 12 - i % 3) if grey or i % 2 else (7 + i, 12, 3)
            pixels = random.integers(0, 60, shape) + bright + 120 * c
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{c}{i}.{'png' if i % 3 else 'jpg'}")
    return folder


def table(path: Path, shift: float, label: str = "label", rows: int = 40) -> Path:
    """Numbers with holes, and words; the target has a word that the source has not."""
    random = np.random.default_rng(int(10 * shift))
    lines = [f"height,weight,colour,note,{label}".removesuffix(",")]
    for i in range(rows):
        height = f"{random.normal() + 3 * (i % 2) + shift:.4f}"
        weight = "" if i % 7 == 3 else f"{10 * random.normal():.4f}"
        colour = ("red", "blue", "", "grey" if shift else "blue")[i % 4]
        lines.append(f'{height},{weight},{colour},"a, {"b" if i % 2 else "c"}",{("no", "yes")[i % 2] if label else ""}')
    path.write_text("\n".join(line.removesuffix(",") if not label else line for line in lines) + "\n")
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    """Folders of images and tables, and what runs over them keep."""
    home = tmp_path_factory.mktemp("mine")
    pictures(home / "day", ("cat", "dog"), 0)
    pictures(home / "night", ("cat", "dog"), 40, grey=True)
    pictures(home / "unknown", (), 20)
    table(home / "here.csv", 0.0)
    table(home / "there.csv", 0.5)
    table(home / "bare.csv", 1.0, label="")
    printed("run", "--source", home / "day", "--target", home / "night", "--size", 8, "--steps", 30,
            "--out", home / "images")  # fmt: skip
    printed("run", "--source", home / "here.csv", "--target", home / "there.csv", "--steps", 30, "--out", home / "rows")
    return home


def predictions(*arguments: object) -> list[dict]:
    return json.loads(printed("predict", *arguments, "--json"))["predictions"]


def test_folders_of_images_are_adapted(mine):
    report = kept_report(mine / "images")
    assert report["scenario"] == "day to night"
    assert report["domains"] == ["day", "night"]
    assert report["stages"] == ["day", "day + night"]
    assert report["method"].startswith("MMD(")
    assert report["scores"][-1][0] == 1  # dark and bright


def test_tables_are_adapted(mine):
    report = kept_report(mine / "rows")
    assert report["scenario"] == "here to there"
    assert report["scores"][-1][0] > 0.8


@pytest.mark.parametrize(("source", "target"), [("day", "unknown"), ("here.csv", "bare.csv")])
def test_a_target_without_labels_adapts_and_is_not_scored(mine, source, target):
    text = printed("run", "--source", mine / source, "--target", mine / target, "--size", 8, "--steps", 1)
    assert f"{target.removesuffix('.csv')}: no labels to score" in text
    report = report_of("--source", mine / source, "--target", mine / target, "--size", 8, "--steps", 1)
    assert [row[1] for row in report["scores"]] == [None] * 3
    assert report["new"] is None
    assert report["negative_transfer"] is None


@pytest.mark.parametrize("names", [("day", "night", "unknown"), ("here.csv", "there.csv", "bare.csv")])
def test_domains_are_learned_one_after_another(mine, names):
    report = report_of("--domains", *(mine / name for name in names), "--size", 8, "--steps", 2)
    assert report["stages"] == report["domains"] == [name.removesuffix(".csv") for name in names]
    assert report["method"].startswith("Replay(")
    assert report["scores"][-1][2] is None
    assert None not in report["scores"][-1][:2]


def test_domains_of_one_name_are_told_apart_by_their_folders(mine, tmp_path):
    for place in ("a", "b"):
        shutil.copytree(mine / "day", tmp_path / place / "train")
    arguments = ("--source", tmp_path / "a" / "train", "--target", tmp_path / "b" / "train", "--size", 8)
    assert report_of(*arguments, "--steps", 1)["domains"] == ["a/train", "b/train"]


def test_the_label_column_can_have_another_name(mine, tmp_path):
    named = [table(tmp_path / f"{name}.csv", shift, label="kind") for name, shift in (("here", 0.0), ("there", 0.5))]
    arguments = ("--source", named[0], "--target", named[1], "--label", "kind", "--steps", 30)
    report = report_of(*arguments, "--out", tmp_path / "out")
    assert report["scores"] == kept_report(mine / "rows")["scores"]
    assert predictions(tmp_path / "out" / "model", named[1]) == predictions(mine / "rows" / "model", mine / "there.csv")


def test_the_model_for_tables_can_be_asked_for_images(mine, tmp_path):
    printed("run", "--source", mine / "day", "--target", mine / "night", "--size", 8, "--steps", 1, "--model", "mlp",
            "--out", tmp_path)  # fmt: skip
    assert len(predictions(tmp_path / "model", mine / "day")) == 20


def test_predictions_of_a_folder_are_named_by_file(mine):
    rows = predictions(mine / "images" / "model", mine / "day")
    assert [row["file"] for row in rows] == sorted(str(file) for file in (mine / "day").rglob("*.*"))
    assert sum(row["prediction"] == Path(row["file"]).parent.name for row in rows) >= 18
    assert all(0.5 <= row["probability"] <= 1 for row in rows)


def test_one_image_is_predicted_as_within_its_folder(mine):
    rows = predictions(mine / "images" / "model", mine / "unknown")
    (alone,) = predictions(mine / "images" / "model", rows[3]["file"])
    assert alone["file"] == rows[3]["file"]
    assert alone["prediction"] == rows[3]["prediction"]
    assert alone["probability"] == pytest.approx(rows[3]["probability"], abs=2e-6)


def test_images_are_predicted_as_the_model_says(mine, tmp_path):
    model = Model.load(mine / "images" / "model")
    pixels = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    (tmp_path / "exact").mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "exact" / f"{i}.png")
    chances = model(torch.tensor(pixels).permute(0, 3, 1, 2)).logits.softmax(-1).detach()
    rows = predictions(mine / "images" / "model", tmp_path / "exact")
    assert [row["prediction"] for row in rows] == [("cat", "dog")[c] for c in chances.argmax(-1).tolist()]
    assert [row["probability"] for row in rows] == pytest.approx(chances.amax(-1).tolist(), abs=2e-6)


def test_rows_are_predicted_as_the_model_says(mine):
    pandas = pytest.importorskip("pandas")
    there, parts = pandas.read_csv(mine / "there.csv"), []
    fitted = json.loads((mine / "rows" / "model" / "model.json").read_text())["inputs"]["numbers"]
    for column in ("height", "weight"):
        mean, spread, some_missing = fitted[column]
        parts.append(((there[column] - mean) / spread).fillna(0).to_numpy())
        parts += [there[column].isna().to_numpy()] * int(some_missing)
    parts += [there["colour"].eq(word).to_numpy() for word in ("blue", "red")]
    parts += [there["note"].eq(word).to_numpy() for word in ("a, b", "a, c")]
    x = torch.tensor(np.stack(parts, 1).astype(np.float32))
    chances = Model.load(mine / "rows" / "model")(x).logits.softmax(-1).detach()
    rows = predictions(mine / "rows" / "model", mine / "there.csv")
    assert [row["row"] for row in rows] == [str(i + 1) for i in range(40)]
    assert [row["prediction"] for row in rows] == [("no", "yes")[c] for c in chances.argmax(-1).tolist()]
    assert [row["probability"] for row in rows] == pytest.approx(chances.amax(-1).tolist(), abs=1e-5)


def test_the_label_column_changes_no_prediction(mine, tmp_path):
    lines = (mine / "there.csv").read_text().splitlines()
    (tmp_path / "plain.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    model = mine / "rows" / "model"
    assert predictions(model, tmp_path / "plain.csv") == predictions(model, mine / "there.csv")


def test_predictions_are_csv_unless_json_is_asked_for(mine):
    lines = printed("predict", mine / "rows" / "model", mine / "bare.csv").splitlines()
    rows = predictions(mine / "rows" / "model", mine / "bare.csv")
    assert lines[0] == "row,prediction,probability,probability_no,probability_yes"
    cells = [[row[name] for name in ("row", "prediction", "probability")] for row in rows]
    each = [list(row["probabilities"].values()) for row in rows]
    expected = [",".join(map(str, first + second)) for first, second in zip(cells, each, strict=True)]
    assert lines[1:] == expected
    document = json.loads(printed("predict", mine / "images" / "model", mine / "night", "--json"))
    assert document.keys() == {"schema", "model", "classes", "predictions", "score"}
    assert document["schema"] == 2


def test_a_model_predicts_the_same_after_a_move(mine, tmp_path):
    moved = Path(shutil.copytree(mine / "images", tmp_path / "else where"))
    assert predictions(moved / "model", mine / "night") == predictions(mine / "images" / "model", mine / "night")


def test_a_model_of_the_digits_reads_images(digits, tmp_path):
    Image.fromarray(np.zeros((20, 20, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    (row,) = predictions(digits[1] / "model", tmp_path / "x.png")
    assert row["prediction"] in set("0123456789")
    assert math.isfinite(row["probability"])
