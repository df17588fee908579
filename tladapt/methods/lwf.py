"""Learning without forgetting."""

import torch
from torch import Tensor

from tladapt.layers.copying import copy_of
from tladapt.method import Method
from tladapt.methods.checks import positive
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage
from tladapt.task import Task

LARGEST = 2**26  # numbers in the old answers that are kept: 256 MB; a teacher gives what would be more


class LwF(Method):
    r"""Answer the new inputs as the old model did.

    .. math:: \mathcal{L} = w\,T^2 \sum_o \mathrm{KL}\left( p_o^T(x) \,\|\, q_o^T(x) \right)

    the mean over the stage's own samples x; p is the model as the stage found it, q the model now, both softened
    by the temperature T; o runs over the sets of classes that were told apart before (one set, but for task-incremental
    streams one per old task). Where answers are no classes, the divergence is the task's own (see `Task.divergence`).

    Parameters
    ----------
    weight : float, default 1.0
        The factor w (:math:`\lambda_o` in the paper), > 0.
    temperature : float, default 2.0
        T, > 0.

    Notes
    -----
    Differences from the paper: no warm-up of the new head; the divergence times T^2, so that T does not change
    the size of the gradient. Where rows are the same whenever read, the old answers are computed once per stage; else,
    a copy of the old model answers at every step. Page: methods/lwf.py.

    References
    ----------
    :cite:`LiHoiem2016`, :cite:`Hinton2015`
    """

    remembers = "outputs"
    sets: Tensor | None  # (sets, classes) bool: the classes told apart so far
    answers: Tensor | None  # the old logits of every row of the stage, domain after domain
    offset: Tensor | None  # where each domain's rows start in `answers`

    def __init__(self, weight: float = 1.0, temperature: float = 2.0) -> None:
        super().__init__()
        positive("LwF", weight=weight, temperature=temperature)
        self.weight, self.temperature = weight, temperature
        self.teacher: Model | None = None
        self.task: Task | None = None  # of the stage
        self._places: list[Tensor] | None = None
        for name in ("sets", "answers", "offset"):
            self.register_buffer(name, None)
        self.register_load_state_dict_post_hook(lambda *_: setattr(self, "_places", None))

    @property
    def places(self) -> list[Tensor]:
        """The places of the classes of all sets of one size (sets, size), by size; found once a stage."""
        if self._places is None and self.sets is not None:
            known = self.sets.cpu()
            sizes = known.sum(1)
            found = [known[sizes == size].nonzero()[:, 1].view(-1, int(size)) for size in sizes.unique()]
            self._places = [places.to(self.sets.device) for places in found]
        return self._places or []

    def prepare(self, model: Model, stage: Stage) -> None:
        """Keep what the model answers now, or the model itself."""
        self.answers, self.teacher, self.task = None, None, stage.task
        if self.sets is None:
            return
        teacher = copy_of(model).eval().requires_grad_(False)
        sizes = torch.zeros(max(stage.ids) + 1, dtype=torch.long)
        sizes[list(stage.ids)] = torch.tensor([len(domain.train) for domain in stage.domains])
        one = stage.gather([torch.tensor([stage.pools[0].start])], stage.pools[:1])
        answers = int(sizes.sum()) * self._ask(teacher, one).numel()
        if answers > LARGEST or not all(domain.train.fixed for domain in stage.domains):
            self.teacher = teacher
            return
        self.offset = (sizes.cumsum(0) - sizes).to(model.device)
        asked = [(self.offset[b.domain] + b.index, self._ask(teacher, b)) for b in stage.batches()]
        places, answers = (torch.cat(parts) for parts in zip(*asked, strict=True))
        self.answers = torch.empty_like(answers).index_copy(0, places, answers)

    def _ask(self, teacher: Model, batch: Batch) -> Tensor:
        with torch.no_grad():
            return teacher(batch.x, batch.domain, batch.y).logits

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The weighted divergence on the stage's own samples; 0 in the first stage."""
        own = batch.of(None)
        if self.sets is None or self.task is None or not len(own) or (self.answers is None and self.teacher is None):
            return output.logits.new_zeros(())
        new, old, total = output.logits[batch.added(None)], self._old(own), output.logits.new_zeros(())
        for places in self.places:  # a mean over the sets too
            told = (new, old) if len(places[0]) == new.shape[-1] else (new[..., places], old[..., places])
            total = total + len(places) * self.task.divergence(*told, self.temperature)
        return self.weight * total

    def _old(self, own: Batch) -> Tensor:
        if self.teacher is not None:
            return self._ask(self.teacher, own)
        assert self.answers is not None  # `prepare` made a teacher or answers
        assert self.offset is not None
        return self.answers.index_select(0, self.offset[own.domain] + own.index)

    def consolidate(self, model: Model, stage: Stage) -> None:
        """Note which classes were told apart; the old answers have served."""
        live = torch.ones(1, len(model.classes), dtype=torch.bool, device=model.device)
        now = live if stage.live is None else stage.live[list(stage.ids)]
        self.sets = now.unique(dim=0) if self.sets is None else self._merged(self.sets, now)
        self.answers = self.offset = self.teacher = self._places = None

    @staticmethod
    def _merged(sets: Tensor, now: Tensor) -> Tensor:
        """The sets and the new ones, without those that lie within another."""
        every = torch.cat([sets, now]).unique(dim=0)
        inside = (every[:, None] <= every[None]).all(-1).sum(1) > 1  # within another, itself apart
        return every[~inside]
