"""What the README shows runs as it stands, on small data under the names that it assumes."""

import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import nn
from torch.utils.data import Dataset

from tladapt import Domain, Model
from tladapt.cli import main
from tladapt.cli.arguments import parser
from tladapt.readers.files import read_domains
from tladapt.readers.texts import train_tokenizer

README = (Path(__file__).parents[1] / "README.md").read_text()
KINDS = {
    "in-python": "task1", "folders": "cnn(", "csv": '"north.csv"', "frames": "df_north", "dataset": "web_train",
    "torchvision": 'vision("resnet18"', "timm": 'vision("timm/', "own-network": "x_old",
    "pretrained": '"bert-base-uncased"',
}  # fmt: skip

NEW = {  # what the saved model of a block is applied to by the command, and its rows
    "folders": ("new", 5), "csv": ("new.csv", 22), "torchvision": ("new", 5), "timm": ("new", 5),
    "pretrained": ("films.csv", 20),
}  # fmt: skip


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(kind: str) -> str:
    (found,) = (code for code in blocks("python") if KINDS[kind] in code)
    return found


def commands() -> list[list[str]]:
    """Every `tladapt ...` of the README, without the first word."""
    lines = [part.strip() for text in blocks("bash") for line in text.splitlines() for part in re.split(r"&&|;", line)]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tladapt ")]


OWN = [command for command in commands() if {"--source", "--domains", "predict", "evaluate"} & set(command)]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders and tables that the README speaks of, in the current folder."""
    random = np.random.default_rng(0)
    for i, folder in enumerate(("webcam/cup", "webcam/pen", "phone/cup", "phone/pen", "new")):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(1, 6):
            pixels = random.integers(0, 120, (12 + i, 16, 3), dtype=np.uint8) + np.uint8(60 * (i % 2))
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.jpg")
    labelled = ["age,district,outcome", "31,urban,good", ",rural,bad", "52,,good"]
    more = [f"{30 + i},{('urban', '', 'rural')[i % 3]},{('good', 'bad')[i % 2]}" for i in range(20)]
    for name in ("north", "south", "2023", "2024", "2025"):
        (tmp_path / f"{name}.csv").write_text("\n".join([*labelled, *more]) + "\n")
    unlabelled = ["age,district", "35,urban", "44,", *(row.rpartition(",")[0] for row in more)]
    (tmp_path / "new.csv").write_text("\n".join(unlabelled) + "\n")
    texts = ["label,text", *(f"{('bad', 'good')[i % 2]},{('dull', 'fine')[i % 2]} one" for i in range(20))]
    for name in ("books", "films"):
        (tmp_path / f"{name}.csv").write_text("\n".join(texts) + "\n")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bert() -> None:
    """A small one where the large one would be."""
    transformers = pytest.importorskip("transformers")
    words = Tokenizer.from_str(train_tokenizer(["dull one", "fine one"], size=30))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    for part in (fast, transformers.BertModel(transformers.BertConfig(vocab_size=40, **sizes))):
        part.save_pretrained("bert-base-uncased")


class Augmented(Dataset):
    """Rows that are different each time."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.x[row] + 0.1 * torch.randn(self.x[row].shape), int(self.y[row])


def names() -> dict[str, Any]:
    """What a reader has before the first line of a block."""
    torch.manual_seed(0)
    x, y = torch.randn(60, 3, 4, 4), torch.arange(60) % 10
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 10))
    known: dict[str, Any] = {"my_network": network, "x_web": x.numpy(), "y_web": y.numpy(), "x_phone": x + 1}
    known |= {"x_old": x, "y_old": y, "x_new": x + 1, "y_new": y}
    known |= {name: Domain(name, (x + i, y)) for i, name in enumerate(("task1", "task2", "task3", "mnist", "mnistm"))}
    return known | {name: Augmented(x, y) for name in ("web_train", "web_test", "phone_train", "phone_test")}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """`ran(kind)`: the names that the block leaves, and as `saved` the model that it saved."""

    def run(kind: str) -> dict[str, Any]:
        left, save = {**names(), "__name__": "readme"}, Model.save
        if kind == "frames":
            pandas = pytest.importorskip("pandas")
            left |= {f"df_{name}": pandas.read_csv(f"{name}.csv") for name in ("north", "south")}
        monkeypatch.setattr(Model, "save", lambda model, folder: (left.update(saved=model), save(model, folder)))
        exec(compile(block(kind), f"README.md, {kind}", "exec"), left)
        return left

    return run


