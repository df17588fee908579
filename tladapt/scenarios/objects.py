"""Photographs of objects: CIFAR-10 in stages of two classes, and Office-Caltech from one camera to another."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tladapt.backbones import cnn, vision
from tladapt.domains import Domain
from tladapt.methods import MMD, Replay
from tladapt.readers.folders import Images
from tladapt.scenarios.features import CAMERAS
from tladapt.scenarios.files import data_folder, find, torchvision_images
from tladapt.scenarios.scenario import Scenario, known
from tladapt.scenarios.splits import by_class
from tladapt.streams import adaptation

CIFAR, SUBSET = "cifar-10-batches-py", "cifar10_subset"
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
OFFICE = (
    "backpack", "bike", "calculator", "headphones", "keyboard", "laptop", "monitor", "mouse", "mug", "projector",
)  # fmt: skip
SIDE = 64  # of the photographs of Office-Caltech, in pixels
WHOLE = Images(SIDE, crop=1.0)  # the square in the middle: nothing is distorted


def split_cifar10(increment: str = "class") -> Scenario:
    """Five stages of two classes of CIFAR-10 each; task- or class-incremental."""
    whole = (data_folder() / CIFAR).is_dir() or not (data_folder() / SUBSET).is_dir()
    train, test = (_cifar10(part) if whole else _classes(data_folder() / SUBSET / part, THINGS, Images())
                   for part in ("train", "test"))  # fmt: skip
    about = f"{'CIFAR-10' if whole else f'the {len(train[0])} + {len(test[0])} images of {SUBSET}'}, two new classes"
    return Scenario(
        name="split-cifar10", about=f"{about} in each of five stages", method=partial(Replay, 500),
        stream=by_class(Domain("cifar10", train, test, classes=THINGS), 5), increment=increment,
        network=partial(cnn, 3, 32, classes=THINGS), inputs=Images().spec(), steps=100,
    )  # fmt: skip


def office_images(source: str = "amazon", target: str = "webcam") -> Scenario:
    """Photographs of objects from one camera, then another without labels: amazon, caltech10, dslr, webcam."""
    names = [known("office-images", name, CAMERAS) for name in (source, target)]
    first, second = map(_photographs, names)
    return Scenario(
        name="office-images", about=f"photographs from {source}, then from {target} without labels", method=MMD,
        stream=adaptation(first, second), ceiling=[first, (first, second)],
        network=partial(vision, "timm/test_resnet", classes=OFFICE), inputs=WHOLE.spec(), steps=100, batch_size=32,
    )  # fmt: skip


def _cifar10(part: str) -> tuple[Tensor, Tensor]:
    """Images as bytes (n, 3, 32, 32) and labels, from torchvision's files."""
    from torchvision.datasets import CIFAR10

    try:
        return torchvision_images(CIFAR10, part == "train")
    except ValueError as error:
        raise ValueError(f"{error}: {CIFAR}, or {SUBSET} with a folder per class in train and in test") from error


def _photographs(name: str) -> Domain:
    folder = find(f"office_caltech10/images/{name}", "the photographs of Office-Caltech10, a folder per class,")
    return Domain(name, _classes(folder, OFFICE, WHOLE), 0.3, classes=OFFICE)


def _classes(folder: Path, classes: Sequence[str], reader: Images) -> tuple[Any, Tensor]:
    """Images as bytes and labels, from a folder per class.

    Raises
    ------
    ValueError
        If it has other folders than those of the classes, or one of them lacks images.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: expected a folder of images for each of {', '.join(classes)}")
    x, names, _ = reader.read(folder)
    if set(names or ()) != set(classes):
        raise ValueError(f"{folder}: expected a folder of images for each of {', '.join(classes)}, and no other")
    return x, torch.tensor([classes.index(name) for name in names or ()])
