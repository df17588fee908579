"""A memory of samples: fixed in size, a uniform draw from the labelled and from the unlabelled rows seen."""

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tladapt.data import Tensors, each
from tladapt.method import make_room
from tladapt.stage import AT_ONCE, Batch, Pool, Stage


@dataclass(frozen=True)
class Choice:
    """Rows to rehearse, domain by domain: those of domain i begin at starts[i], and there are sizes[i] of them."""

    rows: Tensor
    starts: Tensor
    sizes: Tensor

    @classmethod
    def among(cls, rows: Tensor, domain: Tensor) -> "Choice":
        """Group these rows by `domain`, which has the domain of every row of the memory."""
        own = domain[rows]
        sizes = own.unique(return_counts=True)[1]
        return cls(rows[own.argsort(stable=True)], sizes.cumsum(0) - sizes, sizes)

    def draw(self, size: int, random: torch.Generator) -> Tensor:
        """Draw a domain uniformly, then one of its rows uniformly, `size` times; no rows if there are none."""
        if not len(self.rows):
            return self.rows
        domain = torch.randint(len(self.sizes), (size,), generator=random)
        sizes = self.sizes[domain]
        place = (torch.rand(size, generator=random, dtype=torch.float64) * sizes).long()
        return self.rows[self.starts[domain] + place.clamp(max=sizes - 1)]


