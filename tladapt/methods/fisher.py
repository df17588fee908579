"""The Fisher information of a model: how much its answers depend on each parameter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from tladapt.data import Tensors, each
from tladapt.layers.batchnorm import shared_statistics
from tladapt.methods.squares import Squares
from tladapt.methods.weights import weights
from tladapt.model import Model, Output
from tladapt.seeding import generator
from tladapt.stage import AT_ONCE, Batch, Stage
from tladapt.task import masked


def fisher(model: Model, stage: Stage, samples: int, random: torch.Generator) -> Tensor:
    r"""The diagonal of the Fisher information, one value >= 0 per parameter, in the order of `weights.flat(model)`.

    .. math:: F_i = \mathbb{E}_x\,\mathbb{E}_{y \sim p(y | x, \theta)} \left( \partial_i \log p(y | x, \theta) \right)^2

    The mean over at most `samples` training rows; y is drawn from the model itself, one per row, so that no label is
    needed. (The square of a mini-batch's gradient is something else and depends on the batch size.)

    References
    ----------
    :cite:`Kunstner2019`, :cite:`vandeVen2025`
    """
    with _plainly(model):
        batch = some(stage, samples, random)
        chunks = torch.arange(len(batch), device=batch.domain.device).split(AT_ONCE)
        with shared_statistics(model, lambda: _drawn(model, stage, batch, chunks[0], generator("statistics"))):
            total = _summed(model, stage, batch, chunks, random)
    return torch.cat([total[name].flatten() for name in weights(model)]) / len(batch)


def _summed(
    model: Model, stage: Stage, batch: Batch, chunks: Sequence[Tensor], random: torch.Generator
) -> dict[str, Tensor]:
    """The squared gradients of all rows, summed, by the name of the weight."""

    def surprise(output: Output, live: Tensor | None, y: Tensor) -> Tensor:
        return stage.task.surprise(only(output, live), y)

    squares, total = Squares(model, surprise), dict[str, Tensor]()
    for rows in chunks:
        x, domain, live = _rows(batch, rows)
        y = _drawn(model, stage, batch, rows, random)
        found = squares(x, domain, live, y)
        total = {name: total[name] + part if total else part for name, part in found.items()}
    return total


@torch.no_grad()
def _drawn(model: Model, stage: Stage, batch: Batch, rows: Tensor, random: torch.Generator) -> Tensor:
    """Answers for these rows, drawn from the model."""
    x, domain, live = _rows(batch, rows)
    return stage.task.sample(lambda y: only(model(x, domain, y), live), random)


def _rows(batch: Batch, rows: Tensor) -> tuple[Tensors, Tensor, Tensor | None]:
    domain = batch.domain[rows]
    return each(lambda part: part[rows], batch.x), domain, None if batch.live is None else batch.live[domain]


@contextmanager
def _plainly(model: Model) -> Iterator[None]:
    """Within: in evaluation mode, in single precision, and not compiled, since layers are watched one by one."""
    training, precision = model.training, model.precision
    model.eval().precision = "float32"
    compiled = any(_is_compiled(part) for part in model.modules())
    eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
    recurrent = torch.backends.cudnn.flags(enabled=False)  # cuDNN goes back through them in training mode alone
    try:
        with eager, recurrent:
            yield
    finally:
        model.train(training).precision = precision


def _is_compiled(part: object) -> bool:
    return getattr(part, "_compiled_call_impl", None) is not None or type(part).__name__ == "OptimizedModule"


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
