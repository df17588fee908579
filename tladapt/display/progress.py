"""What is seen while a stage is learned, and the check that its losses stay finite."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor
from torch.optim import Optimizer

from tladapt.display.harmless import harmless

EVERY = 50  # steps between two looks at the losses: each look waits for the device


class DivergedError(FloatingPointError):
    """A loss became NaN or infinite."""


class Watch:
    """Collects the losses of a stage on the device and looks at them every 50 steps."""

    def __init__(self, stage: str, bar: Progress | None, steps: int) -> None:
        self.stage, self.bar, self.steps, self.done = stage, bar, steps, 0
        self.pending: list[dict[str, Tensor]] = []
        self.row = None if bar is None else bar.add_task(stage, total=steps, losses="")

    def see(self, losses: dict[str, Tensor]) -> None:
        """Take in the losses of one step."""
        self.pending.append({name: loss.detach() for name, loss in losses.items()})
        if len(self.pending) == EVERY:
            self.look()

    def look(self) -> None:
        """Show the newest losses; stop at the first that is not finite."""
        if not self.pending:
            return
        names = list(self.pending[0])
        values = torch.stack([torch.stack(list(step.values())) for step in self.pending]).tolist()
        for step, row in enumerate(values, start=self.done):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    raise DivergedError(
                        f"{name}: the loss became {value} in stage {self.stage}, step {step}; lower lr"
                        + ("" if name == "task" else f" or the weight of {name}")
                    )
        self.done += len(self.pending)
        self.pending = []
        if self.bar is not None and self.row is not None:
            text = "  ".join(f"{name} {value:.3f}" for name, value in zip(names, values[-1], strict=True))
            self.bar.update(self.row, completed=self.done, losses=text)

    def require_finite(self, stepper: Optimizer) -> None:
        """Stop where a loss, or a weight that the optimiser moves, is no longer finite."""
        self.look()
        if not all(p.isfinite().all() for group in stepper.param_groups for p in group["params"]):
            raise DivergedError(
                f"the weights are no longer finite in stage {self.stage}, step {self.done}; lower lr or a weight"
            )


class _Letters(TextColumn):
    """A text that others chose, letter by letter."""

    def render(self, task: Task) -> Text:
        return Text(harmless(self.text_format.format(task=task)))


@contextmanager
def bars(show: bool | None) -> Iterator[Progress | None]:
    """Progress bars on standard error; by default only where that is a terminal."""
    if not (sys.stderr.isatty() if show is None else show):
        yield None
        return
    columns = (
        _Letters("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(),
        _Letters("{task.fields[losses]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress
