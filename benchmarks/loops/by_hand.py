"""The loops that a person would write: the same arithmetic as the library's on the same data, and nothing else."""

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam

from loops.settings import (
    ADAPT_BATCH,
    ADAPT_LR,
    ADAPT_STEPS,
    BATCH,
    DANN_WEIGHT,
    EWC_WEIGHT,
    FISHER,
    HIDDEN,
    LR,
    MEMORY,
    SCALES,
    TEMPERATURE,
    Pair,
    TwoDomains,
)


def fine_tuning(network: nn.Module, tasks: list[Pair]) -> None:
    """One task after another."""
    for x, y in tasks:
        optimizer = Adam(network.parameters(), lr=LR)
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = F.cross_entropy(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def replay(network: nn.Module, tasks: list[Pair]) -> None:
    """With as many remembered samples as fresh ones in every step; every task counts alike."""
    memory_x, memory_y, keys = tasks[0][0][:0], tasks[0][1][:0], torch.empty(0)
    for past, (x, y) in enumerate(tasks):
        optimizer = Adam(network.parameters(), lr=LR)
        for rows in torch.randperm(len(x)).split(BATCH):
            if past:
                old = torch.randint(len(memory_y), (BATCH,))
                logits = network(torch.cat([x[rows], memory_x[old]]))
                fresh = F.cross_entropy(logits[: len(rows)], y[rows])
                loss = (fresh + past * F.cross_entropy(logits[len(rows) :], memory_y[old])) / (1 + past)
            else:
                loss = F.cross_entropy(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        keys = torch.cat([keys, torch.rand(len(x))])
        best = keys.topk(min(MEMORY, len(keys))).indices
        keys = keys[best]
        memory_x, memory_y = torch.cat([memory_x, x])[best], torch.cat([memory_y, y])[best]


def lwf(network: nn.Module, tasks: list[Pair]) -> None:
    """With the old network's answers to the task's own samples, computed once."""
    old = None
    for x, y in tasks:
        optimizer = Adam(network.parameters(), lr=LR)
        for rows in torch.randperm(len(x)).split(BATCH):
            logits = network(x[rows])
            loss = F.cross_entropy(logits, y[rows])
            if old is not None:
                now, before = (part.div(TEMPERATURE).log_softmax(1) for part in (logits, old[rows]))
                loss = loss + TEMPERATURE**2 * F.kl_div(now, before, reduction="batchmean", log_target=True)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        following = tasks[[id(task[0]) for task in tasks].index(id(x)) + 1 :][:1]
        with torch.no_grad():
            old = torch.cat([network(part) for part in following[0][0].split(256)]) if following else None


def ewc(network: nn.Module, tasks: list[Pair]) -> None:
    """With one quadratic penalty for all tasks before: total * (theta - anchor)^2."""
    total, anchor, rest = None, torch.empty(0), torch.zeros((), device=tasks[0][0].device)
    for x, y in tasks:
        optimizer = Adam(network.parameters(), lr=LR)
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = F.cross_entropy(network(x[rows]), y[rows])
            if total is not None:
                moved = torch.cat([p.flatten() for p in network.parameters()]) - anchor
                loss = loss + EWC_WEIGHT / 2 * (torch.dot(total, moved.square()) + rest)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        new, here = fisher(network, x), torch.cat([p.detach().flatten() for p in network.parameters()])
        if total is None:
            total, anchor = new, here
        else:
            share = new / (total + new).clamp(min=1e-38)
            rest = rest + (total * share * (here - anchor).square()).sum()
            anchor, total = anchor + share * (here - anchor), total + new


def fisher(network: nn.Module, x: Tensor) -> Tensor:
    """The diagonal Fisher information on some samples, divided by its mean: g^2 x^2 of every layer and sample."""
    layers, found = [part for part in network.modules() if not isinstance(part, nn.Sequential)], 0
    for part in x[torch.randperm(len(x))[:FISHER]].split(256):
        h, inputs, outputs = part, [], []
        for layer in layers:
            inputs.append(h)
            h = layer(h)
            outputs.append(h)
        y = torch.multinomial(h.detach().softmax(1), 1)[:, 0]
        gradients = torch.autograd.grad(F.cross_entropy(h, y, reduction="sum"), outputs)
        squares = [
            part for layer, a, g in zip(layers, inputs, gradients, strict=True) if isinstance(layer, nn.Linear)
            for part in ((g.square().T @ a.detach().square()).flatten(), g.square().sum(0))
        ]  # fmt: skip
        found = found + torch.cat(squares)
    assert isinstance(found, Tensor)
    return found / found.mean()


def two_batches(data: TwoDomains) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of the source and of the target, without end."""

    def rows(n: int) -> Iterator[Tensor]:
        while True:
            yield from (part for part in torch.randperm(n).split(ADAPT_BATCH) if len(part) == ADAPT_BATCH)

    yield from zip(rows(len(data.source[1])), rows(len(data.target)), strict=False)


def aligned(
    encoder: nn.Module, head: nn.Module, data: TwoDomains, distance: Callable[[Tensor, Tensor], Tensor]
) -> None:
    """The cross-entropy of the source, and a distance between the features."""
    (x, y), optimizer = data.source, SGD([*encoder.parameters(), *head.parameters()], lr=ADAPT_LR, momentum=0.9)
    for source, target in islice(two_batches(data), ADAPT_STEPS):
        features = encoder(torch.cat([x[source], data.target[target]]))
        loss = F.cross_entropy(head(features)[:ADAPT_BATCH], y[source])
        loss = loss + distance(features[:ADAPT_BATCH], features[ADAPT_BATCH:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def coral(encoder: nn.Module, head: nn.Module, data: TwoDomains) -> None:
    """The distance of the covariances."""

    def covariance(x: Tensor) -> Tensor:
        centred = x - x.mean(0)
        return centred.T @ centred / (len(x) - 1)

    aligned(encoder, head, data, lambda s, t: (covariance(s) - covariance(t)).square().sum() / (4 * s.shape[1] ** 2))


def mmd(encoder: nn.Module, head: nn.Module, data: TwoDomains) -> None:
    """The unbiased estimate with five Gaussian kernels."""

    def distance(s: Tensor, t: Tensor) -> Tensor:
        n, both = len(s), torch.cat([s, t])
        squares = both.square().sum(1)
        pairs = (squares[:, None] + squares - 2 * both @ both.T).clamp(min=0)
        width = pairs.detach().sum() / (2 * n * (2 * n - 1))
        kernel = torch.stack([torch.exp(-pairs / (scale * width)) for scale in SCALES]).mean(0)
        self_pairs = kernel.diagonal().clone()
        within_s = (kernel[:n, :n].sum() - self_pairs[:n].sum()) / (n * (n - 1))
        within_t = (kernel[n:, n:].sum() - self_pairs[n:].sum()) / (n * (n - 1))
        return within_s + within_t - 2 * kernel[:n, n:].mean()

    aligned(encoder, head, data, distance)


class Reverse(torch.autograd.Function):
    """Minus the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        """Return x."""
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return -scale * gradient."""
        return -ctx.scale * grads[0], None


def dann(encoder: nn.Module, head: nn.Module, data: TwoDomains) -> None:
    """A critic whose gradient is reversed."""
    critic = nn.Sequential(nn.Linear(500, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)).to(data.target.device)
    parameters = [*encoder.parameters(), *head.parameters(), *critic.parameters()]
    (x, y), optimizer = data.source, SGD(parameters, lr=ADAPT_LR, momentum=0.9)
    for step, (source, target) in enumerate(islice(two_batches(data), ADAPT_STEPS)):
        scale = DANN_WEIGHT * (2 / (1 + math.exp(-10 * step / ADAPT_STEPS)) - 1)
        features = encoder(torch.cat([x[source], data.target[target]]))
        loss = F.cross_entropy(head(features)[:ADAPT_BATCH], y[source])
        is_source = critic(Reverse.apply(features, scale))
        loss = loss + (F.softplus(-is_source[:ADAPT_BATCH]).mean() + F.softplus(is_source[ADAPT_BATCH:]).mean()) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
