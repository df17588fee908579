"""One type of inputs, and one of labels, for all domains of a stream."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from tladapt.data import Data
from tladapt.domains import Domain
from tladapt.task import Task

WHOLE = (torch.bool, torch.int32, torch.int64)  # from the narrowest
PARTS = ("train", "test", "validation")


def _data(domains: Iterable[Domain]) -> list[tuple[Domain, Data]]:
    found = [(domain, getattr(domain, part)) for domain in domains for part in PARTS]
    return [(domain, data) for domain, data in found if data is not None]


def inputs_of_one_type(domains: Sequence[Domain]) -> list[Domain]:
    """Return the domains with inputs of one type: whole numbers beside floats become floats, as bytes do from 0 to 1.

    Raises
    ------
    ValueError
        If bytes, which the model divides by 255, are beside whole numbers, or beside floats that are not from 0 to 1.
    """
    parts = _data(domains)
    kinds: dict[str, torch.dtype] = {}
    for key in {key for _, data in parts for key in data.kinds}:
        kinds[key] = _one_type(key, [(domain, data) for domain, data in parts if key in data.kinds])
    return [_with(domain, lambda data: _converted(data, kinds)) for domain in domains]


def _one_type(key: str, parts: Sequence[tuple[Domain, Data]]) -> torch.dtype:
    """Return the type that this input should have in all parts."""
    kinds = {data.kinds[key] for _, data in parts}
    if len(kinds) == 1:
        return kinds.pop()
    if torch.uint8 not in kinds:
        return torch.float32 if torch.float32 in kinds else max(kinds, key=WHOLE.index)
    scaled = next(domain for domain, data in parts if data.kinds[key] == torch.uint8)
    for domain, data in parts:
        kind = data.kinds[key]
        if kind == torch.uint8 or (kind == torch.float32 and _from_0_to_1(data, key)):
            continue
        what = f" ({key})" if key else ""
        other = str(kind).removeprefix("torch.")
        raise ValueError(
            f"stream: the inputs{what} of {scaled.name!r} are bytes (0 to 255), which the model divides by 255, "
            f"those of {domain.name!r} {other}; give all as bytes, or all as floats of one scale"
        )
    return torch.float32


def _from_0_to_1(data: Data, key: str) -> bool:
    """Whether all are known to be; those of a data set are not in memory."""
    part = data.x.get(key) if isinstance(data.x, dict) else data.x
    return part is not None and bool(part.min() >= 0) and bool(part.max() <= 1)


def _converted(data: Data, kinds: dict[str, torch.dtype]) -> Data:
    same = all(kinds[key] == kind for key, kind in data.kinds.items())
    return data if same else data.converted({key: kinds[key] for key in data.kinds})


def labels_of_one_type(domains: Sequence[Domain], task: Task) -> list[Domain]:
    """Return the domains with labels of one type, and those without labels with none of that type and shape.

    What a task answers decides the type: classes are whole numbers; several labels per row, and numbers to predict, are
    floats.

    Raises
    ------
    ValueError
        If labels have different shapes and are classes.
    """
    answers = getattr(task, "answers", None)
    labelled = [(domain, data.y) for domain, data in _data(domains) if len(data.y)]
    if not labelled or answers is None:
        return list(domains)
    are_whole = answers == "classes" and all(_is_whole(y) for _, y in labelled)
    kind = torch.int64 if are_whole else torch.float32
    first, y = labelled[0]
    for domain, other in labelled[1:]:
        if other.ndim != y.ndim:
            raise ValueError(
                f"stream: the labels of {domain.name!r} have the shape {tuple(other.shape[1:])} per row, those of "
                f"{first.name!r} {tuple(y.shape[1:])}; give both in one form"
            )
    if answers == "classes" and not are_whole:
        return list(domains)  # which the task refuses
    return [_recounted(_with(domain, lambda data: _relabelled(data, kind, y)), domain) for domain in domains]


def _is_whole(y: Tensor) -> bool:
    return not y.is_floating_point() or (y.ndim == 1 and not bool((y % 1).any()) and bool((y >= 0).all()))


def _relabelled(data: Data, kind: torch.dtype, like: Tensor) -> Data:
    """Return the data with labels of that type; none in the form of the others, if it has none."""
    if not len(data.y):
        same = data.y.dtype == kind and data.y.shape[1:] == like.shape[1:]
        return data if same else data.with_labels(data.y.new_empty(0, *like.shape[1:], dtype=kind))
    return data if data.y.dtype == kind else data.with_labels(data.y.to(kind), data.names)


def _recounted(changed: Domain, domain: Domain) -> Domain:
    """Count the classes of a domain whose labels were floats."""
    was_float = any(data.y.is_floating_point() for _, data in _data([domain]) if len(data.y))
    is_whole = all(not data.y.is_floating_point() for _, data in _data([changed]))
    if not was_float or not is_whole or domain.classes:
        return changed
    labels = [data.y for _, data in _data([changed]) if len(data.y)]
    names = tuple(map(str, range(1 + max(int(y.max()) for y in labels))))
    y = changed.train.y
    return changed.but(classes=names, labels=y.unique().tolist() if len(y) == len(changed.train) else None)


def _with(domain: Domain, change: Any) -> Domain:
    """Return the domain with every part of its data changed; itself, if nothing is."""
    parts = {part: getattr(domain, part) for part in PARTS}
    new = {part: None if data is None else change(data) for part, data in parts.items()}
    return domain if all(new[part] is parts[part] for part in PARTS) else domain.but(**new)
