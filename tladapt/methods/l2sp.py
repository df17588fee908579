"""L2-SP: weight decay towards the starting point."""

from torch import Tensor

from tladapt.method import Method
from tladapt.methods.checks import positive
from tladapt.methods.quadratic import quadratic
from tladapt.methods.weights import flat, weights
from tladapt.model import Model, Output
from tladapt.stage import Batch, Stage


class L2SP(Method):
    r"""Stay near the weights that the model came with.

    .. math:: \mathcal{L} = \frac{w}{2} \lVert \theta - \theta_0 \rVert^2 + \frac{h}{2} \lVert \eta \rVert^2

    for the weights :math:`\theta` of the encoder, :math:`\theta_0` before the first stage that is trained, and the
    weights :math:`\eta` of the head. It is EWC for which every weight of the encoder is of equal importance.

    Parameters
    ----------
    weight : float, default 0.1
        The factor w (:math:`\alpha` in the paper), > 0.
    head : float, default 0.01
        The factor h (:math:`\beta` in the paper), > 0.

    Notes
    -----
    Differences from the paper: biases and the scales of norms are held too. Page: methods/l2sp.py.

    References
    ----------
    :cite:`Li2018`
    """

    remembers = "statistics"
    start: Tensor | None  # theta_0, then zeros for the head

    def __init__(self, weight: float = 0.1, head: float = 0.01) -> None:
        super().__init__()
        positive("L2SP", weight=weight, head=head)
        self.weight, self.head = weight, head
        self.register_buffer("start", None)

    def prepare(self, model: Model, stage: Stage) -> None:
        """Before anything is trained: keep the weights of the encoder."""
        if self.start is None:
            self.start = flat(model).detach().clone()
            self.start[encoder_size(model) :] = 0

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The weighted squared distances."""
        if self.start is None:
            return output.logits.new_zeros(())
        n, parts = encoder_size(model), weights(model)
        encoder = [weight for name, weight in parts.items() if name.startswith("encoder.")]
        head = list(parts.values())[len(encoder) :]
        return self.weight / 2 * quadratic(encoder, self.start[:n]) + self.head / 2 * quadratic(head, self.start[n:])


def encoder_size(model: Model) -> int:
    """How many of the weights, which come first, are the encoder's."""
    return sum(weight.numel() for name, weight in weights(model).items() if name.startswith("encoder."))
