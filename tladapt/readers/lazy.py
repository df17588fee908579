"""Rows that are read when they are asked for, ahead of their turn and by several processes where that is wanted."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from tladapt.data import Data, Draw, Tensors, convert, each
from tladapt.readers.rows import Kinds, Row, is_label, split, stacked
from tladapt.seeding import generator, seeded

_END = object()  # of a pass
READ_AT_MOST = 100_000  # rows that are read once to sort them by their inputs; more are shuffled instead


class Lazy(Data):
    """The rows of a map-style `Dataset`, read when asked for, so that its random augmentation stays random.

    Its labels are known; `rows` gives inputs only. A data set whose rows are always the same may say so by an attribute
    `fixed = True`. All rows have the types of the first.

    Parameters
    ----------
    dataset : Dataset
        Rows (input, ...), or inputs alone.
    y : Tensor
        The labels of the first rows.
    order : Tensor, optional
        Row i of the data is row order[i] of the data set; by default i.
    workers : int
        Processes that read ahead in `stream`; 0: the rows are read when it is their turn.
    """

    def __init__(self, dataset: Any, y: Tensor, order: Tensor | None = None, workers: int = 0) -> None:
        super().__init__(None, y)
        self.dataset, self.workers = dataset, workers
        self.order = torch.arange(len(dataset)) if order is None else order
        self.fixed = bool(getattr(dataset, "fixed", False))
        self.types: Kinds = {}  # of the inputs, as its rows give them
        self.wanted: Kinds = {}  # of the inputs, as `rows` returns them, where that is another type
        self.said: Tensor | None = None  # the labels that its rows must give when they are read; None: any
        self.words: tuple[str, ...] | None = None  # the words that `said` numbers, where rows give words

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, index: Tensor, key: tuple[int | str, ...] = ()) -> Tensors:
        """The inputs of these rows, on the CPU; without a `key` their augmentation differs from call to call.

        They are read by a copy of the data set if other processes read too: what it opens must not be theirs as well.
        """
        reader = self._alone() if self.workers else self
        return reader.read(index, key)

    def read(self, index: Tensor, key: tuple[int | str, ...] = ()) -> Tensors:
        """The same, by the data set itself."""
        if not len(index):
            return each(lambda part: part[:0], self.read(torch.zeros(1, dtype=torch.long), key))
        with seeded(generator(*key).initial_seed(), cuda=False) if key else nullcontext():
            rows = [self._row(int(i)) for i in index.tolist()]
        name = type(self.dataset).__name__
        parts = [split(row, name) for row in rows]
        self._compare(parts, index.tolist())
        x = stacked([part.inputs for part in parts], self.types, name, self.order[index].tolist())
        x = self._as_wanted(x)
        require_finite(x, type(self.dataset).__name__, self.order[index])
        return x

    def content(self, rows: int) -> Iterator[Tensors] | None:
        """Return the inputs of the first `rows` rows in chunks of one; None if they are more than READ_AT_MOST.

        Every row is read with the same random numbers, so that augmentation does not tell equal rows apart.
        """
        if rows > READ_AT_MOST:
            return None
        reader = self._but(self.y, self.order, None)  # which does not look at labels
        return (reader.rows(torch.tensor([row]), ("content",)) for row in range(rows))

    @property
    def kinds(self) -> Kinds:
        """The type of every input; the key of inputs that are not a dict is ""."""
        return {**self.types, **self.wanted}

    def converted(self, kinds: Kinds) -> Data:
        """Return the same rows, whose inputs are converted when they are read."""
        changed = self._but(self.y, self.order, self.said)
        changed.wanted = kinds
        return changed

    def _as_wanted(self, x: Tensors) -> Tensors:
        if isinstance(x, dict):
            return {key: convert(part, self.wanted.get(key, part.dtype)) for key, part in x.items()}
        return convert(x, self.wanted.get("", x.dtype))

    def _compare(self, parts: list[Row], index: list[int]) -> None:
        """Refuse labelled rows whose label is another one than when the labels were read."""
        if self.said is None:
            return
        for part, i in zip(parts, index, strict=True):
            if i >= len(self.said) or part.label is None:
                continue
            words = self.words or ()
            label = words.index(part.label) if isinstance(part.label, str) and part.label in words else part.label
            if not is_label(label, self.said[i]):
                raise ValueError(self._other_label(int(self.order[i])))

    def _other_label(self, row: int) -> str:
        return (
            f"{type(self.dataset).__name__}: row {row} has another label than its `targets`; give the labels apart, "
            "as (dataset, labels)"
        )

    def _row(self, i: int) -> Any:
        """Row i of the data."""
        row = int(self.order[i])
        with reading(self.dataset, row):
            return self.dataset[row]

    def _alone(self) -> Self:
        found = copy.copy(self)
        found.dataset = copy.copy(self.dataset)
        return found

    def stream(self, draws: Iterable[Draw]) -> Iterator[Tensors]:
        """The inputs of one draw after another; the same ones, however many processes read them."""
        loader = DataLoader(
            _Reads(self), batch_size=None, sampler=((draw.key, draw.rows.tolist()) for draw in draws),
            num_workers=self.workers, pin_memory=torch.cuda.is_available(), generator=torch.Generator(),
        )  # fmt: skip
        for found in loader:
            if isinstance(found, str):
                raise ValueError(found)
            yield found

    @property
    def device(self) -> torch.device:
        """Rows are read by the CPU."""
        return torch.device("cpu")

    def given_rows(self, index: Tensor) -> Tensor:
        """Return the row of the data set that each of these rows is."""
        return self.order[index.cpu()]

    def take(self, labelled: Tensor, unlabelled: Tensor | None = None) -> Data:
        """The rows `labelled` with their labels, then the rows `unlabelled` without."""
        index = labelled if unlabelled is None else torch.cat([labelled, unlabelled])
        if not len(self.y):
            return self._but(self.y, self.order[index], None)
        said = None if self.said is None else self.said[labelled.cpu()]
        return self._but(self.y[labelled], self.order[index], said)

    def without_labels(self) -> Data:
        """The same rows; the labels are gone."""
        changed = self._but(self.y.new_empty(0, *self.y.shape[1:]), self.order, None)
        changed.names, changed.words = None, None
        return changed

    def with_labels(self, y: Tensor, names: tuple[str, ...] | None = None) -> Data:
        """Return the same rows with other labels for the first ones, which number `names`."""
        changed = self._but(y, self.order, self.said if len(y) else None)
        changed.names = names
        return changed

    def to(self, device: torch.device) -> Data:
        """The labels on `device`; each batch follows when it is read."""
        return self._but(self.y.to(device), self.order, self.said)

    def _but(self, y: Tensor, order: Tensor, said: Tensor | None) -> Self:
        changed = copy.copy(self)
        changed.y, changed.order, changed.said = y, order, said
        return changed


class Ordered(Lazy):
    """The rows of an `IterableDataset`, read in the order in which they come: row i is the i-th of a pass.

    They must come in the same order in every pass, which is checked by their labels where they have any: shuffle the
    files beforehand. Where a row is asked for that lies before the last one read, a new pass begins. One process at
    most reads ahead: a second one would have to pass over the same rows.
    """

    ordered = True

    def __init__(self, dataset: Any, y: Tensor, order: Tensor, workers: int = 0) -> None:
        super().__init__(dataset, y, order, min(workers, 1))
        self.said = y.cpu()
        self._pass: Iterator[Any] = iter(())
        self._next = len(dataset)  # past every row: the first one asked for begins a pass

    def _row(self, i: int) -> Any:
        row, name = int(self.order[i]), type(self.dataset).__name__
        if row < self._next:
            self._pass, self._next = iter(self.dataset), 0
        skipped, self._next = row - self._next, row + 1
        with reading(self.dataset, row):
            with seeded(0, cuda=False):  # what they draw is not to be missing from this row
                next(islice(self._pass, skipped, skipped), None)
            found: Any = next(self._pass, _END)
        if found is _END:
            raise ValueError(f"{name}: a pass over it ended before row {row} of {len(self)}")
        return found

    def _other_label(self, row: int) -> str:
        return (
            f"{type(self.dataset).__name__}: row {row} has another label than in the pass before; let it give its rows "
            "in the same order in every pass, and shuffle its files beforehand"
        )

    def _but(self, y: Tensor, order: Tensor, said: Tensor | None) -> Self:
        changed = super()._but(y, order, said)
        changed._pass, changed._next = iter(()), len(self.dataset)
        return changed

    def stream(self, draws: Iterable[Draw]) -> Iterator[Tensors]:
        """The inputs of one draw after another, in a pass of their own."""
        return Lazy.stream(self._alone(), draws)

    def _alone(self) -> Self:
        found = super()._alone()
        found._pass, found._next = iter(()), len(self.dataset)
        return found


class _Reads(Dataset):
    """One draw after another, as the items of a data set."""

    def __init__(self, data: Lazy) -> None:
        self.data = data

    def __getitem__(self, item: tuple[tuple[int | str, ...], list[int]]) -> Tensors | str:
        key, rows = item
        try:
            return self.data.read(torch.tensor(rows), key)
        except Exception as error:
            if get_worker_info() is None:
                raise
            # which the process that trains raises again, in one line
            return str(error) or type(error).__name__


@contextmanager
def reading(dataset: Any, row: int) -> Iterator[None]:
    """Within, whatever a user's data set raises becomes one line that says which row it was."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{type(dataset).__name__}: row {row} cannot be read: {reason}") from error


def require_finite(x: Tensors, name: str, numbers: Tensor | None = None) -> None:
    """Refuse NaN and infinity; `name` says whose, and `numbers` which row is which, if not in their order."""
    for part in x.values() if isinstance(x, dict) else (x,):
        if not part.is_floating_point() or part.sum().isfinite():  # one pass over the data, where it is as it should be
            continue
        if not (finite := part.isfinite()).all():
            row = int(finite.reshape(len(finite), -1).all(1).int().argmin())
            row = row if numbers is None else int(numbers[row])
            raise ValueError(f"{name} holds NaN or infinity, first in row {row}; drop the row or fill it in")
