"""Shifts to choose defaults on: made of the training rows of sources alone, by one rule for all sets, drawn by seed.

No row that a scenario scores is read, and no row of a domain that is the target of a scenario. A set's rows are halved;
the second half is changed by `shifted` and plays the target.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from sets import coil, electricity, fashion
from torch import Tensor
from torch.nn import functional as F

from tladapt import Domain, Model
from tladapt.backbones import cnn, mlp, word2vec
from tladapt.readers.texts import Texts, word_tokenizer
from tladapt.scenarios import named
from tladapt.scenarios.files import data_folder
from tladapt.scenarios.sentences import word_vectors
from tladapt.seeding import generator
from tladapt.streams import members

ROWS = 1500  # of a set, at most


@dataclass(frozen=True)
class Proxy:
    """Rows of one source, and the network for them."""

    kind: str  # "images", "numbers" or "words"
    x: Any
    y: Tensor
    classes: int
    network: Callable[[], Model]
    lr: float = 1e-3


def training_rows(scenario: str) -> tuple[Any, Tensor, int]:
    """The training rows of the scenario's source: the rest of it is scored."""
    source = members(named(scenario).stream[0])[0]
    return source.train.x, source.train.y, len(source.classes)


def of_images(x: Tensor, y: Tensor, side: int) -> Proxy:
    """Images, made smaller, and a small convolutional network."""
    x = x / 255 if x.dtype == torch.uint8 else x
    x, y = few(x.float(), y)
    x = F.interpolate(x, size=(side, side), mode="area")
    classes = int(y.max()) + 1
    return Proxy("images", x, y, classes, partial(cnn, x.shape[1], side, 8, 64, classes=classes))


def of_numbers(x: Tensor, y: Tensor) -> Proxy:
    """Rows of numbers, and a fully connected network."""
    x, y = few(x, y)
    x = ((x - x.mean(0)) / x.std(0).clamp(min=1e-6)).float()
    classes = int(y.max()) + 1
    return Proxy("numbers", x, y, classes, partial(mlp, x.shape[1], (64, 64), classes=classes))


def of_texts(sentences: list[str], labels: list[int]) -> Proxy:
    """Texts, and the mean of word vectors that were trained on them."""
    order = torch.randperm(len(sentences), generator=generator(0, "proxies"))[:ROWS].tolist()
    sentences, y = [sentences[i] for i in order], torch.tensor([labels[i] for i in order])
    vectors = word_vectors(sentences, epochs=5, least=2)
    reader = Texts(word_tokenizer(vectors.words), length=30)
    classes = int(y.max()) + 1
    return Proxy("words", reader.encode(sentences), y, classes, partial(word2vec, vectors, 128, classes=classes), 0.01)


