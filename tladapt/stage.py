"""What a method sees: the stage without its test data, and the batches drawn from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tladapt.data import Data, Draw, Tensors, each, length
from tladapt.domains import Domain
from tladapt.lengths import steps_per_pass
from tladapt.seeding import generator
from tladapt.task import Task

AT_ONCE = 256  # rows, where there is no step to say how many


class Part(NamedTuple):
    """`size` rows of a batch that lie together: fresh ones of a stage, or those that `owner` added.

    In the loss of the task each counts `weight` times.
    """

    size: int
    labelled: bool
    owner: Any = None
    weight: float = 1.0


@dataclass(frozen=True)
class Batch:
    """Samples, the labelled ones first.

    Attributes
    ----------
    x : Tensor or dict of Tensor
        n rows.
    y : Tensor
        The labels of the first rows, one per labelled sample.
    domain : Tensor of shape (n,)
        Of which domain of the stream a row is.
    index : Tensor of shape (n,)
        The row in its domain's training data; -1 if remembered.
    progress : float
        How much of the stage is done, in [0, 1).
    live : Tensor of shape (domains, classes), bool, optional
        The classes that may be predicted in each domain; None stands for all.
    parts : tuple of Part
        The blocks that the rows lie in.
    """

    x: Tensors
    y: Tensor
    domain: Tensor
    index: Tensor
    progress: float = 0.0
    live: Tensor | None = None
    parts: tuple[Part, ...] = ()

    def __len__(self) -> int:
        return len(self.domain)

    @property
    def source(self) -> slice:
        """The labelled rows."""
        return slice(0, len(self.y))

    @property
    def target(self) -> slice:
        """The unlabelled rows."""
        return slice(len(self.y), len(self))

    @property
    def weights(self) -> Tensor | None:
        """How much each labelled row counts in the loss of the task; None where all count alike."""
        parts = [part for part in self.parts if part.labelled]
        if len({part.weight for part in parts}) < 2:
            return None
        return torch.cat([torch.full((part.size,), part.weight, device=self.domain.device) for part in parts])

    def added(self, owner: object) -> slice | Tensor:
        """Where the rows lie that the method `owner` added, or the stage's own for None; a slice where they are one."""
        spans, start = list[tuple[int, int]](), 0
        for part in self.parts:
            end = start + part.size
            if part.owner is owner and spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], end)
            elif part.owner is owner:
                spans.append((start, end))
            start = end
        if len(spans) < 2:
            return slice(*spans[0]) if spans else slice(0, 0)
        return torch.cat([torch.arange(*span, device=self.domain.device) for span in spans])

    def of(self, owner: object) -> "Batch":
        """The rows that the method `owner` added; the stage's own for None."""
        parts = tuple(part for part in self.parts if part.owner is owner)
        if len(parts) == len(self.parts):
            return self
        rows = self.added(owner)
        labelled = rows[: sum(part.size for part in parts if part.labelled)] if isinstance(rows, Tensor) else rows
        return replace(
            self, x=each(lambda part: part[rows], self.x), y=self.y[labelled], domain=self.domain[rows],
            index=self.index[rows], parts=parts,
        )  # fmt: skip

    def join(self, other: "Batch | None") -> "Batch":
        """Both, the labelled rows of both first; the batch as it is, if there is no other."""
        if other is None:
            return self
        a, b, m, k = self, other, len(self.y), len(other.y)

        def together(p: Tensor, q: Tensor) -> Tensor:
            return torch.cat([p[:m], q[:k], p[m:], q[k:]])

        parts = sorted(a.parts + b.parts, key=lambda part: not part.labelled)  # stable
        return replace(
            a, x=each(together, a.x, b.x), y=torch.cat([a.y, b.y]), domain=together(a.domain, b.domain),
            index=together(a.index, b.index), parts=tuple(parts),
        )  # fmt: skip

    def remembered(self, x: Tensors, y: Tensor, domain: Tensor, owner: object, weight: float = 1.0) -> "Batch":
        """Samples from the memory of `owner`, labelled ones first, to join to this batch."""
        m, n = len(y), length(x)
        parts = tuple(Part(size, first, owner, weight) for size, first in ((m, True), (n - m, False)) if size)
        return replace(self, x=x, y=y, domain=domain, index=torch.full_like(domain, -1), parts=parts)


