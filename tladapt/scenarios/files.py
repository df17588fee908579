"""Where scenarios find their files."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:  # torchvision takes a second to import, and most scenarios need none of it
    from torchvision.datasets import CIFAR10, MNIST, USPS

FOLDER = "TLADAPT_DATA"  # the environment variable
RAW = "MNIST/raw"
MD5 = {  # of MNIST as it is unpacked
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@contextmanager
def without_warnings() -> Iterator[None]:
    """Context manager that drops the warnings of readers: the tables of a named scenario are known and stay as is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


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


def torchvision_images(kind: "type[MNIST | USPS | CIFAR10]", train: bool) -> tuple[Tensor, Tensor]:
    """Images as bytes (n, channels, height, width) and labels, from torchvision's files; downloaded where missing.

    What is downloaded has the digests that torchvision knows, or is thrown away. What is there has the known digests
    of MNIST and CIFAR-10 (which are compared before anything is unpickled); USPS is text, of which there are several
    archives.

    Raises
    ------
    ValueError
        If they are neither there nor to be had, or not what they should be; nothing that is there is replaced.
    """
    folder, names = data_folder(), _names(kind, train)
    if not all((folder / name).is_file() for name in names):
        _fetch(kind, train, names)
    try:
        x, y = _read(kind, folder, train)
    except (EOFError, IndexError, OSError, RuntimeError, ValueError) as error:
        what = f"{folder} has another {kind.__name__} than torchvision knows, or a damaged one"
        raise ValueError(f"{what} ({_line(error)}); set {FOLDER} to another folder, or delete {names[0]}") from error
    return x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous(), y.long()


def _names(kind: "type[MNIST | USPS | CIFAR10]", train: bool) -> list[str]:
    """The files that torchvision keeps of it."""
    from torchvision.datasets import CIFAR10, MNIST, USPS

    if issubclass(kind, MNIST):
        return [f"{RAW}/{name}" for name in MD5]
    if issubclass(kind, USPS):
        return [USPS.split_list["train" if train else "test"][1]]
    return [
        f"{CIFAR10.base_folder}/{name}" for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list, ("batches.meta", "")]
    ]


def _fetch(kind: "type[MNIST | USPS | CIFAR10]", train: bool, names: list[str]) -> None:
    """Download into a folder of its own, as torchvision leaves there what is torn or altered; take what is whole."""
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=folder) as aside:
            kind(aside, train=train, download=True)
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(aside) / name).replace(folder / name)
    except (EOFError, HTTPException, OSError, RuntimeError) as error:
        raise ValueError(
            f"{folder} has no {kind.__name__} as torchvision keeps it, nor can it be downloaded ({_line(error)}); set "
            f"{FOLDER} to a folder that has it"
        ) from error


def _read(kind: "type[MNIST | USPS | CIFAR10]", folder: Path, train: bool) -> tuple[Tensor, Tensor]:
    from torchvision.datasets import MNIST

    if issubclass(kind, MNIST):
        return _mnist(folder / RAW, train)
    return _of_torchvision(kind(str(folder), train=train))


def _mnist(folder: Path, train: bool) -> tuple[Tensor, Tensor]:
    """As torchvision reads them, which compares no digests of its unpacked files."""
    from torchvision.datasets.mnist import read_image_file, read_label_file
    from torchvision.datasets.utils import check_integrity

    names = [name for name in MD5 if name.startswith("train" if train else "t10k")]
    for name in names:
        if not check_integrity(folder / name, MD5[name]):
            raise ValueError(f"{name} has not the MD5 {MD5[name]}")
    images, labels = (str(folder / name) for name in names)
    return read_image_file(images), read_label_file(labels)


def _of_torchvision(data: Any) -> tuple[Tensor, Tensor]:
    return torch.as_tensor(data.data), torch.as_tensor(data.targets)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
