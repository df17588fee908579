"""The mean of pre-trained word vectors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tladapt.model import Model
from tladapt.readers.vectors import read_vectors

LR = 0.01  # most words are in few batches, so that their vectors move in few steps


def word2vec(vectors: Any, hidden: int = 128, *, classes: int | Sequence[str], batchnorm: str = "joint") -> Model:
    """The mean of the vectors of a text's words, a hidden layer with ReLU and a linear head.

    x is {"input_ids", "attention_mask"}, each (n, L); id i is the i-th word, counted from 1. Id 0, an unknown word,
    does not count in the mean. The vectors train with the rest; `model.freeze(model.encoder.words)` holds them.

    Parameters
    ----------
    vectors : path, Vectors, gensim's KeyedVectors or Word2Vec, or (words, width)
        See `tladapt.readers.vectors.read_vectors`; or the size of a table of zeros.
    hidden : int
        The width of the hidden layer.
    classes : int or sequence of str
        How many classes, or their names.
    batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If there are no such vectors, or the file is damaged.

    Notes
    -----
    `fit` learns it at a rate of 0.01 by default, ten times that of other networks.

    The reader that turns texts into these ids is `Texts(word_tokenizer(read_vectors(...).words))` of
    `tladapt.readers.texts`.

    Examples
    --------
    >>> from tladapt.readers.vectors import Vectors
    >>> vectors = Vectors(["good", "bad"], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    >>> model = word2vec(vectors, hidden=3, classes=2)
    >>> model({"input_ids": torch.tensor([[1, 0, 2]]), "attention_mask": torch.ones(1, 3)}).features.shape
    torch.Size([1, 3])
    """
    if isinstance(vectors, list | tuple):
        if len(vectors) != 2 or not all(isinstance(size, int) and size > 0 for size in vectors):
            raise ValueError(f"word2vec({vectors!r}): expected (words, width), two numbers above 0")
        values = torch.zeros(*vectors)
    else:
        values = read_vectors(vectors).values
    encoder = MeanOfWords(values, hidden)
    head = nn.Linear(hidden, classes if isinstance(classes, int) else len(classes))
    recipe = {"backbone": "word2vec", "arguments": {"vectors": list(values.shape), "hidden": hidden}}
    model = Model(encoder, head, classes=classes, batchnorm=batchnorm, recipe=recipe)
    model.lr = LR
    return model


class MeanOfWords(nn.Module):
    """The mean vector of the known words of a text, 0 where there is none, and a hidden layer."""

    def __init__(self, values: Tensor, hidden: int) -> None:
        super().__init__()
        rows = torch.cat([values.new_zeros(1, values.shape[1]), values])
        self.words = nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=0)
        self.hidden = nn.Linear(values.shape[1], hidden)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """From ids and mask (n, L) to features (n, hidden)."""
        known = attention_mask.bool() & (input_ids > 0)
        share = known / known.sum(1, keepdim=True).clamp(min=1)
        mean = torch.einsum("nl,nld->nd", share, self.words(input_ids))
        return F.relu(self.hidden(mean))
