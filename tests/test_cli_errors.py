"""A user's mistake ends in one line on standard error that names the argument, exit code 2, and nothing written."""

import json
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tladapt import Model
from tladapt.backbones import cnn, mlp
from tladapt.cli import main
from tladapt.cli.running import run
from tladapt.methods import MMD
from tladapt.report import Report

Refused = Callable[..., str]
HEADER = "size,colour,label\n"
ROWS = "1.5,red,yes\n2.5,blue,no\n3.5,red,yes\n0.5,blue,no\n"


def folder(path: Path, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for name in classes:
        for i in range(3):
            picture(path / name / f"{i}.png")
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(path)
    return path


def bomb(path: Path, side: int) -> Path:
    """An honest PNG but for what its header says of its size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b""))
    return path


def table(path: Path, text: str = HEADER + ROWS) -> Path:
    path.write_text(text, newline="")
    return path


def everything(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() if file.is_file() else b"" for file in path.rglob("*")}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys) -> Refused:
    """`refused(*arguments)`: the one line that they end in."""
    monkeypatch.chdir(tmp_path)

    def line(*arguments: object) -> str:
        before = everything(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert ended.value.code == 2
        assert printed.out == ""
        assert everything(tmp_path) == before
        (one,) = printed.err.splitlines()
        assert one.startswith("tladapt")
        return one

    return line


@pytest.fixture
def run_refused(refused) -> Refused:
    """`run_refused(*arguments)`: of a run that would be short and kept, if it were not refused."""

    def line(*arguments: object) -> str:
        return refused("run", *arguments, *([] if {"--steps", "--epochs"} & set(arguments) else ["--steps", 1]),
                       *([] if "--out" in arguments else ["--out", "out"]))  # fmt: skip

    return line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"), (["rum"], "rum"), (["methods", "DANNN"], "DANN"), (["scenarios", "--json"], "--json"),
        (["report"], "DIR"), (["predict"], "MODEL_DIR, INPUT"), (["predict", "model"], "INPUT"),
        (["predict", "", "x"], "MODEL_DIR"), (["predict", "x", ""], "INPUT"), (["report", ""], "DIR"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_named(refused, arguments, named):
    assert named in refused(*arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["digit"], "SCENARIO 'digit'"), (["digits", "more"], "more"), ([], "SCENARIO"), ([""], "SCENARIO ''"),
        (["digits", "--metod", "DANN"], "--metod"), (["digits", "--meth", "DANN"], "--meth"),
        (["digits", "--method"], "--method"), (["digits", "--method", "-DANN()"], "--method"),
        (["digits", "--method", "DAN"], "did you mean DANN?"), (["digits", "--method", ""], "method: ''"),
        (["digits", "--method", "DANN(weigth=1)"], "weigth"), (["digits", "--method", "Replay(2.5)"], "capacity=2.5"),
        (["digits", "--method", "1if 2else 3"], "method: 1 if 2 else 3"),
        (["digits", "--method", "__import__('os')"], "__import__"), (["digits", "--method", "DANN\nEWC"], "DANN\\nEWC"),
        (["digits", "--method", "DANN() + Replay(9" + 300 * "9" + ")"], "too large"),
        (["digits", "--increment", "classes"], "--increment"), (["digits", "--batchnorm", "own"], "--batchnorm"),
        (["digits", "--model", "vit"], "--model"), (["digits", "--baseline", "best"], "baseline='best'"),
        (["split-digits", "--baseline", "ceiling"], "baseline='ceiling'"),
        (["digits", "--seeds", "0"], "--seeds"), (["digits", "--seeds", "-1"], "--seeds"),
        (["digits", "--seeds", "2.0"], "--seeds"), (["digits", "--seeds", "٣x"], "--seeds"),
        (["digits", "--seed", "x"], "--seed"), (["digits", "--seed", "1", "--seeds", "2"], "--seed"),
        (["digits", "--steps", "-1"], "--steps"), (["digits", "--steps", "0"], "--steps"),
        (["digits", "--steps", "1e3"], "--steps"), (["digits", "--epochs", "0"], "--epochs"),
        (["digits", "--epochs", "1", "--steps", "1"], "--steps"), (["digits", "--batch-size", "0"], "--batch-size"),
        (["digits", "--lr", "0"], "--lr"), (["digits", "--lr", "-1"], "--lr"), (["digits", "--lr", "nan"], "--lr"),
        (["digits", "--lr", "inf"], "--lr"), (["digits", "--lr", "1e300"], "--lr"), (["digits", "--lr", "x"], "--lr"),
        (["--source", "a", "--target", "b", "--size", "0"], "--size"),
        (["--source", "a", "--target", "b", "--size", "99999999"], "--size"),
    ],
)  # fmt: skip
def test_a_wrong_argument_of_run_is_named(run_refused, arguments, named):
    assert named in run_refused(*arguments)


@pytest.mark.parametrize(
    "device", ["", "nonsense", "cuda:99", "cuda:x", "cpu:7", "meta", "mkldnn", "xla", "hpu", "CPU"]
)
def test_a_device_that_is_not_there_is_refused(run_refused, device):
    assert f"--device: {device!r}" in run_refused("digits", "--device", device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_cuda_is_refused(run_refused):
    assert "--device: 'cuda'" in run_refused("digits", "--device", "cuda")


def test_the_smallest_and_the_first_device_are_taken(monkeypatch):
    seen = []
    monkeypatch.setitem(run.__globals__, "described", lambda options: seen.append(options.device) or 1 / 0)
    for device in ("cpu", "cpu:0"):
        with pytest.raises(ZeroDivisionError):
            main(["run", "digits", "--device", device])
    assert [torch.device(name).type for name in seen] == ["cpu", "cpu"]


@pytest.mark.parametrize("method", ["DANN()", "Replay(9) + CORAL()", "MMD + LwF"])
@pytest.mark.parametrize("where", [["split-digits"], ["digits", "--baseline", "source-only"]])
def test_a_method_that_no_stage_can_serve_is_refused(run_refused, method, where):
    if "Replay" in method and "source-only" not in where:
        method = "CORAL()"
    assert "no stage of the stream serves" in run_refused(*where, "--method", method)


@pytest.mark.parametrize("method", ["DANN(hidden=1000000000000)", "Replay(4000000000000000000)"])
def test_what_no_memory_can_hold_is_refused(refused, method):
    line = refused("run", "digits", "--steps", 1, "--method", method)
    assert "not enough memory" in line
    assert "go on" not in line


def test_a_loss_that_diverges_is_named_with_its_stage(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    infinite = torch.tensor(float("inf"))
    monkeypatch.setattr(MMD, "discrepancy", lambda self, source, target, progress: source.features.sum() * infinite)
    sources = ("--source", table(tmp_path / "near.csv"), "--target", table(tmp_path / "far.csv"))
    arguments = ("run", *sources, "--method", "MMD", "--steps", 1)
    with pytest.raises(SystemExit):
        main([*map(str, arguments)])
    line = capsys.readouterr().err.splitlines()[-1]  # after those of the progress
    assert "MMD: the loss became" in line
    assert "near + far" in line
    with pytest.raises(SystemExit):
        main([*map(str, arguments), "--out", "out"])
    assert "; the weights of the last checkpoint, out/checkpoint.safetensors, are good" in capsys.readouterr().err
    assert all(value.isfinite().all() for value in Model.load(tmp_path / "out" / "model").state_dict().values())
    assert Report.load(tmp_path / "out").stages == ["near"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--source", "a"], ["--target", "b"], ["digits", "--source", "a", "--target", "b"],
        ["--source", "", "--target", ""],
        ["digits", "--domains", "a", "b"], ["--source", "a", "--target", ""],
        ["--domains", "a", "b", "--source", "a", "--target", "b"],
    ],
)  # fmt: skip
def test_one_kind_of_data_is_asked_for(run_refused, tmp_path, arguments):
    for name in ("a", "b"):
        folder(tmp_path / name)
    line = run_refused(*arguments)
    assert "--source" in line
    assert "--target" in line


def test_one_domain_is_no_stream(run_refused, tmp_path):
    assert "--domains" in run_refused("--domains", folder(tmp_path / "a"))
    assert "--domains" in run_refused("--domains")


@pytest.fixture
def good(tmp_path) -> dict[str, Path]:
    return {"folder": folder(tmp_path / "good"), "table": table(tmp_path / "good.csv")}


def both_ways(run_refused: Refused, bad: Path, good: Path, named: str) -> None:
    """`bad` is refused as the source, as the target, and in the middle of a stream."""
    for arguments in (["--source", bad, "--target", good], ["--source", good, "--target", bad]):
        assert named in run_refused(*arguments)
    other = good.with_name("other" + good.suffix)
    shutil.copytree(good, other, dirs_exist_ok=True) if good.is_dir() else shutil.copy(good, other)
    assert named in run_refused("--domains", good, bad, other)


def test_a_missing_path_is_named(run_refused, good, tmp_path):
    for kind in ("folder", "table"):
        both_ways(run_refused, tmp_path / f"gone {kind}", good[kind], f"gone {kind}: no such file or folder")


@pytest.mark.parametrize("inside", ["", "cat", ".hidden"])
def test_an_empty_folder_is_named(run_refused, good, tmp_path, inside):
    (tmp_path / "empty" / inside).mkdir(parents=True)
    both_ways(run_refused, tmp_path / "empty", good["folder"], "empty: no images in it")


@pytest.mark.parametrize(
    "spoil", ["text", "truncated png", "truncated jpg", "bomb", "warned bomb", "folder", "dangling", "empty", "float"]
)
def test_a_file_that_is_no_image_is_named(run_refused, good, tmp_path, spoil):
    bad = folder(tmp_path / "bad") / "dog" / "spoilt.png"
    if spoil == "text":
        bad.write_text("hello")
    elif spoil == "truncated png":
        bad.write_bytes(picture(bad).read_bytes()[:60])
    elif spoil == "truncated jpg":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(bad, "jpeg")
        bad.write_bytes(bad.read_bytes()[:900])
    elif "bomb" in spoil:
        bomb(bad, 100_000 if spoil == "bomb" else 12_000)
    elif spoil == "folder":
        bad.mkdir()
    elif spoil == "dangling":
        bad.symlink_to("nowhere.png")
    elif spoil == "float":
        Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(bad, "tiff")
    else:
        bad.touch()
    named = "spoilt.png: a folder within a class folder" if spoil == "folder" else "spoilt.png: no image"
    both_ways(run_refused, tmp_path / "bad", good["folder"], named)


def test_a_file_beside_class_folders_is_named(run_refused, good, tmp_path):
    picture(folder(tmp_path / "bad") / "stray.png")
    both_ways(run_refused, tmp_path / "bad", good["folder"], "stray.png: lies beside class folders")


def test_a_source_without_labels_is_refused(run_refused, good, tmp_path):
    picture(tmp_path / "flat" / "1.png")
    assert "flat: the first domain has no labels" in run_refused(
        "--source", tmp_path / "flat", "--target", good["folder"]
    )
    other = shutil.copy(good["table"], tmp_path / "other.csv")
    assert "'colr'" in run_refused("--source", good["table"], "--target", other, "--label", "colr")


def test_a_class_that_the_source_has_not_is_named(run_refused, good, tmp_path, capsys):
    more = folder(tmp_path / "more", ("cat", "dog", "emu"))
    odd = table(tmp_path / "odd.csv", HEADER + ROWS + "1,red,maybe\n")
    for source, target, name in ((good["folder"], more, "emu"), (good["table"], odd, "maybe")):
        with pytest.warns(UserWarning, match=rf"a label that is none of the classes of good \({name}\)"):
            main(["run", "--source", str(source), "--target", str(target), "--steps", "1"])
    capsys.readouterr()
    respelled = table(tmp_path / "respelled.csv", HEADER + "1,red,Yes\n")
    assert "did you mean 'yes'?" in run_refused("--source", good["table"], "--target", respelled)


def test_a_folder_and_a_table_do_not_go_together(run_refused, good, tmp_path):
    both_ways(run_refused, good["table"], folder(tmp_path / "pictures"), "the other a table")


def test_what_is_neither_is_refused(run_refused, good, tmp_path):
    for kind in ("folder", "table"):
        (tmp_path / "sheet.xlsx").write_bytes(b"PK")
        for bad in (tmp_path / "sheet.xlsx", good["folder"] / "cat" / "0.png"):
            both_ways(run_refused, bad, good[kind], f"{bad.name}: neither")


def test_a_domain_does_not_come_twice(run_refused, good):
    for path in good.values():
        assert f"{path.name}: comes twice" in run_refused("--source", path, "--target", path)
        assert "comes twice" in run_refused("--domains", path, path.parent / "." / path.name)


def test_images_too_small_for_the_network_are_refused(run_refused, good, tmp_path):
    arguments = ("--source", good["folder"], "--target", folder(tmp_path / "b"))
    assert "at least 4 pixels" in run_refused(*arguments, "--size", 3)
    tables = ("--source", good["table"], "--target", shutil.copy(good["table"], tmp_path / "other.csv"))
    assert "--model cnn" in run_refused(*tables, "--model", "cnn")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "bad.csv: the first line"), ("\n\n", "bad.csv: the first line"), (HEADER, "no rows"),
        (HEADER[:-1], "no rows"), ("label\nyes\nno\n", "no rows"), ("size,size,label\n1,2,yes\n", "its own name"),
        ("\n" + HEADER + ROWS, "bad.csv: the first line"), (HEADER + '1,"red,yes\n', "bad.csv: cannot be read as a"),
        (HEADER + ROWS + "1,red\n", "line 6: 2 cells"), (HEADER + "1,red,yes,4\n" + ROWS, "line 2: 4 cells"),
        (HEADER + "inf,red,yes\n" + ROWS, "row 1, column 'size'"),
        (HEADER + ROWS + "-inf,red,yes\n", "row 5, column 'size'"),
        (HEADER + ROWS + "1e39,red,yes\n", "row 5, column 'size'"), (HEADER + ROWS + "1,red,\n", "row 5: no 'label'"),
        (HEADER + f"1,{'x' * 200000},yes\n", "bad.csv: cannot be read as a CSV table"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_named(run_refused, good, tmp_path, text, named):
    both_ways(run_refused, table(tmp_path / "bad.csv", text), good["table"], named)


@pytest.mark.parametrize(
    "content", [bytes(range(256)), (HEADER + ROWS).encode("utf-16")[:-3], b"\x89PNG\r\n\x1a\n\0\0", b"\0\0\0"]
)
def test_a_binary_file_is_no_table(run_refused, good, tmp_path, content):
    (tmp_path / "bad.csv").write_bytes(content)
    both_ways(run_refused, tmp_path / "bad.csv", good["table"], "bad.csv")


def test_a_target_must_have_the_columns_of_the_source(run_refused, good, tmp_path):
    lacking = table(tmp_path / "lacking.csv", "colour,label\nred,yes\nblue,no\n")
    assert "no column 'size'" in run_refused("--source", good["table"], "--target", lacking)
    words = table(tmp_path / "words.csv", HEADER + ROWS + "large,red,yes\n")
    assert "row 5, column 'size': 'large'" in run_refused("--source", good["table"], "--target", words)


def test_a_source_without_a_single_cell_is_refused(run_refused, good, tmp_path):
    bare = table(tmp_path / "bare.csv", HEADER + ",,yes\n,,no\n")
    assert "bare.csv: every cell" in run_refused("--source", bare, "--target", good["table"])


@pytest.mark.parametrize("out", ["", "file", "file/inside", "dangling", "/proc/here", "x" * 300, "a\0b"])
def test_a_folder_that_cannot_be_written_is_refused_before_learning(run_refused, tmp_path, monkeypatch, out):
    monkeypatch.setitem(run.__globals__, "_scenario", lambda options: pytest.fail("it went on"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "--out" in run_refused("digits", "--out", out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_others_is_refused(run_refused, tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o500)
    assert "--out" in run_refused("digits", "--out", "theirs/out")


@pytest.fixture
def saved(tmp_path) -> dict[str, Path]:
    """A model of images and one of tables, with a file for each."""
    torch.manual_seed(0)
    images, rows = cnn(1, 8, 2, 4, classes=["cat", "dog"]), mlp(3, (4,), classes=["no", "yes"])
    images.inputs = {"kind": "images", "size": 8, "channels": 1}
    rows.inputs = {
        "kind": "table",
        "label": "label",
        "numbers": {"size": [2, 1, 0]},
        "words": {"colour": ["blue", "red"]},
    }
    images.save(tmp_path / "images")
    rows.save(tmp_path / "rows")
    return {
        "images": tmp_path / "images", "rows": tmp_path / "rows", "picture": picture(tmp_path / "x.png"),
        "table": table(tmp_path / "x.csv"),
    }  # fmt: skip


def test_what_these_tests_break_is_whole(saved, capsys):
    main(["predict", str(saved["images"]), str(saved["picture"])])
    assert capsys.readouterr().err == ""
    main(["predict", str(saved["rows"]), str(saved["table"])])
    assert capsys.readouterr().err.startswith("tladapt predict: accuracy ")


def test_a_missing_model_is_named(refused, saved):
    assert "nowhere" in refused("predict", "nowhere", saved["picture"])
    assert "x.png" in refused("predict", saved["picture"], saved["picture"])


def test_a_model_of_pickle_is_refused_and_not_run(refused, saved, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "canary",)

    for kind in ("images", "rows"):  # whoever puts a pickle there does not name its digest
        path = saved[kind] / "model.json"
        about = json.loads(path.read_text())
        del about["sha256"]
        path.write_text(json.dumps(about))
    for content in (pickle.dumps(Evil()), pickle.dumps({"weight": 1})):
        (saved["images"] / "model.safetensors").write_bytes(content)
        assert "images" in refused("predict", saved["images"], saved["picture"])
    torch.save(Model.load(saved["rows"]).state_dict(), saved["rows"] / "model.safetensors")
    assert "rows" in refused("predict", saved["rows"], saved["table"])
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("file", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("left", [None, 0.0, 0.3, 0.9])
def test_a_damaged_model_is_refused(refused, saved, file, left):
    path = saved["images"] / file
    content = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(content[: int(left * len(content))])
    assert "images" in refused("predict", saved["images"], saved["picture"])


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2}, {"classes": 3}, {"classes": ["cat"]}, {"batchnorm": "none"}, {"inputs": {}},
        {"inputs": {"kind": "pickle"}}, {"inputs": {"kind": "images", "path": "x"}}, {"recipe": None},
        {"recipe": {"backbone": "os.system"}},
        {"recipe": {"backbone": "cnn", "arguments": {"width": 2}}},
    ],
)  # fmt: skip
def test_a_model_that_describes_another_is_refused(refused, saved, change):
    path = saved["images"] / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused("predict", saved["images"], saved["picture"])


def test_an_input_of_the_wrong_kind_is_named(refused, saved):
    for model, given, named in [
        ("images", saved["table"], "x.csv"), ("rows", saved["picture"], "x.png"), ("rows", saved["images"], "images"),
        ("images", saved["images"], "model.json"), ("images", "nowhere", "INPUT nowhere"),
    ]:  # fmt: skip
        assert named in refused("predict", saved[model], given)


def test_a_table_to_predict_must_have_the_columns(refused, saved, tmp_path):
    lacking = table(tmp_path / "lacking.csv", "colour\nred\n")
    assert "lacking.csv: no column 'size'" in refused("predict", saved["rows"], lacking)
    empty = table(tmp_path / "empty.csv", HEADER)
    assert "empty.csv: no rows" in refused("predict", saved["rows"], empty)
    odd = table(tmp_path / "odd.csv", "size,colour\n1,red\ninf,red\n")
    assert "odd.csv, row 2, column 'size'" in refused("predict", saved["rows"], odd)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"schema": 1}', '{"schema": 9}', "\0"])
def test_what_is_no_report_is_named_and_no_other_is_shown(refused, tmp_path, content):
    (tmp_path / "bad").mkdir()
    if content is not None:
        (tmp_path / "bad" / "report.json").write_text(content)
    Report(domains=["a"], stages=["a"], first=[0], scores=[[0.1], [0.9]], method="Method()").save(tmp_path / "good")
    assert "bad" in refused("report", "good", "bad")
