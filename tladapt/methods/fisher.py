"""The Fisher information of a model: how much its answers depend on each parameter."""

from dataclasses import replace

import torch
from torch import Tensor

from tladapt.data import each
from tladapt.methods.squares import Squares
from tladapt.methods.weights import weights
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage
from tladapt.task import masked

ROWS = 256  # at once


def fisher(model: Model, stage: Stage, samples: int, random: torch.Generator) -> Tensor:
    r"""The diagonal of the Fisher information, one value >= 0 per parameter, in the order of `weights.flat(model)`.

    .. math:: F_i = \mathbb{E}_x\,\mathbb{E}_{y \sim p(y | x, \theta)} \left( \partial_i \log p(y | x, \theta) \right)^2

    The mean over at most `samples` training rows; y is drawn from the model itself, one per row, so that no label is
    needed. (The square of a mini-batch's gradient is something else and depends on the batch size.)

    References
    ----------
    :cite:`Kunstner2019`, :cite:`vandeVen2025`
    """

    def surprise(output: Output, live: Tensor | None, y: Tensor) -> Tensor:
        return stage.task.surprise(only(output, live), y)

    training = model.training
    model.eval()
    with torch.backends.cudnn.flags(enabled=False):  # which has no backward pass of recurrent layers in evaluation mode
        batch = some(stage, samples, random)
        squares, total = Squares(model, surprise), dict[str, Tensor]()
        for rows in torch.arange(len(batch), device=batch.domain.device).split(ROWS):
            x, domain = each(lambda part, rows=rows: part[rows], batch.x), batch.domain[rows]
            live = None if batch.live is None else batch.live[domain]
            with torch.no_grad():
                y = stage.task.sample(lambda y, x=x, d=domain, live=live: only(model(x, d, y), live), random)
            found = squares(x, domain, live, y)
            total = {name: total[name] + part if total else part for name, part in found.items()}
    model.train(training)
    return torch.cat([total[name].flatten() for name in weights(model)]) / len(batch)


def only(output: Output, live: Tensor | None) -> Output:
    """The output, with the classes that are not live all but impossible."""
    return replace(output, logits=masked(output.logits, live))


def some(stage: Stage, count: int, random: torch.Generator) -> Batch:
    """At most `count` training rows, drawn from all of the stage without replacement."""
    sizes = [pool.size for pool in stage.pools]
    drawn = torch.randperm(sum(sizes), generator=random)[:count].sort().values
    groups = torch.bucketize(drawn, torch.tensor(sizes).cumsum(0), right=True)
    rows = [drawn[groups == i] - sum(sizes[:i]) + pool.start for i, pool in enumerate(stage.pools)]
    drawn_from = [pool for r, pool in zip(rows, stage.pools, strict=True) if len(r)]
    return stage.gather([r for r in rows if len(r)], drawn_from)
