"""What is seen while a stage is learned, and the check that its losses stay finite."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor
from torch.optim import Optimizer

from tladapt.display.console import encoding_of, printable
from tladapt.display.harmless import harmless
from tladapt.history import Losses, note

EVERY = 50  # steps between two looks at the losses, at most: each look waits for the device
LOOKS = 10  # of a shorter stage
PAUSE = 1.0  # seconds between two lines about one stage, at least


class DivergedError(FloatingPointError):
    """A loss became NaN or infinite."""


class Lines:
    """Progress where there is no terminal: a line at the end of every task, and up to ten on the way."""

    def __init__(self, stream: TextIO, title: str = "") -> None:
        self.stream, self.title = stream, title
        self.tasks: list[_Line] = []

    def add_task(self, description: str, *, total: int, losses: str = "") -> TaskID:
        """A new task; returns its number."""
        name = f"{self.title}: {description}" if self.title else description
        self.tasks.append(_Line(name, total, losses))
        return TaskID(len(self.tasks) - 1)

    def update(
        self, number: TaskID, *, completed: int | None = None, advance: int | None = None, losses: str | None = None
    ) -> None:  # fmt: skip
        """Note how far a task is, and write a line where one is due."""
        line = self.tasks[number]
        line.completed = line.completed + (advance or 0) if completed is None else completed
        line.losses = line.losses if losses is None else losses
        if line.due():
            self._write(line.said())

    def end(self, number: TaskID) -> None:
        """Write the last line of a task that ends before its total."""
        line = self.tasks[number]
        if line.written < line.completed:
            self._write(line.said())

    def _write(self, text: str) -> None:
        self.stream.write(printable(harmless(text), encoding_of(self.stream)) + "\n")
        self.stream.flush()


@dataclass
class _Line:
    """How far a task is, and up to where that was written."""

    description: str
    total: int
    losses: str
    completed: int = 0
    written: int = 0
    began: float = field(default_factory=lambda: _now())
    last: float = -math.inf

    def due(self) -> bool:
        """Whether a line is to be written: at the end; else after a tenth of the task, and not every moment."""
        now = _now()
        tenth = self.completed - self.written >= self.total / 10
        if self.completed < self.total and not (tenth and now - max(self.last, self.began) >= PAUSE):
            return False
        return self.completed > self.written

    def said(self) -> str:
        """The line; what remains is estimated from what was done since the start."""
        self.last, self.written = _now(), self.completed
        elapsed = self.last - self.began
        rest = elapsed * (self.total - self.completed) / max(1, self.completed)
        remaining = f", about {_clock(rest)} left" if self.completed < self.total else ""
        losses = f": {self.losses}" if self.losses else ""
        return f"{self.description} {self.completed}/{self.total}{losses} ({_clock(elapsed)}{remaining})"


def _now() -> float:
    return time.monotonic()


def _clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> _clock(3.2), _clock(75), _clock(3700)
    ('0:03', '1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


Bars = Progress | Lines


class Watch:
    """Collects the losses of a stage on the device, and looks at them every 50 steps or, if it is short, more often.

    Parameters
    ----------
    stage : str
        Its name.
    bar : Progress or Lines, optional
        Where they are shown.
    steps : int
        The length of the stage.
    record : Losses, optional
        Where every `stride`-th step, and the last one, is noted.
    """

    def __init__(
        self, stage: str, bar: Bars | None, steps: int, record: Losses | None = None, stride: int = 1
    ) -> None:  # fmt: skip
        self.stage, self.bar, self.steps, self.done = stage, bar, steps, 0
        self.record, self.stride = record, stride
        self.every = max(1, min(EVERY, steps // LOOKS))
        self.pending: list[dict[str, Tensor]] = []
        self.latest: tuple[int, dict[str, float]] | None = None
        self.row = None if bar is None else bar.add_task(stage, total=steps, losses="")

    def see(self, losses: dict[str, Tensor]) -> None:
        """Take in the losses of one step."""
        self.pending.append({name: loss.detach() for name, loss in losses.items()})
        if len(self.pending) >= self.every:
            self.look()

    def look(self) -> None:
        """Show and note the newest losses; stop at the first that is not finite."""
        if not self.pending:
            return
        names = list(self.pending[0])
        values = torch.stack([torch.stack(list(step.values())) for step in self.pending]).tolist()
        for step, row in enumerate(values, start=self.done):
            self._take(step, dict(zip(names, row, strict=True)))
        self.done += len(self.pending)
        self.pending = []
        if self.bar is not None and self.row is not None:
            text = "  ".join(f"{name} {value:.3f}" for name, value in zip(names, values[-1], strict=True))
            self.bar.update(self.row, completed=self.done, losses=text)

    def _take(self, step: int, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name}: the loss became {value} in stage {self.stage}, step {step}; lower lr"
                    + ("" if name == "task" else f" or the weight of {name}")
                )
        self.latest = step, losses
        if self.record is not None and step % self.stride == 0:
            note(self.record, step, losses)

    def require_finite(self, stepper: Optimizer) -> None:
        """Stop where a loss, or a weight that the optimiser moves, is no longer finite."""
        self.look()
        if not all(p.isfinite().all() for group in stepper.param_groups for p in group["params"]):
            raise DivergedError(
                f"the weights are no longer finite in stage {self.stage}, step {self.done}; lower lr or a weight"
            )

    def end(self) -> None:
        """Note the last step of the stage, and say so."""
        self.look()
        if self.record is not None and self.latest is not None and self.record["steps"][-1:] != [self.latest[0]]:
            note(self.record, *self.latest)
        if isinstance(self.bar, Lines) and self.row is not None:
            self.bar.end(self.row)


class _Letters(TextColumn):
    """A text that others chose, letter by letter."""

    def render(self, task: Task) -> Text:
        return Text(harmless(self.text_format.format(task=task)))


@contextmanager
def bars(show: bool | None, title: str = "") -> Iterator[Bars | None]:
    """Progress on standard error: bars on a terminal, else lines that begin with `title`; none if `show` is False."""
    if show is False:
        yield None
        return
    if not sys.stderr.isatty():
        yield Lines(sys.stderr, title)
        return
    columns = (
        _Letters("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        _Letters("{task.fields[losses]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress
