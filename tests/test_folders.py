"""Folders of images as people have them: what is left out, what is read, and what is refused with a mend that works."""

import math
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tladapt.readers.files import read_domains, reader_from
from tladapt.readers.folders import ImageFiles, Images
from tladapt.readers.sounds import _resampled


def pictures(folder: Path, classes: tuple[str, ...] = ("cup", "pen"), count: int = 5, suffix: str = "png") -> Path:
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (40 * i, 90 * c, 10)).save(folder / name / f"{i}.{suffix}")
    return folder


def deep(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16)).save(path)
    return path


def shades(largest: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, largest + 1, (8, 8))
    values[0, 0] = largest
    return values


# What lies beside the images


SYSTEM = ["Thumbs.db", "thumbs.db", "Desktop.ini", "desktop.ini", ".DS_Store", "ehthumbs.db", "Icon\r", ".hidden.png"]


@pytest.mark.parametrize("name", SYSTEM)
def test_files_of_the_operating_system_are_left_out_everywhere(name: str, tmp_path: Path):
    pictures(tmp_path / "web")
    for folder in ("web", "web/cup"):
        (tmp_path / folder / name).write_bytes(b"\xd0\xcf\x11\xe0")
    (domain,), _ = read_domains([tmp_path / "web"], size=8)
    assert len(domain.train) + len(domain.test or ()) == 10
    flat = tmp_path / "flat"
    shutil.copytree(tmp_path / "web" / "cup", flat)
    assert len(Images(8).read(flat)[0]) == 5


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", ".git", "__pycache__"])
def test_so_are_its_folders(name: str, tmp_path: Path):
    pictures(tmp_path / "web")
    (tmp_path / "web" / name).mkdir()
    (tmp_path / "web" / name / "cup").touch()
    assert set(Images(8).read(tmp_path / "web")[1] or ()) == {"cup", "pen"}


@pytest.mark.parametrize("name", ["classes.txt", "README.md", "labels.csv", "data.json", "photo.png"])
def test_what_lies_beside_class_folders_is_named_and_either_mend_works(name: str, tmp_path: Path):
    web = pictures(tmp_path / "web")
    Image.new("RGB", (8, 8)).save(web / name, "png")
    with pytest.raises(
        ValueError, match=rf"{name}: lies beside class folders; move it into the folder of its class or"
    ):
        read_domains([web], size=8)
    (web / name).rename(web / "cup" / "more.png")
    assert len(Images(8).read(web)[0]) == 11
    (web / "cup" / "more.png").rename(tmp_path / name)
    assert len(Images(8).read(web)[0]) == 10


def test_a_file_among_images_that_is_none_is_named_with_a_mend_that_works(tmp_path: Path):
    web = pictures(tmp_path / "web")
    (web / "cup" / "notes.txt").write_text("hello")
    with pytest.raises(
        ValueError, match=r"notes\.txt: no image that can be read .*; if it is not an image, move it out"
    ):
        Images(8).read(web)


def test_an_empty_class_folder_is_no_class_and_only_empty_ones_are_named(tmp_path: Path):
    web = pictures(tmp_path / "web")
    (web / "tea").mkdir()
    (domain,), _ = read_domains([web], size=8)
    assert domain.classes == ("cup", "pen")
    (tmp_path / "nothing" / "cup").mkdir(parents=True)
    with pytest.raises(ValueError, match="nothing: no images in it"):
        Images(8).read(tmp_path / "nothing")


@pytest.mark.parametrize("inside", ["train", "archive/train", "a/b/c"])
def test_class_folders_deeper_down_are_found_if_there_is_one_way(inside: str, tmp_path: Path):
    pictures(tmp_path / "web" / inside)
    (tmp_path / "web" / ".DS_Store").touch()
    (domain,), _ = read_domains([tmp_path / "web"], size=8)
    assert (domain.name, domain.classes) == ("web", ("cup", "pen"))


def test_several_folders_of_class_folders_are_named_with_a_path_that_works(tmp_path: Path):
    pictures(tmp_path / "web" / "test")
    pictures(tmp_path / "web" / "train")
    with pytest.raises(
        ValueError, match=r"contains folders, not images; give the folder .* such as (.*), or"
    ) as caught:
        read_domains([tmp_path / "web"], size=8)
    named = str(caught.value).split("such as ")[1].split(", or move")[0]
    assert set(Images(8).read(Path(named))[1] or ()) == {"cup", "pen"}


