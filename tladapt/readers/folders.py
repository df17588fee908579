"""Folders of images: one folder per class, or, for images without labels, the images themselves."""

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from tladapt.readers.limits import is_real, is_whole

INTERPOLATIONS = ("bilinear", "bicubic")
LARGEST = 2**31  # bytes of images that are kept in memory; more are read when they are asked for
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # no others: for some, Pillow starts other programs
SIDE = 4096  # pixels, at most
PIXELS = 2**27  # of an image that is resized before its middle is cut out


@dataclass(frozen=True)
class Images:
    """Images as bytes (n, channels, size, size).

    Parameters
    ----------
    size : int
        The side in pixels that every image is resized to (smoothed when shrunk); from 1 to 4096.
    channels : {1, 3}
        Grey or RGB.
    crop : float, optional
        In (0, 1]. None: the whole image, squeezed to a square. Else the square in the middle of the image, in its own
        proportions, whose side is this share of the shorter one; 224 / 256 where the shorter side was to be 256 pixels,
        and 224 to be cut out of it.
    interpolation : {"bilinear", "bicubic"}
        How pixels are found between pixels.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Notes
    -----
    Read are PNG, JPEG, BMP, GIF (its first picture), TIFF, WebP and PPM, whatever the file is called.
    """

    size: int = 32
    channels: int = 3
    crop: float | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not is_whole(self.size, 1, SIDE):
            raise ValueError(f"Images(size={self.size!r}): expected a whole number of pixels from 1 to {SIDE}")
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise ValueError(f"Images(channels={self.channels!r}): expected 1 (grey) or 3 (RGB)")
        if self.crop is not None and not (is_real(self.crop) and 0 < self.crop <= 1):
            raise ValueError(f"Images(crop={self.crop!r}): expected None, or a share in (0, 1]")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"Images(interpolation={self.interpolation!r}): expected {' or '.join(INTERPOLATIONS)}")

    def read(self, path: Path) -> tuple[Any, list[str] | None, list[str]]:
        """The images, the name of each one's class (None for images without), and their paths.

        More than 2 GB of images are not read yet, but given as a data set that reads them when they are asked for.

        Raises
        ------
        ValueError
            If there are none, a file is no image or has more than 16 bits a pixel, or images lie both beside and
            within class folders.
        """
        files, labels = files_in(path, "images")
        small = len(files) * self.channels * self.size**2 <= LARGEST
        images = torch.stack([self.one(file) for file in files]) if small else ImageFiles(self, files)
        return images, labels, list(map(str, files))

    def one(self, file: Path) -> Tensor:
        """The image of one file, (channels, size, size)."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as a palette that is not as it should be
                warnings.simplefilter("error", Image.DecompressionBombWarning)  # too large to be honest
                small = self._small(file)
        except Exception as error:  # of a damaged file, anything
            raise ValueError(f"{file}: no image that can be read ({error})") from error
        return torch.from_numpy(np.array(small)).reshape(self.size, self.size, -1).permute(2, 0, 1)

    def _small(self, file: Path) -> Image.Image:
        require_file(file)
        with Image.open(file, formats=FORMATS) as image:
            converted = _eight_bits(ImageOps.exif_transpose(image)).convert("L" if self.channels == 1 else "RGB")
        how = Image.Resampling[self.interpolation.upper()]
        if self.crop is None:
            return converted.resize((self.size, self.size), how)
        short, least = round(self.size / self.crop), min(converted.size)
        width, height = (short if side == least else int(short * side / least) for side in converted.size)
        if width * height > PIXELS:
            raise ValueError(f"{converted.width} x {converted.height} pixels: too long for its breadth")
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return converted.resize((width, height), how).crop((left, top, left + self.size, top + self.size))

    def spec(self) -> dict[str, Any]:
        """What `reader_from` builds this again from."""
        return {"kind": "images", **asdict(self)}


class ImageFiles(Dataset):
    """Images that are read from their files when they are asked for."""

    fixed = True  # an image is the same whenever it is read

    def __init__(self, images: Images, files: list[Path]) -> None:
        self.images, self.files = images, files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Tensor:
        return self.images.one(self.files[row])


def _eight_bits(image: Image.Image) -> Image.Image:
    """Images of 16 bits by their upper byte, which Pillow would cut off at 255; no others have more than 8."""
    if image.mode in ("I", "F"):
        raise ValueError("more than 16 bits a pixel; save it with 8 or 16")
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I;16") else image


def files_in(path: Path, what: str) -> tuple[list[Path], list[str] | None]:
    """The files, and the name of each one's class: of the folder per class that it lies in; None without such folders.

    Raises
    ------
    ValueError
        If there are none, files lie both beside and within class folders, or a link leads out of the folder; `what`
        says what they should be.
    """
    if path.is_file():
        return [path], None
    inside = path.resolve()
    entries = _visible(path, inside)
    folders = [entry for entry in entries if entry.is_dir()]
    if folders and len(folders) < len(entries):
        stray = next(entry for entry in entries if not entry.is_dir())
        raise ValueError(f"{stray}: lies beside class folders; move it into one")
    files = [file for folder in folders for file in _visible(folder, inside)] if folders else entries
    if not files:
        raise ValueError(f"{path}: no {what} in it")
    return files, [file.parent.name for file in files] if folders else None


def _visible(folder: Path, inside: Path) -> list[Path]:
    found = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    for entry in found:
        if entry.is_symlink() and not _resolved(entry).is_relative_to(inside):
            raise ValueError(f"{entry}: a link that leads out of {inside}; put what it leads to in its place")
    return found


def _resolved(link: Path) -> Path:
    try:
        return link.resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{link}: a link that leads nowhere ({error})") from error


def require_file(path: Path) -> None:
    """Refuse what is no file: a pipe, or a device, would be read without an end.

    Raises
    ------
    OSError
        If it is a folder, a pipe, a device, or not there.
    """
    if not path.is_file():
        raise OSError("no file" if path.exists() else "no such file")