def test_every_block_has_a_name_here():
    assert sorted(blocks("python")) == sorted(block(kind) for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_has_at_most_ten_lines_of_code(kind):
    lines = [line for line in block(kind).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 120


@pytest.mark.usefixtures("bert")
@pytest.mark.parametrize("kind", KINDS)
def test_a_block_runs_scores_old_and_new_and_predicts(ran, kind, capsys):
    left = ran(kind)
    report = left["report"]
    assert [math.isfinite(score) for score in (report.old, report.new)] == [True, True]
    assert len(report.stages) == len(report.scores) - 1 == 2
    assert report.notes == []
    if "saved" not in left:
        assert "save" not in block(kind)
        return
    saved = left["saved"]
    loaded = Model.load("adapted", None if saved.recipe else left.get("network", left["my_network"]))
    domain = next(left[name] for name in ("webcam", "north", "books", "task1") if name in left)
    x = domain.train.x
    assert torch.equal(loaded(x).logits, saved.eval()(x).logits)
    assert torch.equal(loaded(x).logits, left["model"](x).logits)
    assert loaded.classes == saved.classes
    assert (saved.recipe is not None) == (kind in NEW)
    if kind in NEW:
        new, rows = NEW[kind]
        capsys.readouterr()
        main(["predict", "adapted", new])
        _, *printed = capsys.readouterr().out.splitlines()
        assert len(printed) == rows
        assert {line.split(",")[1] for line in printed} <= set(saved.classes)


def test_the_chances_of_a_data_frame_are_of_its_rows(ran):
    left = ran("frames")
    assert left["chances"].shape == (len(left["df_south"]), len(left["north"].classes))
    assert np.allclose(left["chances"].sum(1), 1, atol=1e-6)


def test_a_trained_network_is_not_trained_on_its_past_nor_changed(ran):
    before = names()["my_network"].state_dict()
    left = ran("own-network")
    assert all(torch.equal(value, before[name]) for name, value in left["my_network"].state_dict().items())
    assert left["report"].scores[0] == left["report"].scores[1]  # nothing was learned in the first stage


def test_data_without_labels_looks_as_shown():
    (listing,) = (text for text in blocks("text") if "webcam/" in text)
    shown = listing.split()
    assert all(Path(word).is_file() for word in shown if word.endswith(".jpg"))
    tables = Path("north.csv").read_text().splitlines()[:4] + Path("new.csv").read_text().splitlines()[:3]
    assert sorted(word for word in shown if "," in word and not word.endswith(",")) == sorted(
        line for line in tables if not line.endswith(",")
    )
    assert {line for line in tables if line.endswith(",")} <= set(shown)


@pytest.mark.parametrize(("old", "new"), [("webcam", "new"), ("north.csv", "new.csv")])
def test_data_without_labels_has_none(old, new):
    (first, second), _ = read_domains([old, new], label="outcome", size=8)
    assert len(first.train.y) == len(first.train) > 0
    assert len(first.test or ()) > 0
    assert len(second.train) > 0
    assert len(second.train.y) == 0
    assert (second.labels, second.test) == (None, None)


def test_the_commands_for_own_data_run(capsys):
    assert {word for command in OWN for word in command} >= {"--source", "--target", "--domains", "predict", "--out"}
    for command in OWN:
        main([*command, *(["--steps", "2"] if command[0] == "run" else [])])
        out = capsys.readouterr().out
        if command[0] == "predict":
            assert re.search(r"^new/1\.jpg,(cup|pen)(,0\.\d+){3}$", out, re.MULTILINE)
        elif command[0] == "evaluate":
            assert re.match(r"accuracy \d+\.\d % \(\d+ of 10 rows; 95 % interval ", out)
        else:
            assert out.count("\nold ") == 1
            assert ("no labels to score" in out) == ("new.csv" in command)


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_is_one_that_there_is(command):
    assert parser().parse_args(command).command == command[0]


def test_the_transcript_has_the_lines_that_the_command_prints(capsys):
    (shown,) = (text for text in blocks("text") if text.startswith("digits"))
    main(["run", "digits", "--steps", "2", "--quiet"])
    printed = capsys.readouterr().out
    texts = [text.partition("\nslanted: ")[0] for text in (shown, printed)]  # what follows depends on the figures
    beginnings = [[re.split(r"\s{2,}|[\d(:;]", line)[0] for line in text.splitlines()] for text in texts]
    assert beginnings[0] == beginnings[1]
    assert "ceiling" in printed


@pytest.mark.slow
def test_the_transcript_has_the_figures_that_the_command_gives(capsys):
    (shown,) = (text for text in blocks("text") if text.startswith("digits"))
    main(["run", "digits", "--quiet"])
    cells = [re.findall(r"(\d+\.\d) [│]", text) for text in (shown, capsys.readouterr().out)]
    assert len(cells[0]) == 6
    assert [float(cell) for cell in cells[0]] == pytest.approx([float(cell) for cell in cells[1]], abs=3)


def test_links_of_the_readme_lead_somewhere():
    root = Path(__file__).parents[1]
    for page in (root / "README.md", root / "benchmarks" / "results" / "README.md"):
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        assert [target for target in targets if not (page.parent / target).exists()] == []
