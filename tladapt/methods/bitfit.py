"""Training of the biases."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from tladapt.method import Method
from tladapt.model import Model
from tladapt.stage import Stage


class BitFit(Method):
    """Train the biases of the encoder, and the head.

    All else in the encoder stays bit for bit: weights, the scales of norms, and the statistics of BatchNorm, whatever
    the model's policy. Dropout stays on, since the encoder trains. A bias is a parameter of one dimension that has
    "bias" in its name.

    Raises
    ------
    ValueError
        If no bias of the encoder trains.

    Notes
    -----
    Page: methods/bitfit.py.

    References
    ----------
    :cite:`BenZaken2022`
    """

    role = "trainable"

    def prepare(self, model: Model, stage: Stage) -> None:
        """Freeze all but the biases."""
        free = {name: p for name, p in model.encoder.named_parameters() if p.requires_grad}
        biases = [p for name, p in free.items() if p.ndim == 1 and "bias" in name.rpartition(".")[2]]
        if not biases:
            raise ValueError("BitFit: no bias of the encoder trains; LinearProbe() trains the head alone")
        kept = {*biases, *model.head.parameters()}
        model.freeze(nn.ParameterList(p for p in free.values() if p not in kept))
        model.freeze(*(part for part in model.encoder.modules() if counts(part)))
        for bias in biases:
            bias.requires_grad_()


def counts(part: nn.Module) -> bool:
    """Whether it may keep statistics, which move in training mode: a norm, or any layer with buffers."""
    layer = not list(part.children())
    return isinstance(part, _NormBase) or (layer and len(list(part.buffers(recurse=False))) > 0)
