"""Saved models: any folder predicts, or is refused in one line that names it; no recipe takes more than its weights."""

import hashlib
import json
import pickle
import re
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.fuzz.mutating import altered, documents, spoilt
from tests.fuzz.watching import LONG, QUICK, command
from tladapt import Model, backbones
from tladapt.cli import main
from tladapt.readers.texts import Texts, word_tokenizer

BERT = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 8,
        "vocab_size": 40, "max_position_embeddings": 16}  # fmt: skip
ROWS = {
    "kind": "table",
    "label": "label",
    "numbers": {"size": [2, 1, 0]},
    "words": {"colour": ["blue", "red"]},
    "split": False,
}
PICTURE = {"kind": "images", "size": 8, "channels": 3, "crop": None, "interpolation": "bilinear"}
HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("mlp", {"inputs": 100000, "hidden": [100000]}), ("mlp", {"inputs": 3, "hidden": [3] * 100000}),
    ("mlp", {"inputs": 3, "hidden": [2**20, 2**20]}), ("cnn", {"channels": 3, "size": 10**6}), ("lenet",
    {"channels": 3, "size": -10**9}),
    ("table", {"numbers": 1, "words": [2**20] * 2000}), ("word2vec", {"vectors": [2**20, 2**20]}), ("word2vec",
    {"vectors": "evil.model"}),
    ("deepspeech2", {"bands": 10**6, "rate": 10**6}), ("text", {"name": {**BERT, "num_hidden_layers": 10**9}}),
    ("text", {"name": {**BERT, "num_labels": 10**6}}), ("text", {"name": {**BERT, "vocab_size": 2**20}}),
    ("text", {"name": {**BERT, "auto_map": {"AutoModel": "evil--evil.Evil"}}}), ("text", {"name": "evil/evil"}),
    ("text", {"name": {**BERT, "attn_implementation": "evil/evil"}}), ("language", {"name": {"model_type": "llama"}}),
    ("vision", {"name": "vit_h_14"}), ("vision", {"name": "resnet18", "weights": "DEFAULT"}),
    ("vision", {"name": "timm/test_vit", "options": {"checkpoint_path": "/evil"}}), ("unet", {"encoder": "resnet18",
    "weights": "imagenet"}),
    ("text", {"name": {"model_type": "timm_wrapper", "architecture": "hf_hub:evil/evil"}}),
    ("vision", {"name": "hf_hub:evil/evil"}), ("vision", {"name": "timm/test_vit", "options": {"depth": 10**6}}),
]  # fmt: skip


class Evil:
    def __reduce__(self):
        return exec, ("import os; os.system('true')",)


def _models() -> dict[str, Callable[[], Model]]:
    """Small ones, and what they read."""
    texts = Texts(word_tokenizer(["red", "blue"]), 6, text="colour").spec()
    return {
        "rows": lambda: _reads(backbones.mlp(3, (4,), classes=["no", "yes"]), ROWS),
        "norm": lambda: _reads(backbones.cnn(3, 8, 2, 4, classes=["no", "yes"], batchnorm="per-domain"), PICTURE),
        "split": lambda: _reads(backbones.table(1, [2], (4,), classes=["no", "yes"]), {**ROWS, "split": True}),
        "bert": lambda: _reads(backbones.text(dict(BERT), classes=["no", "yes"]), texts),
        "words": lambda: _reads(backbones.word2vec([2, 4], 4, classes=["no", "yes"]), texts),
        "timm": lambda: _reads(backbones.vision("timm/test_vit", options={"img_size": 32, "depth": 1},
        classes=["no", "yes"]),
                               {**PICTURE, "size": 32}),
        "sounds": lambda: _reads(backbones.deepspeech2(4, 2, 4, 1, rate=8000, classes=["no", "yes"]),
                                 {"kind": "sounds", "rate": 8000, "seconds": 0.1}),
    }  # fmt: skip


