"""Blood vessels in photographs of the retina: one camera, then another."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tladapt.backbones import unet
from tladapt.domains import Domain
from tladapt.methods import DANN
from tladapt.readers.folders import FORMATS
from tladapt.scenarios.files import find
from tladapt.scenarios.scenario import Scenario, known
from tladapt.streams import adaptation
from tladapt.tasks import Segmentation

TISSUE = ("background", "vessel")
SIDE, PATCH = 192, 96  # of an image, and of the quarters that it is cut into, in pixels
VESSEL = 100  # how white, of 255, a shrunk mask is where there is a vessel
DARK = 60  # the sum of red, green and blue up to which a pixel is beside the round image
SMALL = {"encoder_depth": 4, "decoder_channels": [64, 32, 16, 16]}
Pieces = tuple[Tensor, Tensor]  # images (n, 3, side, side) and their masks (n, side, side)


def vessels(source: str = "drive", target: str = "chase") -> Scenario:
    """Vessels of the retina by one camera, then by another without their masks: drive, chase.

    DRIVE: 20 + 20 Dutch adults, 45 degrees; CHASE_DB1: 10 + 4 British children, both eyes, 30 degrees, darker. Images
    are 192 pixels wide, in quarters, in their own colours; the first observer's masks; -1 beside the round image.
    """
    first, second = (CAMERAS[known("vessels", name, tuple(CAMERAS))]() for name in (source, target))
    return Scenario(
        name="vessels", about=f"vessels of the retina in {first.name}, then in {second.name} without masks",
        stream=adaptation(first, second), ceiling=[first, (first, second)], method=DANN,
        network=partial(unet, "tu-test_resnet", options=SMALL, classes=TISSUE), steps=60, batch_size=8, lr=3e-3,
        batchnorm="per-domain", task=Segmentation(),
    )  # fmt: skip


def _drive() -> Domain:
    """The training and test images as their authors split them."""
    parts = list[Pieces]()
    for part in ("training", "test"):
        folder = find(f"retina/DRIVE/{part}", "the photographs and masks of DRIVE")
        masks, fields = folder / "1st_manual", folder / "mask"
        images = [_image(file, masks / f"{file.name[:2]}_manual1.gif", fields / f"{file.stem}_mask.gif")
                  for file in _files(folder / "images")]  # fmt: skip
        parts.append(_cut(images))
    return Domain("drive", *parts, classes=TISSUE)


def _chase() -> Domain:
    """The first ten children to learn from, the other four to test on."""
    files = _files(find("retina/CHASE_DB1", "the photographs and masks of CHASE_DB1"))
    images = [_image(file, file.with_name(f"{file.stem}_1stHO.png"), None) for file in files]
    return Domain("chase", _cut(images[:20]), _cut(images[20:]), classes=TISSUE)


CAMERAS: dict[str, Callable[[], Domain]] = {"drive": _drive, "chase": _chase}


def _files(folder: Path) -> list[Path]:
    if not (files := sorted(folder.glob("*.jpg"))):
        raise ValueError(f"{folder}: no photographs in it (.jpg)")
    return files


def _image(photograph: Path, vessels: Path, field: Path | None) -> Pieces:
    """The square around the round image: RGB (3, side, side), and per pixel 1 for vessel, 0 for none, -1 outside."""
    try:
        opened = partial(Image.open, formats=FORMATS)
        with opened(photograph) as image, opened(vessels) as mask:
            rgb, truth = image.convert("RGB"), mask.convert("L")
        if field is None:
            lit = np.asarray(rgb, dtype=int).sum(2) > DARK
        else:
            with opened(field) as mask:
                lit = np.asarray(mask.convert("L")) > 127
    except OSError as error:
        raise ValueError(f"{photograph}: no photograph with its masks beside it ({error})") from error
    box, (rows, columns) = (SIDE, SIDE), np.nonzero(lit)
    x, y, radius = np.ptp(columns) / 2, np.ptp(rows) / 2, max(np.ptp(columns), np.ptp(rows)) / 2
    left, top = round(columns.min() + x - radius), round(rows.min() + y - radius)
    square = (left, top, left + round(2 * radius), top + round(2 * radius))
    small, shrunk, inside = (
        np.array(part.crop(square).resize(box, how))
        for part, how in (
            (rgb, Image.Resampling.BILINEAR), (truth, Image.Resampling.BOX),
            (Image.fromarray(lit), Image.Resampling.NEAREST),
        )
    )  # fmt: skip
    label = np.where(inside, shrunk >= VESSEL, -1)
    return torch.from_numpy(small).permute(2, 0, 1), torch.from_numpy(label)


def _cut(images: list[Pieces]) -> Pieces:
    """All images in pieces of equal size, image by image."""
    x, y = (torch.stack([image[i] for image in images]) for i in (0, 1))
    x = x.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    return x.contiguous(), y.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).flatten(0, 2).contiguous()
