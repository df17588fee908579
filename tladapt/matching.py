"""One list of classes for all domains of a stream and their model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tladapt.data import Data
from tladapt.domains import Domain
from tladapt.model import Model
from tladapt.one_type import PARTS, inputs_of_one_type, labels_of_one_type
from tladapt.readers.headers import some
from tladapt.readers.naming import renumber
from tladapt.streams import Stream, domains_of, members
from tladapt.task import Task


@dataclass
class Matched:
    """A stream whose domains number their classes as the model does, and whose rows and labels have one type.

    Attributes
    ----------
    stream : list of Domain or tuple of Domain
        The stages.
    domains : list of Domain
        The columns of the report.
    classes : tuple of str
        What the model should call its classes.
    notes : list of str
        What a user should know, such as rows that cannot be scored.
    """

    stream: list[Domain | tuple[Domain, ...]]
    domains: list[Domain]
    classes: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def matched(model: Model, stream: Stream, evaluate: Sequence[Domain] | None, task: Task) -> Matched:
    """Return the stream, and the domains to score, with the classes and the types that all of them share.

    Classes are matched by name where domains have names for them (`Domain.named`): to those of the model, or, if the
    model only has numbers, to those of the labelled domains in the order in which they come. Numbers are taken as
    places in that list.

    Raises
    ------
    ValueError, TypeError
        If labels to learn from have a name that the model does not have, or rows have types that cannot be brought to
        one; `domains_of` has more.
    """
    domains = domains_of(stream, evaluate)
    views = _views(stream, domains)
    changes = dict(zip(map(id, views), views, strict=True))
    found = Matched([], [], model.classes)
    changes = _changed(changes, inputs_of_one_type(views))
    changes = _changed(changes, labels_of_one_type(list(changes.values()), task))
    answers = getattr(task, "answers", "classes")
    has_columns = any(domain.train.y.ndim == 2 for domain in changes.values())
    if answers == "classes" or (answers is not None and has_columns):
        learned = {domain.name for stage in stream for domain in members(stage) if len(domain.train.y)}
        found.classes = class_list(model, list(changes.values()), learned)
        for key, domain in changes.items():
            is_learned = domain.name in learned
            if answers == "classes":
                changes[key], notes = numbered(domain, found.classes, is_learned)
            else:
                changes[key], notes = with_columns(domain, found.classes, is_learned, gaps=answers == "labels")
            found.notes += [note for note in notes if note not in found.notes]
        found.notes += _one_class(changes.values(), found.classes, task)
        found.notes += _never_learned(list(changes.values()), found.classes)
    for stage in stream:
        changed = tuple(changes[id(domain)] for domain in members(stage))
        found.stream.append(changed[0] if isinstance(stage, Domain) else changed)
    found.domains = [changes[id(domain)] for domain in domains]
    return found


def class_list(model: Model, domains: Sequence[Domain], learned: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the model's classes: its own, or those of the domains if it only has numbers.

    The domains to learn from with labels, whose names are `learned`, come first; names of others follow while the
    model has outputs left.

    Raises
    ------
    ValueError
        If the domains to learn from have more classes than the model has outputs.
    """
    named = [domain for domain in domains if domain.named]
    if named and len(set(model.classes)) < len(model.classes):
        raise ValueError(f"model: two of its classes have one name ({some(model.classes)}); give every class its own")
    counted = tuple(map(str, range(len(model.classes))))
    if model.classes != counted or all(set(domain.classes) <= set(counted) for domain in named):
        return model.classes
    learned = set(learned)
    names: dict[str, str] = {}  # and the domain that each was first found in
    for domain in named:
        if domain.name in learned:
            names = dict.fromkeys(domain.classes, domain.name) | names
    ordered = _in_order([domain for domain in named if domain.name in learned])
    if len(ordered) > len(counted):
        last = ordered[len(counted)]
        raise ValueError(
            f"stream: the domains name {len(ordered)} classes ({some(ordered)}), the model has {len(counted)}; "
            f"{last[:60]!r} is a class of {names[last]!r}: build the model with classes=[...], the names of all"
        )
    others = _in_order(named)
    extra = [name for name in others if name not in names]
    ordered = (ordered + extra)[: len(counted)]
    return tuple(ordered) + tuple(f"output {number}" for number in range(len(ordered), len(counted)))


