"""Features that are learned without labels, and judged by how well they tell the labels."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.stage import Batch

METRICS = ("k-NN accuracy", "clustering accuracy")
CHUNK = 1024  # rows whose neighbours are looked for at once


class Representation:
    """Features (n, d) from which the class can be told; no label is learned from, and the head is not used.

    A method that needs no labels, such as `VICReg`, gives the loss. The labels of the test data alone are read, to
    score.

    Parameters
    ----------
    metric : {"k-NN accuracy", "clustering accuracy"}
        k-NN: the share of test samples that have the class which most of their nearest neighbours in the test data
        have, by the cosine between features. clustering: the share of test samples that are right if each cluster of
        k-means is taken for one class, one to one, at best; as many clusters as there are classes.
    neighbours : int, default 5
        How many neighbours have a say; of equal counts, the class with the nearer ones wins.

    References
    ----------
    :cite:`Wu2018`, :cite:`Xie2016`
    """

    higher_is_better = share = True
    answers = None  # test labels are compared within a domain only

    def __init__(self, metric: str = "k-NN accuracy", neighbours: int = 5) -> None:
        if metric not in METRICS:
            raise ValueError(f"Representation(metric={metric!r}): expected one of {', '.join(map(repr, METRICS))}")
        if not isinstance(neighbours, int) or isinstance(neighbours, bool) or neighbours < 1:
            raise ValueError(f"Representation(neighbours={neighbours!r}): expected a whole number, at least 1")
        self.metric, self.neighbours = metric, neighbours

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse test labels that are not one class per row, and test data of one row."""
        if domain.test is None or not len(y := domain.test.y):
            return
        if y.ndim > 1 or y.is_floating_point():
            raise ValueError(
                f"stream: domain {domain.name!r} has test labels {tuple(y.shape)} of {y.dtype}; features are judged by "
                "one class per row: give whole numbers (n,), or no test labels"
            )
        if len(y) < 2:
            raise ValueError(f"stream: domain {domain.name!r} has one test row, and no other to judge it by; give more")

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """Always 0: what the features are to be is the business of a method."""
        return 0 * output.features.sum()  # with a gradient, for a step in which no method has anything to act on

    def predict(self, output: Output, live: Tensor | None) -> Tensor:
        """The features (n, d), the mean over positions."""
        return output.pooled.features

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """By sample: its features, scaled to length 1, then its class."""
        features = F.normalize(self.predict(output, live).double(), dim=1)
        return torch.cat([features, y[:, None].to(features)], 1)

    def score(self, marks: Tensor) -> float:
        """The accuracy, in [0, 1].

        >>> angles, y = torch.tensor([0.0, 0.1, 0.2, 1.4, 1.5, 1.6]), torch.tensor([1, 1, 1, 0, 0, 1])
        >>> marks = torch.stack([angles.cos(), angles.sin(), y], 1)
        >>> Representation(neighbours=2).score(marks), Representation("clustering accuracy").score(marks)
        (0.8333333333333334, 0.8333333333333334)
        """
        features, y = marks[:, :-1], marks[:, -1].unique(return_inverse=True)[1]
        return self._neighbourly(features, y) if self.metric == METRICS[0] else self._clustered(features, y)

    def _neighbourly(self, features: Tensor, y: Tensor) -> float:
        """The share of rows that have the class of their neighbours, themselves apart."""
        right, many = 0, min(self.neighbours, len(y) - 1)
        for rows in torch.arange(len(y)).split(CHUNK):
            alike = features[rows] @ features.T
            alike[torch.arange(len(rows)), rows] = -math.inf
            near, which = alike.topk(many)
            votes = 1 + near / (3 * many)  # the count decides; the cosines, among equal counts
            total = votes.new_zeros(len(rows), int(y.max()) + 1).scatter_add(1, y[which], votes)
            right += int((total.argmax(1) == y[rows]).sum())
        return right / len(y)

    def _clustered(self, features: Tensor, y: Tensor) -> float:
        """The share of rows in the cluster that stands for their class."""
        from scipy.optimize import linear_sum_assignment  # together they take most of a second to import
        from sklearn.cluster import KMeans

        classes = int(y.max()) + 1
        found = KMeans(classes, n_init=10, random_state=0).fit_predict(features.numpy())  # type: ignore[arg-type]
        table = np.zeros((classes, classes), dtype=int)
        np.add.at(table, (found, y.numpy()), 1)
        return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(y))

    def sample(self, ask: Callable[[Tensor | None], Output], random: torch.Generator | None) -> Tensor:
        """The features, and normal noise with a standard deviation of 1."""
        features = self.predict(ask(None), None).detach()
        return features + torch.randn(features.shape, generator=random, dtype=features.dtype).to(features)

    def surprise(self, output: Output, y: Tensor) -> Tensor:
        """Minus the log-density of features y in nats, around the output's with a variance of 1; summed."""
        features = self.predict(output, None)
        return (y - features).square().sum() / 2 + features.numel() * math.log(2 * math.pi) / 2

    def divergence(self, new: Tensor, old: Tensor, temperature: float) -> Tensor:
        """Half the squared distance of the logits, whatever the temperature; the head, unused, shows the features."""
        return (new - old).square().sum(-1).mean() / 2
