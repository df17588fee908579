"""Linear probing, then fine-tuning."""

from tladapt.method import Method
from tladapt.methods.checks import fraction, head_trains
from tladapt.model import Model
from tladapt.stage import Batch, Stage


class LPFT(Method):
    """Train the head alone first, then everything.

    A new head is random, and its gradient pulls good features apart before it has learned. So the encoder stands still
    (weights, buffers and dropout, as in `LinearProbe`) until the head fits it.

    Parameters
    ----------
    probe : float, default 0.5
        The share of the stage in which the head trains alone, in (0, 1]; 1 is `LinearProbe`.

    Raises
    ------
    ValueError
        If `probe` is out of range, or nothing of the head trains: it was frozen, or shares its weights with the
        encoder.

    Notes
    -----
    Differences from the paper: both parts share one stage, whose learning rate schedule and optimiser run on from the
    one to the other; by the default schedule the second part starts at half the rate. The paper trains twice, each time
    with its own rate. Page: methods/lpft.py.

    References
    ----------
    :cite:`Kumar2022`
    """

    role = "trainable"
    probing = False

    def __init__(self, probe: float = 0.5) -> None:
        super().__init__()
        fraction("LPFT", probe=probe)
        self.probe = probe

    def prepare(self, model: Model, stage: Stage) -> None:
        """Freeze the encoder."""
        head_trains("LPFT", model)
        model.freeze(model.encoder)
        self.probing = True

    def extend(self, model: Model, batch: Batch) -> None:
        """Thaw it, once the time has come."""
        if self.probing and batch.progress >= self.probe:
            model.thaw(model.encoder)
            self.probing = False
