"""How many steps of the optimiser each stage of a stream takes."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from tladapt.domains import Domain
from tladapt.streams import Stream, members

EPOCHS = 10  # passes over the largest part of a stage, where nothing else is said,
STEPS = 300  # but no fewer steps than this


def lengths(
    stream: Stream, *, epochs: int | None = None, steps: int | Sequence[int] | None = None, batch_size: int = 64
) -> list[int]:
    """Return the number of optimiser steps of every stage.

    Parameters
    ----------
    stream : list of Domain or tuple of Domain
        The stages.
    epochs : int, optional
        Passes over the largest labelled or unlabelled part of each stage. By default ten, and more where that would be
        fewer than 300 steps: ten passes over 250 rows are 40 steps, after which no network has learned them.
    steps : int or sequence of int, optional
        The steps of every stage, or one number per stage; instead of `epochs`.
    batch_size : int
        Rows per step of each part.

    Raises
    ------
    ValueError
        If `steps` is not one positive whole number, or one per stage; or `epochs` is given too.

    Examples
    --------
    >>> import torch
    >>> small = Domain("small", (torch.zeros(90, 2), [0, 1] * 45), None)
    >>> large = Domain("large", (torch.zeros(300, 2), [0, 1] * 150), None)
    >>> lengths([small, (small, large)], batch_size=64), lengths([small, large], steps=[5, 7])
    ([300, 300], [5, 7])
    >>> lengths([small, (small, large)], epochs=10)
    [20, 50]
    """
    if epochs is not None and steps is not None:
        raise ValueError("epochs and steps: give one of them")
    if steps is None:
        passes = [steps_per_pass(members(stage), batch_size) for stage in stream]
        return [max(EPOCHS * once, STEPS) if epochs is None else epochs * once for once in passes]
    given: list[Any] = [steps] * len(stream)
    if isinstance(steps, Sequence) and not isinstance(steps, str):
        given = list(steps)
    if len(given) != len(stream):
        raise ValueError(f"steps={given}: expected one number, or one for each of the {len(stream)} stages")
    for value in given:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"steps={value!r}: expected a positive whole number, or a list with one for each stage")
    return [int(value) for value in given]


def steps_per_pass(domains: Sequence[Domain], batch_size: int) -> int:
    """Return the steps until every row of the largest labelled or unlabelled part of these domains was drawn once."""
    labelled = [len(domain.train.y) for domain in domains]
    unlabelled = [len(domain.train) - len(domain.train.y) for domain in domains]
    return -(-max(labelled + unlabelled) // batch_size)
