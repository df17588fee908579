"""A network for tables of numbers and words, with gaps."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tladapt.model import Model


def table(
    numbers: int, words: Sequence[int] = (), hidden: Sequence[int] = (64, 64), width: int = 8, *,
    classes: int | Sequence[str], batchnorm: str = "joint",
) -> Model:  # fmt: skip
    """Numbers and embedded words through layers with BatchNorm and ReLU; x is what `Table(split=True)` reads.

    x is {"numbers": (n, k) floats, "missing": (n, k), true where one is not known, "words": (n, c) whole numbers, 0 for
    unknown or missing}; a table without numbers, or without words, goes without their keys.

    What the network learns of a gap begins at nothing. So where only a later domain has gaps, they count as the mean
    (0), and its unknown words as none at all.

    Parameters
    ----------
    numbers : int
        How many columns of numbers (k), 0 or more.
    words : sequence of int
        How many words each of the c columns of words has, 1 or more; what is beyond them counts as unknown.
    hidden : sequence of int
        The widths of the layers, at least one.
    width : int
        The size of a word's embedding, 1 or more.
    classes, batchnorm
        See `Model`.

    Raises
    ------
    ValueError
        If a size is out of range, or there is no column.

    References
    ----------
    :cite:`Gorishniy2021`: the multilayer perceptron there, with BatchNorm in place of dropout, and with gaps.

    Examples
    --------
    >>> model = table(numbers=1, words=[2], classes=["no", "yes"])
    >>> x = {"numbers": torch.zeros(3, 1), "missing": torch.zeros(3, 1), "words": torch.tensor([[0], [1], [2]])}
    >>> model(x).logits.shape
    torch.Size([3, 2])
    """
    sizes = {"numbers": ([numbers], 0), "words": (words, 1), "hidden": (hidden, 1), "width": ([width], 1)}
    for name, (values, least) in sizes.items():
        if wrong := [value for value in values if not isinstance(value, int) or value < least]:
            raise ValueError(f"table({name}=...): {wrong[0]!r}, expected whole numbers from {least}")
    if not numbers and not words:
        raise ValueError("table(numbers=0, words=()): no column; say how many of numbers, or of words, there are")
    if not hidden:
        raise ValueError("table(hidden=()): expected at least one width")
    arguments = {"numbers": numbers, "words": list(words), "hidden": list(hidden), "width": width}
    head = nn.Linear(hidden[-1], classes if isinstance(classes, int) else len(classes))
    recipe = {"backbone": "table", "arguments": arguments}
    return Model(Columns(**arguments), head, classes=classes, batchnorm=batchnorm, recipe=recipe)


class Columns(nn.Module):
    """The encoder of `table`."""

    first: Tensor  # the place of each column of words in the embedding
    levels: Tensor  # how many words it has

    def __init__(self, numbers: int, words: Sequence[int], hidden: Sequence[int], width: int) -> None:
        super().__init__()
        self.numbers = numbers
        levels = torch.tensor(list(words), dtype=torch.long)
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("first", (levels + 1).cumsum(0) - levels - 1, persistent=False)
        table = torch.empty(int((levels + 1).sum()), width).uniform_(-(width**-0.5), width**-0.5)
        table[self.first] = 0  # an unknown word that was never trained on would be noise
        self.embedding = nn.Embedding.from_pretrained(table, freeze=False) if words else None
        widths = [2 * numbers + len(words) * width, *hidden]
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())]
        self.layers = nn.Sequential(*layers)
        with torch.no_grad():
            layers[0].weight[:, numbers : 2 * numbers] = 0  # and so would a gap  # type: ignore[index]

    def forward(
        self, numbers: Tensor | None = None, missing: Tensor | None = None, words: Tensor | None = None
    ) -> Tensor:
        """Features (n, hidden[-1]).

        Raises
        ------
        ValueError
            If a part is missing from x, or has another number of columns.
        """
        parts = list[Tensor]()
        if self.numbers:
            numbers = _columns("numbers", numbers, self.numbers)
            gaps = torch.zeros_like(numbers) if missing is None else _columns("missing", missing, self.numbers)
            parts += [numbers.masked_fill(gaps.bool(), 0.0), gaps.to(numbers.dtype)]
        if self.embedding is not None:
            words = _columns("words", words, len(self.levels))
            known = torch.where((words > 0) & (words <= self.levels), words, 0)
            parts.append(self.embedding(known + self.first).flatten(1))
        return self.layers(torch.cat(parts, 1))


def _columns(name: str, part: Tensor | None, count: int) -> Tensor:
    if part is None or part.ndim != 2 or part.shape[1] != count:
        found = "not there" if part is None else f"of shape {tuple(part.shape)}"
        raise ValueError(f"x[{name!r}]: {found}, expected (n, {count}), as Table(split=True) reads it")
    return part
