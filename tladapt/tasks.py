"""What is asked of the model: the loss on a batch, the score, and a sample of its own answers."""

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:  # the two modules below need Task
    from tladapt.domains import Domain
    from tladapt.model import Output
    from tladapt.stage import Batch


class Task(Protocol):
    """The loss on the labelled rows of a batch, the score of predictions, and a sample from the output."""

    metric: str
    higher_is_better: bool

    def check(self, domain: "Domain", classes: int) -> None:
        """Refuse a domain that the task cannot be done on with a head of `classes` outputs."""

    def loss(self, output: "Output", batch: "Batch") -> Tensor:
        """The loss on the labelled rows, shape (); 0 where there are none."""
        ...

    def predict(self, logits: Tensor, live: Tensor | None) -> Tensor:
        """The answers, one per sample; `live`, of the logits' shape or broadcast to it, are the classes allowed."""
        ...

    def score(self, predicted: Tensor, y: Tensor) -> float:
        """The score of the answers."""
        ...

    def sample(self, logits: Tensor, random: torch.Generator | None) -> Tensor:
        """Answers drawn from the distribution that the model gives them."""
        ...

    def surprise(self, logits: Tensor, y: Tensor) -> Tensor:
        """Minus the log-likelihood of y in nats, summed, shape ()."""
        ...


class Classification:
    """One class per sample, pixel or token: logits (n, ..., classes), y (n, ...)."""

    metric = "accuracy"
    higher_is_better = True

    def check(self, domain: "Domain", classes: int) -> None:
        """Refuse labels that are no whole numbers, or more classes than the model has."""
        if any(part is not None and part.y.is_floating_point() for part in (domain.train, domain.test)):
            raise ValueError(f"stream: domain {domain.name!r} has labels that are no whole numbers")
        if len(domain.classes) > classes:
            raise ValueError(
                f"stream: domain {domain.name!r} has {len(domain.classes)} classes, the model {classes}; build it with "
                f"Model.of(..., classes={len(domain.classes)})"
            )

    def loss(self, output: "Output", batch: "Batch") -> Tensor:
        """The cross-entropy in nats, the mean over labelled rows."""
        if not len(batch.y):
            return output.logits.new_zeros(())
        live = None if batch.live is None else batch.live[batch.domain[batch.source]]
        logits = masked(output.logits[batch.source], live)
        return F.cross_entropy(logits.flatten(0, -2), batch.y.flatten())

    def predict(self, logits: Tensor, live: Tensor | None) -> Tensor:
        """The most likely class."""
        return masked(logits, live).argmax(-1)

    def score(self, predicted: Tensor, y: Tensor) -> float:
        """The share of right answers, in [0, 1].

        >>> Classification().score(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))
        0.75
        """
        return float((predicted == y).double().mean())

    def sample(self, logits: Tensor, random: torch.Generator | None) -> Tensor:
        """One class per row of logits."""
        chances = logits.detach().softmax(-1).flatten(0, -2).cpu()
        drawn = torch.multinomial(chances, 1, generator=random).to(logits.device)
        return drawn.reshape(logits.shape[:-1])

    def surprise(self, logits: Tensor, y: Tensor) -> Tensor:
        """The cross-entropy in nats, summed."""
        return F.cross_entropy(logits.flatten(0, -2), y.flatten(), reduction="sum")


def masked(logits: Tensor, live: Tensor | None) -> Tensor:
    """The logits, with -1e4 where a class is not live: with -inf a dead class would give 0 * inf = NaN."""
    if live is None:
        return logits
    return logits.masked_fill(~live.reshape(len(live), *[1] * (logits.ndim - 2), -1), -1e4)