def few(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """At most `ROWS` of them, at random."""
    rows = torch.randperm(len(x), generator=generator(0, "proxies"))[:ROWS]
    return x[rows], y[rows]


def proxy_digits() -> Proxy:
    """The upright digits that `digits` learns from."""
    x, y, _ = training_rows("digits")
    return of_images(x, y, 8)


def proxy_fashion() -> Proxy:
    """Training images of FashionMNIST, which is in no scenario."""
    x, y = map(torch.from_numpy, fashion())
    return of_images(x[:, None], y.long(), 14)


def proxy_x_rays() -> Proxy:
    """The radiographs that `chest-x-rays` learns from."""
    x, y, _ = training_rows("chest-x-rays")
    return of_images(x, y, 14)


def proxy_coil() -> Proxy:
    """Views of twenty objects as 1 024 numbers, in no scenario."""
    _, rows = coil()
    return of_numbers(*_floats(rows))


def proxy_electricity() -> Proxy:
    """The first half of a stream of prices, in no scenario."""
    _, rows = electricity()
    return of_numbers(*_floats(rows[: len(rows) // 2]))


def _floats(rows: list[list[str]]) -> tuple[Tensor, Tensor]:
    names = sorted({row[-1] for row in rows})
    y = torch.tensor([names.index(row[-1]) for row in rows])
    return torch.tensor([[float(cell) for cell in row[:-1]] for row in rows]), y


def proxy_men() -> Proxy:
    """The men of `adult` that it learns from."""
    x, y, _ = training_rows("adult")
    return of_numbers(x, y)


def proxy_calls() -> Proxy:
    """The calls of the first half of `bank-marketing` that it learns from."""
    x, y, _ = training_rows("bank-marketing")
    return of_numbers(x, y)


def proxy_intents() -> Proxy:
    """The training sentences of the first three fields of `intents`, which has no target."""
    folder = data_folder() / "clinc150"
    fields = json.loads((folder / "domains.json").read_text())
    classes = [intent for field in list(fields)[:3] for intent in fields[field]]
    rows = [(text, classes.index(label)) for text, label in json.loads((folder / "data_full.json").read_text())["train"]
            if label in classes]  # fmt: skip
    return of_texts([text for text, _ in rows], [label for _, label in rows])


def proxy_news() -> Proxy:
    """Training articles of AG News, in no scenario."""
    folder = data_folder() / "olora" / "agnews"
    rows, classes = (_json(folder / f"{name}.json.gz") for name in ("train", "labels"))
    return of_texts([row["sentence"] for row in rows], [classes.index(row["label"]) for row in rows])


def _json(path: Path) -> Any:
    with gzip.open(path) as file:
        return json.load(file)


PROXIES: dict[str, Callable[[], Proxy]] = {
    make.__name__.removeprefix("proxy_"): cache(make)
    for make in (
        proxy_digits, proxy_fashion, proxy_x_rays, proxy_coil, proxy_electricity, proxy_men,
        proxy_calls, proxy_intents, proxy_news,
    )
}  # fmt: skip


def shifted(kind: str, x: Any, random: torch.Generator) -> Any:
    """The rows under a change that `random` draws: one rule for each kind of input."""
    if kind == "images":
        return _images_shifted(x, random)
    if kind == "numbers":
        return _numbers_shifted(x, random)
    keep = torch.rand(int(x["input_ids"].max()) + 1, generator=random) > 0.4  # words that the new domain knows
    return {**x, "input_ids": torch.where(keep[x["input_ids"]], x["input_ids"], 0)}


def _images_shifted(x: Tensor, random: torch.Generator) -> Tensor:
    """Another size and place, another contrast and brightness, and noise; neither turned nor sheared."""
    draw = torch.rand(6, generator=random).tolist()
    size, across, down = 0.75 + 0.6 * draw[0], 0.3 * (draw[1] - 0.5), 0.3 * (draw[2] - 0.5)
    place = torch.tensor([[size, 0.0, across], [0.0, size, down]]).expand(len(x), 2, 3)
    moved = F.grid_sample(x, F.affine_grid(place, list(x.shape), align_corners=False), align_corners=False)
    changed = moved * (0.4 + 0.6 * draw[3]) + 0.3 * draw[4]
    return changed + 0.15 * draw[5] * torch.randn(x.shape, generator=random)


def _numbers_shifted(x: Tensor, random: torch.Generator) -> Tensor:
    """Half of the columns in other units and from another zero, some columns not measured, and noise."""
    columns = x.shape[1]
    other = (torch.rand(columns, generator=random) < 0.5).float()
    scale = 1 + other * (0.5 + torch.rand(columns, generator=random) - 1)
    offset = other * 0.8 * torch.randn(columns, generator=random)
    measured = (torch.rand(columns, generator=random) > 0.2).float()
    return (x * scale + offset) * measured + 0.2 * torch.randn(x.shape, generator=random)


def pair(proxy: Proxy, seed: int) -> tuple[Domain, Domain]:
    """A source, and other rows of it that are shifted; three tenths of both are held out to score on."""
    random = generator(seed, "proxy")
    order = torch.randperm(len(proxy.y), generator=random)
    half = len(order) // 2
    first, second = (_taken(proxy.x, rows) for rows in (order[:half], order[half:]))
    source = Domain("source", (first, proxy.y[order[:half]]), 0.3, classes=proxy.classes)
    changed = shifted(proxy.kind, second, random)
    return source, Domain("target", (changed, proxy.y[order[half:]]), 0.3, classes=proxy.classes)


def halves(proxy: Proxy, seed: int) -> tuple[Domain, Domain]:
    """The rows of one half of the classes, then those of the other half, as two tasks."""
    order = torch.randperm(proxy.classes, generator=generator(seed, "classes"))
    parts = []
    for name, classes in (("first", order[: proxy.classes // 2]), ("second", order[proxy.classes // 2 :])):
        rows = torch.isin(proxy.y, classes).nonzero().flatten()
        parts.append(Domain(name, (_taken(proxy.x, rows), proxy.y[rows]), 0.3, classes=proxy.classes))
    return parts[0], parts[1]


def _taken(x: Any, rows: Tensor) -> Any:
    return {name: part[rows] for name, part in x.items()} if isinstance(x, dict) else x[rows]
