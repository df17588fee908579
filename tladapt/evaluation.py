"""Scores of a model on every domain, old and new, and what follows from them."""

from collections.abc import Sequence

import numpy as np
import torch

from tladapt.data import Data, Draw, each
from tladapt.domains import Domain
from tladapt.model import Model
from tladapt.streams import live_classes
from tladapt.task import Task

Scores = Sequence[Sequence[float | None]]


class Evaluator:
    """Scores a model on the test data of every domain; the only place that holds test data."""

    def __init__(self, domains: Sequence[Domain], task: Task, increment: str, batch_size: int = 512) -> None:
        self.domains, self.task, self.increment, self.batch_size = list(domains), task, increment, batch_size

    @property
    def rows(self) -> list[int]:
        """How many labelled test rows each domain has."""
        return [0 if domain.test is None else len(domain.test.y) for domain in self.domains]

    def live(self, model: Model, seen: set[int]) -> torch.Tensor | None:
        """The classes that may be predicted in each domain once those in `seen` were learned; see `live_classes`."""
        live = live_classes(self.increment, self.domains, len(model.classes), seen)
        return None if live is None else live.to(model.device)

    @torch.no_grad()
    def scores(self, model: Model, seen: set[int]) -> list[float | None]:
        """One score per domain, None where there are no labels to score; `seen` are the domains learned so far."""
        training = model.training
        model.eval()
        try:
            live = self.live(model, seen)
            return [self._score(model, i, live) for i in range(len(self.domains))]
        finally:
            model.train(training)

    def _score(self, model: Model, number: int, live: torch.Tensor | None) -> float | None:
        data = self.domains[number].test
        if data is None or not len(data.y):
            return None
        return scored(model, self.task, data, number, live, self.batch_size)


def scored(
    model: Model, task: Task, data: Data, domain: int, live: torch.Tensor | None = None, batch_size: int = 512
) -> float:
    """The score on the labelled rows of `data`, which is that domain's."""
    allowed, marks = None if live is None else live[domain][None], []
    chunks = torch.arange(len(data.y)).split(batch_size)
    inputs = data.stream(Draw(("scored", domain, i), rows) for i, rows in enumerate(chunks))
    for rows, read in zip(chunks, inputs, strict=True):
        x = each(lambda part: part.to(model.device, non_blocking=True), read)
        output = model(x, torch.full((len(rows),), domain, device=model.device))
        marks.append(task.marks(output, data.y[rows.to(data.y.device)].to(model.device), allowed).cpu())
    return task.score(torch.cat(marks))


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that there are; None if there is none."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def spread(values: Sequence[float | None]) -> float | None:
    """The sample standard deviation of the values that there are; None if there are fewer than two."""
    known = [v for v in values if v is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None


def backward_transfer(scores: Scores, first: Sequence[int]) -> float | None:
    """How much a domain gains, from just after its first stage to the end, in the mean over old domains.

    Parameters
    ----------
    scores : rows of scores
        Row 0 before any training, row i + 1 after stage i; one column per domain.
    first : sequence of int
        The stage in which each domain came first.

    References
    ----------
    :cite:`LopezPaz2017`

    Examples
    --------
    >>> round(backward_transfer([[0.1, 0.1], [0.9, 0.2], [0.7, 0.8]], first=[0, 1]), 12)
    -0.2
    """
    last = len(scores) - 1
    return mean([_difference(scores[last][j], scores[s + 1][j]) for j, s in enumerate(first) if s + 1 < last])


def forgetting(scores: Scores, first: Sequence[int]) -> float | None:
    """How much of its first score a domain has lost at the end, in the mean over old domains.

    The definition of Avalanche's `StreamForgetting`: minus backward transfer. (:cite:`Chaudhry2018` measures from the
    best score on the way, which is the same where none gets better after its stage.)
    """
    gain = backward_transfer(scores, first)
    return None if gain is None else 0.0 - gain  # and not -0.0


def forward_transfer(scores: Scores, first: Sequence[int]) -> float | None:
    """How much a domain has gained before it is first learned from, in the mean over all but the first stage's.

    References
    ----------
    :cite:`LopezPaz2017`

    Examples
    --------
    >>> round(forward_transfer([[0.1, 0.1], [0.9, 0.2], [0.7, 0.8]], first=[0, 1]), 12)
    0.1
    """
    return mean([_difference(scores[s][j], scores[0][j]) for j, s in enumerate(first) if 0 < s < len(scores)])


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