def test_a_folder_within_a_class_folder_is_named(tmp_path: Path):
    web = pictures(tmp_path / "web")
    (web / "cup" / "old").mkdir()
    with pytest.raises(ValueError, match="old: a folder within a class folder; move its images up, or"):
        Images(8).read(web)


@pytest.mark.parametrize("suffix", ["PNG", "JPG", "JPEG", "Bmp", "TIF"])
def test_suffixes_are_read_in_any_case(suffix: str, tmp_path: Path):
    assert len(Images(8).read(pictures(tmp_path, suffix=suffix))[0]) == 10


def test_the_names_of_the_first_domain_decide_and_their_numbers_follow(tmp_path: Path):
    one, two = pictures(tmp_path / "a", ("ant", "bee", "cat")), pictures(tmp_path / "b", ("bee", "cat"))
    (first, second), _ = read_domains([one, two], size=8)
    assert (first.classes, second.classes) == (("ant", "bee", "cat"),) * 2
    assert set(second.train.y.tolist()) == {1, 2}
    with pytest.raises(ValueError, match=r"'Bee' is none of the classes of a: ant, bee, cat.*did you mean 'bee'"):
        read_domains([one, pictures(tmp_path / "c", ("Bee",))], size=8)


# More than eight bits a pixel


@pytest.mark.parametrize(("largest", "bits"), [(255, 8), (1023, 10), (4095, 12), (16383, 14), (65535, 16), (3000, 12)])
@pytest.mark.parametrize("how", ["png", "tif", "pgm"])
def test_the_bits_in_use_fill_the_bytes(largest: int, bits: int, how: str, tmp_path: Path):
    values = shades(largest)
    path = tmp_path / f"x.{how}"
    if how == "pgm":
        path.write_bytes(b"P5 8 8 65535\n" + values.astype(">u2").tobytes())
    else:
        deep(path, values)
    assert np.array_equal(Images(8, 1).read(tmp_path)[0][0, 0], values >> (bits - 8))
    assert np.array_equal(Images(8, 1).one(path)[0], values >> (bits - 8))


def test_all_images_of_a_stream_and_of_a_saved_model_are_read_alike(tmp_path: Path):
    for c in "ab":
        for i in range(10):
            deep(tmp_path / "one" / c / f"{i}.png", shades(4095 if i else 100, i))
            deep(tmp_path / "two" / c / f"{i}.png", shades(900, i))
    (one, two), reader = read_domains([tmp_path / "one", tmp_path / "two"], size=8)
    assert reader.spec()["bits"] == 12
    assert int(torch.as_tensor(one.train.x).max()) == 255
    assert int(torch.as_tensor(two.train.x).max()) == 900 >> 4
    again = reader_from(reader.spec())
    assert torch.equal(again.read(tmp_path / "two" / "a" / "0.png")[0][0, 0], torch.tensor(shades(900, 0) >> 4))  # type: ignore[union-attr]
    deep(tmp_path / "three" / "a" / "0.png", shades(65535))
    with pytest.warns(UserWarning, match="use 16 bits a pixel, more than the 12"):
        x, *_ = again.read(tmp_path / "three")
    assert int(torch.as_tensor(x).max()) == 255


def test_images_of_eight_bits_are_read_as_before(tmp_path: Path):
    _, reader = read_domains([pictures(tmp_path)], size=8)
    assert "bits" not in reader.spec()
    for bits in (7, 17, 12.0, True, "12"):
        with pytest.raises(ValueError, match="expected None, or a whole number from 8 to 16"):
            Images(bits=bits)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"])
