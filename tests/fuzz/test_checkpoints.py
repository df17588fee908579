"""Checkpoints: any file is a state, or refused in one line that names it, although its digest may be right."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.mutating import altered, documents, spoilt
from tests.fuzz.watching import LONG, QUICK, library
from tests.test_checkpoints import sealed
from tladapt.storage import checkpoints

STATE: dict[str, Any] = {
    "about": {"method": "DANN()", "seed": 3, "torch": "2.6"}, "past": {"stage": 1, "scores": [[0.5, None]],
    "notes": []},
    "model": {"w": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}, "step": 7, "huge": 2**80,
    "odd": float("nan"),
    "random": [torch.arange(8, dtype=torch.uint8)], "raw": torch.tensor([1 + 2j]), "deep": {"a": [{"b": [1, [2,
    {}]]}]},
}  # fmt: skip


def parts(whole: bytes) -> tuple[Any, dict[str, Any], bytes]:
    """The document, the tensors in the header, and their bytes."""
    size = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + size])
    return json.loads(header.pop("__metadata__")["state"]), header, whole[8 + size :]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def whole(folder) -> bytes:
    checkpoints.write(folder / "whole", STATE)
    return (folder / "whole").read_bytes()


def resealed(path: Path, content: bytes) -> None:
    """The bytes, with the digest that they should have where there is room for it."""
    path.write_bytes(content)
    if match := checkpoints.HEAD.match(content):
        with path.open("rb") as file:
            _, digest = checkpoints._digests(file)
        path.write_bytes(content[: match.end()] + digest.encode() + content[match.end() + 64 :])


@st.composite
def written(draw: st.DrawFn, whole: bytes, path: Path) -> None:
    document, tensors, body = parts(whole)
    how = draw(st.sampled_from(["bytes", "sealed bytes", "state", "state", "text", "tensors", "tensors", "body"]))
    if how == "bytes":
        path.write_bytes(draw(spoilt(whole)))
        return
    if how == "sealed bytes":
        resealed(path, draw(spoilt(whole)))
        return
    text = json.dumps(draw(altered(document)) if how == "state" else document)
    if how == "text":
        text = draw(documents(document)).decode(errors="replace")
    if how == "tensors":
        tensors = draw(altered(tensors))
    header = "," + json.dumps(tensors)[1:-1] if isinstance(tensors, dict) and tensors else ""
    body = draw(spoilt(body)) if how == "body" or draw(st.integers(0, 9)) == 0 else body
    try:
        sealed(path, text, header, body)
    except ValueError:  # the head is spoilt so that it has no digest
        path.write_bytes(whole[:9] + text.encode(errors="replace"))


def check(folder, whole, data) -> None:
    path = folder / "state"
    data.draw(written(whole, path))
    found: list[Any] = []
    line = library(folder, lambda: found.append(checkpoints.read(path)))
    assert (line == "" and isinstance(found[0], dict)) or repr(str(path))[1:-1] in line, line
    assert "not enough memory" not in line


def test_what_is_changed_was_whole(folder, whole):
    document, tensors, body = parts(whole)
    sealed(folder / "state", json.dumps(document), "," + json.dumps(tensors)[1:-1], body)
    assert sorted(checkpoints.read(folder / "state")) == sorted(STATE)


@QUICK
@given(data=st.data())
def test_any_file_is_a_state_or_refused(folder, whole, data):
    check(folder, whole, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_any_file_is_a_state_or_refused_long(folder, whole, data):
    check(folder, whole, data)