def numbered(domain: Domain, classes: tuple[str, ...], learned: bool) -> tuple[Domain, list[str]]:
    """Return the domain with labels that are places in `classes`, and notes on rows that cannot be scored.

    Rows whose class is not in `classes` are not scored if the domain gives no labels to learn from (`learned`): an
    unlabelled target may have classes of its own.

    Raises
    ------
    ValueError
        If the domain gives labels to learn from and one is not in `classes`.
    """
    table = _table(domain, classes)
    if table is None:
        return domain, []
    changed, notes = domain.but(classes=classes), list[str]()
    for part in PARTS:
        data = getattr(domain, part)
        if data is None or data.y.is_floating_point():
            continue
        y = renumber(data.y, table)
        lost = (data.y >= 0) & (y < 0)
        if not len(y) or not lost.any():
            setattr(changed, part, data if torch.equal(y, data.y) else data.with_labels(y, classes))
            continue
        unknown = _unknown(domain, data.y[lost])
        if learned:
            raise _unknown_class(domain, unknown[0], classes)
        setattr(changed, part, _known(data, y, lost, classes) if part == "test" else data.without_labels())
        if part == "test":
            notes.append(
                f"{domain.name}: {_rows(lost)} not scored, because the model does not have the class {some(unknown)}"
            )
    if domain.labels is not None:
        labels = table[domain.labels]
        changed.labels = sorted(labels[labels >= 0].tolist())
    return changed, notes


def with_columns(domain: Domain, classes: tuple[str, ...], learned: bool, gaps: bool) -> tuple[Domain, list[str]]:
    """Return the domain with labels (n, C) whose columns are in the order of `classes`, and notes on those left out.

    A class that the domain does not have is a column of -1 (not known), if the task allows such `gaps`.

    Raises
    ------
    ValueError
        If the domain gives labels to learn from and one of its columns is not in `classes`, or lacks a column.
    """
    width = len(domain.classes)
    labelled = [data.y for part in PARTS if (data := getattr(domain, part)) is not None and len(data.y)]
    if not domain.named or domain.classes == classes or any(y.shape[1:] != (width,) for y in labelled):
        return domain, []
    unknown = [name for name in domain.classes if name not in classes]
    missing = [name for name in classes if name not in domain.classes]
    if unknown and learned:
        raise _unknown_class(domain, unknown[0], classes)
    if missing and labelled and not gaps:
        raise ValueError(f"stream: domain {domain.name!r} has no column for {some(missing)}; the model predicts all")
    order = torch.tensor([domain.classes.index(name) if name in domain.classes else width for name in classes])
    changed = domain.but(classes=classes)
    for part in PARTS:
        data = getattr(domain, part)
        if data is not None and len(data.y):
            wider = torch.cat([data.y, torch.full_like(data.y[:, :1], -1)], 1)
            setattr(changed, part, data.with_labels(wider[:, order], classes))
    if not unknown:
        return changed, []
    return changed, [f"{domain.name}: {some(unknown)} not scored, because the model does not have this class"]


def _unknown_class(domain: Domain, name: str, classes: tuple[str, ...]) -> ValueError:
    return ValueError(
        f"stream: domain {domain.name!r} has the class {name[:60]!r}, which is not one of the model's "
        f"({some(classes)}); drop its rows, rename it, or build the model with this class"
    )


