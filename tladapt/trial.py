"""One forward pass per domain before training, so that a network that cannot take the data is refused first."""

import traceback
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import torch

from tladapt.data import Data, Tensors, each
from tladapt.domains import Domain
from tladapt.method import Method
from tladapt.model import Model, Output
from tladapt.seeding import seeded

PACKAGE = Path(__file__).parent
UNFIT = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


def try_out(model: Model, domains: Iterable[Domain], learned: Container[str], method: Method, precision: str) -> None:
    """Pass one row of every domain through the model in evaluation mode; `model.width` is known afterwards.

    It is a training row of the domains to learn from, whose names are `learned`, and a test row of the others: a
    baseline such as source-only never reads the training data of its target.

    Raises
    ------
    ValueError
        If the network raises an error for it, or gives another number of rows, or of outputs than there are classes,
        or NaN, or features of a form that a term of the method does not read.
    """
    if getattr(model.head, "autoregressive", False):
        return
    modes, before = [(part, part.training) for part in model.modules()], model.precision
    model.eval().precision = precision
    try:
        for domain in domains:
            data = domain.train if domain.name in learned else domain.test
            if data is not None:
                _check(_answer(model, domain, data), model, domain, method)
    finally:
        model.precision = before
        for part, training in modes:
            part.training = training


@torch.no_grad()
def _answer(model: Model, domain: Domain, data: Data) -> Output:
    x = _two_rows(data, model)
    try:
        with seeded(0):
            return model(x)
    except UNFIT as error:
        if _is_own(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = " ".join(str(error).split())
        short = reason if len(reason) <= 160 else f"{reason[:160]} ..."
        raise ValueError(
            f"stream: the network cannot take the rows of {domain.name!r} ({described(x)}); bring them to the shape "
            f"and type that it reads ({type(error).__name__}: {short})"
        ) from error


def _two_rows(data: Data, model: Model) -> Tensors:
    """The first row twice: layers that normalise over the batch need more than one."""
    row = data.rows(torch.zeros(1, dtype=torch.long), ("trial",))
    return each(lambda part: torch.cat([part, part]).to(model.device), row)


def _check(output: Output, model: Model, domain: Domain, method: Method) -> None:
    given = (len(output.features), len(output.logits))
    if given != (2, 2):
        raise ValueError(
            f"model: for 2 rows of {domain.name!r} it gives {given[0]} rows of features and {given[1]} of logits; the "
            "first dimension of its inputs and outputs must be the rows (batch_first=True in recurrent layers)"
        )
    if output.logits.shape[-1] != len(model.classes):
        raise ValueError(
            f"model: the head has {output.logits.shape[-1]} outputs, but there are {len(model.classes)} classes; give "
            f"classes={output.logits.shape[-1]}, or another head"
        )
    if output.logits.isnan().any():
        raise ValueError(
            f"model: its outputs for a row of {domain.name!r} are NaN before training; check its weights and the row"
        )
    model.note_width(output.features.shape[-1])
    flat = output.features.ndim > 2 and output.logits.ndim == 2 and output.mask is None
    for name, term in method.terms.items() if flat else ():
        if term.reads_features:
            raise ValueError(
                f"{name}: the features of a row have the shape {tuple(output.features.shape[1:])}, expected (d,); move "
                "what makes one vector of them (pooling, flattening) from the head to the encoder"
            )


def _is_own(error: BaseException) -> bool:
    """Whether the package itself raised the error."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return PACKAGE in Path(last.filename).parents and (last.line or "").lstrip().startswith("raise")


def described(x: Any) -> str:
    """The type and shape of a row of inputs.

    >>> described(torch.zeros(2, 3)), described({"ids": torch.zeros(2, 5, dtype=torch.long)})
    ('float32, shape (3,)', 'ids: int64, shape (5,)')
    """
    if isinstance(x, dict):
        return "; ".join(f"{name}: {described(part)}" for name, part in x.items())
    return f"{str(x.dtype).removeprefix('torch.')}, shape {tuple(x.shape[1:])}"
