"""Long streams: images whose pixels every stage puts into another order, the methods, and what their stages cost."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.datasets import MNIST

from tladapt import EWC, Data, Domain, LwF, Method, Model, Replay, Report, methods, train
from tladapt.backbones import mlp
from tladapt.scenarios.digit_images import constant
from tladapt.scenarios.files import torchvision_images
from tladapt.seeding import generator

BATCH, LR = 128, 1e-3
STATUS = Path("/proc/self/status")  # of Linux


@dataclass(frozen=True)
class Run:
    """A method, and the kind of stream and network that it is run on."""

    method: Callable[[], Method]
    labelled: bool = True  # else the stages after the first have no labels
    increment: str = "domain"
    per_domain: bool = False  # the network has BatchNorm layers, with statistics per domain
    short: int = 2  # stages of the stream whose last stage is compared with: it has a past of every kind that there is


# Left out: alignments by themselves, and VICReg, which need samples without labels in the stage (DANN stands for them,
# beside a memory that brings the labelled ones back). EarlyStopping looks after every pass but never stops: stages of
# different lengths could not be compared. What fits one trained model to one new domain (LinearProbe, LPFT,
# GradualUnfreezing) is of little use in a stream, and is here because it must cost the same in each stage all the same.
RUNS = {
    "Method()": Run(Method), "EWC()": Run(EWC), "LwF()": Run(LwF), "L2SP()": Run(methods.L2SP),
    "Replay(1000)": Run(partial(Replay, 1000)), "Replay(1000, balanced=True)": Run(partial(Replay, 1000, None, True)),
    "Replay(1000) + EWC()": Run(lambda: Replay(1000) + EWC()),
    "DANN() + Replay(1000), unlabelled": Run(lambda: methods.DANN() + Replay(1000), labelled=False, short=3),
    "Method(), task-incremental": Run(Method, increment="task"),
    "Method(), BatchNorm per-domain": Run(Method, per_domain=True),
    "EarlyStopping()": Run(partial(methods.EarlyStopping, 10**9)),
    "WiSEFT()": Run(methods.WiSEFT), "BSS()": Run(methods.BSS), "LayerwiseRate()": Run(methods.LayerwiseRate),
    "BitFit()": Run(methods.BitFit), "LoRA()": Run(methods.LoRA), "Adapter()": Run(methods.Adapter),
    "LinearProbe()": Run(methods.LinearProbe), "LPFT()": Run(methods.LPFT),
    "GradualUnfreezing()": Run(methods.GradualUnfreezing),
}  # fmt: skip
HELD = ("EWC()", "LwF()", "Replay(1000)", "Replay(1000, balanced=True)")  # what the target is about


class Permuted(Data):
    """Images (n, 784) that all stages share, read with the pixels in an order of their own; nothing is stored twice."""

    def __init__(self, x: Tensor, y: Tensor, order: Tensor) -> None:
        super().__init__(x, y)
        self.order = order

    def rows(self, index: Tensor, key: tuple[int | str, ...] = ()) -> Tensor:
        """These rows, in the order of this stage."""
        return self.x.index_select(0, index.to(self.x.device)).index_select(1, self.order)

    def take(self, labelled: Tensor, unlabelled: Tensor | None = None) -> "Permuted":
        """The rows `labelled` with their labels, then the rows `unlabelled` without."""
        return self._like(Data(self.x, self.y).take(labelled, unlabelled))

    def without_labels(self) -> "Permuted":
        """The same rows; the labels are gone."""
        return self._like(Data(self.x, self.y).without_labels())

    def to(self, device: torch.device) -> "Permuted":
        """The data on `device`."""
        return self._like(Data(self.x, self.y).to(device))

    def _like(self, data: Data) -> "Permuted":
        return Permuted(data.x, data.y, self.order.to(data.x.device))


def images(steps: int) -> tuple[Any, Any]:
    """Images of MNIST for so many steps, and a tenth to validate, as arrays: bytes (n, 784), and their classes."""
    x, y = torchvision_images(MNIST, True)
    rows = 11 * (BATCH * steps // 10)
    return x[:rows].flatten(1).numpy().copy(), y[:rows].numpy().copy()


def stream(run: Run, length: int, data: tuple[Any, Any], device: str) -> list[Domain]:
    """So many stages; nothing is scored, so that what is timed is the training."""
    x, y = (torch.from_numpy(part).to(device) for part in data)
    cut, domains = len(x) // 11, list[Domain]()
    for k in range(length):
        order = torch.randperm(784, generator=generator(k, "order")).to(device)
        validation, rest = (Permuted(x[part], y[part], order) for part in (slice(cut), slice(cut, None)))
        domain = Domain(f"order {k}", rest, None, validation, classes=10)
        domains.append(domain if run.labelled or not k else domain.unlabelled())
    return domains


def reports(run: Run, domains: list[Domain], device: str) -> tuple[Method, Iterator[Report]]:
    """A fresh method and network of 784-400-400-10, and their training on the stream, which goes on when asked."""
    torch.manual_seed(0)
    model = mlp(784, classes=10)
    if run.per_domain:
        layers = [part for n in (784, 400) for part in (nn.Linear(n, 400), nn.BatchNorm1d(400), nn.ReLU())]
        model = Model(nn.Sequential(*layers), nn.Linear(400, 10), batchnorm="per-domain")
    method = run.method()
    return method, train(
        model.to(device), domains, method, epochs=1, batch_size=BATCH, lr=LR, schedule=constant,
        increment=run.increment, progress=False,
    )  # fmt: skip


def timed(stages: Iterator[Report], device: str) -> float:
    """The seconds until the next stage is learned."""
    settle(device)
    start = time.perf_counter()
    next(stages)
    settle(device)
    return time.perf_counter() - start


def settle(device: str) -> None:
    """Wait until the device has done all it was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def pairs(name: str, length: int, data: tuple[Any, Any], threads: int, device: str) -> dict[str, list[float]]:
    """Seconds of stages of a long stream, each beside the last one of a short stream that is run in turns with it.

    All late stages are paired, and of the others at most 50, so that a slope can be told; none that comes earlier than
    the last of the short stream: the first stage has no past and costs less with every method.
    """
    torch.set_num_threads(threads)
    run = RUNS[name]
    domains = stream(run, length, data, device)
    _, long = reports(run, domains, device)
    found: dict[str, list[float]] = {"stage": [], "long": [], "short": []}
    every = max(1, length // 50)
    for k in range(length):
        if k < run.short - 1 or (k % every and not is_late(k, length)):
            next(long)
            continue
        _, short = reports(run, domains[: run.short], device)
        for _ in range(run.short - 1):
            next(short)
        turns = {"long": long, "short": short}
        for who in sorted(turns, reverse=k % 2 == 1):
            found[who].append(timed(turns[who], device))
        found["stage"].append(k)
    return found


def is_late(stage: Any, length: int) -> Any:
    """Whether a stage, or each of an array of them, is in the last quarter of a stream (one of the last 3)."""
    return stage >= length - max(3, length // 4)


def memory(name: str, length: int, data: tuple[Any, Any], threads: int, device: str) -> dict[str, Any]:
    """Bytes by stage: those that the method keeps after it, and the most that the process held in it.

    `before` is what the process held before the stream, most of it the libraries. For a process of its own.
    """
    torch.set_num_threads(threads)
    run = RUNS[name]
    domains = stream(run, length, data, device)
    gc.collect()
    lower_peak(device)
    before, kept, peaks = peak(device), list[int](), list[int]()
    method, stages = reports(run, domains, device)
    for _ in stages:
        peaks.append(peak(device))
        lower_peak(device)
        tensors = (value for value in method.state_dict().values() if isinstance(value, Tensor))
        kept.append(sum(value.numel() * value.element_size() for value in tensors))
    return {"before": before, "kept": kept, "peak": peaks}


def peak(device: str) -> int:
    """The most bytes that the process has held since `lower_peak`; on a GPU, that its tensors have."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    if STATUS.exists():  # `getrusage` counts what the process that started this one has held, and never falls
        return 1024 * int(STATUS.read_text().partition("VmHWM:")[2].split()[0])
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def lower_peak(device: str) -> None:
    """Let the peak start again from what is held now, where the system can."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    elif STATUS.exists():
        STATUS.with_name("clear_refs").write_text("5")