def _table(domain: Domain, classes: tuple[str, ...]) -> Tensor | None:
    """Return the place of each class of the domain in `classes`, -1 if it has none; None if nothing changes."""
    counted = tuple(map(str, range(len(classes))))
    are_other_numbers = classes != counted and all(name.isdecimal() for name in classes)  # such as 1, 2, 3
    if domain.named or are_other_numbers:
        if domain.classes == classes or not domain.classes:
            return None
        place = {name: number for number, name in enumerate(classes)}
        return torch.tensor([place.get(name, -1) for name in domain.classes])
    if len(domain.classes) <= len(classes) or len(domain.train.y):
        return None  # too many to learn from are refused by the task
    places = torch.arange(len(domain.classes))
    return places.masked_fill(places >= len(classes), -1)


def _unknown(domain: Domain, labels: Tensor) -> list[str]:
    return [domain.classes[number] for number in labels.unique().tolist()]


def _known(data: Data, y: Tensor, lost: Tensor, classes: tuple[str, ...]) -> Data | None:
    """Return the rows with a known label, or without any; None if there are none. In masks, -1 marks unknown pixels."""
    if y.ndim > 1:
        return data.with_labels(y, classes)
    kept = (~lost).nonzero()[:, 0]
    if not len(kept):
        return None
    unlabelled = torch.arange(len(y), len(data))
    return data.with_labels(y, classes).take(kept, unlabelled)


def _rows(lost: Tensor) -> str:
    count = int(lost.sum())
    what = "row" if lost.ndim == 1 else "pixel"
    return f"{count} {what}s of the test data are" if count > 1 else f"1 {what} of the test data is"


def _in_order(domains: Sequence[Domain]) -> list[str]:
    return list(dict.fromkeys(name for domain in domains for name in domain.classes))


def _one_class(domains: Iterable[Domain], classes: tuple[str, ...], task: Task) -> list[str]:
    """A note if all rows to learn from have one label."""
    labels = [domain.train.y for domain in domains if domain.train.y.ndim == 1 and len(domain.train.y)]
    whole = [y for y in labels if not y.is_floating_point()]
    if not whole or len(whole) < len(labels) or len(classes) == 1:
        only = classes[0] if whole and len(classes) == 1 else None
    else:
        low, high = min(int(y.min()) for y in whole), max(int(y.max()) for y in whole)
        only = classes[low] if low == high and low < len(classes) else None
    if only is None or getattr(task, "answers", None) != "classes":
        return []
    return [f"all labelled rows have the class {only!r}: with one class there is nothing to tell apart"]


def _never_learned(domains: Sequence[Domain], classes: tuple[str, ...]) -> list[str]:
    """Notes on classes that are scored on a domain with labels, and that no domain has a row to learn from of.

    The rows that a test share holds out may be all rows of a rare class.
    """
    learned = [domain.train.y for domain in domains if _has_classes(domain.train)]
    if not learned:
        return []
    known = torch.cat([y.cpu() for y in learned]).unique()
    notes = list[str]()
    for domain in domains:
        if domain.test is None or not _has_classes(domain.test) or len(domain.train.y) < len(domain.train):
            continue
        scored = domain.test.y.cpu().unique()
        missing = [classes[number] for number in scored[~torch.isin(scored, known)].tolist() if number < len(classes)]
        if missing:
            what = f"class {missing[0]!r}" if len(missing) == 1 else f"classes {some(missing)}"
            notes.append(f"{domain.name}: no row to learn from has the {what}, which the test data has")
    return notes


def _has_classes(data: Data) -> bool:
    return bool(len(data.y)) and data.y.ndim == 1 and not data.y.is_floating_point()


def _views(stream: Stream, domains: Sequence[Domain]) -> list[Domain]:
    """Return every domain of the stream, and of the columns, once; two views of one domain are two."""
    found = [domain for stage in stream for domain in members(stage)]
    return list({id(domain): domain for domain in [*found, *domains]}.values())


def _changed(changes: dict[int, Domain], new: Sequence[Domain]) -> dict[int, Domain]:
    return dict(zip(changes, new, strict=True))
