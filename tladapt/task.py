"""What a task is: the loss on a batch, the score, and a sample of the model's own answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:  # the two modules below need Task
    from tladapt.domains import Domain
    from tladapt.model import Output
    from tladapt.stage import Batch


class Task(Protocol):
    """The loss on the labelled rows of a batch, the score of answers, and a sample from the output.

    Where a label has more than one value (pixels, letters), -1 stands where there is nothing to answer.
    """

    metric: str
    higher_is_better: bool
    share: bool  # whether the score is a share, which is shown in percent

    def check(self, domain: "Domain", classes: int) -> None:
        """Refuse a domain that the task cannot be done on with a head of `classes` outputs."""

    def loss(self, output: "Output", batch: "Batch") -> Tensor:
        """The loss on the labelled rows, shape (); 0 where there are none."""
        ...

    def predict(self, output: "Output", live: Tensor | None) -> Tensor:
        """The answers, one per sample; `live`, of the logits' shape or broadcast to it, are the classes allowed."""
        ...

    def marks(self, output: "Output", y: Tensor, live: Tensor | None) -> Tensor:
        """What the score is computed from, as rows (any number per sample, k)."""
        ...

    def score(self, marks: Tensor) -> float:
        """The score, from the marks of all samples."""
        ...

    def sample(self, ask: Callable[[Tensor | None], "Output"], random: torch.Generator | None) -> Tensor:
        """Answers drawn from the distribution that the model gives them; `ask(y)` is its output, given answers y."""
        ...

    def surprise(self, output: "Output", y: Tensor) -> Tensor:
        """Minus the log-likelihood of y in nats, summed, shape ()."""
        ...

    def divergence(self, new: Tensor, old: Tensor, temperature: float) -> Tensor:
        """How far the answers by the logits `new` are from those by `old`, the mean over all rows, shape ().

        Both are softened by the temperature, and the whole is scaled so that it does not change the size of a gradient.
        """
        ...


def masked(logits: Tensor, live: Tensor | None) -> Tensor:
    """The logits, with -1e4 where a class is not live: with -inf a dead class would give 0 * inf = NaN."""
    if live is None:
        return logits
    return logits.masked_fill(~live.reshape(len(live), *[1] * (logits.ndim - 2), -1), -1e4)
