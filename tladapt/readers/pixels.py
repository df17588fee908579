"""The pixels of an image file as grey or colour bytes, in memory that its size justifies."""

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tladapt.readers.class_folders import require_file

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # no others: for some, Pillow starts other programs
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners fill of 16
DEEP = ("I", "F")  # the first letters of Pillow's modes of more than 8 bits
LARGE = 2**25  # pixels of an image that is reduced before it is converted
DEFLATE = 1032  # times smaller than the pixels the data of a PNG file can be
LOOKED_AT = 1000  # images whose values say how many bits are in use


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """Open an image, upright as its camera was; nothing is unpacked that the file cannot contain.

    Raises
    ------
    ValueError, OSError
        If it is not an image, or claims more pixels than its bytes can hold.
    """
    require_file(file)
    with Image.open(file, formats=FORMATS) as image:
        if image.format == "PNG":
            _require_enough(file)
        ImageOps.exif_transpose(image, in_place=True)
        yield image


def resized(
    image: Image.Image, size: tuple[int, int], how: Image.Resampling, *, mode: str, bits: int | None
) -> Image.Image:
    """Convert an image to bytes, and resize it.

    Parameters
    ----------
    mode : {"L", "RGB"}
        Grey or colour.
    bits : int, optional
        How many bits are in use in an image of more than 8 bits a pixel; by default as its own values show.

    Notes
    -----
    An image of more than 33 million pixels is shrunk by means over whole blocks first, to four times `size`, and a grey
    one gets its colours last, so that neither takes much more memory than its own pixels.
    """
    if image.mode.startswith(DEEP):
        image = _eight_bits(image, bits)
    large = image.width * image.height > LARGE
    if image.mode != mode and not (large and image.mode == "L"):
        image = image.convert(mode)
    small = image.resize(size, how, reducing_gap=4.0 if large else None)
    return small if small.mode == mode else small.convert(mode)


def _eight_bits(image: Image.Image, bits: int | None) -> Image.Image:
    values = _values(image)
    shift = (depth([int(values.max())]) if bits is None else bits) - 8
    return Image.fromarray(np.minimum(values >> shift, 255).astype(np.uint8))


def depth(largest: Sequence[int]) -> int:
    """Return how many bits images use whose largest values are given: the least of 8, 10, 12, 14 and 16 that will do.

    >>> depth([900, 4095]), depth([255]), depth([60000])
    (12, 8, 16)
    """
    return next(bits for bits in DEPTHS if max(largest) < 2**bits)


def depth_in_use(files: Sequence[Path]) -> int | None:
    """Return how many bits images of more than 8 bits use, all together; None if there are no such images.

    Of more than 1000 such images, 1000 are looked at, evenly spread.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        deep = [file for file in files if _is_deep(file)]
        some = deep[:: -(-len(deep) // LOOKED_AT)] if deep else []
        largest = [value for file in some if (value := largest_value(file)) is not None]
    return depth(largest) if largest else None


def largest_value(file: Path) -> int | None:
    """Return the largest value of a pixel of an image of more than 8 bits; None if it cannot be read."""
    try:
        with opened(file) as image:
            return int(_values(image).max())
    except Exception:  # of a damaged file, anything; it is refused by name when it is read
        return None


def _is_deep(file: Path) -> bool:
    try:
        require_file(file)
        with Image.open(file, formats=FORMATS) as image:
            return image.mode.startswith("I")
    except Exception:  # of a damaged file, anything; it is refused by name when it is read
        return False


def _values(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise ValueError("its pixels are fractions, whose range is unknown; save it with 8 or 16 whole bits a pixel")
    values = np.asarray(image)
    if values.min() < 0 or values.max() >= 2**16:
        raise ValueError("more than 16 bits a pixel; save it with 8 or 16")
    return values.astype(np.uint16)


def _require_enough(file: Path) -> None:
    """Refuse a PNG file whose data end before its pixels do."""
    with file.open("rb") as content:
        head = content.read(26)
        size = content.seek(0, 2)
    if len(head) < 26 or head[12:16] != b"IHDR":
        return
    width, height, bits, kind = struct.unpack(">IIBB", head[16:26])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 1)
    needed = height * -(-width * bits * channels // 8)
    if needed > DEFLATE * size:
        raise ValueError(f"{width} x {height} pixels cannot be in {size} bytes; the file is damaged or cut off")
