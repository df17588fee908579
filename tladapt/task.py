"""What a task is: the loss on a batch, the score, and a sample of the model's own answers."""

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

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


def masked(logits: Tensor, live: Tensor | None) -> Tensor:
    """The logits, with -1e4 where a class is not live: with -inf a dead class would give 0 * inf = NaN."""
    if live is None:
        return logits
    return logits.masked_fill(~live.reshape(len(live), *[1] * (logits.ndim - 2), -1), -1e4)
