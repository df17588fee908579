"""Files that others wrote are refused in one line, or shown letter by letter; nothing in them is run or believed."""

import csv
import gzip
import io
import json
import os
import re
import struct
import tracemalloc
import wave
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from PIL import Image
from rich.console import Console

from tladapt import Domain, Model, Report, adaptation, fit
from tladapt.backbones import cnn, mlp
from tladapt.cli import main
from tladapt.comparison.result import Comparison
from tladapt.data import Data
from tladapt.display.harmless import harmless, in_markdown
from tladapt.display.plots import forgetting_curves, heat_map
from tladapt.readers import cells, sounds, tables, vectors
from tladapt.readers.cells import COLUMNS
from tladapt.readers.dialects import LINE
from tladapt.readers.files import read_domains, reader_from
from tladapt.readers.folders import SIDE, Images
from tladapt.readers.sounds import FASTEST, LONGEST, SLOWEST, Sounds
from tladapt.readers.splitting import hold_out
from tladapt.readers.tables import Table
from tladapt.readers.texts import LONGEST as IDS
from tladapt.readers.texts import Texts, train_tokenizer
from tladapt.readers.vectors import read_vectors


@contextmanager
def refused(message: str, memory: int = 2**26) -> Iterator[None]:
    """Within, a ValueError of one line ends it before that much memory is spent."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as error:
            yield
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert most < memory


def picture(path: Path, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (shade, 0, 0)).save(path)
    return path


def table(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


# Images


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "gif", "tif", "webp", "ppm"])
def test_the_usual_kinds_of_images_are_read(tmp_path: Path, kind: str) -> None:
    x, *_ = Images(4).read(picture(tmp_path / f"x.{kind}"))
    assert (x[0, :, 2, 2] - torch.tensor([100, 0, 0])).abs().max() < 4


def test_no_image_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    program = tmp_path / "bin" / "gs"  # what Pillow would start
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    path = tmp_path / "x.png"
    Image.new("RGB", (6, 5)).save(path, "eps")
    with refused(r"x\.png: no image that can be read"):
        Images().read(path)
    assert not (tmp_path / "started").exists()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(side: int) -> bytes:
    tags = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, 9)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


BOMBS: dict[str, Callable[[int], bytes]] = {
    "png": lambda side: (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    ),
    "tiff": tiff,
    "gif": lambda side: b"GIF89a" + struct.pack("<HH", side, side) + bytes(3) + b"," + struct.pack(
        "<HHHH", 0, 0, side, side) + b"\0\2\2\x4c\1\0;",
    "bmp": lambda side: b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0),
    "ppm": lambda side: f"P6 {side} {side} 255\n".encode(),
}  # fmt: skip


@pytest.mark.parametrize("side", [12_000, 60_000])
@pytest.mark.parametrize("kind", BOMBS)
def test_an_image_that_claims_to_be_huge_is_refused(tmp_path: Path, kind: str, side: int) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(BOMBS[kind](side))
    with refused(r"x\.png: no image that can be read .*pixels"):
        Images().read(path)


def test_so_is_one_of_webp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # of 30, for Pillow opens none that is not whole
    with refused(r"x\.webp: no image that can be read .*pixels"):
        Images().read(picture(tmp_path / "x.webp"))


def test_a_long_narrow_image_is_not_made_gigantic_to_cut_out_its_middle(tmp_path: Path) -> None:
    Image.new("L", (60_000, 1)).save(tmp_path / "x.png")
    with refused(r"x\.png: .*60000 x 1 pixels: too long for its breadth"):
        Images(224, crop=0.875).read(tmp_path)
    assert Images(8).read(tmp_path)[0].shape == (1, 3, 8, 8)


@pytest.mark.parametrize("cut", range(0, 700, 50))
def test_whatever_a_damaged_image_raises_is_one_line(tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    Image.effect_noise((24, 24), 50).save(path, "tiff", compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[cut % len(content)] ^= 0xFF
    path.write_bytes(content)
    with suppress(ValueError):  # or it is another image
        Images().read(path)
    monkeypatch.setattr(Image, "open", lambda *_, **__: {}["of", "a", "plugin"])
    with refused(r"x\.png: no image that can be read"):
        Images().read(path)


# Readers described by a file


def image(**arguments: Any) -> dict[str, Any]:
    return {"kind": "images", **arguments}


def sound(**arguments: Any) -> dict[str, Any]:
    return {"kind": "sounds", **arguments}


def rows(**arguments: Any) -> dict[str, Any]:
    return {"kind": "table", **arguments}


def text(**arguments: Any) -> dict[str, Any]:
    return {"kind": "texts", "tokenizer": PIECES, **arguments}


PIECES = train_tokenizer(["good phone works", "bad phone broke"], size=60)
NO_NUMBERS: list[Any] = [None, "8", [8], {}, True, 0, -1, 2.5, float("nan"), float("inf"), 10**400]
SPECS = [
    *(image(size=value) for value in [*NO_NUMBERS, SIDE + 1]),
    *(image(channels=value) for value in [*NO_NUMBERS, 2, 3.0]),
    *(image(crop=value) for value in ["x", [1], True, 0, -1, float("nan"), 10**400]),
    *(image(interpolation=value) for value in [None, 1, ["bilinear"], {}, "nearest"]),
    *(sound(rate=value) for value in [*NO_NUMBERS, SLOWEST - 1, FASTEST + 1, 2**31]),
    *(sound(seconds=value) for value in [*NO_NUMBERS[:7], *NO_NUMBERS[8:], LONGEST / 16000 + 1]),
    *(text(length=value) for value in [*NO_NUMBERS, IDS + 1, 10**9, 1]),
    *(text(**{name: value}) for name in ("text", "label") for value in (None, 1, ["x"])),
    *(text(tokenizer=value) for value in (None, 1, "", "{}", "[" * 10_000, PIECES[:-9])),
    *(rows(label=value) for value in (None, 1, ["label"])), *(rows(split=value) for value in (None, 1, "yes")),
    *(rows(numbers=value) for value in (None, 1, "abc", [["a", [0, 1, 0]]])), rows(words=[["a", ["x"]]]), rows(words=1),
    *(rows(numbers={"a": value}) for value in [
        None, 1, "abc", [], [0, 1], [0, 1, 0, 0], [None, 1, 0], ["0", 1, 0], [0, 0, 0], [0, -1, 0], [0, 1, 2],
        [float("nan"), 1, 0], [10**400, 1, 0], [True, 1, 0],
    ]),
    *(rows(words={"a": value}) for value in [None, 1, "abc", [1], [["x"]], ["x", "x"]]),
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: repr(spec)[:60])
def test_a_reader_that_a_file_describes_wrongly_is_refused(spec: dict[str, Any]) -> None:
    with refused(r"Images\(|Sounds\(|Texts\(|Table\("):
        reader_from(spec)


@pytest.mark.parametrize("spec", [None, [], "images", 3, {"kind": None}, {1: 2}, {"kind": "images", 3: 4}])
def test_what_is_no_description_is_refused(spec: Any) -> None:
    with refused("inputs: .* describes no reader"):
        reader_from(spec)


# Tables

TABLES: dict[str, tuple[str, str]] = {
    "a million columns": (",".join(map(str, range(10**6))) + "\n", f"1000000 columns, and {COLUMNS} at most"),
    "only commas": ("," * LINE, "the first line must name every column"),
    "a line without an end": ("a," + "x" * LINE, f"line 1: more than {LINE} characters"),
    "a row without an end": ("a,b\n1,2\n" + "," * (LINE + 1), f"line 3: more than {LINE} characters"),
    "a row of commas": ("a,b\n1,2\n" + "," * 1000 + "\n", "line 3: 1001 cells, the header has 2"),
    "a cell without an end": ('a\n"' + "x\n" * 10**6, "field larger than field limit"),
    "zero bytes": ("a,b\n1,\0\n", "line 2: a zero byte"),
}


@pytest.mark.parametrize("what", TABLES)
def test_a_table_that_would_fill_the_memory_is_refused(tmp_path: Path, what: str) -> None:
    content, message = TABLES[what]
    with refused(message, memory=2**28):
        Table().read(table(tmp_path / "t.csv", content))


def test_rows_are_counted_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "CELLS", 1000)
    monkeypatch.setattr(cells, "AT_ONCE", 100)
    path = table(tmp_path / "t.csv", "a,b\n" + "1,2\n" * 500)
    assert Table().read(path)[0].shape == (500, 2)
    with refused("more than 500 rows of 2 cells", memory=2**20):
        Table().read(table(tmp_path / "t.csv", "a,b\n" + "1,2\n" * 10**5))


def test_blank_lines_are_not_remembered(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "a,b\n1,2\n" + "\n" * 10**6 + "3,4\n")
    tracemalloc.start()
    x, *_ = Table().read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert x.shape == (2, 2)


def test_columns_of_words_are_not_widened_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "t.csv", "a,b\n" + "".join(f"w{i % 50},{i % 9 or ''}\n" for i in range(200)))
    monkeypatch.setattr(tables, "WIDEST", 200 * 52)
    assert Table().read(path)[0].shape == (200, 52)
    monkeypatch.setattr(tables, "WIDEST", 200 * 52 - 1)
    with refused(r"t\.csv: 200 rows of 52 numbers .*Table\(split=True\)"):
        Table().read(path)
    assert Table(split=True).read(path)[0]["words"].shape == (200, 1)


@pytest.mark.parametrize("kind", ["t.csv", "a/x.png", "a/x.wav"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / kind)
    reader: Any = {"t.csv": Table(), "a/x.png": Images(), "a/x.wav": Sounds()}[kind]
    with refused(r"\(no file\)"):
        reader.read(tmp_path / kind if kind == "t.csv" else tmp_path / "a")


def test_classes_may_have_any_name(tmp_path: Path) -> None:
    names = ["²", "9" * 5000, "٣", "10", "2", "-1", "x"]
    path = table(tmp_path / "t.csv", "a,label\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    (domain,), _ = read_domains([path], test=0.0)
    assert domain.classes == ("2", "٣", "10", "-1", "9" * 5000, "x", "²")
    with refused("u: the label 'zzz.* is none of the classes of t: 2, "):
        read_domains([path, table(tmp_path / "u.csv", f"a,label\n1,{'z' * 5000}\n")])


def test_a_label_of_its_own_for_every_row_takes_no_hours() -> None:
    data = Data(torch.zeros(50_000, 1), torch.arange(50_000))
    rest, held = hold_out(data, 0.2, 0)  # class by class over all rows, this took ten minutes
    assert (len(rest), len(held or ())) == (40_000, 10_000)


# Sounds


def wav(path: Path, rate: int = 8000, seconds: float = 0.5, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 20_000 * np.sin(0.1 * np.arange(int(rate * seconds)))
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.repeat(tone.astype("<i2"), channels).tobytes())
    return path


def changed(path: Path, at: int, *values: tuple[str, int]) -> Path:
    content = bytearray(path.read_bytes())
    for form, value in values:
        content[at : at + struct.calcsize(form)] = struct.pack(form, value)
        at += struct.calcsize(form)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("rate", [0, 1, SLOWEST - 1, FASTEST + 1, 2**31, 2**32 - 1])
def test_a_rate_that_no_sound_has_is_refused(tmp_path: Path, rate: int) -> None:
    path = changed(wav(tmp_path / "x.wav"), 24, ("<I", rate))
    with refused(rf"x\.wav: no PCM WAV file that can be read \(16 bits at {rate} samples a second\)"):
        Sounds(16000, 5.0).read(path)


def test_more_sound_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = changed(wav(tmp_path / "x.wav"), 40, ("<I", 2**31 - 8))
    with refused(r"x\.wav: .*bytes where it says that there are 2147483640 of sound"):
        Sounds(8000, 10.0).read(path)


def test_channels_that_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wav(tmp_path / "x.wav", channels=500, seconds=0.1)
    monkeypatch.setattr(sounds, "AT_ONCE", 100_000)
    with refused(r"x\.wav: .*500 channels are too many"):
        Sounds(8000, 0.1).read(path)


def hour(path: Path) -> Path:
    """An hour of 48 kHz in stereo, of which the disk holds the header."""
    wav(path, 48000, 0.1, channels=2)
    changed(changed(path, 40, ("<I", 3600 * 48000 * 4)), 4, ("<I", 36 + 3600 * 48000 * 4))
    os.truncate(path, 44 + 3600 * 48000 * 4)
    return path


def test_of_a_long_file_no_more_is_read_than_is_needed(tmp_path: Path) -> None:
    path = hour(tmp_path / "x.wav")
    tracemalloc.start()
    x, *_ = Sounds(16000, 0.05).read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    assert x["length"].tolist() == [800]
    assert x["sound"].abs().max() > 0.5


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_what_is_read_of_a_long_file_sounds_like_the_whole(tmp_path: Path, rate: int) -> None:
    path = wav(tmp_path / "x.wav", rate, 3.0)
    part, whole = (Sounds(16000, seconds).read(path)[0]["sound"][0, :8000] for seconds in (0.5, 3.0))
    assert torch.equal(part, whole)


# Texts


def tokenizer(**changes: Any) -> str:
    return json.dumps({**json.loads(PIECES), **changes})


def test_a_tokenizer_that_panics_is_refused() -> None:
    broken = tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"})
    with refused(r"Texts\(tokenizer=\.\.\.\): the JSON of no fast tokenizer"):
        Texts(broken)
    piece = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    broken = tokenizer(post_processor={
        "type": "TemplateProcessing", "single": [piece], "pair": [piece], "special_tokens": {},
    })  # fmt: skip
    with refused(r"Texts\(tokenizer=\.\.\.\): the JSON of no fast tokenizer"):
        Texts(broken)


def test_a_tokenizer_without_its_unknown_word_is_refused_by_the_first_text() -> None:
    reader = Texts(tokenizer(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}, post_processor=None))
    with refused(r"Texts\(tokenizer=\.\.\.\): no fast tokenizer for these texts \(.*UNK"):
        reader.encode(["b"])


def test_control_c_is_no_damaged_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Texts(PIECES)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(vars(reader), "_fast", type("Fast", (), {"encode_batch": stopped})())
    with pytest.raises(KeyboardInterrupt):
        reader.encode(["a"])


def test_many_texts_are_the_same_ids_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, strings = (
        Texts(PIECES, length=5),
        ["good phone", "bad", "", "works", "broke", "phone", "good good good good"],
    )
    whole = reader.encode(strings)
    monkeypatch.setattr("tladapt.readers.texts.AT_ONCE", 10)
    parts = reader.encode(strings)
    assert torch.equal(whole["input_ids"], parts["input_ids"])
    assert torch.equal(whole["attention_mask"], parts["attention_mask"])


# Word vectors


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["kv", "model"])
def test_a_pickle_of_gensim_is_not_opened(tmp_path: Path, kind: str) -> None:
    import pickle

    (tmp_path / f"x.{kind}").write_bytes(pickle.dumps(Evil(tmp_path / "run")))
    with refused(rf"x\.{kind}: a pickle of gensim.* pass the object: gensim\.models\.\w+\.load\(path\)"):
        read_vectors(tmp_path / f"x.{kind}")
    assert not (tmp_path / "run").exists()


VECTORS: dict[str, tuple[str, bytes, str]] = {
    "promises": ("x.bin", b"900000000 900000\nword \0\0\0\0", "word 1 of 900000000: cannot be read"),
    "promises more": ("x.bin", b"9000000000 3\n", "line 1: expected how many words"),
    "no width": ("x.bin", b"3 0\na \0\0\0\0", "line 1: expected how many words"),
    "no first line": ("x.bin", b"\0" * 100, "line 1: expected how many words"),
    "no space": ("x.bin", b"2 2\n" + b"x" * 10**7, "word 1 of 2: cannot be read"),
    "no number": ("x.bin", b"1 1\na \0\0\xc0\x7f", "word 1 of 1: a number that is not finite"),
    "no text": ("x.bin", b"1 1\n\xff\xfe \0\0\0\0", "word 1 of 1: no text in UTF-8"),
    "text promises": ("x.txt", b"900000000 900000000\na 1 2\n", "line 2: 2 numbers after the word"),
    "too many digits": ("x.txt", b"9" * 5000 + b" 2\na 1 2\n", "line 2: 2 numbers after the word, expected 1"),
    "a line without an end": ("x.txt", b"a " + b"1 " * 10**6, "line 1: cannot be read .more than"),
    "too large": ("x.txt", b"a 1e39\n", "line 1: a number that is not finite"),
    "packed line": ("x.txt.gz", gzip.compress(b"a" * 10**8), "line 1: cannot be read .more than"),
    "packed word": ("x.bin.gz", gzip.compress(b"1 1\n" + b"a" * 10**8), "word 1 of 1: cannot be read"),
    "packed rubbish": ("x.txt.gz", gzip.compress(os.urandom(999))[:12] + b"\xff" * 99, "line 1: cannot be read"),
}


@pytest.mark.parametrize("what", VECTORS)
def test_vectors_that_promise_or_hold_too_much_are_refused(tmp_path: Path, what: str) -> None:
    name, content, message = VECTORS[what]
    (tmp_path / name).write_bytes(content)
    with refused(message, memory=2**24):
        read_vectors(tmp_path / name)


@pytest.mark.parametrize(("name", "most"), [("WORDS", 50), ("NUMBERS", 100)])
def test_a_bomb_of_words_is_refused_while_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(vectors, name, most)
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(b"".join(b"w%d 1 2\n" % i for i in range(50))))
    assert len(read_vectors(path).words) == 50
    path.write_bytes(gzip.compress(b"word 1 2\n" * 10**6))
    with refused(r"line 51: more than .*limit=", memory=2**22):
        read_vectors(path)
    assert read_vectors(path, limit=1).words == ["word"]


# Paths


@pytest.mark.parametrize("what", ["file", "class", "flat"])
@pytest.mark.parametrize("kind", [Images(4), Sounds(8000, 0.1)], ids=["images", "sounds"])
def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, kind: Any, what: str) -> None:
    make, name = (picture, "x.png") if isinstance(kind, Images) else (wav, "x.wav")
    make(tmp_path / "secret" / name)
    make(tmp_path / "data" / "a" / name)
    place = {"file": "a/link.png", "class": "b", "flat": "link.png"}[what]
    if what == "flat":
        (tmp_path / "data" / "a" / name).rename(tmp_path / "data" / name)
        (tmp_path / "data" / "a").rmdir()
    (tmp_path / "data" / place).symlink_to(tmp_path / "secret" / ("" if what == "class" else name))
    with refused(rf"{place}: a link that leads out of"):
        kind.read(tmp_path / "data")


def test_links_that_stay_inside_and_a_folder_that_is_one_are_fine(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "a" / "x.png")
    (tmp_path / "data" / "a" / "y.png").symlink_to("x.png")
    (tmp_path / "data" / "b").symlink_to("a")
    (tmp_path / "linked").symlink_to("data")
    x, labels, _ = Images(4).read(tmp_path / "linked")
    assert (len(x), labels) == (4, ["a", "a", "b", "b"])


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("b.png")
    with refused(r"b\.png: (a link that leads nowhere|no image)"):
        Images(4).read(tmp_path)


# Names

EVIL = "web\x1b]0;gone\x07\x9b2J\u202e\u2028\ud800\n[bold]$\\frac{|`x`<img src=x>&![y](http://z)"
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_only_what_is_obeyed_is_changed() -> None:
    ordinary = "naïve 漢字 שלום مرحبا 👩‍👧 C:\\new a_b*c|`<&>"
    assert harmless(ordinary) == ordinary
    assert harmless("\x1b\x07\x7f\x9b\t\n\u202e\u2069\u2028\udc80") == r"\x1b\x07\x7f\x9b\t\n\u202e\u2069\u2028\udc80"
    assert not OBEYED.search(harmless("".join(map(chr, range(0x110000)))))


def report(**changes: Any) -> Report:
    names = [EVIL, "_hidden", "x" * 10**5, "$"]
    given = {"metric": EVIL, "scenario": EVIL, "notes": [EVIL], "remembers": EVIL, "batchnorm": EVIL}
    return Report(
        domains=names, stages=names, first=[0, 1, 2, 3], scores=[[0.5] * 4] * 5, method=EVIL, **given | changes
    )


def test_a_report_shows_names_letter_by_letter() -> None:
    printed = str(report())
    assert not OBEYED.search(printed)
    assert printed.replace("\n", "").startswith(
        r"web\x1b]0;gone\x07\x9b2J\u202e\u2028\ud800\n[bold]$\frac{|`x`<img src=x>"
    )
    assert "[/no]" in str(report(metric="[/no]"))  # which rich would take for the end of something


def test_pictures_show_names_letter_by_letter(tmp_path: Path) -> None:
    for draw in (heat_map, forgetting_curves):
        figure = draw(report())
        figure.savefig(tmp_path / "x.png")
        figure.savefig(tmp_path / "x.svg")
        title = figure.get_suptitle().splitlines()
        assert len(title) <= 4
        heading = vars(figure)["_suptitle"]
        others = [text for text in figure.findobj(lambda part: hasattr(part, "get_text")) if text is not heading]
        shown = [text.get_text() for text in others]  # type: ignore
        assert any(text.startswith(r"web\x1b]0;gone") for text in shown)
        assert not any(OBEYED.search(line) or len(line) > 120 for line in title)
        assert not any(OBEYED.search(text) or "\n" in text or len(text) > 40 for text in shown)
    legend = forgetting_curves(report()).axes[0].get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 4


def test_progress_shows_names_letter_by_letter(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    y = torch.arange(20) % 2
    one, two = (Domain(name, (torch.randn(20, 4), y)) for name in ("\x1b]0;gone\x07", "two"))
    fit(mlp(4, (8,), classes=2), adaptation(one, two), steps=1, progress=True)
    printed = capsys.readouterr().err
    assert r"\x1b]0;gone\x07" in printed
    assert "\x1b]0;" not in printed


def comparison(name: str) -> Comparison:
    scores = {f"{name} 1": [[0.1, 0.2]], f"{name} 2": [[0.1, 0.3]]}
    return Comparison(
        scenario=name, reference=f"{name} 1", domains=[name, "b"], new=["b"], seeds=1, scores=scores, metric=name,
        failed={name: name},
    )  # fmt: skip


def test_a_comparison_shows_names_letter_by_letter(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=1000)
    console.print(comparison(EVIL))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert not OBEYED.search(printed)
    assert f"{harmless(EVIL)} 2" in printed
    comparison(EVIL).save(tmp_path)
    assert json.loads((tmp_path / "comparison.json").read_text())["scenario"] == EVIL


def test_markdown_of_names_is_no_html_and_no_other_table() -> None:
    tree = MarkdownIt("commonmark").enable("table").parse(comparison(EVIL).markdown())
    parts = [part for token in tree for part in (token, *(token.children or ()))]
    assert not {part.type for part in parts} & {"html_block", "html_inline", "image", "link_open", "heading_open"}
    assert sum(part.type == "tr_open" for part in parts) == 3
    assert sum(part.type == "td_open" for part in parts) == 2 * 6
    texts = ["".join(child.content for child in token.children or ()) for token in tree if token.type == "inline"]
    assert f"{harmless(EVIL)} 2" in texts
    assert f"failed: {harmless(EVIL)}: {harmless(EVIL)}" in texts
    assert in_markdown("Replay(capacity=200, folder=None)") == "Replay(capacity=200, folder=None)"


# Predictions


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """`model(classes, **changes of model.json)`: a saved one for grey images of 8 pixels."""

    def save(classes: tuple[str, ...] = ("cat", "dog"), **changes: Any) -> Path:
        torch.manual_seed(0)
        made = cnn(1, 8, 2, 4, classes=list(classes))
        made.inputs = Images(8, 1).spec()
        made.save(tmp_path / "model")
        path = tmp_path / "model" / "model.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return tmp_path / "model"

    return save


def predicted(*arguments: object) -> None:
    main(["predict", *map(str, arguments)])


def test_predictions_are_neither_commands_nor_formulas(
    tmp_path: Path, model: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    classes = ("=cmd|' /C calc'!A0", "@\x1b]0;gone\x07")
    for i, name in enumerate(["=1+1.png", "-x\n.png", "\x1b[2J.png", os.fsdecode(b"\xff.png"), "a b.png"]):
        picture(Path("new") / name, 50 * i)
    monkeypatch.chdir("new")
    predicted(model(classes), ".")
    printed = capsys.readouterr().out
    found = list(csv.reader(io.StringIO(printed)))
    assert not OBEYED.search(printed)
    assert sorted(row[0] for row in found) == sorted(
        ["file", "'=1+1.png", r"'-x\n.png", r"\x1b[2J.png", r"\udcff.png", "a b.png"]
    )
    assert {row[1] for row in found[1:]} <= {f"'{classes[0]}", r"'@\x1b]0;gone\x07"}
    predicted(model(("-1", "+1")), ".")
    assert {row[1] for row in csv.reader(io.StringIO(capsys.readouterr().out))} <= {"prediction", "-1", "+1"}
    predicted(model(classes), ".", "--json")
    assert {row["file"] for row in json.loads(capsys.readouterr().out)["predictions"]} == set(os.listdir())


def refused_by_predict(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        predicted(*arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


def test_a_model_and_inputs_of_two_kinds_are_refused(
    tmp_path: Path, model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    word = table(tmp_path / "t.csv", "text\ngood\n")
    assert "does not take rows" in refused_by_predict(capsys, model(inputs=Texts(PIECES, 8).spec()), word)
    split = rows(numbers={"a": [0, 1, 0]}, split=True)
    assert "does not take rows" in refused_by_predict(
        capsys, model(inputs=split), table(tmp_path / "u.csv", "a\n1\n2\n")
    )


def test_weights_that_are_not_finite_are_refused(
    tmp_path: Path, model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = model()
    broken = Model.load(folder)
    with torch.no_grad():
        next(broken.head.parameters()).fill_(float("nan"))
    broken.save(folder)
    line = refused_by_predict(capsys, folder, picture(tmp_path / "x.png"), "--json")
    assert f"MODEL_DIR {folder}: the network returns NaN or infinity" in line


def test_large_inputs_go_through_the_network_few_at_once(
    tmp_path: Path, model: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        picture(tmp_path / "new" / f"{i}.png")
    seen, forward = [], Model.forward
    monkeypatch.setattr(Model, "forward", lambda self, x, *rest: seen.append(len(x)) or forward(self, x, *rest))
    monkeypatch.setattr("tladapt.predicting.answering.VALUES", 2 * 64)
    predicted(model(), tmp_path / "new")
    assert seen == [2, 2, 1]
    assert len(capsys.readouterr().out.splitlines()) == 6
