"""Word vectors from files of word2vec, GloVe and fastText, or from gensim."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

PICKLES = {".kv", ".model"}
FIRST = re.compile(rb"(\d{1,9}) (\d{1,9})\s*")  # line of a file: how many words, how wide
WORDS, NUMBERS = 10**7, 2**30  # of a file, at most: 4 GB
LINE, WORD = 2**20, 2**10  # bytes, at most


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
        format (`.bin`, `.bin.gz`); or KeyedVectors, Word2Vec or FastText of gensim. What gensim has saved (`.kv`,
        `.model`) is a pickle, which can run any code, and is not opened.
    limit : int, optional
        At most so many words, the first ones, which in most files are the most frequent.

    Raises
    ------
    ValueError, TypeError
        If there is no such file, it is damaged (naming the line or the word), a pickle, or larger than 10 million words
        or 2^30 numbers, as far as they are read.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"read_vectors(limit={limit}): expected 1 or more")
    if isinstance(source, str | Path):
        return _of_file(Path(source), limit)
    if isinstance(source, Vectors):
        return Vectors(source.words[:limit], source.values[:limit])
    if hasattr(source, "index_to_key") or hasattr(source, "wv"):
        keyed = getattr(source, "wv", source)
        return Vectors(list(keyed.index_to_key[:limit]), torch.tensor(keyed.vectors[:limit], dtype=torch.float32))
    raise TypeError(f"vectors: {type(source).__name__} is no file, no Vectors and no KeyedVectors of gensim")


def _of_file(path: Path, limit: int | None) -> Vectors:
    if not path.is_file():
        raise ValueError(f"{path}: no such file of word vectors")
    if path.suffix in PICKLES:
        raise ValueError(
            f"{path}: a pickle of gensim, which can run any code, and is not opened; if you trust it, pass the object: "
            f"gensim.models.{'KeyedVectors' if path.suffix == '.kv' else 'Word2Vec'}.load(path)"
        )
    rows = _binary(path) if ".bin" in path.suffixes else _text(path)
    found, numbers = dict[str, np.ndarray](), 0
    for read, (where, word, values) in enumerate(rows, start=1):
        if not np.isfinite(values).all():
            raise ValueError(f"{where}: a number that is not finite, or too large for single precision")
        found.setdefault(word, values)  # of two vectors for one word, the first
        numbers += len(values)
        if len(found) == limit:
            break
        if read > WORDS or numbers > NUMBERS:
            raise ValueError(f"{where}: more than {WORDS} words, or {NUMBERS} numbers; read the first ones with limit=")
    if not found:
        raise ValueError(f"{path}: no word vectors in it")
    return Vectors(list(found), torch.from_numpy(np.stack(list(found.values()))))


def _binary(path: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """What messages call it, the word, and its vector; what the first line promises is not believed."""
    with _named(f"{path}, line 1"), _opened(path) as file:
        first = FIRST.fullmatch(file.readline(LINE))
        if first is None or not 0 < (width := int(first[2])) <= LINE:
            raise ValueError(f"{path}, line 1: expected how many words there are, and how wide their vectors are")
        for number in range(1, int(first[1]) + 1):
            where = f"{path}, word {number} of {int(first[1])}"
            with _named(where):
                word, data = _word(file), file.read(4 * width)
                if len(data) < 4 * width:
                    raise EOFError("it ends here")
                found = word.decode()
            yield where, found, np.frombuffer(data, "<f4").astype(np.float32)


def _word(file: Any) -> bytes:
    """What comes before the next space, without the end of the line before."""
    word = bytearray()
    while (letter := file.read(1)) not in (b" ", b""):
        word += letter
        if len(word) > WORD:
            raise EOFError(f"no space within {WORD} bytes")
    return bytes(word).lstrip(b"\n")


def _text(path: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """What messages call it, the word, and its vector."""
    promised, number, width = None, 0, 0
    for number, line in enumerate(_lines(path), start=1):
        if number == 1 and (first := FIRST.fullmatch(line.encode())):
            promised, width = int(first[1]), int(first[2])
            continue
        word, *cells = line.rstrip().split(" ")
        values = _numbers(cells, width, f"{path}, line {number}")
        width = len(values)
        yield f"{path}, line {number}", word, values
    if promised is not None and number - 1 != promised:
        raise ValueError(f"{path}, line {number}: the last one, but line 1 says that {promised} words follow it")


def _lines(path: Path) -> Iterator[str]:
    with _named(f"{path}, line 1"), _opened(path) as file:
        for number in count(1):
            with _named(f"{path}, line {number}"):
                line = file.readline(LINE + 1)
                if len(line) > LINE:
                    raise EOFError(f"more than {LINE} bytes")
                text = line.decode()
            if not line:
                return
            yield text


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Within, what goes wrong becomes one line that says where."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: no text in UTF-8; a binary file is to be named .bin") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{where}: cannot be read ({error})") from error


def _numbers(cells: list[str], width: int, where: str) -> np.ndarray:
    if not cells or len(cells) != (width or len(cells)):
        raise ValueError(f"{where}: {len(cells)} numbers after the word, expected {width or 'some'}")
    try:
        values = [float(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(f"{where}: {str(error)[:100]}") from error
    with np.errstate(over="ignore"):  # which the reader of the file sees
        return np.array(values, np.float32)
