"""How far the classes of a target are from the source's proportions, by estimate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tladapt.domains import Domain
from tladapt.labelshift.proportions import bbse
from tladapt.model import Model
from tladapt.seeding import generator, seeded
from tladapt.stage import Pool, Stage
from tladapt.task import masked
from tladapt.tasks import Classification

ROWS = 2000  # at most so many of the source, and of every target, are looked at
MOST_CLASSES = 500  # 4 rows per class; the time grows with the cube
CAUTION = 4 / 3  # on shifts of source images a model got up to 1.3 times as many wrong as it expected to

Found = dict[str, dict[str, Any]]  # by domain


@dataclass(frozen=True)
class LabelShift:
    """The proportions of the classes in the source, and what they are in the target by estimate.

    Attributes
    ----------
    classes : sequence of str
        The names of the C classes.
    source, estimate : list of float
        C proportions each, which sum to 1.
    doubt : float
        How far apart the two may come to lie without any label shift: by the rows that the model gets wrong in the
        target, judged by its own confidence, and by chance. The shift is `large` where the distance is larger.

    Examples
    --------
    >>> shift = LabelShift(("healthy", "ill"), [0.5, 0.5], [0.2, 0.8], doubt=0.1)
    >>> round(shift.distance, 6), shift.large
    (0.3, True)
    """

    classes: Sequence[str]
    source: list[float]
    estimate: list[float]
    doubt: float = 0.0

    @property
    def distance(self) -> float:
        """The total variation between the two, in [0, 1]: the share of rows that would have to change their class."""
        return sum(abs(a - b) for a, b in zip(self.source, self.estimate, strict=True)) / 2

    @property
    def large(self) -> bool:
        """Whether the distance is larger than the doubt."""
        return self.distance > self.doubt

    def to_dict(self) -> dict[str, Any]:
        """All but the names of the classes, and the distance."""
        return {"source": self.source, "estimate": self.estimate, "distance": self.distance, "doubt": self.doubt}

    @property
    def changes(self) -> str:
        """The three classes whose share differs most, in words."""
        rows = zip(self.classes, self.source, self.estimate, strict=True)
        moved = sorted(rows, key=lambda row: -abs(row[1] - row[2]))
        return ", ".join(
            f"class {name!r}: {100 * after:.0f} % instead of {100 * before:.0f} %" for name, before, after in moved[:3]
        )

    def __str__(self) -> str:
        return f"{self.changes} (distance {self.distance:.2f}, doubt {self.doubt:.2f})"


def label_shift(model: Model, source: Domain, target: Domain) -> LabelShift:
    """Estimate the class proportions of `target`, of which no label is read, by a model that was trained on `source`.

    Take the model as it is *before* it is adapted to the target: an alignment makes its answers fit the source's
    proportions. At most 2000 training rows of each domain are looked at.

    Raises
    ------
    ValueError
        If the source has no labels of one class per row, or the target no training rows.
    """
    target = target.unlabelled()
    stage = Stage((source, target), (0, 1), 1, None, Classification(), device=model.device)
    found = label_shifts(model, stage, most=len(model.classes))
    if target.name not in found:
        raise ValueError(f"label_shift: {source.name!r} needs labels, one class per row, and {target.name!r} rows")
    return found[target.name]


def label_shifts(model: Model, stage: Stage, most: int = MOST_CLASSES) -> dict[str, LabelShift]:
    """The label shift of every domain of the stage that has unlabelled rows, against the labelled rows of the stage.

    By the model as it enters the stage. Empty for the first stage, before which nothing was learned; where the stage
    has no labelled rows; where a label is not one class per row; and for a model of more than `most` classes.
    """
    labelled, unlabelled = ([p for p in stage.pools if p.labelled is kind] for kind in (True, False))
    classes = len(model.classes)
    if classes > most or not (
        stage.index and labelled and unlabelled and all(_one_class_per_row(p, classes) for p in labelled)
    ):
        return {}
    training = model.training
    model.eval()
    with seeded(0), torch.no_grad():
        source = _answers(model, stage, labelled)
        found = dict[str, LabelShift]()
        for pool in unlabelled:
            name = stage.domains[stage.ids.index(pool.domain)].name
            found[name] = _between(model, source, _answers(model, stage, [pool]))
    model.train(training)
    return found


def too_many_classes(model: Model, stage: Stage) -> list[str]:
    """A note if the label shift of a stage would take long and tell little, since there are too many classes."""
    targets = [pool for pool in stage.pools if not pool.labelled]
    if not (stage.index and targets and len(targets) < len(stage.pools)) or len(model.classes) <= MOST_CLASSES:
        return []
    return [
        f"stage {stage.index + 1} ({stage.name}): label shift is not estimated for "
        f"{len(model.classes)} classes (at most {MOST_CLASSES})"
    ]


def _one_class_per_row(pool: Pool, classes: int) -> bool:
    y = pool.data.y
    return y.ndim == 1 and not y.is_floating_point() and int(y.max()) < classes


def _between(model: Model, source: "Answers", target: "Answers") -> LabelShift:
    """The label shift between labelled rows and those of one target."""
    classes = len(model.classes)
    rows, rank_of_row = source.predicted.unique(return_inverse=True)
    columns, rank_of_column = source.y.unique(return_inverse=True)
    joint = torch.zeros(len(rows), len(columns), dtype=torch.float64)  # without the classes that never occur
    joint = joint.index_put((rank_of_row, rank_of_column), joint.new_ones(()), accumulate=True) / len(source.y)
    predicted = torch.bincount(target.predicted, minlength=classes).to(joint) / len(target.predicted)
    shares = joint.new_zeros(2, classes)
    shares[0, columns], shares[1, columns] = joint.sum(0), bbse(joint, predicted[rows])
    wrong = float((1 - target.confidence).mean())
    doubt = _doubt(wrong, shares[1], len(target.predicted), len(source.y))
    return LabelShift(model.classes, shares[0].tolist(), shares[1].tolist(), doubt)


def _doubt(wrong: float, shares: Tensor, target: int, source: int) -> float:
    """What errors of the model and chance may add up to, in [0, 1].

    The share of wrong answers bounds how far the predicted proportions lie from the true ones; it is taken for a third
    larger than the model expects, as models are too sure of themselves in a new domain. Chance is the mean of the
    total variation of two samples of one distribution and about two of its standard deviations (two exactly for two
    classes), from the normal approximation. The two are independent, so their squares add.
    """
    variance = (shares * (1 - shares) * (1 / target + 1 / source)).clamp(min=0)
    chance = 0.4 * float(variance.sqrt().sum()) + 0.85 * float(variance.sum().sqrt())
    return min(math.hypot(CAUTION * wrong, chance), 1.0)


class Answers(NamedTuple):
    """What a model answers for n rows: the class, its probability, and the labels of the rows that have some."""

    predicted: Tensor
    confidence: Tensor
    y: Tensor


def _answers(model: Model, stage: Stage, pools: Sequence[Pool]) -> Answers:
    """The model's answers for at most `ROWS` rows of these pools."""
    random = generator("label shift", *(pool.domain for pool in pools))
    drawn, first = torch.randperm(sum(p.size for p in pools), generator=random)[:ROWS], 0
    found = list[Answers]()
    for pool in pools:
        mine = drawn[(drawn >= first) & (drawn < first + pool.size)].sort().values - first + pool.start
        first += pool.size
        for batch in stage.read(pool, mine) if len(mine) else ():
            live = None if batch.live is None else batch.live[batch.domain]
            probabilities = masked(model(batch.x, batch.domain).logits, live).softmax(-1)
            confidence, predicted = probabilities.max(1)
            found.append(Answers(predicted.cpu(), confidence.double().cpu(), batch.y.cpu()))
    return Answers(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def alarms(shifts: dict[str, LabelShift]) -> list[str]:
    """Return a warning for every domain whose shift is large.

    It gives no advice on the method: under a label shift, alignments gained in some cases and lost in others (see
    docs/guide/label-shift.rst).
    """
    return [
        f"{name}: possible label shift: by estimate {shift.changes}. Either the proportions differ from the source, or "
        "the model confuses these classes. An alignment can help or hurt here: check it on a few labelled rows"
        for name, shift in shifts.items()
        if shift.large
    ]


def stored(shifts: dict[str, LabelShift]) -> Found:
    """What the report holds of every domain."""
    return {name: shift.to_dict() for name, shift in shifts.items()}


def mean_of(founds: Sequence[Found]) -> Found:
    """The mean over several runs of all figures of the domains that each of them has."""
    return {
        name: {key: np.mean([found[name][key] for found in founds], 0).tolist() for key in shift}
        for name, shift in founds[0].items()
        if all(name in found for found in founds)
    }
