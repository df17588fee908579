"""Several labels, or none, on one sample."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.stage import Batch
from tladapt.task import masked


class MultiLabel:
    """Each class is there or not: logits (n, classes), y (n, classes) of 0.0 and 1.0, -1.0 where it is not known.

    The score is the mean over classes of the average precision. A class without a positive in the test data does not
    count; of a class that is not live, no sample ranks before another.
    """

    metric = "mean average precision"
    higher_is_better = share = True
    answers = "labels"  # a column of floats per class; columns are matched by name

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that are not (n, classes) of 0.0, 1.0 and -1.0, and test data without a positive."""
        for part in (domain.train, domain.test, domain.validation):
            if part is None or not len(part.y):
                continue
            y, shape = part.y, (len(part.y), classes)
            if not y.is_floating_point() or y[0].numel() != classes or y.ndim > 2:
                raise ValueError(
                    f"stream: domain {domain.name!r} has labels {tuple(y.shape)} of {y.dtype}; the model wants floats "
                    f"{shape}, a column per class: 1.0 there, 0.0 not there, -1.0 not known"
                )
            if len(strange := y[(y != 0) & (y != 1) & (y != -1)]):
                raise ValueError(
                    f"stream: domain {domain.name!r} has the label {strange[0]:g}; expected 1.0, 0.0, or -1.0 for not "
                    "known"
                )
        if domain.test is not None and len(domain.test.y) and not (domain.test.y == 1).any():
            raise ValueError(
                f"stream: domain {domain.name!r} has no positive in its test data, so nothing can be scored; give "
                "test= rows that have some, or None"
            )

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """The binary cross-entropy in nats, the mean over the labels that are known and whose class is live."""
        logits = output.logits[batch.source]
        if not len(batch.y):
            return logits.new_zeros(())
        y = batch.y.reshape(logits.shape).to(logits.dtype)
        weights = (y >= 0).to(logits.dtype)
        if batch.weights is not None:
            weights = weights * batch.weights[:, None]
        if batch.live is not None:
            weights = weights * batch.live[batch.domain[batch.source]]
        losses = F.binary_cross_entropy_with_logits(logits, y.clamp(min=0), reduction="none")
        return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)

    def predict(self, output: Output, live: Tensor | None) -> Tensor:
        """By class, 1 where it is more likely there than not, else 0."""
        return (masked(output.logits, live) > 0).long()

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """By sample: the logits, then the labels."""
        logits = masked(output.logits, live)
        return torch.cat([logits, y.reshape(logits.shape).to(logits.dtype)], 1)

    def score(self, marks: Tensor) -> float:
        """The mean of the average precisions, in [0, 1].

        >>> logits, y = torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([[1.0], [0.0], [1.0]])
        >>> round(MultiLabel().score(torch.cat([logits, y], 1)), 4)  # (1/1 + 2/3) / 2
        0.8333
        """
        from sklearn.metrics import average_precision_score  # which takes most of a second to import

        found = []
        for logits, y in zip(*marks.double().T.chunk(2), strict=True):
            if (y == 1).any():
                found.append(average_precision_score(y[y >= 0].numpy(), logits[y >= 0].numpy()))
        return float(torch.tensor(found, dtype=torch.float64).mean())

    def sample(self, ask: Callable[[Tensor | None], Output], random: torch.Generator | None) -> Tensor:
        """Every class there or not, by its own probability."""
        chances = ask(None).logits.detach().sigmoid()
        return torch.bernoulli(chances.cpu(), generator=random).to(chances)

    def surprise(self, output: Output, y: Tensor) -> Tensor:
        """The binary cross-entropy in nats, summed over the labels that are known."""
        y = y.reshape(output.logits.shape).to(output.logits.dtype)
        losses = F.binary_cross_entropy_with_logits(output.logits, y.clamp(min=0), reduction="none")
        return (losses * (y >= 0)).sum()

    def divergence(self, new: Tensor, old: Tensor, temperature: float) -> Tensor:
        r"""The sum over classes of :math:`T^2\,\mathrm{KL}(p^T \,\|\, q^T)` in nats, class there or not."""
        q, p = new / temperature, old / temperature
        there = p.sigmoid() * (F.logsigmoid(p) - F.logsigmoid(q))
        absent = (-p).sigmoid() * (F.logsigmoid(-p) - F.logsigmoid(-q))
        return temperature**2 * (there + absent).sum(-1).mean()