class Memory(nn.Module):
    """At most `capacity` rows, the labelled ones first, in the data's own dtype.

    Every row gets a uniform random key when its domain is first seen, and the rows with the largest keys stay: after n
    rows each is held with probability capacity / n, the distribution of the reservoir of :cite:`Vitter1985`, without a
    loop over rows. If `balanced`, every group (a class, or the unlabelled rows of a domain) has an equal share: those
    rows stay that rank highest within their group.

    Labelled rows have at least half of the capacity (all of them stay if they are fewer), in both cases: beside many
    unlabelled rows, a few labelled ones would otherwise be lost, and with them all that the task can be learned from.
    Within the labelled and within the unlabelled rows, the keys decide as before.

    With a `folder` the inputs lie in files there, which are gone when the process ends, and the operating system holds
    of them in memory what it has room for.
    """

    key: Tensor
    domain: Tensor
    group: Tensor
    seen: Tensor
    count: Tensor
    y: Tensor

    def __init__(self, capacity: int, balanced: bool = False, folder: str | None = None) -> None:
        super().__init__()
        self.capacity, self.balanced, self.folder = capacity, balanced, folder
        self.names: list[str] = []  # of the inputs: "x", or "x_" and the key of a dict
        self.register_buffer("key", torch.zeros(capacity))
        self.register_buffer("domain", torch.zeros(capacity, dtype=torch.long))
        self.register_buffer("group", torch.zeros(capacity, dtype=torch.long))
        self.register_buffer("seen", torch.zeros(0, dtype=torch.long))  # the pools that had their turn
        self.register_buffer("count", torch.zeros(2, dtype=torch.long))  # labelled, unlabelled
        self._present: list[int] = []  # the pools of the stage
        self._past = 0  # how many labelled domains the rehearsed rows stand for
        self._choices: tuple[Choice, Choice] | None = None
        self.register_load_state_dict_pre_hook(make_room)
        self.register_load_state_dict_post_hook(lambda *_: setattr(self, "_choices", None))

    def reserve(self, stage: Stage) -> None:
        """Make room for rows like those of the stage, on its device."""
        self._present, self._choices = [_code(pool) for pool in stage.pools], None
        if not self.names:
            y = stage.pools[0].data.y
            for name, part in _named(stage.pools[0].read(torch.zeros(1, dtype=torch.long))).items():
                self.names.append(name)
                self.register_buffer(name, self._room(part))
            self.register_buffer("y", y.new_zeros(self.capacity, *y.shape[1:]))
            self.to(y.device)

    def draw(self, batch: Batch, size: int, random: torch.Generator, owner: object) -> Batch | None:
        """Draw `size` labelled rows and `size` unlabelled ones, of domains that are not in the stage.

        Each of these domains is drawn with the same probability, whatever number of its rows is in the memory.
        """
        labelled, unlabelled = (choice.draw(size, random) for choice in self.choices)
        index = torch.cat([labelled, unlabelled]).to(self.key.device, non_blocking=True)
        if not len(index):
            return None
        rows = each(lambda part: part.to(index.device, non_blocking=True), self.rows(index))
        y = self.y[index[: len(labelled)]]
        return batch.remembered(rows, y, self.domain[index], owner, self._weight(batch, len(y)))

    def _weight(self, batch: Batch, rehearsed: int) -> float:
        """What a rehearsed row counts beside a fresh one, so that every labelled domain counts alike."""
        fresh = sum(code % 2 for code in self._present)
        return self._past * len(batch.y) / (fresh * rehearsed) if fresh and rehearsed else 1.0

    @property
    def held(self) -> tuple[int, int]:
        """How many labelled and unlabelled rows there are."""
        labelled, unlabelled = self.count.tolist()
        return labelled, unlabelled

    @property
    def choices(self) -> tuple[Choice, Choice]:
        """The labelled, and the unlabelled, rows to draw from; found once a stage, for that waits for the device."""
        if self._choices is None:
            labelled, unlabelled = self.held
            place, domain = torch.arange(labelled + unlabelled), self.domain[: labelled + unlabelled].cpu()
            first = place < labelled
            gone = ~torch.isin(2 * domain + first, torch.tensor(self._present))
            self._past = sum(code % 2 for code in self.seen.tolist() if code not in self._present)
            self._choices = Choice.among(place[gone & first], domain), Choice.among(place[gone & ~first], domain)
        return self._choices

    def rows(self, index: Tensor) -> Tensors:
        """The inputs of these rows, where they are kept."""
        found = {name: self.get_buffer(name) for name in self.names}
        found = {name: part.index_select(0, index.to(part.device)) for name, part in found.items()}
        return found["x"] if self.names == ["x"] else {name[2:]: part for name, part in found.items()}

    def remember(self, stage: Stage, random: torch.Generator) -> None:
        """Let those rows of the stage that were not seen before compete for a place."""
        self.reserve(stage)
        seen = self.seen.tolist()
        pools = [pool for pool in stage.pools if _code(pool) not in seen]
        m, u = self.held
        sizes, device = [m + u, *(pool.size for pool in pools)], self.key.device
        key = torch.cat([self.key[: m + u], *(torch.rand(n, generator=random).to(device) for n in sizes[1:])])
        group = torch.cat([self.group[: m + u], *(_groups(pool) for pool in pools)])
        domain = torch.cat([self.domain[: m + u], *(self.domain.new_full((p.size,), p.domain) for p in pools)])
        unlabelled = torch.cat([torch.arange(m + u) >= m, *(torch.full((p.size,), not p.labelled) for p in pools)])
        keep = self._winners(self._ranks(key, group), unlabelled.to(device))
        keep = keep[unlabelled.to(device)[keep].int().argsort(stable=True)]
        self._fill(keep, sizes, pools)
        k = len(keep)
        self.key[:k], self.group[:k], self.domain[:k] = key[keep], group[keep], domain[keep]
        rest = int(unlabelled.to(device)[keep].sum())
        self.count = torch.tensor([k - rest, rest], device=device)
        self.seen = torch.cat([self.seen, torch.tensor([_code(pool) for pool in pools]).to(self.seen)])
        self._choices = None

    def _winners(self, rank: Tensor, unlabelled: Tensor) -> Tensor:
        """The places of the rows that stay: the lowest ranks, of labelled rows at least half of the capacity."""
        size = min(self.capacity, len(rank))
        winners = rank.topk(size, largest=False).indices
        labelled, rest = (~unlabelled).nonzero()[:, 0], unlabelled.nonzero()[:, 0]
        due = min(len(labelled), -(-self.capacity // 2))
        if int((~unlabelled[winners]).sum()) >= due:
            return winners
        first = labelled[rank[labelled].topk(due, largest=False).indices]
        return torch.cat([first, rest[rank[rest].topk(size - due, largest=False).indices]])

    def _ranks(self, key: Tensor, group: Tensor) -> Tensor:
        """Numbers by which rows win a place, the lowest first."""
        if not self.balanced:
            return -key
        order = key.argsort(descending=True)
        order = order[group[order].argsort(stable=True)]  # group by group, large keys first
        sizes = group.unique(return_counts=True)[1]
        first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        rank = torch.empty_like(key)
        rank[order] = torch.arange(len(key), device=key.device) - first - key[order]  # the key breaks ties
        return rank

    def _fill(self, keep: Tensor, sizes: list[int], pools: list[Pool]) -> None:
        """Write the inputs and labels of the rows `keep` of [memory, *pools] into the memory."""
        inputs = {name: self._room(self.get_buffer(name)) for name in self.names}
        y, start = torch.zeros_like(self.y), 0
        for size, pool in zip(sizes, [None, *pools], strict=True):
            places = ((keep >= start) & (keep < start + size)).nonzero()[:, 0]
            index, order = (keep[places] - start + (pool.start if pool else 0)).sort()
            places = places[order]  # rows that can only be read in their order are read in one pass
            chunks = index.split(AT_ONCE) if len(index) else ()  # a pool that won no place is not read
            read = pool.stream(chunks) if pool else map(self.rows, chunks)
            for some, rows in zip(places.split(AT_ONCE) if len(places) else (), read, strict=True):
                for name, part in _named(rows).items():
                    inputs[name][some.to(inputs[name].device)] = part.to(inputs[name].device)
            if pool is None or pool.labelled:
                y[places] = (pool.data.y if pool else self.y)[index]
            start += size
        for name, part in {**inputs, "y": y}.items():
            setattr(self, name, part)

    def _room(self, like: Tensor) -> Tensor:
        """Zeros for `capacity` rows, on the device of `like`, or in a file."""
        if self.folder is None:
            return like.new_zeros(self.capacity, *like.shape[1:])
        size = self.capacity * like[:1].numel()
        handle, path = tempfile.mkstemp(prefix="tladapt-", dir=self.folder)
        try:  # the room is taken now: where there is none, writing into it later would end the process
            getattr(os, "posix_fallocate", os.lseek)(handle, 0, size * like.element_size())
        except OSError as error:
            os.unlink(path)
            raise ValueError(
                f"Replay(folder={self.folder!r}): {error.strerror}: it needs twice {size * like.element_size()} bytes"
            ) from error
        finally:
            os.close(handle)
        found = torch.from_file(path, shared=True, size=size, dtype=like.dtype).view(self.capacity, *like.shape[1:])
        with suppress(PermissionError):  # of Windows, where the name of a file in use cannot be taken away
            os.unlink(path)
        return found

    def _apply(self, fn: Any, recurse: bool = True) -> "Memory":
        """Move all but the inputs that lie in files."""
        kept = {name: self._buffers[name] for name in self.names if self.folder is not None}
        self._buffers |= dict.fromkeys(kept)
        super()._apply(fn, recurse)
        self._buffers |= kept
        return self


def _named(x: Tensors) -> dict[str, Tensor]:
    return {f"x_{key}": part for key, part in x.items()} if isinstance(x, dict) else {"x": x}


def _code(pool: Pool) -> int:
    return 2 * pool.domain + pool.labelled


def _groups(pool: Pool) -> Tensor:
    """A number per row: its class, or below 0 for the unlabelled rows of a domain."""
    if pool.labelled and pool.data.y.ndim == 1 and not pool.data.y.is_floating_point():
        return pool.data.y[pool.start : pool.start + pool.size]
    return torch.full((pool.size,), -1 - pool.domain, device=pool.data.y.device)
