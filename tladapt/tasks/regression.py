"""Regression."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.stage import Batch


class Regression:
    r"""Numbers: logits (n, d), y (n, d), or (n,) for d = 1.

    .. math:: \hat y = \text{centre} + \text{scale} \cdot \text{logits}, \qquad
       p(y | x) = \mathcal{N}\left( y;\, \hat y,\, \text{scale}^2 \right)

    Parameters
    ----------
    scale : float, default 1.0
        The unit of y, such as its standard deviation on the old domain; > 0. The model answers, and learns, in it.
    centre : float, default 0.0
        What the model says by 0, such as the mean on the old domain.

    Examples
    --------
    >>> Regression.of(Domain("old", (torch.eye(2), torch.tensor([20.0, 40.0])), test=0.0))
    Regression(scale=10.0, centre=30.0)
    """

    metric = "RMSE"
    higher_is_better = share = False
    answers = "numbers"  # floats; several columns are matched by name

    def __init__(self, scale: float = 1.0, centre: float = 0.0) -> None:
        if not 0 < scale < math.inf:
            raise ValueError(f"Regression(scale={scale!r}): expected a positive number")
        if not math.isfinite(centre):
            raise ValueError(f"Regression(centre={centre!r}): expected a finite number")
        self.scale, self.centre = scale, centre

    @classmethod
    def of(cls, domain: Domain) -> "Regression":
        """Scale and centre are the standard deviation and the mean of the training labels of `domain`.

        Raises
        ------
        ValueError
            If it has none, or all are equal.
        """
        _require_numbers(domain)
        y = domain.train.y.double()
        if not len(y) or not (scale := float(y.std(correction=0))):
            raise ValueError(f"Regression.of({domain.name!r}): wants training labels that differ; give scale= instead")
        return cls(scale, float(y.mean()))

    def __repr__(self) -> str:
        return f"Regression(scale={self.scale!r}, centre={self.centre!r})"

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that do not have a number for each of the model's outputs."""
        _require_numbers(domain)
        for part in (domain.train, domain.test, domain.validation):
            if part is not None and len(part.y) and (part.y.ndim > 2 or part.y[0].numel() != classes):
                width = part.y[0].numel()
                raise ValueError(
                    f"stream: domain {domain.name!r} has labels of shape {tuple(part.y.shape)}, the model {classes} "
                    f"outputs; build it with Model.of(..., classes={width}), an output per number"
                )

    def _units(self, y: Tensor, logits: Tensor) -> Tensor:
        """The labels as the logits should be."""
        return (y.reshape(logits.shape).to(logits.dtype) - self.centre) / self.scale

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """The squared error in units of scale, the mean over outputs and labelled rows."""
        logits = output.logits[batch.source]
        if not len(batch.y):
            return logits.new_zeros(())
        losses = (logits - self._units(batch.y, logits)).square().mean(1)
        if batch.weights is None:
            return losses.mean()
        weights = batch.weights.to(losses.dtype)
        return torch.dot(weights, losses) / weights.sum()

    def predict(self, output: Output, live: Tensor | None) -> Tensor:
        """The numbers (n, d), in the unit of y; there are no classes that might not be live."""
        return self.centre + self.scale * output.logits

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """The squared error of every number."""
        answers = self.predict(output, live)
        return (answers - y.reshape(answers.shape).to(answers.dtype)).square().reshape(-1, 1)

    def score(self, marks: Tensor) -> float:
        """The root of the mean squared error, in the unit of y; >= 0.

        >>> Regression().score(torch.tensor([[9.0], [16.0], [0.0], [11.0]]))
        3.0
        """
        return math.sqrt(float(marks.double().mean()))

    def sample(self, ask: Callable[[Tensor | None], Output], random: torch.Generator | None) -> Tensor:
        """The answers, and normal noise with a standard deviation of `scale`."""
        answers = self.predict(ask(None), None).detach()
        return answers + self.scale * torch.randn(answers.shape, generator=random, dtype=answers.dtype).to(answers)

    def surprise(self, output: Output, y: Tensor) -> Tensor:
        """Minus the log-density of the normal distribution in nats, summed over the numbers."""
        squares = (output.logits - self._units(y, output.logits)).square()
        return (squares / 2 + math.log(self.scale * math.sqrt(2 * math.pi))).sum()

    def divergence(self, new: Tensor, old: Tensor, temperature: float) -> Tensor:
        """Half the squared distance in units of scale: of two normal distributions, whatever the temperature."""
        return (new - old).square().sum(-1).mean() / 2


def _require_numbers(domain: Domain) -> None:
    """Refuse class names: their places in a list are not the numbers to be learned."""
    parts = [part for part in (domain.train, domain.test) if part is not None and len(part.y)]
    names = tuple(domain.classes)
    if (
        any(part.y.ndim == 1 for part in parts)
        and len(names) > 1
        and domain.named
        and names != tuple(map(str, range(len(names))))
    ):
        shown = ", ".join(name[:30] for name in names[:3])
        raise ValueError(
            f"Regression: the labels of domain {domain.name!r} are places among the classes {shown}, ..., not numbers; "
            "read them with read_domains(..., regression=True), or give numbers as Domain(name, (x, y))"
        )