def test_images_of_every_mode_of_eight_bits_are_read(mode: str, tmp_path: Path):
    values = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(values).convert("RGB").convert(mode if mode != "LAB" else "RGB")
    kind = "tif" if mode in ("CMYK", "YCbCr") else "png"
    (image if mode not in ("LAB", "HSV") else image.convert("RGB")).save(tmp_path / f"x.{kind}")
    assert Images(8).read(tmp_path)[0].float().std() > 20


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((8, 8), 0.5, np.float32), "its pixels are fractions, whose range is unknown; save it with 8 or 16"),
        (np.full((8, 8), 70000, np.int32), "more than 16 bits a pixel; save it with 8 or 16"),
        (np.full((8, 8), -1, np.int32), "more than 16 bits a pixel; save it with 8 or 16"),
    ],
)
def test_pixels_without_a_range_are_refused_by_name(values: np.ndarray, words: str, tmp_path: Path):
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=rf"x\.tif: no image that can be read \({words}"):
        Images(8).read(tmp_path)


# Memory


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(1, 65_000_000), (65_000_000, 1), (9000, 9000), (600, 600)])
@pytest.mark.parametrize(("depth", "colour"), [(8, 0), (8, 2), (16, 0), (8, 6)])
def test_a_file_that_cannot_contain_its_pixels_is_refused_before_they_are_unpacked(
    width: int, height: int, depth: int, colour: int, tmp_path: Path, monkeypatch
):
    (tmp_path / "x.png").write_bytes(png(width, height, depth, colour, b"\0" * 50))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(ValueError, match=rf"{width} x {height} pixels cannot be in \d+ bytes"):
        Images(8).one(tmp_path / "x.png")


@pytest.mark.parametrize("colour", [0, 2])
def test_the_emptiest_whole_image_is_read(colour: int, tmp_path: Path):
    side, channels = 1500, 3 if colour else 1
    (tmp_path / "x.png").write_bytes(png(side, side, 8, colour, (b"\0" * (1 + side * channels)) * side))
    assert Images(8).one(tmp_path / "x.png").unique().tolist() == [0]


@pytest.mark.parametrize("crop", [None, 0.875])
def test_a_large_image_is_nearly_what_it_was_without_being_shrunk_first(
    crop: float | None, tmp_path: Path, monkeypatch
):
    down, across = np.mgrid[:900, :1200] / 150
    large = (127 + 60 * np.sin(down) + 60 * np.cos(across)).astype(np.uint8)
    Image.fromarray(large).save(tmp_path / "x.png")
    usual = Images(8, 1, crop).one(tmp_path / "x.png").int()
    monkeypatch.setattr("tladapt.readers.pixels.LARGE", 1000)
    difference = (Images(8, 1, crop).one(tmp_path / "x.png").int() - usual).abs().float()
    assert difference.max() <= 3


def test_images_that_stay_in_their_files_are_stretched_alike(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tladapt.readers.folders.LARGEST", 10)
    for i, largest in enumerate((4095, 50)):
        deep(tmp_path / f"{i}.png", shades(largest))
    images, _, _ = Images(8, 1).read(tmp_path)
    assert isinstance(images, ImageFiles)
    assert [int(images[i].max()) for i in range(2)] == [255, 50 >> 4]


def test_a_pipe_among_the_images_is_refused_at_once(tmp_path: Path):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("the operating system has no named pipes")
    pictures(tmp_path)
    os.mkfifo(tmp_path / "cup" / "z.png")
    with pytest.raises(ValueError, match=r"z\.png: no image that can be read"):
        read_domains([tmp_path], size=8)


# Sounds at rates that have no common divisor


@pytest.mark.parametrize("rate", [383_997, 16_001, 44_100, 22_051, 11_127, 8000])
def test_a_tone_keeps_its_pitch_at_any_rate(rate: int, monkeypatch):
    import scipy.signal

    usual, longest = scipy.signal.resample_poly, [0]

    def watched(x, up, down):
        longest[0] = max(up, down)
        return usual(x, up, down)

    monkeypatch.setattr(scipy.signal, "resample_poly", watched)
    seconds = np.arange(rate // 2) / rate
    found = _resampled(np.sin(2 * math.pi * 440 * seconds) / 2, rate, 16_000)
    expected = np.sin(2 * math.pi * 440 * np.arange(len(found)) / 16_000) / 2
    assert longest[0] <= 16_000
    assert abs(len(found) - 8000) <= 2
    middle = slice(500, 7000)
    assert np.abs(found[middle] - expected[middle]).max() < 0.02
