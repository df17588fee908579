"""Learning rates by depth."""

from tladapt.method import Method
from tladapt.methods.checks import fraction
from tladapt.methods.depth import layers_of
from tladapt.model import Model
from tladapt.stage import Stage


class LayerwiseRate(Method):
    r"""Train the lower layers more slowly.

    .. math:: \eta_k = \eta\,d^{\,k}

    is the learning rate of the layer k steps below the head; the head itself (k = 0) has the rate :math:`\eta` of the
    loop. The layers are the parts of the encoder, see `tladapt.methods.depth.layers_of`. Known as discriminative
    learning rates, and as layer-wise decay.

    Parameters
    ----------
    decay : float, default 0.8
        d, in (0, 1]; 1 trains all layers alike.

    Raises
    ------
    ValueError
        If `decay` is out of range.

    Notes
    -----
    What two layers share goes at the faster rate. :cite:`Howard2018` has d = 1 / 2.6 together with gradual unfreezing,
    :cite:`Clark2020` 0.8 or 0.9. Page: methods/layerwiserate.py.

    References
    ----------
    :cite:`Howard2018`, :cite:`Clark2020`
    """

    role = "trainable"

    def __init__(self, decay: float = 0.8) -> None:
        super().__init__()
        fraction("LayerwiseRate", decay=decay)
        self.decay = decay

    def prepare(self, model: Model, stage: Stage) -> None:
        """Set the rate of every parameter."""
        layers = [*layers_of(model.encoder), [model.head]]
        for distance, layer in enumerate(reversed(layers)):
            for part in layer:
                for parameter in part.parameters():
                    model.rates.setdefault(parameter, self.decay**distance)
