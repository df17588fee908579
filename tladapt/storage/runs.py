"""A run on disk while it goes on: all that is needed to take it up at the same step, to the same bits."""

import copy
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tladapt.display.progress import DivergedError
from tladapt.domains import Domain
from tladapt.history import Losses, begun
from tladapt.labelshift import LabelShift
from tladapt.method import Method
from tladapt.model import Model
from tladapt.report import Report
from tladapt.seeding import seeded
from tladapt.stage import Stage
from tladapt.storage.checkpoints import read, write
from tladapt.storage.files import CHECKPOINT, made
from tladapt.storage.locks import FolderLock
from tladapt.storage.randomness import random_state, set_random_state
from tladapt.storage.sameness import OtherRunError, about, require_same
from tladapt.storage.stepping import Stepping, load_model_state, load_stepper, passing, stepper_by_name
from tladapt.streams import Stream

NAME = CHECKPOINT
NO_FIT = (LookupError, TypeError, ValueError, AttributeError, RuntimeError)  # of a state that was tampered with


@dataclass
class Past:
    """What has been learned and scored; `stage` is the one to be learned now."""

    stage: int = 0
    scores: list[list[float | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shifts: dict[str, LabelShift] = field(default_factory=dict)
    unlabelled: dict[str, dict[str, Any]] = field(default_factory=dict)  # see tladapt.labelfree
    seconds: float = 0.0
    history: list[Losses] = field(default_factory=list)

    def record(self, stage: int, name: str) -> Losses:
        """The losses of a stage, which is the current one; those of stages without training stay empty."""
        while len(self.history) <= stage:
            self.history.append(begun(name))
        return self.history[stage]

    @classmethod
    def of(cls, kept: Any, stages: int, domains: int) -> "Past":
        """What was written of one, in a run of so many stages that scores so many domains."""
        from pydantic import TypeAdapter  # which takes a while to import

        past = TypeAdapter(cls).validate_python(kept)
        if not 0 <= past.stage <= stages or [len(row) for row in past.scores] != [domains] * (past.stage + 1):
            raise ValueError(f"its scores are not those of {domains} domains before stage {past.stage} of {stages}")
        return past


class Run:
    """The checkpoints of one run: before the first step of every stage, every `every` steps, and at the end.

    One of the middle of a stage is taken after `prepare`. To go on from it, a method is given its memory, prepares the
    stage again, which makes what is no tensor, and is given its memory once more.

    Parameters
    ----------
    folder : path, optional
        Where `checkpoint.safetensors` is; None: nothing is kept. It is locked until `close`.
    every : int
        Steps from one checkpoint to the next.
    model, stream, scored, settings
        What the run depends on: the network, the data that is learned from and scored on, and the rest by name.
    checkpoint_id : str, optional
        What stands for settings that cannot be compared.
    strict : bool
        Whether a checkpoint of other versions is refused; otherwise it is resumed with a warning.

    Raises
    ------
    ValueError
        If a setting cannot be compared, another process writes to the folder, or the checkpoint in it cannot be read
        or was made by another run; the message says what differs.
    """

    def __init__(
        self, folder: str | Path | None, every: int, model: Model, stream: Stream, scored: Sequence[Domain],
        settings: dict[str, Any], *, checkpoint_id: str | None = None, strict: bool = False,
    ) -> None:  # fmt: skip
        self.path, self.every, self.stopping = None if folder is None else Path(folder) / NAME, every, False
        self.past, self.about = Past(), dict[str, Any]()
        self.kept: dict[str, Any] | None = None  # what to go on from, until there
        self._lock: FolderLock | None = None
        if self.path is None:
            return
        self.about = about(model, stream, scored, settings, checkpoint_id)
        self._lock = FolderLock(made(self.path.parent))
        try:
            self._look(strict, len(stream), len(scored))
        except BaseException:
            self.close()
            raise

    def _look(self, strict: bool, stages: int, domains: int) -> None:
        """Read the checkpoint in the folder, if there is one and it is of this run."""
        assert self.path is not None
        if not os.path.lexists(self.path):
            return
        self.kept = read(self.path)
        with self._fitting():
            require_same(self.kept["about"], self.about, f"checkpoint={self.path}", strict=strict)
            self.past = Past.of(self.kept["past"], stages, domains)

    def closing(self, reports: Iterator[Report]) -> Iterator[Report]:
        """Yield the reports of the run, and release the folder after the last one or an error."""
        try:
            yield from reports
        finally:
            self.close()

    def close(self) -> None:
        """Let other processes write to the folder."""
        if self._lock is not None:
            self._lock.release()

    def begin(self) -> Past:
        """Start the clock where it stood; returns what is past."""
        self.started = time.perf_counter() - self.past.seconds
        return self.past

    @property
    def seconds(self) -> float:
        """How long the run has taken, in all processes."""
        return time.perf_counter() - self.started

    def inside(self, stage: int) -> bool:
        """Whether the run was left in the middle of this stage, and is not there again yet."""
        return self.kept is not None and "step" in self.kept and self.past.stage == stage

    def remind(self, method: Method) -> None:
        """Give the method its memory, as far as there is room for it before `prepare`."""
        assert self.kept is not None
        with self._fitting():
            method.load_state_dict(self.kept["method"], strict=False)

    def restore(self, now: Stepping) -> None:
        """Bring everything to where it was."""
        assert self.kept is not None
        kept, self.kept = self.kept, None
        with self._fitting():
            load_model_state(now.model, kept)
            now.method.load_state_dict(kept["method"])
            load_stepper(now, kept["stepper"])
            if type(kept["step"]) is not int or kept["step"] < 0:
                raise ValueError(f"its step is {kept['step']!r}")
            now.step, now.idle = kept["step"], [name for name in now.idle if name in kept["idle"]]
            set_random_state(kept["random"])

    def due(self, step: int) -> bool:
        """Whether it is time for a checkpoint before this step: they are regular, and one comes before stopping."""
        return self.path is not None and (step % self.every == 0 or self.stopping)

    def keep(self, now: Stepping) -> None:
        """Write a checkpoint.

        Raises
        ------
        KeyboardInterrupt
            After it, if the run was to be stopped.
        """
        rest = {"step": now.step, "idle": now.idle, "stepper": stepper_by_name(now), "random": random_state()}
        self._write(now.model, now.method, rest)
        if self.stopping:
            raise KeyboardInterrupt

    @contextmanager
    def guarding(self, model: Model) -> Iterator[None]:
        """Around the steps: when losses diverge, the model gets the weights of the last checkpoint back.

        Ctrl-C is heard between two steps, when all can be kept; a second one at once.
        """
        try:
            with self._stoppable():
                yield
        except DivergedError as error:
            if self.path is None or not self.path.exists():
                raise
            load_model_state(model, read(self.path))
            raise DivergedError(f"{error}; the weights of the last checkpoint, {self.path}, are good") from None

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        def stop(*_: object) -> None:
            self.stopping = True
            signal.signal(signal.SIGINT, before)

        before = signal.getsignal(signal.SIGINT)
        usual = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
        if self.path is None or not usual:  # somebody else has taken hold of it
            yield
            return
        signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        if self.stopping:  # in the last step
            raise KeyboardInterrupt

    def end(self, model: Model, method: Method) -> None:
        """Keep what the last stage left."""
        if self.path is not None:
            self._write(model, method, {})

    def over(self, model: Model, method: Method, last: Callable[[], Stage]) -> bool:
        """Whether the run was through already; model and method are then as it left them.

        A method whose memory needs what `prepare` makes, such as a critic, prepares the `last` stage again, on a copy
        of the model.
        """
        if self.kept is None or "step" in self.kept:
            return False
        with self._fitting():
            load_model_state(model, self.kept)
            method.load_state_dict(self.kept["method"], strict=False)
            missing = self.kept["method"].keys() - method.state_dict().keys()
            for name, term in method.terms.items():
                prefix = "" if term is method else f"_terms.{name}."
                if any(key.startswith(prefix) for key in missing):
                    with seeded(0):
                        term.prepare(copy.deepcopy(model), last())
            method.load_state_dict(self.kept["method"], strict=False)
        return True

    def _write(self, model: Model, method: Method, rest: dict[str, Any]) -> None:
        assert self.path is not None
        if not all(parameter.isfinite().all() for parameter in model.parameters()):
            raise DivergedError(f"the weights are no longer finite at the end of stage {self.past.stage - 1}")
        made(self.path.parent)
        past = {**asdict(self.past), "seconds": self.seconds}
        state = {"model": dict(model.state_dict()), "passing": passing(model), "method": dict(method.state_dict())}
        write(self.path, _listed({"about": self.about, "past": past, **state, **rest}))

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Within, a checkpoint that is whole but holds something else ends in one line."""
        try:
            yield
        except OtherRunError:
            raise
        except NO_FIT as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(
                f"checkpoint={self.path}: cannot be resumed ({type(error).__name__}: {reason}); use another folder"
            ) from error


def _listed(state: Any) -> Any:
    """The state as it comes back from a file: with lists for tuples, and plain numbers for those of numpy."""
    if isinstance(state, dict):
        return {name: _listed(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [_listed(value) for value in state]
    return state.item() if isinstance(state, np.generic) else state
