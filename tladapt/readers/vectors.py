"""Word vectors from files of word2vec, GloVe, fastText and gensim."""

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tladapt.backbones.extras import needed


@dataclass(frozen=True)
class Vectors:
    """Words, each once, and their vectors (words, d)."""

    words: list[str]
    values: Tensor

    def __repr__(self) -> str:
        return f"Vectors({len(self.words)} words, {self.values.shape[1]} wide)"


def read_vectors(source: Any, limit: int | None = None) -> Vectors:
    """The vectors of a file, or of a gensim object.

    Parameters
    ----------
    source : str, Path, KeyedVectors, Word2Vec or Vectors
        A file in word2vec's text format, with or without its first line (GloVe, fastText), a `.gz` of one; its binary
        format (`.bin`, `.bin.gz`); what gensim has saved (`.kv`, `.model`); or KeyedVectors, Word2Vec or FastText of
        gensim. Files but those of text need gensim. What gensim has saved is a pickle, which can run any code: read
        none that you do not trust.
    limit : int, optional
        At most so many words, the first ones, which in most files are the most frequent.

    Raises
    ------
    ValueError, TypeError
        If there is no such file, it is damaged (naming the line), or gensim is missing.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"read_vectors(limit={limit}): expected 1 or more")
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise ValueError(f"{path}: no such file of word vectors")
        if {".bin", ".kv", ".model"} & set(path.suffixes):
            return _of_gensim(_by_gensim(path, limit), limit)
        return _text(path, limit)
    if isinstance(source, Vectors):
        return Vectors(source.words[:limit], source.values[:limit])
    if hasattr(source, "index_to_key") or hasattr(source, "wv"):
        return _of_gensim(source, limit)
    raise TypeError(f"vectors: {type(source).__name__} is no file, no Vectors and no KeyedVectors of gensim")


def _by_gensim(path: Path, limit: int | None) -> Any:
    models = needed("gensim.models", extra="embeddings")
    try:
        if ".bin" in path.suffixes:
            return models.KeyedVectors.load_word2vec_format(str(path), binary=True, limit=limit)
        return (models.KeyedVectors if path.suffix == ".kv" else models.Word2Vec).load(str(path))
    except Exception as error:  # of a damaged file, anything
        raise ValueError(f"{path}: no word vectors that can be read ({' '.join(str(error).split())[:200]})") from error


def _of_gensim(source: Any, limit: int | None) -> Vectors:
    keyed = getattr(source, "wv", source)
    return Vectors(list(keyed.index_to_key[:limit]), torch.tensor(keyed.vectors[:limit], dtype=torch.float32))


def _text(path: Path, limit: int | None) -> Vectors:
    found: dict[str, list[float]] = {}
    promised: list[int] | None = None
    number = width = 0
    for number, cells in _lines(path):
        if number == 1 and len(cells) == 2 and all(cell.isdigit() for cell in cells):
            promised = [int(cell) for cell in cells]
            width = promised[1]
            continue
        values = _numbers(cells[1:], width, f"{path}, line {number}")
        width = len(values)
        found.setdefault(cells[0], values)  # of two vectors for one word, the first
        if len(found) == limit:
            break
    else:
        if promised is not None and number - 1 != promised[0]:
            raise ValueError(f"{path}, line {number}: the last one, but line 1 says that {promised[0]} words follow it")
    if not found:
        raise ValueError(f"{path}: no word vectors in it")
    return Vectors(list(found), torch.tensor(list(found.values())))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of every line, which is numbered from 1."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8").rstrip().split(" ")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}, line {number}: no text in UTF-8; a binary file is to be named .bin") from error
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}, line {number + 1}: cannot be read ({error})") from error


def _numbers(cells: list[str], width: int, where: str) -> list[float]:
    if not cells or len(cells) != (width or len(cells)):
        raise ValueError(f"{where}: {len(cells)} numbers after the word, expected {width or 'some'}")
    try:
        values = [float(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not all(map(math.isfinite, values)):
        raise ValueError(f"{where}: a number that is not finite")
    return values
