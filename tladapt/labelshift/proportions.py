"""The proportions of the classes where there are no labels, from what a model answers there."""

import torch
from torch import Tensor


def bbse(joint: Tensor, predicted: Tensor) -> Tensor:
    r"""The class proportions of the target by black-box shift estimation, shape (C,), in [0, 1], summing to 1.

    .. math:: J w = \mu, \qquad q_c \propto p_c \max(w_c, 0)

    w is how much more frequent a class is in the target than in the source, where its share is p (the sums of the
    columns of J). Of the solutions the one nearest to 1 is taken, so that a model that tells nothing apart leaves the
    proportions as they are.

    Parameters
    ----------
    joint : Tensor of shape (C, C)
        J: the share of the source's rows that are predicted as i (row) and are j (column); sums to 1.
    predicted : Tensor of shape (C,)
        mu: the share of the target's rows that are predicted as i.

    References
    ----------
    :cite:`Lipton2018`; w is solved for as its difference from 1, as in :cite:`Azizzadenesheli2019`.

    Examples
    --------
    A model that is right on four rows of five, of classes that are equally frequent in the source:

    >>> bbse(torch.tensor([[0.4, 0.1], [0.1, 0.4]]), torch.tensor([0.26, 0.74]))
    tensor([0.1000, 0.9000])
    """
    change = torch.linalg.pinv(joint) @ (predicted - joint.sum(1))
    found = joint.sum(0) * (1 + change).clamp(min=1e-9)  # not 0: something must be left to divide by
    return found / found.sum()


def em(probabilities: Tensor, source: Tensor, steps: int = 1000) -> Tensor:
    r"""The class proportions of the target by expectation maximisation, shape (C,), in [0, 1], summing to 1.

    .. math:: q_c \leftarrow \frac{1}{n} \sum_i \frac{p_{ic}\, q_c / p_c}{\sum_k p_{ik}\, q_k / p_k}

    from q = p on until q stands still: the maximum of the likelihood where the classes themselves look as they do in
    the source. Where they do not, it is further off than `bbse` (see benchmarks/results/label_shift.md), which is why
    the report does without it.

    Parameters
    ----------
    probabilities : Tensor of shape (n, C)
        What the model says of the target's rows; calibrated on the source.
    source : Tensor of shape (C,)
        p: the class proportions that the model was trained with.
    steps : int
        At most so many.

    References
    ----------
    :cite:`Saerens2002`

    Examples
    --------
    >>> sure = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]])
    >>> em(sure, torch.tensor([0.5, 0.5]))
    tensor([0.1875, 0.8125])
    """
    found = source
    for _ in range(steps):
        before = found
        weighted = probabilities * (found / source.clamp(min=1e-12))
        found = (weighted / weighted.sum(1, keepdim=True)).mean(0)
        if torch.allclose(found, before, rtol=0, atol=1e-7):
            break
    return found
