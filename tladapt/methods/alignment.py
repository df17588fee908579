"""The base of methods that bring the features of source and target together."""

from torch import Tensor

from tladapt.method import Method
from tladapt.model import Model, Output
from tladapt.stage import Batch


class Alignment(Method):
    """A discrepancy between the outputs for labelled and unlabelled samples, 0 until a batch has two of both."""

    needs = frozenset({"source", "target"})

    def discrepancy(self, source: Output, target: Output, progress: float) -> Tensor:
        """How far apart source and target are, shape (); the features are flattened to (n, d)."""
        raise NotImplementedError

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The discrepancy of this batch."""
        source, target = flat(output.at(batch.source)), flat(output.at(batch.target))
        if min(len(source.features), len(target.features)) < 2:
            return output.logits.new_zeros(())
        return self.discrepancy(source, target, batch.progress)


def flat(output: Output) -> Output:
    """Pixels and tokens as samples: features (n, d), logits (n, classes)."""
    return Output(output.features.flatten(0, -2), output.logits.flatten(0, -2))
