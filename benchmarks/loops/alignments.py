"""What an alignment costs by itself, and beside a whole step, as the batch, the features and the classes grow."""

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.profiler import ProfilerActivity, profile

from loops.long_streams import settle
from tladapt import Domain, methods
from tladapt.backbones import mlp
from tladapt.method import Method
from tladapt.methods.alignment import Alignment
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage
from tladapt.tasks import Classification

CENTRE = {"batch": 128, "width": 256, "classes": 10}
SIZES = {
    "batch": [32, 64, 128, 256, 512], "width": [64, 128, 256, 512, 1024, 2048], "classes": [2, 10, 100, 1000],
}  # fmt: skip
BLOCK = 0.02  # seconds that a block of equal calls takes at least, to be timed as one

ALIGNMENTS: dict[str, Callable[[], Alignment]] = {
    name: kind for name in methods.__all__ if issubclass(kind := getattr(methods, name), Alignment)
}


def costs(name: str, axis: str, sizes: list[int], rounds: int, threads: int, device: str) -> list[dict[str, Any]]:
    """For each size: milliseconds by round, and the bytes that the loss of the alignment needs."""
    torch.set_num_threads(threads)
    return [cost(ALIGNMENTS[name](), {**CENTRE, axis: size}, rounds, device) for size in sizes]


def cost(method: Alignment, size: dict[str, int], rounds: int, device: str) -> dict[str, Any]:
    """The loss alone, forward and backward; a step with it, and one without, of a network 784-400-width-classes."""
    torch.manual_seed(0)
    model = mlp(784, (400, size["width"]), classes=size["classes"]).to(device)
    bare = mlp(784, (400, size["width"]), classes=size["classes"]).to(device)
    method.seed(0)
    stage = two_domains(size, device)
    method.prepare(model, stage)
    method.to(device)
    batch = stage.batch(0, progress=0.5)
    rows = 2 * size["batch"]
    output = Output(
        torch.randn(rows, size["width"], device=device).relu().requires_grad_(),
        torch.randn(rows, size["classes"], device=device, requires_grad=True),
    )
    alone = partial(backward, method, model, batch, output)
    calls = {
        "alone": alone,
        "with": partial(
            step, model, batch, method, Adam([*model.parameters(), *method.parameters()], lr=1e-4, fused=True)
        ),
        "without": partial(step, bare, batch, Method(), Adam(bare.parameters(), lr=1e-4, fused=True)),
    }
    return {**size, **interleaved(calls, rounds, device), "bytes": most_bytes(alone, device)}


def two_domains(size: dict[str, int], device: str) -> Stage:
    """A stage of random rows, half of which have labels."""
    x = torch.randn(2, size["batch"], 784)
    y = torch.arange(size["batch"]) % size["classes"]
    source, target = (Domain(name, (x[i], y), None, classes=size["classes"]) for i, name in enumerate("st"))
    return Stage(
        (source, target.unlabelled()), (0, 1), 0, None, Classification(), batch_size=size["batch"], device=device
    )


def backward(method: Alignment, model: Model, batch: Batch, output: Output) -> None:
    """The loss, and its gradients for features, logits and what the method trains."""
    loss = method.loss(model, batch, output)
    torch.autograd.grad(loss, [output.features, output.logits, *method.parameters()], allow_unused=True)


def step(model: Model, batch: Batch, method: Method, stepper: Adam) -> None:
    """A whole step: forward, the loss of the task and of the method, backward, update."""
    output: Output = model(batch.x, batch.domain)
    loss: Tensor = Classification().loss(output, batch) + method.loss(model, batch, output)
    stepper.zero_grad()
    loss.backward()
    stepper.step()


def interleaved(calls: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, list[float]]:
    """Milliseconds of one call, by round; every round times all of them, each time another one first."""
    number = {who: max(1, round(BLOCK / (block(call, 3, device) / 1e3))) for who, call in calls.items()}
    found: dict[str, list[float]] = {who: [] for who in calls}
    for turn in range(rounds):
        names = list(calls)
        for who in names[turn % len(names) :] + names[: turn % len(names)]:
            found[who].append(block(calls[who], number[who], device))
    return found


def block(call: Callable[[], None], number: int, device: str) -> float:
    """Milliseconds of one of so many calls; one before them is not timed."""
    call()
    settle(device)
    start = time.perf_counter()
    for _ in range(number):
        call()
    settle(device)
    return 1e3 * (time.perf_counter() - start) / number


def most_bytes(call: Callable[[], None], device: str) -> int:
    """The most bytes of tensors that live at once during a call, beyond those from before it.

    By torch's profiler, which sees every allocation: the peak of the whole process would be that of the libraries, next
    to which a loss on a batch is lost. What the kernels take for themselves is not in it.
    """
    if device != "cpu":
        settle(device)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    with tempfile.TemporaryDirectory() as folder:
        seen.export_chrome_trace(file := str(Path(folder) / "trace.json"))
        events = json.loads(Path(file).read_text())["traceEvents"]
    held = most = 0
    for event in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["args"]["Ev Idx"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most
