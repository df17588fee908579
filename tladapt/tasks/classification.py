"""Classification."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.stage import Batch
from tladapt.task import masked

MANY = 50  # classes without names, from which on they may be measurements


class Classification:
    """One class per sample, pixel or token: logits (n, ..., classes), y (n, ...), -1 for none.

    Parameters
    ----------
    balanced : bool, default False
        For uneven classes: whether all count alike, in the score (the mean over classes of each one's share of right
        answers) and in the loss (the mean over the classes of a batch).
    """

    higher_is_better = share = True
    answers = "classes"  # labels are whole numbers; classes are matched by name

    def __init__(self, balanced: bool = False) -> None:
        self.balanced = balanced
        self.metric = "balanced accuracy" if balanced else "accuracy"

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that are not whole numbers, or more classes than the model has."""
        for part in (domain.train, domain.test, domain.validation):
            if part is None or not len(part.y):
                continue
            if part.y.is_floating_point():
                raise ValueError(
                    f"stream: domain {domain.name!r} has float labels that are not whole numbers from 0, such as "
                    f"{_strangest(part.y):g}; for numbers to predict, use task=Regression()"
                )
            if not domain.classes:
                raise ValueError(
                    f"stream: domain {domain.name!r} has labels up to {int(part.y.max())}; number classes from 0, and "
                    "for numbers to predict use task=Regression()"
                )
            if part.y.ndim > 1 and int(part.y.max()) == 255 >= classes:
                raise ValueError(
                    f"stream: domain {domain.name!r} has the label 255, the model {classes} classes; where there is no "
                    "label, give -1 instead (y[y == 255] = -1)"
                )
        if len(domain.classes) == classes + 1 and not domain.named and _begin_at_1(domain):
            raise ValueError(
                f"stream: the class numbers of domain {domain.name!r} begin at 1; number classes from 0 (y - 1), or "
                "give their names"
            )
        if len(domain.classes) > classes:
            mend = f"build it with Model.of(..., classes={len(domain.classes)})"
            if classes == 1 or (len(domain.classes) > MANY and not domain.named):
                mend += ", or, if the labels are numbers to predict, use task=Regression()"
            raise ValueError(
                f"stream: domain {domain.name!r} has {len(domain.classes)} classes, the model {classes}; {mend}"
            )

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """The cross-entropy in nats, the mean over labelled rows, or over their classes if `balanced`.

        Rows that a method added may weigh more or less than fresh ones (see `Batch.weights`).
        """
        if not len(batch.y):
            return output.logits.new_zeros(())
        live = None if batch.live is None else batch.live[batch.domain[batch.source]]
        require_form(batch.y, output.logits)
        logits = masked(output.logits[batch.source], live).flatten(0, -2)
        y, weights = batch.y.flatten(), batch.weights
        if weights is None and not self.balanced and batch.y.ndim == 1:
            return F.cross_entropy(logits, y)
        there = (y >= 0).to(logits.dtype)
        weights = there if weights is None else weights.repeat_interleave(len(y) // len(weights)) * there
        if self.balanced:
            place = y.clamp(min=0)
            sizes = logits.new_zeros(logits.shape[1]).index_add(0, place, weights)
            weights = weights / sizes[place].clamp(min=torch.finfo(sizes.dtype).tiny)
        losses = F.cross_entropy(logits, y, reduction="none", ignore_index=-1)
        return torch.dot(weights, losses) / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)

    def predict(self, output: Output, live: Tensor | None) -> Tensor:
        """The most likely class."""
        return masked(output.logits, live).argmax(-1)

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """By label: whether the answer is right, and the class."""
        answers = self.predict(output, live)
        require_form(y, output.logits)
        return torch.stack([(answers == y).long(), y], -1)[y >= 0]

    def score(self, marks: Tensor) -> float:
        """The share of right answers, in [0, 1].

        >>> logits = torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
        >>> task = Classification()
        >>> task.score(task.marks(Output(logits, logits), torch.tensor([0, 1, 1, 1]), None))
        0.75
        """
        right, y = marks[:, 0].double(), marks[:, 1]
        if not self.balanced:
            return float(right.mean())
        return float(torch.stack([right[y == c].mean() for c in y.unique()]).mean())

    def sample(self, ask: Callable[[Tensor | None], Output], random: torch.Generator | None) -> Tensor:
        """One class per row of logits."""
        output = ask(None)
        chances = output.logits.detach().softmax(-1).flatten(0, -2).cpu()
        drawn = torch.multinomial(chances, 1, generator=random).to(output.logits.device)
        drawn = drawn.reshape(output.logits.shape[:-1])
        return drawn if output.mask is None or output.mask.shape != drawn.shape else drawn.masked_fill(~output.mask, -1)

    def surprise(self, output: Output, y: Tensor) -> Tensor:
        """The cross-entropy in nats, summed."""
        return F.cross_entropy(output.logits.flatten(0, -2), y.flatten(), reduction="sum", ignore_index=-1)

    def divergence(self, new: Tensor, old: Tensor, temperature: float) -> Tensor:
        r"""The divergence :math:`T^2\,\mathrm{KL}(p^T \,\|\, q^T)` in nats of the classes, p by `old`, q by `new`."""
        q, p = ((logits / temperature).log_softmax(-1).flatten(0, -2) for logits in (new, old))
        return temperature**2 * F.kl_div(q, p, reduction="batchmean", log_target=True)


def require_form(y: Tensor, logits: Tensor) -> None:
    """Refuse labels that are not one class for each place of the logits."""
    if y.shape[1:] == logits.shape[1:-1]:
        return
    is_one_hot = y.ndim == 2 and y.shape[1:] == logits.shape[1:]
    mend = "; if they are one-hot, give y.argmax(1), and for several classes per row use task=MultiLabel()"
    raise ValueError(
        f"labels of shape {tuple(y.shape[1:])} per row, but answers of shape {tuple(logits.shape[1:-1])}"
        f"{mend if is_one_hot else ''}"
    )


def _strangest(y: Tensor) -> float:
    """Return the first label that is not a whole number from 0."""
    strange = y[(y % 1 != 0) | (y < 0)]
    return float(strange[0] if len(strange) else y.flatten()[0])


def _begin_at_1(domain: Domain) -> bool:
    labels = [part.y for part in (domain.train, domain.test) if part is not None and len(part.y)]
    return all(y.ndim == 1 for y in labels) and min((int(y.min()) for y in labels), default=0) == 1
