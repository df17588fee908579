"""Twelve of the shared data sets as files that a user would have: CSV tables, and folders of images by class."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import loadmat
from sklearn.datasets import load_digits
from torchvision.datasets import FashionMNIST

from tladapt.scenarios.credit import GERMAN
from tladapt.scenarios.files import data_folder
from tladapt.scenarios.records import CENSUS, cells
from tladapt.storage.files import made

ROWS = 3000  # of a set, at most
Rows = tuple[list[str], list[list[str]]]  # the names of the columns, the label last; the cells


def heart() -> Rows:
    """Heart disease in one hospital: 303 rows."""
    header, rows = cells(data_folder() / "tabular/heart_disease/processed.cleveland.data", ",")
    return [*header[:-1], "label"], [[*row[:-1], str(int(float(row[-1]) > 0))] for row in rows]


def german() -> Rows:
    """Loans of a German bank: 1 000 rows."""
    _, rows = cells(data_folder() / "tabular/german_credit/german.csv", ",", header=False)
    return list(GERMAN), rows


def bank() -> Rows:
    """Calls of a bank."""
    header, rows = cells(data_folder() / "tabular/bank_marketing/bank-additional-full.csv.gz", ";")
    return [*header[:-1], "label"], rows


def adult() -> Rows:
    """Incomes."""
    _, rows = cells(data_folder() / "tabular/adult/adult.data.gz", ",", header=False)
    return list(CENSUS), [row for row in rows if len(row) == len(CENSUS)]


def credit() -> Rows:
    """Credit cards in Taiwan."""
    header, rows = cells(data_folder() / "tabular/credit_default_taiwan/UCI_Credit_Card.csv.gz", ",")
    return [*header[1:-1], "label"], [row[1:] for row in rows]


def electricity() -> Rows:
    """Whether the price of electricity rises."""
    with gzip.open(data_folder() / "streams/electricity.csv.gz", "rt", newline="") as file:
        header, *rows = csv.reader(file)
    return [*header[:-1], "label"], rows


def surf() -> Rows:
    """Photographs of ten kinds of objects as counts of 800 visual words: 958 rows."""
    stored = loadmat(data_folder() / "office_caltech10/features/surf/amazon.mat")
    return _numbers(stored["fts"], stored["labels"].ravel())


def coil() -> Rows:
    """Photographs of twenty objects as 1 024 pixels: 720 rows."""
    stored = loadmat(data_folder() / "coil20/COIL_1.mat")
    x, y = stored["X_src"], stored["Y_src"].ravel()
    return _numbers(x.T if x.shape[0] != len(y) else x, y)


def _numbers(x: np.ndarray, y: np.ndarray) -> Rows:
    rows = [[*(f"{value:.6g}" for value in row), f"class {int(label)}"] for row, label in zip(x, y, strict=True)]
    return [*(f"column {i}" for i in range(x.shape[1])), "label"], rows


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits, 8 x 8: 1 797 images."""
    found: Any = load_digits()
    return (found.images * 255 / 16).round().astype(np.uint8), found.target


def fashion() -> tuple[np.ndarray, np.ndarray]:
    """Clothes, 28 x 28."""
    found = FashionMNIST(str(data_folder()), train=True)
    return found.data.numpy(), found.targets.numpy()


def cifar() -> tuple[np.ndarray, np.ndarray]:
    """Photographs of ten kinds, 32 x 32, in colour."""
    folder = next(path for path in (data_folder() / "cifar10_subset").rglob("train") if path.is_dir())
    files = sorted(folder.glob("*/*"))
    names = sorted({file.parent.name for file in files})
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    return images, np.array([names.index(file.parent.name) for file in files])


def x_rays() -> tuple[np.ndarray, np.ndarray]:
    """Radiographs of the chest with and without pneumonia, 28 x 28."""
    with np.load(data_folder() / "medmnist/pneumoniamnist.npz") as stored:
        return stored["train_images"], stored["train_labels"].ravel()


TABLES: dict[str, Callable[[], Rows]] = {
    function.__name__: function for function in (heart, german, bank, adult, credit, electricity, surf, coil)
}
IMAGES: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    function.__name__: function for function in (digits, fashion, cifar, x_rays)
}
SETS = [*TABLES, *IMAGES]


def written(name: str, folder: Path, seed: int) -> tuple[Path, Path]:
    """Write two thirds of the rows as a labelled domain, one third as another without labels; returns their paths.

    The rows, `ROWS` at most, are drawn by `seed`.
    """
    made(folder)
    if name in TABLES:
        header, rows = TABLES[name]()
        order = np.random.default_rng(seed).permutation(len(rows))[:ROWS]
        cut = 2 * len(order) // 3
        paths = folder / "labelled.csv", folder / "unlabelled.csv"
        _table(paths[0], header, [rows[i] for i in order[:cut]])
        _table(paths[1], header[:-1], [rows[i][:-1] for i in order[cut:]])
        return paths
    images, labels = IMAGES[name]()
    order = np.random.default_rng(seed).permutation(len(images))[:ROWS]
    cut = 2 * len(order) // 3
    for number, i in enumerate(order):
        part = folder / "labelled" / f"class {labels[i]}" if number < cut else folder / "unlabelled"
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i]).save(part / f"{number}.png")
    return folder / "labelled", folder / "unlabelled"


def _table(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
