"""How the command line reads a table: which columns, or which text, and the network for it."""

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from tladapt.backbones import word2vec
from tladapt.model import Model
from tladapt.readers.headers import did_you_mean, some
from tladapt.readers.sources import columns_of
from tladapt.readers.tables import Table
from tladapt.readers.texts import Texts, word_tokenizer
from tladapt.readers.vectors import Vectors

OPTIONS = ("text", "drop", "columns", "standardize")
WORD = re.compile(r"\w+|[^\w\s]+")  # as `word_tokenizer` splits texts
WORDS, FEW = 20_000, 100  # of a vocabulary, at most; and so few that also words that come once are in it
SHORTEST, LONGEST = 8, 256  # words of a text
COVERED = 0.95  # of the texts are read to their end
WIDTH, SPREAD = 64, 0.1  # of the vectors of words before training


def reader_of(options: argparse.Namespace) -> Table | Texts | None:
    """Return the reader that the options ask for; None where they leave it open.

    Raises
    ------
    ValueError
        If the options do not go together, or the data is no table.
    """
    given = [name for name in OPTIONS if getattr(options, name)]
    if not given:
        return None
    first = Path(options.domains[0] if options.domains else options.source)
    if first.is_dir():
        raise ValueError(f"--{given[0]}: for tables, but {first} is a folder")
    label = options.label or "label"
    if not options.text:
        return Table(
            label, drop=options.drop or [], columns=options.columns, standardize=options.standardize or "first"
        )
    if len(given) > 1:
        raise ValueError(f"--text {options.text}: no other column is read; leave out --{given[1]}")
    return _text_reader(first, options.text, label)


def _text_reader(path: Path, column: str, label: str) -> Texts:
    """Return a reader of texts whose vocabulary and length are those of the first table."""
    columns, name = columns_of(path)
    if column not in columns:
        raise ValueError(f"--text {column}: {name} has no such column{did_you_mean(column, columns)}; {some(columns)}")
    texts = [WORD.findall(text.lower()) for text in columns[column]]
    lengths = sorted(map(len, texts))
    if not lengths or not lengths[-1]:
        raise ValueError(f"--text {column}: {name} has no text in it")
    counts = Counter(word for text in texts for word in text)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    often = [word for word in words if counts[word] > 1]
    longest = lengths[int(COVERED * (len(lengths) - 1))]
    length = min(max(longest, SHORTEST), LONGEST)
    vocabulary = (often if len(often) >= FEW else words)[:WORDS]
    return Texts(word_tokenizer(vocabulary), length=length, text=column, label=label)


def text_network(words: int, *, classes: Sequence[str], batchnorm: str = "joint") -> Model:
    """Return a network that learns the vectors of so many words from the start."""
    names = [str(place) for place in range(words)]
    vectors = Vectors(names, SPREAD * torch.randn(words, WIDTH))
    return word2vec(vectors, classes=classes, batchnorm=batchnorm)
