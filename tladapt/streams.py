"""Streams: which domains are learned from, and when."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from tladapt.choices import INCREMENTS
from tladapt.domains import Domain

Stream = Sequence[Domain | tuple[Domain, ...]]


def adaptation(
    source: Domain | Sequence[Domain], target: Domain, keep: int | None = None
) -> list[Domain | tuple[Domain, ...]]:
    """Return two stages: the source, then the source beside the target without its labels.

    Parameters
    ----------
    source : Domain or sequence of Domain
        One labelled domain, or several that are learned together.
    target : Domain
        Its labels are removed. A target that is partly unlabelled, as `target.unlabelled(keep=5)`, stays as it is.
    keep : int, optional
        Labels of the target to keep per class; by default none of a target that is labelled as a whole.

    Raises
    ------
    ValueError, TypeError
        If an argument is not of this form.

    Examples
    --------
    >>> a, b, c = (Domain(name, (torch.randn(10, 2), [0, 1] * 5), None) for name in "abc")
    >>> adaptation([a, b], c, keep=1)[1]
    (Domain('a', 10 labelled, test 0), Domain('b', 10 labelled, test 0), Domain('c', 2 labelled, 8 unlabelled, test 0))
    """
    if isinstance(keep, Domain):
        raise TypeError("adaptation: several sources go into a list, as in adaptation([a, b], target)")
    sources: tuple[Domain, ...] = (source,) if isinstance(source, Domain) else _several(source)
    if not sources:
        raise ValueError("adaptation: no source given; expected a Domain or a list of them")
    for domain in (*sources, target):
        _check_domain(domain)
    if keep is not None and (isinstance(keep, bool) or not isinstance(keep, Integral) or keep < 0):
        raise ValueError(f"adaptation(keep={keep!r}): expected the number of labels to keep per class, 0 or more")
    partly = 0 < len(target.train.y) < len(target.train)
    unlabelled = target if partly and keep is None else target.unlabelled(int(keep or 0))
    return [sources[0] if len(sources) == 1 else sources, (*sources, unlabelled)]


def _several(source: Any) -> tuple[Domain, ...]:
    return tuple(source) if isinstance(source, list | tuple) else (source,)


def _check_domain(domain: object) -> None:
    if isinstance(domain, list | tuple):
        raise TypeError(
            "adaptation: expected one target, got several; write the stream yourself, as in "
            "[a, (a, b.unlabelled()), (a, c.unlabelled())]"
        )
    if not isinstance(domain, Domain):
        raise TypeError(
            f"adaptation: expected a Domain, got a {type(domain).__name__}; wrap the data as Domain('name', (x, y))"
        )


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
            raise TypeError(
                f"stream: expected a Domain, got a {type(domain).__name__}; wrap the data as Domain('name', (x, y))"
            )
        if found.setdefault(domain.name, domain).origin != domain.origin:
            raise ValueError(f"stream: two domains are named {domain.name!r}; give each its own name")
    if evaluate is not None:
        _check_evaluate(evaluate)
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


def _check_evaluate(evaluate: object) -> None:
    domains = isinstance(evaluate, list | tuple) and all(isinstance(domain, Domain) for domain in evaluate)
    if not domains:
        raise TypeError(f"evaluate: expected a list of Domain, got a {type(evaluate).__name__}")


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
