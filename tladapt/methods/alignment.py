"""The base of methods that bring the features of source and target together."""

from torch import Tensor

from tladapt.method import Method
from tladapt.model import Model, Output
from tladapt.stage import Batch


class Alignment(Method):
    """A discrepancy between the outputs for labelled and unlabelled samples, 0 until a batch has two of both.

    A sample whose features have more than one position counts as their mean.
    """

    needs = frozenset({"source", "target"})
    reads_features = True

    def discrepancy(self, source: Output, target: Output, progress: float) -> Tensor:
        """How far apart source and target are, shape (), by features (n, d) and logits (n, classes)."""
        raise NotImplementedError

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The discrepancy of this batch."""
        source, target = output.at(batch.source).pooled, output.at(batch.target).pooled
        if min(len(source.features), len(target.features)) < 2:
            return output.logits.new_zeros(())
        return self.discrepancy(source, target, batch.progress)
