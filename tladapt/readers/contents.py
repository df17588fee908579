"""An order of rows that depends on what is in them, never on their labels nor on the order in which they were given."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tladapt.data import Data, Tensors, length
from tladapt.seeding import generator

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, rounded to an odd number


def content_order(data: Data, rows: int, *key: int | str) -> Tensor:
    """Return a permutation of the first `rows` rows of the data that looks random and depends on their inputs.

    Every row gets a 64-bit hash of its inputs, seeded by `key`, and the rows are sorted by it. Two orders of the same
    rows therefore give the same sequence of inputs: neither a sorted file nor the order of class folders shows through.
    Rows with equal inputs are told apart by their number of occurrence, so that they do not stay together.

    Data that can only be read in its own order keeps it. Data that is too large to be read for this (see
    `tladapt.readers.lazy.READ_AT_MOST`) is shuffled by `key` alone.

    Parameters
    ----------
    data : Data
    rows : int
        At most the number of rows of `data`.
    key : int or str
        Seeds the hash; see `tladapt.seeding.generator`.

    Returns
    -------
    Tensor of shape (rows,), int64

    Examples
    --------
    >>> x = torch.arange(6.0)[:, None]
    >>> forward, backward = (Data(part, torch.empty(0)) for part in (x, x.flip(0)))
    >>> a, b = (part.x[content_order(part, 6, "doc")] for part in (forward, backward))
    >>> torch.equal(a, b), torch.equal(a, x)
    (True, False)
    """
    if data.ordered:
        return torch.arange(rows)
    chunks = data.content(rows)
    if chunks is None:
        return torch.randperm(rows, generator=generator(*key))
    hashes = [np.zeros(0, np.uint64), *(_hashes(x, key) for x in chunks)]
    distinct = _numbered(np.concatenate(hashes))
    return torch.from_numpy(np.argsort(distinct, kind="stable"))


def _hashes(x: Tensors, key: tuple[int | str, ...]) -> np.ndarray:
    """Return a 64-bit hash of every row: the sum of its words, each times a random odd number, mixed."""
    parts = x if isinstance(x, dict) else {"": x}
    total = np.zeros(length(x), np.uint64)
    for name in sorted(parts):
        words = _words(parts[name])
        total = _mixed(total + words @ _odd_numbers(words.shape[1], (*key, name)))
    return total


@lru_cache(maxsize=8)  # the chunks of one data set ask for the same numbers
def _odd_numbers(count: int, key: tuple[int | str, ...]) -> np.ndarray:
    drawn = torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator(*key)).numpy()
    return drawn.view(np.uint64) | np.uint64(1)


def _words(part: Tensor) -> np.ndarray:
    """Return the bytes of every row as 64-bit words, (rows, words), padded with zeros."""
    rows = part.detach().cpu().reshape(len(part), -1).contiguous()
    octets = rows.view(torch.uint8).numpy() if rows.numel() else np.zeros((len(part), 0), np.uint8)
    missing = -octets.shape[1] % 8
    if missing:
        octets = np.pad(octets, ((0, 0), (0, missing)))
    return np.ascontiguousarray(octets).view(np.uint64)


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Return the hashes with every bit spread over all others (the finaliser of SplitMix64)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _numbered(hashes: np.ndarray) -> np.ndarray:
    """Return the hashes with the second, third, ... row of equal ones moved to a place of its own."""
    order = np.argsort(hashes, kind="stable")
    inorder = hashes[order]
    is_first = np.concatenate([[True], inorder[1:] != inorder[:-1]]) if len(inorder) else np.zeros(0, bool)
    places = np.arange(len(inorder))
    starts = np.maximum.accumulate(np.where(is_first, places, 0))
    occurrence = (places - starts).astype(np.uint64)
    moved = np.empty_like(hashes)
    moved[order] = _mixed(inorder + occurrence * np.uint64(GOLDEN))
    return moved
