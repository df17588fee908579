"""Early stopping."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from tladapt.evaluation import mean, scored
from tladapt.method import Method
from tladapt.methods.checks import whole
from tladapt.methods.weights import weights
from tladapt.model import Model
from tladapt.stage import Batch, Stage


class EarlyStopping(Method):
    """Leave each stage with the weights that scored best on its validation data.

    That is data held out of the training data, never test data: `Domain(..., validation=0.2)`. Every `every` steps, and
    at the end of the stage, the labelled validation data of every domain of the stage is scored, and the mean over the
    domains taken; domains without such labels do not count. After `patience` looks in a row that are no better than the
    best before them, the stage ends. Then the weights and buffers of the best look come back (of equal ones the first),
    before any other term keeps anything of the stage.

    Parameters
    ----------
    patience : int, default 3
        How many looks in a row may bring nothing better, >= 1.
    every : int, optional
        The steps from one look to the next, >= 1; by default one pass over the largest domain.

    Raises
    ------
    ValueError
        If an argument is out of range, or no domain of a stage has labelled validation data.

    Notes
    -----
    A look draws no random number and changes no mode: where nothing is taken back, the weights are bit for bit those
    without any looks. Where only the old domains of a stage have labels, it judges by those alone, and knows nothing of
    what the new one gains. The learning rate schedule runs over the full length of the stage, so that one which ends
    early never comes to its low rates. Page: methods/earlystopping.py.

    References
    ----------
    :cite:`Prechelt1998`
    """

    role = "guard"

    def __init__(self, patience: int = 3, every: int | None = None) -> None:
        super().__init__()
        whole("EarlyStopping", patience=patience, **({} if every is None else {"every": every}))
        self.patience, self.every = patience, every
        self.stage: Stage | None = None
        self.best: nn.Module | None = None  # its buffers: the weights and buffers of the best look
        self.score, self.steps, self.waited = -math.inf, 0, 0

    def prepare(self, model: Model, stage: Stage) -> None:
        """Make room for the best weights."""
        if not any(domain.validation is not None and len(domain.validation.y) for domain in stage.domains):
            raise ValueError(
                f"{self!r}: stage {stage.index} ({stage.name}) has no labelled validation data to score; hold some "
                "out, as in Domain(..., validation=0.2)"
            )
        self.stage, self.best, self.done = stage, nn.Module(), False
        self.score, self.steps, self.waited = -math.inf, 0, 0
        for name, value in state(model).items():
            self.best.register_buffer(key(name), value.detach().clone())

    def extend(self, model: Model, batch: Batch) -> None:
        """Look, if so many steps have been made."""
        if self.stage is not None and self.steps and self.steps % (self.every or self.stage.steps) == 0:
            self.look(model, self.stage)
        self.steps += 1

    @torch.no_grad()
    def consolidate(self, model: Model, stage: Stage) -> None:
        """Look once more, and put the best weights back."""
        if self.stage is not None:
            self.look(model, stage)
        if self.stage is not None and self.score > -math.inf:  # not where no score was a number
            for name, value in (*model.named_parameters(), *model.named_buffers()):
                value.copy_(getattr(self.best, key(name)))
        self.stage = self.best = None

    @torch.no_grad()
    def look(self, model: Model, stage: Stage) -> None:
        """Score the model, and keep it if it is the best so far."""
        score = self.judged(model, stage) * (1 if stage.task.higher_is_better else -1)
        self.waited = 0 if score > self.score else self.waited + 1
        self.done = self.waited >= self.patience
        if score > self.score:
            self.score = score
            for name, value in state(model).items():
                getattr(self.best, key(name)).copy_(value)

    def judged(self, model: Model, stage: Stage) -> float:
        """The mean score of the domains with labelled validation data, in evaluation mode."""
        modes, size = [(part, part.training) for part in model.modules()], min(512, 8 * stage.batch_size)
        model.eval()
        with self.own_randomness():  # of data that is augmented when it is read
            found = [
                scored(model, stage.task, domain.validation, number, stage.live, size)
                for number, domain in zip(stage.ids, stage.domains, strict=True)
                if domain.validation is not None and len(domain.validation.y)
            ]
        for part, training in modes:
            part.training = training
        score = mean(found)
        return math.nan if score is None else score

    def get_extra_state(self) -> Tensor:
        """The random numbers and the counts."""
        counts = torch.tensor([self.score, self.steps, self.waited], dtype=torch.float64)
        return torch.cat([super().get_extra_state(), counts.view(torch.uint8)])

    def set_extra_state(self, state: Tensor) -> None:
        """Take them up where they were."""
        counts = state[-24:].clone().view(torch.float64).tolist()
        self.score, self.steps, self.waited = counts[0], int(counts[1]), int(counts[2])
        super().set_extra_state(state[:-24])


def state(model: Model) -> dict[str, Any]:
    """The weights and buffers, and under their plain names those that a merge at the end of the stage would leave."""
    return {**weights(model), **dict(model.named_parameters()), **dict(model.named_buffers())}


def key(name: str) -> str:
    """A name for a buffer, which must have no dots."""
    return name.replace(".", "/")
