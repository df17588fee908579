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

INTERPOLATIONS = ("bilinear", "bicubic")
LARGEST = 2**31  # bytes of images that are kept in memory; more are read when they are asked for
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError)


@dataclass(frozen=True)
class Images:
    """Images as bytes (n, channels, size, size).

    Parameters
    ----------
    size : int
        The side in pixels that every image is resized to (smoothed when shrunk).
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
        If `crop` or `interpolation` is none of these.
    """

    size: int = 32
    channels: int = 3
    crop: float | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.crop is not None and not 0 < self.crop <= 1:
            raise ValueError(f"Images(crop={self.crop}): expected None, or a share in (0, 1]")
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
        except UNREADABLE as error:
            raise ValueError(f"{file}: no image that can be read ({error})") from error
        return torch.from_numpy(np.array(small)).reshape(self.size, self.size, -1).permute(2, 0, 1)

    def _small(self, file: Path) -> Image.Image:
        with Image.open(file) as image:
            converted = _eight_bits(ImageOps.exif_transpose(image)).convert("L" if self.channels == 1 else "RGB")
        how = Image.Resampling[self.interpolation.upper()]
        if self.crop is None:
            return converted.resize((self.size, self.size), how)
        short, least = round(self.size / self.crop), min(converted.size)
        width, height = (short if side == least else int(short * side / least) for side in converted.size)
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
        If there are none, or files lie both beside and within class folders; `what` says what they should be.
    """
    if path.is_file():
        return [path], None
    entries = _visible(path)
    folders = [entry for entry in entries if entry.is_dir()]
    if folders and len(folders) < len(entries):
        stray = next(entry for entry in entries if not entry.is_dir())
        raise ValueError(f"{stray}: lies beside class folders; move it into one")
    files = [file for folder in folders for file in _visible(folder)] if folders else entries
    if not files:
        raise ValueError(f"{path}: no {what} in it")
    return files, [file.parent.name for file in files] if folders else None


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
