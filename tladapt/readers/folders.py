"""Folders of images: one folder per class, or, for images without labels, the images themselves."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from tladapt.readers.class_folders import files_in
from tladapt.readers.limits import is_real, is_whole
from tladapt.readers.pixels import FORMATS, depth_in_use, opened, resized

INTERPOLATIONS = ("bilinear", "bicubic")
LARGEST = 2**31  # bytes of images that are kept in memory; more are read when they are asked for
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
    bits : int, optional
        How many bits are in use in images of 16 bits a pixel, 8 to 16: X-rays often use 12 of them. The upper 8 of
        these are read, and larger values are white. By default the least of 8, 10, 12, 14 and 16 that the images of a
        folder need, all together; `read_domains` and a saved model take that of the first domain's training images for
        all others.

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
    bits: int | None = None

    def __post_init__(self) -> None:
        if not is_whole(self.size, 1, SIDE):
            raise ValueError(f"Images(size={self.size!r}): expected a whole number of pixels from 1 to {SIDE}")
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise ValueError(f"Images(channels={self.channels!r}): expected 1 (grey) or 3 (RGB)")
        if self.crop is not None and not (is_real(self.crop) and 0 < self.crop <= 1):
            raise ValueError(f"Images(crop={self.crop!r}): expected None, or a share in (0, 1]")
        if self.bits is not None and not is_whole(self.bits, 8, 16):
            raise ValueError(f"Images(bits={self.bits!r}): expected None, or a whole number from 8 to 16")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"Images(interpolation={self.interpolation!r}): expected {' or '.join(INTERPOLATIONS)}")

    def read(self, path: Path) -> tuple[Any, list[str] | None, list[str]]:
        """The images, the name of each one's class (None for images without), and their paths.

        More than 2 GB of images are not read yet, but given as a data set that reads them when they are asked for.

        Raises
        ------
        ValueError
            If there are none, a file is not an image or has more than 16 bits a pixel, or images lie both beside and
            within class folders.
        """
        files, labels = files_in(path, "images")
        same = self.fitted(files)
        if self.bits is not None and (used := depth_in_use(files) or 0) > self.bits:
            warnings.warn(
                f"{path}: its images use {used} bits a pixel, more than the {self.bits} that the reader was made for; "
                "larger values are white",
                stacklevel=2,
            )
        small = len(files) * self.channels * self.size**2 <= LARGEST
        images = torch.stack([same.one(file) for file in files]) if small else ImageFiles(same, files)
        return images, labels, list(map(str, files))

    def fitted(self, files: Sequence[Path]) -> "Images":
        """Return the reader with the number of bits that these images use, if any has more than 8; see `bits`."""
        return self if self.bits is not None else replace(self, bits=depth_in_use(files))

    def one(self, file: Path) -> Tensor:
        """The image of one file, (channels, size, size)."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as a palette that is not as it should be
                warnings.simplefilter("error", Image.DecompressionBombWarning)  # too large to be honest
                small = self._small(file)
        except UnidentifiedImageError as error:
            raise ValueError(
                f"{file}: no image that can be read (not one of {', '.join(FORMATS)}); if it is not an image, move it "
                "out of the folder"
            ) from error
        except Exception as error:  # of a damaged file, anything
            raise ValueError(f"{file}: no image that can be read ({error})") from error
        return torch.from_numpy(np.array(small)).reshape(self.size, self.size, -1).permute(2, 0, 1)

    def _small(self, file: Path) -> Image.Image:
        mode, how = "L" if self.channels == 1 else "RGB", Image.Resampling[self.interpolation.upper()]
        with opened(file) as image:
            if self.crop is None:
                return resized(image, (self.size, self.size), how, mode=mode, bits=self.bits)
            short, least = round(self.size / self.crop), min(image.size)
            width, height = (short if side == least else int(short * side / least) for side in image.size)
            if width * height > PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels: too long for its breadth")
            whole = resized(image, (width, height), how, mode=mode, bits=self.bits)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return whole.crop((left, top, left + self.size, top + self.size))

    def spec(self) -> dict[str, Any]:
        """What `reader_from` builds this again from."""
        given = {name: value for name, value in asdict(self).items() if name != "bits" or value is not None}
        return {"kind": "images", **given}


class ImageFiles(Dataset):
    """Images that are read from their files when they are asked for."""

    fixed = True  # an image is the same whenever it is read

    def __init__(self, images: Images, files: list[Path]) -> None:
        self.images, self.files = images, files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Tensor:
        return self.images.one(self.files[row])
