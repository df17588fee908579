"""Streams: which domains are learned from, and when."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tladapt.choices import INCREMENTS
from tladapt.domains import Domain

Stream = Sequence[Domain | tuple[Domain, ...]]


def adaptation(source: Domain, target: Domain, keep: int = 0) -> list[Domain | tuple[Domain, ...]]:
    """First the source, then the source beside the target without its labels (but for `keep` per class)."""
    return [source, (source, target.unlabelled(keep))]


def members(stage: Domain | Sequence[Domain]) -> tuple[Domain, ...]:
    """The domains of a stage."""
    if isinstance(stage, Sequence) and not stage:
        raise ValueError("stream: a stage is empty; give it a domain, or leave it out")
    return tuple(stage) if isinstance(stage, Sequence) else (stage,)


def domains_of(stream: Stream, evaluate: Sequence[Domain] | None = None) -> list[Domain]:
    """The domains of a stream, each once, in the order in which they come; or `evaluate`, which must hold them.

    Raises
    ------
    ValueError, TypeError
        If the stream is empty, two different domains share a name, or domains differ in the shape of a row.
    """
    if isinstance(stream, Domain | str) or not len(stream):
        raise TypeError("stream: give a list of stages, each a Domain or a tuple of them, such as adaptation(a, b)")
    found: dict[str, Domain] = {}
    for domain in (domain for stage in stream for domain in members(stage)):
        if not isinstance(domain, Domain):
            raise TypeError(f"stream: {type(domain).__name__} is no Domain; wrap the data as Domain(name, (x, y))")
        if found.setdefault(domain.name, domain).origin != domain.origin:
            raise ValueError(f"stream: two domains are named {domain.name!r}; give each its own name")
    if evaluate is not None:
        columns = {domain.name: found.get(domain.name, domain) for domain in evaluate}
        if len(columns) < len(evaluate) or found.keys() - columns.keys():
            raise ValueError(
                f"evaluate: give every domain of the stream ({', '.join(found)}) once, and others if you like"
            )
        found = columns
    first, *others = found.values()
    for other in others:
        if other.train.shape != first.train.shape:
            raise ValueError(
                f"stream: the rows of {other.name!r} have the shape {other.train.shape}, those of {first.name!r} "
                f"{first.train.shape}; bring both to one shape"
            )
    return list(found.values())


def live_classes(increment: str, domains: Sequence[Domain], classes: int, seen: set[int]) -> Tensor | None:
    """The classes that may be predicted, (domains, classes) bool; None stands for all.

    domain: all of them. class: those of the domains `seen` so far (all before the first). task: each domain's own,
    because which domain a sample is from is known.

    >>> a, b = (Domain(name, (torch.eye(2), y), test=0.0) for name, y in (("a", [0, 1]), ("b", [2, 3])))
    >>> live_classes("class", [a, b], 4, seen={0})[:, 2:].any(), live_classes("task", [a, b], 4, seen={0})[1].tolist()
    (tensor(False), [False, False, True, True])
    """
    if increment not in INCREMENTS:
        raise ValueError(f"increment={increment!r}: expected one of {', '.join(map(repr, INCREMENTS))}")
    if increment == "domain" or (increment == "class" and not seen):
        return None
    own = torch.zeros(len(domains), classes, dtype=torch.bool)
    for row, domain in zip(own, domains, strict=True):
        row[slice(None) if domain.labels is None else domain.labels] = True
    if increment == "task" and _overlap(own[[domain.labels is not None for domain in domains]]):
        raise ValueError(
            "increment='task': tasks share some of their classes; number each task's apart, as by_class does"
        )
    return own if increment == "task" else own[sorted(seen)].any(0).expand(len(domains), -1)


def _overlap(sets: Tensor) -> bool:
    """Whether two of these sets of classes, (sets, classes) bool, share some classes but not all."""
    shared, sizes = sets.float() @ sets.T.float(), sets.sum(1)
    return bool(((shared > 0) & ((shared < sizes) | (shared < sizes[:, None]))).any())
