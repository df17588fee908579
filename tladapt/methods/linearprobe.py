"""Linear probing."""

from tladapt.method import Method
from tladapt.methods.checks import head_trains
from tladapt.model import Model
from tladapt.stage import Stage


class LinearProbe(Method):
    """Train the head alone.

    The encoder stands still as a whole: weights, buffers (the statistics of BatchNorm, whatever the model's policy) and
    dropout, which is off. So the features of every domain, old and new, stay as they are.

    Raises
    ------
    ValueError
        If nothing of the head trains: it was frozen, or shares its weights with the encoder.

    Notes
    -----
    Page: methods/linearprobe.py.

    References
    ----------
    :cite:`AlainBengio2017`
    """

    role = "trainable"

    def prepare(self, model: Model, stage: Stage) -> None:
        """Freeze the encoder."""
        head_trains("LinearProbe", model)
        model.freeze(model.encoder)