def _reads(model: Model, inputs: dict[str, Any]) -> Model:
    model.inputs = inputs
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "x.csv").write_text("size,colour\n1.5,red\n,blue\n3,green\n")
    Image.new("RGB", (9, 7)).save(folder / "x.png")
    for name, make in _models().items():
        torch.manual_seed(0)
        make().save(folder / name)
        if name != "sounds":
            main(["predict", str(folder / name), str(folder / given_to(name))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, arguments in HOSTILE:  # what libraries import at first is imported now
            with pytest.raises(ValueError, match="backbone"):
                _tried(folder, name, arguments)
    return folder


def _tried(folder: Path, name: str, arguments: dict[str, Any]) -> None:
    with_recipe(folder, name, arguments)
    Model.load(folder / "bad")


def with_recipe(folder: Path, name: str, arguments: dict[str, Any]) -> None:
    shutil.copytree(folder / "rows", folder / "bad", dirs_exist_ok=True)
    about = json.loads((folder / "rows" / "model.json").read_text())
    about["recipe"] = {"backbone": name, "arguments": arguments}
    (folder / "bad" / "model.json").write_text(json.dumps(about))


def given_to(name: str) -> str:
    return "x.png" if name in ("norm", "timm") else "x.csv"


@st.composite
def weights(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes changed; or the header, which then has its right length; or a pickle."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(
            st.sampled_from([pickle.dumps(Evil()), b"", b"PK\x03\x04", b"\xff" * 8, struct.pack("<Q", 2**40) + b"{}"])
        )
    if kind < 3:
        return draw(spoilt(whole))
    size = struct.unpack("<Q", whole[:8])[0]
    header = json.dumps(draw(altered(json.loads(whole[8 : 8 + size])))).encode()
    return struct.pack("<Q", len(header)) + header + whole[8 + size :]


def check(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["rows", "rows", "norm", "split", "bert", "words", "timm", "sounds"]))
    about, held = ((folder / name / file).read_bytes() for file in ("model.json", "model.safetensors"))
    how = data.draw(
        st.sampled_from(["arguments"] * 4 + ["inputs"] * 2 + ["json", "recipe", "weights", "both", "other"])
    )
    document = json.loads(about)
    if how == "arguments":
        document["recipe"][how] = data.draw(altered(document["recipe"][how]))
    elif how in ("recipe", "inputs"):
        document[how] = data.draw(altered(document[how]))
    about = data.draw(documents(document)) if how in ("json", "both") else json.dumps(document).encode()
    if how in ("weights", "both"):
        held = data.draw(weights(held))
    elif how == "other":
        held = (folder / data.draw(st.sampled_from(["rows", "norm", "bert"])) / "model.safetensors").read_bytes()
    bad = folder / "bad"
    bad.mkdir(exist_ok=True)
    (bad / "model.json").write_bytes(re.sub(rb"[0-9a-f]{64}", hashlib.sha256(held).hexdigest().encode(), about))
    (bad / "model.safetensors").write_bytes(held)
    line = command(folder, "predict", str(bad), str(folder / given_to(name)))
    assert "not enough memory" not in line
    assert line == "" or any(said in line for said in ("bad", "MODEL_DIR", "INPUT", given_to(name))), line


def test_what_is_changed_was_whole(folder):
    for name in ("rows", "norm", "split", "bert", "words", "timm"):
        assert command(folder, "predict", str(folder / name), str(folder / given_to(name))) == ""


@pytest.mark.parametrize(("name", "arguments"), HOSTILE, ids=lambda part: str(part)[:60])
def test_a_recipe_that_asks_for_more_than_its_weights_is_refused(folder, name, arguments):
    with_recipe(folder, name, arguments)
    line = command(folder, "predict", str(folder / "bad"), str(folder / "x.csv"))
    assert "backbone" in line


ODD: list[tuple[str, dict[str, Any]]] = [  # found by the long form
    ("rows", {**ROWS, "label": ["label"]}), ("rows", {"kind": "table", "words": {"colour": []}}),
    ("split", {"kind": "table", "words": {"colour": ["red"]}, "split": True}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inputs"), ODD, ids=lambda part: str(part)[:60])
def test_a_reader_of_other_inputs_is_refused(folder, name, inputs):
    shutil.copytree(folder / name, folder / "bad", dirs_exist_ok=True)
    about = json.loads((folder / name / "model.json").read_text()) | {"inputs": inputs}
    (folder / "bad" / "model.json").write_text(json.dumps(about))
    assert "MODEL_DIR" in command(folder, "predict", str(folder / "bad"), str(folder / "x.csv"))


def test_nothing_else_in_the_folder_is_looked_at(folder):
    shutil.copytree(folder / "rows", folder / "more", dirs_exist_ok=True)
    for name in ("pytorch_model.bin", "model.pt", "model.pkl", "config.json", "__init__.py", "modeling_evil.py"):
        (folder / "more" / name).write_bytes(pickle.dumps(Evil()))
    assert command(folder, "predict", str(folder / "more"), str(folder / "x.csv")) == ""


@QUICK
@given(data=st.data())
def test_any_folder_predicts_or_is_refused(folder, data):
    check(folder, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_any_folder_predicts_or_is_refused_long(folder, data):
    check(folder, data)
