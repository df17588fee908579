"""Segmentation."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.stage import Batch
from tladapt.task import masked
from tladapt.tasks.classification import Classification

METRICS = ("Dice", "mIoU")


class Segmentation(Classification):
    r"""A class per pixel, judged by how regions overlap: logits (n, H, W, classes), y (n, H, W), -1 for none.

    .. math:: \mathcal{L} = \mathrm{CE} + w \left( 1 - \frac1{|S|} \sum_{c \in S}
       \frac{2 \sum_i p_{ic} y_{ic} + 1}{\sum_i p_{ic} + \sum_i y_{ic} + 1} \right)

    the sums over all pixels i of the batch that have a label y; p is what the model says.

    Parameters
    ----------
    metric : {"Dice", "mIoU"}
        What the regions of a class are judged by, over all pixels of the test data: twice what they share by the sum of
        their sizes, or what they share by what they cover together. The score is the mean over the classes S.
    foreground : int or sequence of int, optional
        The classes S; by default class 1 for the Dice of two classes, else all. One that is neither there nor
        predicted does not count.
    weight : float, default 1.0
        The factor w, >= 0.

    Notes
    -----
    Difference from the paper: no squares in the denominator.

    References
    ----------
    :cite:`Milletari2016`
    """

    def __init__(
        self, metric: str = "Dice", foreground: int | Sequence[int] | None = None, weight: float = 1.0
    ) -> None:
        super().__init__()
        if metric not in METRICS:
            raise ValueError(f"Segmentation(metric={metric!r}): expected one of {', '.join(map(repr, METRICS))}")
        if not 0 <= weight < float("inf"):
            raise ValueError(f"Segmentation(weight={weight!r}): expected a number, 0 or more")
        chosen = [foreground] if isinstance(foreground, int) else foreground
        if chosen is not None and not (len(chosen) and all(isinstance(c, int) and c >= 0 for c in chosen)):
            raise ValueError(f"Segmentation(foreground={foreground!r}): expected a class, or several, counted from 0")
        self.metric, self.weight, self.foreground = metric, weight, None if chosen is None else tuple(chosen)

    def counted(self, classes: int) -> list[int]:
        """The classes S of so many."""
        if self.foreground is not None:
            return list(self.foreground)
        return [1] if classes == 2 and self.metric == "Dice" else list(range(classes))

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that are no masks of whole numbers, and classes that the model does not have."""
        super().check(domain, classes)
        for part in (domain.train, domain.test, domain.validation):
            if part is not None and len(part.y) and part.y.ndim < 2:
                raise ValueError(
                    f"stream: domain {domain.name!r} has one label per row; give masks of whole numbers (n, H, W), or "
                    "task=Classification()"
                )
        if max(self.counted(classes)) >= classes:
            raise ValueError(
                f"Segmentation(foreground={self.foreground}): the model has {classes} classes, counted from 0"
            )

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """The cross-entropy in nats and w times one minus the soft Dice; rows may weigh more or less than others."""
        entropy = super().loss(output, batch)
        return entropy + self.weight * self._overlap(output, batch) if self.weight and len(batch.y) else entropy

    def _overlap(self, output: Output, batch: Batch) -> Tensor:
        """One minus the soft Dice, the mean over the classes S."""
        live = None if batch.live is None else batch.live[batch.domain[batch.source]]
        chances = masked(output.logits[batch.source], live).softmax(-1).flatten(1, -2)
        y, chosen = batch.y.flatten(1), self.counted(chances.shape[-1])
        there = (y >= 0).to(chances.dtype)
        there = there if batch.weights is None else there * batch.weights[:, None]
        true = F.one_hot(y.clamp(min=0), chances.shape[-1]).to(chances.dtype)[..., chosen]
        shared, sizes = (
            torch.einsum("np,npc->c", there, part)
            for part in (true * chances[..., chosen], true + chances[..., chosen])
        )
        return 1 - ((2 * shared + 1) / (sizes + 1)).mean()

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """By sample and class: the pixels rightly, wrongly and not found, as one row (classes x 3)."""
        answers, classes = self.predict(output, live), output.logits.shape[-1]
        if answers.shape != y.shape:
            raise ValueError(f"masks of shape {tuple(y.shape)}, but answers of shape {tuple(answers.shape)}")
        there, places = y >= 0, torch.arange(len(y), device=y.device).view(-1, *[1] * (y.ndim - 1))
        pairs = ((places * classes + y) * classes + answers)[there]
        table = pairs.bincount(minlength=len(y) * classes**2).view(len(y), classes, classes)  # by truth and answer
        right = table.diagonal(dim1=1, dim2=2)
        return torch.stack([right, table.sum(1) - right, table.sum(2) - right], -1).flatten(1)

    def score(self, marks: Tensor) -> float:
        """The Dice coefficient or the intersection over union, the mean over the classes S, in [0, 1].

        >>> Segmentation().score(torch.tensor([[90, 4, 6, 40, 6, 4]])), Segmentation("mIoU", 1).score(
        ...     torch.tensor([[90, 4, 6, 40, 6, 4]]))
        (0.8888888888888888, 0.8)
        """
        right, wrong, missed = marks.double().sum(0).view(-1, 3).T
        found = right / (right + wrong + missed) if self.metric == "mIoU" else 2 * right / (2 * right + wrong + missed)
        found = found[self.counted(len(found))]
        return float(found.nanmean()) if not found.isnan().all() else 1.0  # nothing there, nothing found
