"""Where scenarios find their files."""

import os
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import CIFAR10, MNIST, USPS

FOLDER = "TLADAPT_DATA"  # the environment variable


def data_folder() -> Path:
    """The folder in the variable TLADAPT_DATA, or ~/.cache/tladapt."""
    return Path(os.environ.get(FOLDER) or "~/.cache/tladapt").expanduser()


def find(name: str, what: str) -> Path:
    """The path of a file or folder in the data folder.

    Raises
    ------
    ValueError
        If it is not there; says what belongs where.
    """
    path = data_folder() / name
    if not path.exists():
        raise ValueError(f"{path} is missing: put {what} there, or set {FOLDER} to the folder that holds {name}")
    return path


def torchvision_images(kind: type[MNIST | USPS | CIFAR10], train: bool) -> tuple[Tensor, Tensor]:
    """Images as bytes (n, channels, height, width) and labels, from torchvision's files; downloaded where missing.

    Raises
    ------
    ValueError
        If they are neither there nor to be had.
    """
    try:
        data = kind(str(data_folder()), train=train)
    except (OSError, RuntimeError):
        try:
            data = kind(str(data_folder()), train=train, download=True)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"{data_folder()} has no {kind.__name__} as torchvision keeps it, nor can it be downloaded; set "
                f"{FOLDER} to a folder that has it"
            ) from error
    x = torch.as_tensor(data.data)
    x = x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()
    return x, torch.as_tensor(data.targets).long()
