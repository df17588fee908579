"""What can be known about a domain without its labels: predictions, confidence, and distance from the source.

Only training rows are looked at, in evaluation mode and with random numbers of their own, so that nothing of it changes
what is learned.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.data import Data, Draw, each
from tladapt.domains import Domain
from tladapt.model import Model, Output
from tladapt.seeding import generator, seeded
from tladapt.stage import Stage
from tladapt.task import Task, masked
from tladapt.tasks import Classification

ROWS = 10_000  # rows of a domain that are predicted, at most
FEW = 1000  # rows of each side that a distance is measured on, and of a data set that is read row by row, at most
SHOWN = 10  # rows that are listed
AT_ONCE = 256  # rows per forward pass

Facts = dict[str, Any]
ByDomain = dict[str, Facts]


def before_stage(model: Model, stage: Stage) -> ByDomain:
    """Return the distance of every domain of the stage that has unlabelled rows, as the model enters the stage."""
    found = dict[str, Facts]()
    if getattr(model.head, "autoregressive", False):  # it would write an answer for every row
        return found
    for number, domain in zip(stage.ids, stage.domains, strict=True):
        if _unlabelled(domain):
            found[domain.name] = {"distance_before": _distance(model, stage, domain, number)}
    return found


def after_stage(model: Model, stage: Stage, task: Task, before: ByDomain, domains: Sequence[Domain]) -> ByDomain:
    """Return all facts about every domain of the stage that has unlabelled rows, after the stage.

    Parameters
    ----------
    before : dict
        What `before_stage` returned.
    domains : sequence of Domain
        The domains of the stage as they were given: those of the stage do not have the names of their rows.
    """
    found = dict[str, Facts]()
    if getattr(model.head, "autoregressive", False):
        return found
    given = {domain.name: domain for domain in domains}
    for number, domain in zip(stage.ids, stage.domains, strict=True):
        if not (count := _unlabelled(domain)):
            continue
        facts: Facts = {"stage": stage.name, "rows": count}
        facts |= before.get(domain.name, {})
        facts["distance_after"] = _distance(model, stage, domain, number)
        if isinstance(task, Classification):
            facts |= _predictions(model, stage, given[domain.name], number)
        found[domain.name] = facts
    return found


def _unlabelled(domain: Domain) -> int:
    return len(domain.train) - len(domain.train.y)


def _drawn(data: Data, first: int, last: int, most: int, *key: int | str) -> Tensor:
    """Return at most so many rows from `first` to below `last`, drawn at random, in ascending order."""
    most = min(most, FEW) if data.x is None else most  # rows that are not in memory take long to read
    order = torch.randperm(last - first, generator=generator("label free", *key))
    return order[:most].sort().values + first


def _each(model: Model, data: Data, rows: Tensor, number: int, wanted: Callable[[Output], Tensor]) -> list[Tensor]:
    """Return what is wanted of the output for these rows of a domain, batch by batch."""
    chunks = rows.split(AT_ONCE)
    draws = (Draw(("label free", number, i), chunk) for i, chunk in enumerate(chunks))
    training = model.training
    model.eval()
    found = list[Tensor]()
    try:
        with seeded(0), torch.no_grad():
            for chunk, read in zip(chunks, data.stream(draws), strict=True):
                x = each(lambda part: part.to(model.device, non_blocking=True), read)
                output = model(x, torch.full((len(chunk),), number, device=model.device))
                found.append(wanted(output).double().cpu())
    finally:
        model.train(training)
    return found


def _distance(model: Model, stage: Stage, domain: Domain, number: int) -> float | None:
    """Return the distance of the domain's unlabelled rows from the labelled rows of the other domains of the stage."""
    both = zip(stage.domains, stage.ids, strict=True)
    others = [(other, place) for other, place in both if place != number and len(other.train.y)]
    if not others:
        return None
    share = max(1, FEW // len(others))
    source = torch.cat([_features(model, other.train, 0, len(other.train.y), share, place) for other, place in others])
    target = _features(model, domain.train, len(domain.train.y), len(domain.train), FEW, number)
    return distance(source, target)


def _features(model: Model, data: Data, first: int, last: int, most: int, number: int) -> Tensor:
    rows = _drawn(data, first, last, most, number, "distance")
    return torch.cat(_each(model, data, rows, number, lambda output: output.pooled.features))


def distance(source: Tensor, target: Tensor) -> float | None:
    """Return the distance between the means of two samples (n, d) and (m, d), in standard deviations.

    The square of the distance is corrected for chance, and divided by the mean of the two total variances. It does not
    depend on the scale of the features; 0: the means do not differ by more than chance. None: not defined, for fewer
    than two rows or no variance.

    Examples
    --------
    >>> a = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> round(distance(a, a + 1.0), 1), round(distance(100 * a, 100 * a + 100.0), 1), distance(a[::2], a[1::2]) < 0.2
    (1.0, 1.0, True)
    """
    if min(len(source), len(target)) < 2:
        return None
    spread, other = (float(sample.var(0).sum()) for sample in (source, target))
    square = float((source.mean(0) - target.mean(0)).square().sum()) - spread / len(source) - other / len(target)
    scale = (spread + other) / 2
    if not 0 < scale < math.inf or not math.isfinite(square):
        return None
    return math.sqrt(max(square, 0.0) / scale)


def _predictions(model: Model, stage: Stage, domain: Domain, number: int) -> Facts:
    """Return the shares of the predicted classes, the mean confidence and entropy, and the least certain rows."""
    data, labelled = domain.train, len(domain.train.y)
    rows = _drawn(data, labelled, len(data), ROWS, number, "predicted")
    live = None if stage.live is None else stage.live[number][None].to(model.device)
    answers = torch.cat(_each(model, data, rows, number, lambda output: _answers(masked(output.logits, live))))
    if not answers.isfinite().all():
        return {}
    best, confidence, entropy = answers[:, 0].long(), answers[:, 1], answers[:, 2]
    counts = torch.bincount(best, minlength=len(model.classes)).double()
    least = confidence.argsort(stable=True)[:SHOWN]
    listed = [
        {"row": name, "prediction": model.classes[int(best[i])], "confidence": float(confidence[i])}
        for name, i in zip(domain.row_names(rows[least]), least.tolist(), strict=True)
    ]
    return {
        "predicted_rows": len(rows), "classes": list(model.classes), "proportions": (counts / len(rows)).tolist(),
        "confidence": float(confidence.mean()), "entropy": float(entropy.mean()), "least_certain": listed,
    }  # fmt: skip


def _answers(logits: Tensor) -> Tensor:
    """Return the class, its probability and the entropy of each row, (n, 3): less to keep than all probabilities.

    They are NaN where a row has more than one answer (a class per pixel or token).
    """
    if logits.ndim != 2:
        return logits.new_full((len(logits), 3), torch.nan)
    chances = logits.softmax(-1).double()
    confidence, best = chances.max(1)
    return torch.stack([best.double(), confidence, torch.special.entr(chances).sum(1)], 1)


def known(found: ByDomain) -> ByDomain:
    """Return the facts about the domains whose stage is over."""
    return {name: facts for name, facts in found.items() if "stage" in facts}


def mean_of(founds: Sequence[ByDomain]) -> ByDomain:
    """Return the mean of the figures over several runs; the least certain rows, which differ, are left out."""
    return {name: _mean([found[name] for found in founds]) for name in founds[0] if all(name in f for f in founds)}


def _mean(facts: Sequence[Facts]) -> Facts:
    found = {key: value for key, value in facts[0].items() if key in ("stage", "rows", "predicted_rows", "classes")}
    for key in ("distance_before", "distance_after", "proportions", "confidence", "entropy"):
        values = [one[key] for one in facts if one.get(key) is not None]
        if key in facts[0]:
            found[key] = np.mean(values, 0).tolist() if len(values) == len(facts) else None
    return found