class Pool(NamedTuple):
    """The labelled, or the unlabelled, rows of one domain: `size` of them, from row `start` on.

    On `key` depend their order and their augmentation.
    """

    domain: int
    data: Data
    start: int
    size: int
    labelled: bool
    key: tuple[int | str, ...] = ()

    def stream(self, chunks: Sequence[Tensor]) -> Iterator[Tensors]:
        """The inputs of one chunk of rows after another, outside of any step."""
        if len(chunks) < 2:  # not worth other processes
            return (self.data.rows(rows, (*self.key, "chunk", 0)) for rows in chunks)
        return self.data.stream(Draw((*self.key, "chunk", i), rows) for i, rows in enumerate(chunks))

    def read(self, rows: Tensor) -> Tensors:
        """The inputs of these rows."""
        return _together(list(self.stream(rows.split(AT_ONCE))))


class Stage:
    """The domains that are learned from at once, without their test data.

    Parameters
    ----------
    domains : sequence of Domain
        Kept without their test data, with their training data on `device`.
    ids : sequence of int
        Their places among the domains of the stream.
    index : int
        The place of the stage in the stream.
    live : Tensor of shape (domains of the stream, classes), bool, optional
        The classes that may be predicted in each domain in this stage; None stands for all.
    """

    def __init__(
        self, domains: Sequence[Domain], ids: Sequence[int], index: int, live: Tensor | None, task: Task,
        *, seed: int = 0, batch_size: int = 64, device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        self.domains, self.ids = tuple(domain.for_training(torch.device(device)) for domain in domains), tuple(ids)
        self.index, self.live, self.task, self.seed, self.batch_size = index, live, task, seed, batch_size
        named = [
            (number, domain.train, (seed, index, domain.name)) for number, domain in zip(ids, self.domains, strict=True)
        ]
        labelled = [Pool(number, d, 0, len(d.y), True, (*key, True)) for number, d, key in named]
        unlabelled = [Pool(number, d, len(d.y), len(d) - len(d.y), False, (*key, False)) for number, d, key in named]
        self.pools = [pool for pool in labelled + unlabelled if pool.size]
        self._orders: dict[tuple[int, bool], tuple[int, Tensor]] = {}  # of the newest epoch
        self._layouts: dict[tuple[tuple[int, bool, int], ...], tuple[Tensor, tuple[Part, ...]]] = {}

    @property
    def name(self) -> str:
        """The names of the domains, joined by "+"."""
        return " + ".join(domain.name for domain in self.domains)

    @property
    def steps(self) -> int:
        """The steps of one epoch, until the largest pool has been seen once."""
        return steps_per_pass(self.domains, self.batch_size)

    def stream(self, first: int, steps: int) -> Iterator[Batch]:
        """The batches of the steps from `first` to below `steps`; what is not in memory is read ahead of its step.

        A batch has `batch_size` rows of every pool (all of a smaller one) and depends on seed, stage, domain and step
        alone.
        """
        parts = [self._parts(pool, first, steps) for pool in self.pools]
        for step, found in zip(range(first, steps), zip(*parts, strict=True), strict=True):
            yield self._joined(self.pools, *zip(*found, strict=True), progress=step / steps)

    def batch(self, step: int, progress: float = 0.0) -> Batch:
        """The batch of this step alone."""
        rows = [self._drawn(pool, step) for pool in self.pools]
        inputs = [pool.data.rows(r, (*pool.key, step)) for r, pool in zip(rows, self.pools, strict=True)]
        return self._joined(self.pools, rows, inputs, progress)

    def batches(self, size: int = AT_ONCE) -> Iterator[Batch]:
        """Every training row once, domain by domain."""
        for pool in self.pools:
            yield from self.read(pool, torch.arange(pool.start, pool.start + pool.size), size)

    def read(self, pool: Pool, rows: Tensor, size: int = AT_ONCE) -> Iterator[Batch]:
        """These rows of one pool, in batches."""
        chunks = rows.split(size)
        for chunk, x in zip(chunks, pool.stream(chunks), strict=True):
            yield self._joined([pool], [chunk], [x])

    def gather(self, rows: Sequence[Tensor], pools: Sequence[Pool]) -> Batch:
        """The samples in these rows, pool after pool."""
        return self._joined(pools, rows, [pool.read(r) for r, pool in zip(rows, pools, strict=True)])

    def _parts(self, pool: Pool, first: int, steps: int) -> Iterator[tuple[Tensor, Tensors]]:
        """The rows of the pool in every step, and their inputs."""
        draws, wanted = tee(Draw((*pool.key, step), self._drawn(pool, step)) for step in range(first, steps))
        return ((draw.rows, x) for draw, x in zip(draws, pool.data.stream(wanted), strict=True))

    def _drawn(self, pool: Pool, step: int) -> Tensor:
        """The rows of a step: a window that moves over one order after another."""
        size = min(self.batch_size, pool.size)
        epoch, first = divmod(step * size, pool.size)
        rows = self._order(pool, epoch)[first : first + size]
        return rows if len(rows) == size else torch.cat([rows, self._order(pool, epoch + 1)[: size - len(rows)]])

    def _order(self, pool: Pool, epoch: int) -> Tensor:
        """All rows of the pool: at random in every epoch, where they can be read so."""
        key = (pool.domain, pool.labelled)
        if key not in self._orders or self._orders[key][0] != epoch:
            random = generator(*pool.key, epoch)
            order = torch.arange(pool.size) if pool.data.ordered else torch.randperm(pool.size, generator=random)
            self._orders[key] = (epoch, (order + pool.start).to(pool.data.device))
        return self._orders[key][1]

    def _joined(
        self, pools: Sequence[Pool], rows: Sequence[Tensor], inputs: Sequence[Tensors], progress: float = 0.0
    ) -> Batch:
        device = pools[0].data.y.device
        rows = [r.to(device, non_blocking=True) for r in rows]
        x = [each(lambda part: part.to(device, non_blocking=True), part) for part in inputs]
        y = [pool.data.y.index_select(0, r) for r, pool in zip(rows, pools, strict=True) if pool.labelled]
        domain, parts = self._layout(tuple((p.domain, p.labelled, len(r)) for r, p in zip(rows, pools, strict=True)))
        return Batch(
            x=_together(x),
            y=y[0] if len(y) == 1 else torch.cat(y) if y else pools[0].data.y[:0],
            domain=domain, index=rows[0] if len(rows) == 1 else torch.cat(rows),
            progress=progress, live=self.live, parts=parts,
        )  # fmt: skip

    def _layout(self, blocks: tuple[tuple[int, bool, int], ...]) -> tuple[Tensor, tuple[Part, ...]]:
        """Domain by row, and the parts, of blocks (domain, labelled, size): the same at every step of the stage."""
        if blocks not in self._layouts:
            domain = torch.cat([torch.full((size,), number) for number, _, size in blocks])
            parts = tuple(Part(size, labelled) for _, labelled, size in blocks)
            self._layouts[blocks] = (domain.to(self.pools[0].data.y.device), parts)
        return self._layouts[blocks]


def _together(parts: Sequence[Tensors]) -> Tensors:
    """The rows of one part after another."""
    return parts[0] if len(parts) == 1 else each(lambda *part: torch.cat(part), *parts)
