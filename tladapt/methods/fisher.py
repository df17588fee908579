"""The Fisher information of a model: how much its answers depend on each parameter."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from tladapt.data import Tensors, each
from tladapt.methods.weights import flat, weights
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage
from tladapt.task import masked

CHUNK = 2**25  # numbers in the per-sample gradients held at once: 128 MB


def fisher(model: Model, stage: Stage, samples: int, random: torch.Generator) -> Tensor:
    r"""The diagonal of the Fisher information, one value >= 0 per parameter, in the order of `weights.flat(model)`.

    .. math:: F_i = \mathbb{E}_x\,\mathbb{E}_{y \sim p(y | x, \theta)} \left( \partial_i \log p(y | x, \theta) \right)^2

    The mean over at most `samples` training rows; y is drawn from the model itself, one per row, so that no label is
    needed. (The square of a mini-batch's gradient is something else and depends on the batch size.)

    References
    ----------
    :cite:`Kunstner2019`, :cite:`vandeVen2025`
    """
    training = model.training
    model.eval()
    batch = some(stage, samples, random)
    total = torch.zeros_like(flat(model))
    for rows in torch.arange(len(batch), device=batch.domain.device).split(max(1, min(256, CHUNK // len(total)))):
        total += _squares(model, stage, batch, rows, random)
    model.train(training)
    return total / len(batch)


def some(stage: Stage, count: int, random: torch.Generator) -> Batch:
    """At most `count` training rows, drawn from all of the stage without replacement."""
    sizes = [pool.size for pool in stage.pools]
    drawn = torch.randperm(sum(sizes), generator=random)[:count].sort().values
    groups = torch.bucketize(drawn, torch.tensor(sizes).cumsum(0), right=True)
    rows = [drawn[groups == i] - sum(sizes[:i]) + pool.start for i, pool in enumerate(stage.pools)]
    drawn_from = [pool for r, pool in zip(rows, stage.pools, strict=True) if len(r)]
    return stage.gather([r for r in rows if len(r)], drawn_from)


def _squares(model: Model, stage: Stage, batch: Batch, rows: Tensor, random: torch.Generator) -> Tensor:
    """The squared per-sample gradients, summed over these rows."""
    x, domain = each(lambda part: part[rows], batch.x), batch.domain[rows]
    live = None if batch.live is None else batch.live[domain]
    with torch.no_grad():
        y = stage.task.sample(lambda y: only(model(x, domain, y), live), random)
    parameters = {name: weight.detach() for name, weight in weights(model).items()}

    def surprise(parameters: dict[str, Tensor], x: Tensors, domain: Tensor, live: Tensor | None, y: Tensor) -> Tensor:
        one = each(lambda part: part[None], x)
        output = functional_call(model, parameters, (one, domain[None], y[None]))
        return stage.task.surprise(only(output, None if live is None else live[None]), y[None])

    score = grad(surprise)
    try:
        every = vmap(score, in_dims=(None, 0, 0, None if live is None else 0, 0))
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # torch warns of layers that it batches by a loop of its own
            scores = every(parameters, x, domain, live, y)
        return torch.cat([scores[name].square().sum(0).flatten() for name in parameters])
    except (RuntimeError, UserWarning):  # layers that cannot be batched, such as recurrent ones: one by one
        return _one_by_one(score, parameters, x, domain, live, y)


def only(output: Output, live: Tensor | None) -> Output:
    """The output, with the classes that are not live all but impossible."""
    return replace(output, logits=masked(output.logits, live))


def _one_by_one(
    score: Callable[..., dict[str, Tensor]], parameters: dict[str, Tensor], x: Tensors, domain: Tensor,
    live: Tensor | None, y: Tensor,
) -> Tensor:  # fmt: skip
    total = torch.zeros(sum(p.numel() for p in parameters.values()), device=y.device)
    for i, (one, own) in enumerate(zip(y, domain, strict=True)):
        gradient = score(parameters, each(partial(select, i), x), own, None if live is None else live[i], one)
        total += torch.cat([gradient[name].square().flatten() for name in parameters])
    return total


def select(row: int, part: Tensor) -> Tensor:
    """One row."""
    return part[row]
