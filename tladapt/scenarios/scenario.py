"""A scenario: a stream with everything that a fair comparison holds fixed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch.optim import Adam, Optimizer

from tladapt.lengths import lengths
from tladapt.method import Method
from tladapt.model import Model
from tladapt.report import Report
from tladapt.scenarios.baselines import BASELINES
from tladapt.seeding import generator, seeded
from tladapt.streams import Stream, domains_of, members
from tladapt.task import Task
from tladapt.training import cosine, last, train


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A stream, and the network, the optimiser and the steps that all methods share on it.

    Attributes
    ----------
    about : str
        One line: what is old, what is new, how they differ.
    network : callable
        `network(batchnorm=...)` is a new untrained model.
    method : callable
        `method()` is what runs when no other is asked for.
    ceiling : Stream, optional
        The same stages with the labels that the methods do not get; its last score bounds what they can reach.
    inputs : dict
        How a file becomes an input of the network (see `tladapt.readers.files`).
    epochs, steps : int, list of int, optional
        The length of the stages, of the methods and of the baselines alike; see `fit`.
    lr : float, optional
        The learning rate; by default the network's own, `Model.lr`.
    learned : int
        So many first stages are the past of the network, which comes trained.
    """

    name: str
    about: str
    stream: Stream
    network: Callable[..., Model]
    method: Callable[[], Method]
    ceiling: Stream | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    steps: int | Sequence[int] | None = None
    batch_size: int = 64
    lr: float | None = None
    optimizer: Callable[..., Optimizer] = Adam
    schedule: Callable[[float], float] = cosine
    batchnorm: str = "joint"
    increment: str = "domain"
    task: Task | None = None
    learned: int = 0

    def model(self, seed: int = 0, batchnorm: str | None = None) -> Model:
        """A new network, with the scenario's BatchNorm policy or another; its start depends on `seed` alone."""
        with seeded(generator(seed, "network").initial_seed()):
            model = self.network(batchnorm=batchnorm or self.batchnorm)
        model.inputs = dict(self.inputs)
        return model

    def train(
        self, method: Method | None = None, *, seed: int = 0, model: Model | None = None, baseline: str | None = None,
        may_remember: str = "samples", checkpoint: str | Path | None = None, every: int = 100,
        checkpoint_id: str | None = None, strict: bool = False, progress: bool | None = None,
    ) -> Iterator[Report]:  # fmt: skip
        """Learn the stream with `method` and score every domain; yields the report so far after each stage.

        Parameters
        ----------
        method : Method, optional
            By default the scenario's own. Its memory is used: give a new one for every run.
        seed : int
            Of the batches, the methods, and the network.
        model : Model, optional
            Trained in place; by default a new network.
        baseline : {"source-only", "from-scratch", "joint", "ceiling"}, optional
            Learn a stream with less, or more, to learn from instead, in as many steps as a method gets; the same
            domains are scored.
        may_remember : {"nothing", "statistics", "outputs", "samples"}
            The most of the data that a method may keep after a stage.
        checkpoint, every, checkpoint_id, strict : optional
            A folder to keep the run in, and how to resume the one that is in it; see `fit`.
        progress : bool, optional
            Progress on standard error: bars on a terminal, else a line now and then; False: none.
        """
        stream = self.stream if baseline is None else self.baseline(baseline)
        return train(
            self.model(seed) if model is None else model, stream, self.method() if method is None else method,
            steps=self.lengths(baseline), batch_size=self.batch_size, lr=self.lr, optimizer=self.optimizer,
            schedule=self.schedule, increment=self.increment, task=self.task, evaluate=domains_of(self.stream),
            learned=min(self.learned, len(stream) - 1), seed=seed, progress=progress, may_remember=may_remember,
            checkpoint=checkpoint, every=every, checkpoint_id=checkpoint_id, strict=strict,
            scenario=self.name if baseline is None else f"{self.name} ({baseline})",
        )  # fmt: skip

    run = last(train, "run")  # the same arguments, in one place

    @property
    def unlabelled(self) -> bool:
        """Whether a stage has rows without labels, so that source-only is what a method must beat."""
        domains = [domain for stage in self.stream for domain in members(stage)]
        return any(len(domain.train.y) < len(domain.train) for domain in domains)

    def lengths(self, baseline: str | None = None) -> list[int]:
        """Return the steps of every stage, or of every stage of a baseline, which gets as many as the scenario.

        "source-only" and "ceiling" take as many in each stage, "from-scratch" those of the last stage, "joint" the sum
        of all that are learned.

        Examples
        --------
        >>> from tladapt.scenarios import digits
        >>> {name: digits().lengths(name) for name in (None, "source-only", "from-scratch", "joint")}
        {None: [300, 300], 'source-only': [300, 300], 'from-scratch': [300], 'joint': [600]}
        """
        own = lengths(self.stream, epochs=self.epochs, steps=self.steps, batch_size=self.batch_size)
        if baseline == "joint":
            return [sum(own[self.learned :])]
        if baseline == "from-scratch":
            return own[-1:]
        return own

    def baseline(self, name: str) -> Stream:
        """The stream of a baseline.

        Raises
        ------
        ValueError
            If there is no such baseline, or the scenario has no labels for a ceiling.
        """
        if name == "ceiling" and self.ceiling is not None:
            return self.ceiling
        if name not in BASELINES:
            known = [*BASELINES, *(["ceiling"] if self.ceiling else [])]
            raise ValueError(f"baseline={name!r}: {self.name} has {', '.join(known)}")
        return BASELINES[name](self.stream)

    def but(self, **changes: Any) -> "Scenario":
        """The scenario with other settings."""
        return replace(self, **changes)


def known(scenario: str, name: str, names: Sequence[str]) -> str:
    """The name that a scenario was told.

    Raises
    ------
    ValueError
        If it is none of `names`.
    """
    if name not in names:
        raise ValueError(f"{scenario}: {name!r} is none of {', '.join(names)}")
    return name
