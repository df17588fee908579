"""Folders of images and of sounds: any one is read, or refused in one line that names it or a file in it."""

import io
import shutil
import struct
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from tests.fuzz.mutating import spoilt
from tests.fuzz.watching import LONG, QUICK, library
from tladapt.readers.files import read_domains
from tladapt.readers.folders import Images
from tladapt.readers.sounds import Sounds

FORMATS = [
    "PNG",
    "JPEG",
    "GIF",
    "BMP",
    "TIFF",
    "WEBP",
    "PPM",
    "ICO",
    "TGA",
    "PCX",
    "SGI",
    "EPS",
    "PDF",
    "JPEG2000",
    "DIB",
    "MSP",
    "XBM",
]
MODES = {
    "PNG": ["L", "RGB", "RGBA", "P", "I;16", "1", "LA"],
    "TIFF": ["L", "RGB", "CMYK", "F", "I"],
    "MSP": ["1"],
    "XBM": ["1"],
}
NAMES = [
    "cat/1.png",
    "cat/2.jpg",
    "dog/1.png",
    "1.png",
    "cat/.hidden",
    "dog/a b.tiff",
    "dog/\x1b[2J.png",
    "ö/ü.png",
    "cat/in/deeper.png",
]


def picture(kind: str, mode: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB" if mode == "RGB" else "L").convert(mode).save(file, kind)
    return file.getvalue()


def pictures() -> list[bytes]:
    found = []
    for kind in FORMATS:
        for mode in MODES.get(kind, ["L", "RGB"]):
            try:
                found.append(picture(kind, mode))
            except (OSError, ValueError, KeyError):  # it has no such mode, or is not built in
                continue
    frames = [Image.new("P", (5, 5), i) for i in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return [*found, file.getvalue()]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    """One whose checksums are right, whatever it says."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def sound(channels: int, width: int, rate: int, samples: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, width, rate, samples, "NONE", ""))
        writer.writeframes(bytes(range(256)) * (1 + samples * channels * width // 256))
    return file.getvalue()


PICTURES = pictures()
SOUNDS = [
    sound(1, 2, 8000, 100),
    sound(2, 1, 8000, 60),
    sound(1, 3, 11025, 80),
    sound(1, 4, 44100, 50),
    sound(7, 2, 1, 3),
]
sizes = st.sampled_from([0, 1, 2, 7, 4096, 65535, 2**31 - 1, 2**31, 2**32 - 1])
images = st.one_of(
    st.sampled_from(PICTURES), *[st.sampled_from(PICTURES).flatmap(spoilt)] * 4,
    st.builds(png, sizes, sizes, st.sampled_from([0, 1, 8, 16, 99]), st.integers(0, 7), st.binary(max_size=99)),
    st.binary(max_size=99),
)  # fmt: skip
sounds = st.one_of(st.sampled_from(SOUNDS), *[st.sampled_from(SOUNDS).flatmap(spoilt)] * 4, st.binary(max_size=99))
layouts = st.dictionaries(st.sampled_from(NAMES), st.just(None), min_size=1, max_size=4).map(list)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders")
    for i, name in enumerate(("cat", "dog", "cat", "dog")):
        path = folder / "good" / name / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PICTURES[1])
    Image.init()  # every plugin is imported now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpsImagePlugin, "gs_binary", "/bin/true")  # as if there were a Ghostscript to be started
        Sounds(8000, 0.01)._one(_written(folder / "x.wav", SOUNDS[2]))  # imports scipy
        yield folder


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def lay(folder: Path, names: list[str], contents: list[bytes], link: str | None) -> Path:
    bad = folder / "bad"
    shutil.rmtree(bad, ignore_errors=True)
    for name, content in zip(names, contents, strict=False):
        _written(bad / name, content)
    bad.mkdir(exist_ok=True)
    if link is not None:
        (bad / "link.png").symlink_to(link)
    return bad


links = st.one_of(*[st.none()] * 6, st.sampled_from(["/etc/passwd", "nowhere", "link.png", "/dev/zero", "..", "."]))


def check(folder: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["images", "images", "images", "sounds"]))
    names = data.draw(layouts)
    contents = [data.draw(sounds if kind == "sounds" else images) for _ in names]
    bad = lay(folder, names, contents, data.draw(links))
    if kind == "sounds":
        line = library(folder, lambda: Sounds(8000, 0.05).read(bad))
    elif data.draw(st.booleans()):
        line = library(folder, lambda: read_domains([folder / "good", bad], size=8))
    else:
        crop = data.draw(st.sampled_from([None, 0.9, 0.01]))
        line = library(folder, lambda: Images(8, data.draw(st.sampled_from([1, 3])), crop).read(bad))
    assert line == "" or "bad" in line, line
    assert "not enough memory" not in line


def test_what_is_changed_was_whole(folder):
    assert len(PICTURES) > 20
    for content in PICTURES[:5]:
        assert (
            library(folder, lambda content=content: Images(8).read(_written(folder / "bad" / "1.png", content))) == ""
        )
    for content in SOUNDS[:4]:
        assert (
            library(folder, lambda content=content: Sounds(8000, 0.05).read(_written(folder / "s.wav", content))) == ""
        )


@QUICK
@given(data=st.data())
def test_any_folder_is_read_or_refused(folder, data):
    check(folder, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_any_folder_is_read_or_refused_long(folder, data):
    check(folder, data)
