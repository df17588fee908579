"""A run on disk while it goes on: all that is needed to take it up at the same step, to the same bits."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from tladapt.labelshift import LabelShift
from tladapt.method import Method
from tladapt.model import Model
from tladapt.report import environment
from tladapt.storage.checkpoints import read, write
from tladapt.storage.digests import data_digest, network_digest
from tladapt.streams import Stream

NAME = "checkpoint.safetensors"


@dataclass
class Past:
    """What has been learned and scored; `stage` is the one to be learned now."""

    stage: int = 0
    scores: list[list[float | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shifts: dict[str, LabelShift] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, kept: dict[str, Any]) -> "Past":
        """What was written of one."""
        return cls(**{**kept, "shifts": {name: LabelShift(**shift) for name, shift in kept["shifts"].items()}})


@dataclass
class Stepping:
    """All that changes from step to step; `idle` are the terms that have not acted so far in the stage."""

    model: Model
    method: Method
    stepper: Optimizer
    idle: list[str]
    step: int


class Run:
    """The checkpoints of one run: before the first step of every stage, every `every` steps, and at the end.

    One of the middle of a stage is taken after `prepare`. To go on from it, a method is given its memory, prepares the
    stage again, which makes what is no tensor, and is given its memory once more.

    Parameters
    ----------
    folder : path, optional
        Where `checkpoint.safetensors` is; None: nothing is kept.
    every : int
        Steps from one checkpoint to the next.
    model, stream, settings
        What the run depends on: the network, all data, and the rest by name.

    Raises
    ------
    ValueError
        If the checkpoint in the folder cannot be read, or was made by another run; it names what differs.
    """

    def __init__(
        self, folder: str | Path | None, every: int, model: Model, stream: Stream, settings: dict[str, Any]
    ) -> None:
        self.path, self.every = None if folder is None else Path(folder) / NAME, every
        self.past, self.about = Past(), dict[str, Any]()
        self.kept: dict[str, Any] | None = None  # what to go on from, until there
        if self.path is None:
            return
        content = {"network": network_digest(model), "data": data_digest(stream)}
        self.about = _plain({**settings, **content, **environment(model.device.type)})
        if self.path.exists():
            self.kept = read(self.path)
            self._compare(self.kept["about"])
            self.past = Past.of(self.kept["past"])

    def _compare(self, was: dict[str, Any]) -> None:
        names = [name for name in {**was, **self.about} if was.get(name) != self.about.get(name)]
        if names:
            changes = ", ".join(f"{name} was {was.get(name)!r} and is {self.about.get(name)!r}" for name in names)
            raise ValueError(
                f"checkpoint={self.path}: kept by another run: {changes}; give the same, or another folder"
            )

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
        method.load_state_dict(self.kept["method"], strict=False)

    def restore(self, now: Stepping) -> None:
        """Bring everything to where it was."""
        assert self.kept is not None
        kept, self.kept = self.kept, None
        now.model.load_state_dict(kept["model"])
        now.method.load_state_dict(kept["method"])
        state = {int(number): value for number, value in kept["stepper"]["state"].items()}
        now.stepper.load_state_dict({**kept["stepper"], "state": state})
        now.step, now.idle = kept["step"], kept["idle"]
        torch.set_rng_state(kept["random"][0])
        if kept["random"][1:]:
            torch.cuda.set_rng_state_all(kept["random"][1:])

    def keep(self, now: Stepping) -> None:
        """Write a checkpoint, if it is time for one."""
        if self.path is None or now.step % self.every:
            return
        stepper = now.stepper.state_dict()
        self._write(now.model, now.method, {
            "step": now.step, "idle": now.idle,
            "stepper": {**stepper, "state": {str(number): value for number, value in stepper["state"].items()}},
            "random": [torch.get_rng_state(), *torch.cuda.get_rng_state_all()],
        })  # fmt: skip

    def end(self, model: Model, method: Method) -> None:
        """Keep what the last stage left."""
        if self.path is not None:
            self._write(model, method, {})

    def over(self, model: Model, method: Method) -> bool:
        """Whether the run was through already; model and method are then as it left them."""
        if self.kept is None or "step" in self.kept:
            return False
        model.load_state_dict(self.kept["model"])
        method.load_state_dict(self.kept["method"], strict=False)
        return True

    def _write(self, model: Model, method: Method, rest: dict[str, Any]) -> None:
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        past = {**asdict(self.past), "seconds": self.seconds}
        state = {"model": dict(model.state_dict()), "method": dict(method.state_dict())}
        write(self.path, _listed({"about": self.about, "past": past, **state, **rest}))


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as they come back from a file, whose numbers and words are of no class of their own."""
    return json.loads(json.dumps(settings))


def _listed(state: Any) -> Any:
    """The state as it comes back from a file: with lists for tuples."""
    if isinstance(state, dict):
        return {name: _listed(value) for name, value in state.items()}
    return [_listed(value) for value in state] if isinstance(state, list | tuple) else state
