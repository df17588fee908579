"""Gradual unfreezing."""

from torch import nn

from tladapt.method import Method
from tladapt.methods.checks import fraction, head_trains
from tladapt.methods.depth import layers_of
from tladapt.model import Model
from tladapt.stage import Batch, Stage


class GradualUnfreezing(Method):
    r"""Train the head first, then one more layer at a time, from the last to the first.

    Of L layers, :math:`\min(L, \lfloor (L + 1)\,p / s \rfloor)` train beside the head when the share p of the stage is
    done: at first none, all in the last of the L + 1 equal parts of s. The others stand still: weights, buffers and
    dropout. The layers are the parts of the encoder, see `tladapt.methods.depth.layers_of`.

    Parameters
    ----------
    share : float, default 1.0
        s, the share of the stage in (0, 1] at equal parts of which a layer is added; all train for the rest.

    Raises
    ------
    ValueError
        If `share` is out of range, or nothing of the head trains: it was frozen, or shares its weights with the
        encoder.

    Notes
    -----
    Differences from the paper: a layer is added at equal shares of the stage, not after each epoch; one learning rate
    schedule runs over the whole stage; no slower rates for lower layers (`LayerwiseRate`). Page:
    methods/gradualunfreezing.py.

    References
    ----------
    :cite:`Howard2018`
    """

    role = "trainable"

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        fraction("GradualUnfreezing", share=share)
        self.share = share
        self.frozen: list[list[nn.Module]] = []  # the layers that stand still, the first one first
        self.layers = 0

    def prepare(self, model: Model, stage: Stage) -> None:
        """Freeze every layer of the encoder."""
        head_trains("GradualUnfreezing", model)
        self.frozen = layers_of(model.encoder)
        self.layers = len(self.frozen)
        for layer in self.frozen:
            model.freeze(*layer)

    def extend(self, model: Model, batch: Batch) -> None:
        """Thaw the next layer, once its time has come."""
        due = int((self.layers + 1) * batch.progress / self.share + 1e-9)
        while self.frozen and self.layers - len(self.frozen) < due:
            model.thaw(*self.frozen.pop())
