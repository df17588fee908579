"""Classification."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.stage import Batch
from tladapt.task import masked


class Classification:
    """One class per sample, pixel or token: logits (n, ..., classes), y (n, ...).

    Parameters
    ----------
    balanced : bool, default False
        For uneven classes: whether all count alike, in the score (the mean over classes of each one's share of right
        answers) and in the loss (the mean over the classes of a batch).
    """

    higher_is_better = True

    def __init__(self, balanced: bool = False) -> None:
        self.balanced = balanced
        self.metric = "balanced accuracy" if balanced else "accuracy"

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that are no whole numbers, or more classes than the model has."""
        if any(part is not None and part.y.is_floating_point() for part in (domain.train, domain.test)):
            raise ValueError(f"stream: domain {domain.name!r} has labels that are no whole numbers")
        if len(domain.classes) > classes:
            raise ValueError(
                f"stream: domain {domain.name!r} has {len(domain.classes)} classes, the model {classes}; build it with "
                f"Model.of(..., classes={len(domain.classes)})"
            )

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """The cross-entropy in nats, the mean over labelled rows, or over their classes if `balanced`.

        Rows that a method added may weigh more or less than fresh ones (see `Batch.weights`).
        """
        if not len(batch.y):
            return output.logits.new_zeros(())
        live = None if batch.live is None else batch.live[batch.domain[batch.source]]
        logits = masked(output.logits[batch.source], live).flatten(0, -2)
        y, weights = batch.y.flatten(), batch.weights
        if weights is None and not self.balanced:
            return F.cross_entropy(logits, y)
        weights = (
            torch.ones_like(logits[:, 0]) if weights is None else weights.repeat_interleave(len(y) // len(weights))
        )
        if self.balanced:
            weights = weights / logits.new_zeros(logits.shape[1]).index_add(0, y, weights)[y]
        return torch.dot(weights, F.cross_entropy(logits, y, reduction="none")) / weights.sum()

    def predict(self, logits: Tensor, live: Tensor | None) -> Tensor:
        """The most likely class."""
        return masked(logits, live).argmax(-1)

    def score(self, predicted: Tensor, y: Tensor) -> float:
        """The share of right answers, in [0, 1].

        >>> Classification().score(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))
        0.75
        """
        if predicted.shape != y.shape:
            raise ValueError(
                f"{len(y)} labels of shape {tuple(y.shape)}, but answers of shape {tuple(predicted.shape)}"
            )
        right = (predicted == y).double()
        if not self.balanced:
            return float(right.mean())
        return float(torch.stack([right[y == c].mean() for c in y.unique()]).mean())

    def sample(self, logits: Tensor, random: torch.Generator | None) -> Tensor:
        """One class per row of logits."""
        chances = logits.detach().softmax(-1).flatten(0, -2).cpu()
        drawn = torch.multinomial(chances, 1, generator=random).to(logits.device)
        return drawn.reshape(logits.shape[:-1])

    def surprise(self, logits: Tensor, y: Tensor) -> Tensor:
        """The cross-entropy in nats, summed."""
        return F.cross_entropy(logits.flatten(0, -2), y.flatten(), reduction="sum")
