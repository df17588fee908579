"""The base of methods that train small parts beside a frozen encoder and merge them into it."""

import torch
from torch import Tensor, nn

from tladapt.method import Method
from tladapt.model import Model
from tladapt.stage import Stage


class Mergeable(Method):
    """Parts that train beside a frozen encoder during a stage; after it they are merged, and the encoder is plain.

    Everything else in the encoder is frozen meanwhile, biases and the scales of norms as well; only the statistics of
    BatchNorm layers move, as the model's policy says. What trained before the stage trains after it.
    """

    role = "trainable"
    trained: Tensor | None  # which parameters of the encoder trained before the stage

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("trained", None)

    def insert(self, model: Model) -> None:
        """Put the parts into the encoder; the answers are as before."""
        raise NotImplementedError

    def inserted(self, encoder: nn.Module) -> bool:
        """Whether the parts are in."""
        raise NotImplementedError

    def merge(self, encoder: nn.Module) -> None:
        """Make the weights what they are with the parts, and take the parts out."""
        raise NotImplementedError

    def prepare(self, model: Model, stage: Stage) -> None:
        """Freeze the encoder but for the parts; those of a model that comes from the middle of a stage are kept."""
        if self.inserted(model.encoder):
            return
        parameters, shared = list(model.encoder.parameters()), {id(p) for p in model.head.parameters()}
        self.trained = torch.tensor([p.requires_grad for p in parameters], device=model.device)
        try:
            with self.own_randomness():
                self.insert(model)
        except ValueError:
            self.consolidate(model, stage)  # leave the model as it was
            raise
        for parameter in parameters:
            parameter.requires_grad_(parameter.requires_grad and id(parameter) in shared)

    def consolidate(self, model: Model, stage: Stage) -> None:
        """Merge the parts; the encoder trains as before."""
        self.merge(model.encoder)
        if self.trained is not None:
            for parameter, trained in zip(model.encoder.parameters(), self.trained, strict=True):
                parameter.requires_grad_(bool(trained))
        self.trained = None
