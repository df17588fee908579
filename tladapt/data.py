"""The rows of one data set, labelled ones first."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

CHUNK = 1024  # rows that are compared at a time
Tensors = Tensor | dict[str, Tensor]  # the inputs of a model; every tensor has one row per sample


def each(function: Callable[..., Tensor], *inputs: Any) -> Tensors:
    """Apply `function` to inputs that are tensors, or key by key to dicts of tensors."""
    first, *others = inputs
    if isinstance(first, dict):
        return {key: function(first[key], *(other[key] for other in others)) for key in first}
    return function(*inputs)


def length(x: Any) -> int:
    """The number of rows."""
    return len(next(iter(x.values()))) if isinstance(x, dict) else len(x)


def convert(part: Tensor, kind: torch.dtype) -> Tensor:
    """Return the tensor as that type; bytes become floats from 0 to 1.

    >>> convert(torch.tensor([0, 51, 255], dtype=torch.uint8), torch.float32).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    if part.dtype == torch.uint8 and kind.is_floating_point:
        return part.to(kind) / 255
    return part.to(kind)


def owned(part: Tensor) -> Tensor:
    """Return the tensor itself, or a copy if it is a part of a larger one, whose memory it would keep."""
    if part.layout is not torch.strided or part.device.type == "meta":
        return part
    is_part = part.untyped_storage().nbytes() > part.numel() * part.element_size()
    return part.clone(memory_format=torch.contiguous_format) if is_part else part


class Draw(NamedTuple):
    """Rows to be read at once, and what the random numbers of their reading (augmentation) depend on."""

    key: tuple[int | str, ...]
    rows: Tensor


class Data:
    """Inputs and labels in memory, the labelled rows first.

    Parameters
    ----------
    x : Tensor or dict of Tensor
        n rows. (`tladapt.readers.lazy.Lazy` reads them only when they are asked for.)
    y : Tensor
        The labels of the first m <= n rows; m = 0 for data without labels. For the rest there is no label to read.

    Notes
    -----
    Tensors that are parts of larger ones are copied, so that no label and no test row stays in their memory.
    """

    numbers: Tensor | None = None  # row i was row numbers[i] of what was given; None: row i
    fixed = True  # a row is the same whenever it is read
    ordered = False  # whether rows are to be read in their order
    names: tuple[str, ...] | None = None  # of the classes, where the source has them
    worded = False  # whether these names are the labels that were given, and not a list beside them

    def __init__(self, x: Any, y: Tensor) -> None:
        self.x: Any = x if x is None else each(owned, x)
        self.y = owned(y)

    def __len__(self) -> int:
        return length(self.x)

    def rows(self, index: Tensor, key: tuple[int | str, ...] = ()) -> Tensors:
        """The inputs of these rows, in this order; their augmentation, if there is any, depends on `key` alone."""
        return each(lambda part: part.index_select(0, index.to(part.device)), self.x)

    def stream(self, draws: Iterable[Draw]) -> Iterator[Tensors]:
        """The inputs of one draw after another."""
        return (self.rows(draw.rows) for draw in draws)

    def content(self, rows: int) -> Iterator[Tensors] | None:
        """Return the inputs of the first `rows` rows in chunks, to be compared; None if they are too many to read."""
        chunks = torch.arange(rows).split(CHUNK)
        return (self.rows(chunk) for chunk in chunks)

    @property
    def device(self) -> torch.device:
        """Where rows are looked up."""
        return self.y.device

    def take(self, labelled: Tensor, unlabelled: Tensor | None = None) -> "Data":
        """The rows `labelled` with their labels, then the rows `unlabelled` without."""
        index = labelled if unlabelled is None else torch.cat([labelled, unlabelled])
        taken = self._named(type(self)(self.rows(index), self.y[labelled] if len(self.y) else self.y))
        taken.numbers = self.given_rows(index)
        return taken

    def without_labels(self) -> "Data":
        """The same rows; the labels are gone."""
        changed = type(self)(self.x, self.y.new_empty(0, *self.y.shape[1:]))  # no view, which would hold them all
        changed.numbers = self.numbers
        return changed

    def given_rows(self, index: Tensor) -> Tensor:
        """Return the number that each of these rows had in what was given, before any rows were taken."""
        return index.cpu() if self.numbers is None else self.numbers[index.cpu()]

    def with_labels(self, y: Tensor, names: tuple[str, ...] | None = None) -> "Data":
        """Return the same rows with other labels for the first ones, which number `names`."""
        changed = type(self)(self.x, y)
        changed.names, changed.numbers = names, self.numbers
        return changed

    def _named(self, changed: "Data") -> "Data":
        """Give `changed` the names of this data."""
        changed.names, changed.worded = self.names, self.worded
        return changed

    @property
    def kinds(self) -> dict[str, torch.dtype]:
        """The type of every input; the key of inputs that are not a dict is ""."""
        parts = self.x if isinstance(self.x, dict) else {"": self.x}
        return {key: part.dtype for key, part in parts.items()}

    def converted(self, kinds: dict[str, torch.dtype]) -> "Data":
        """Return the same rows with inputs of these types; see `convert`."""
        if isinstance(self.x, dict):
            x: Any = {key: convert(part, kinds.get(key) or part.dtype) for key, part in self.x.items()}
        else:
            x = convert(self.x, kinds[""])
        changed = self._named(type(self)(x, self.y))
        changed.numbers = self.numbers
        return changed

    def to(self, device: torch.device) -> "Data":
        """Return the data on `device`, without the numbers of its rows, whose order may show the labels."""
        return type(self)(each(lambda part: part.to(device), self.x), self.y.to(device))

    @property
    def shape(self) -> Any:
        """The shape of one row; for a dict, by key."""
        row = self.rows(torch.zeros(1, dtype=torch.long), ("shape",))
        return {k: tuple(v.shape[1:]) for k, v in row.items()} if isinstance(row, dict) else tuple(row.shape[1:])
