"""Batch spectral shrinkage."""

import torch
from torch import Tensor

from tladapt.method import Method
from tladapt.methods.checks import positive, whole
from tladapt.model import Model, Output
from tladapt.stage import Batch


class BSS(Method):
    r"""Let go of the directions in which the features hardly vary: what of the old does not transfer.

    .. math:: \mathcal{L} = w \sum_{i=1}^{k} \sigma_{-i}^2

    for the k smallest singular values :math:`\sigma_{-i}` of the features of the labelled samples in the batch, as a
    matrix of a row each.

    Parameters
    ----------
    weight : float, default 0.1
        The factor w (:math:`\eta` in the paper), > 0. It acts on the scale of the features.
    k : int, default 1
        How many singular values, >= 1; all, if the matrix has fewer.

    Notes
    -----
    Differences from the paper: the weight, which is 0.001 there, for 2 048 features. Where a sample has features at
    several positions, it counts as their mean. Page: methods/bss.py.

    References
    ----------
    :cite:`Chen2019`
    """

    needs = frozenset({"source"})
    reads_features = True

    def __init__(self, weight: float = 0.1, k: int = 1) -> None:
        super().__init__()
        positive("BSS", weight=weight)
        whole("BSS", k=k)
        self.weight, self.k = weight, k

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The weighted sum of squares; 0 without labelled samples."""
        features = output.at(batch.source).pooled.features
        if not len(features):
            return output.logits.new_zeros(())
        return self.weight * smallest(features, self.k).square().sum()


def smallest(features: Tensor, k: int) -> Tensor:
    """The k smallest singular values of the rows (n, d), or all min(n, d); differentiable for every finite matrix.

    They are NaN if a feature is not finite, for which the decomposition itself would raise an error.

    >>> smallest(torch.diag(torch.tensor([3.0, 1.0, 2.0])), 2)
    tensor([2., 1.])
    """
    if not features.isfinite().all():
        return features.new_full((min(k, *features.shape),), torch.nan)
    return torch.linalg.svdvals(features)[-k:]
