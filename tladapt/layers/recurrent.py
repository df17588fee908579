"""Recurrent layers that read sequences of different lengths in both directions."""

from torch import Tensor, nn

from tladapt.layers.positions import turned


class Recurrent(nn.GRU):
    """A GRU in one direction; x (n, positions, inputs).

    It is always in training mode, which for a single layer is the same, for it has no dropout: in evaluation mode cuDNN
    keeps nothing for the backward pass, and the Fisher information is measured in that mode.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width, batch_first=True)

    def train(self, mode: bool = True) -> "Recurrent":
        """Training mode."""
        return super().train(True)


class BothWays(nn.Module):
    """The sum of a GRU from front to back and one from the last held position to the first, (n, positions, width).

    What lies behind the held positions changes nothing, whatever it is. Each sequence is turned within its own length;
    for packed ones the device would have to wait until the lengths are known.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.there, self.back = Recurrent(inputs, width), Recurrent(inputs, width)

    def forward(self, x: Tensor, count: Tensor) -> Tensor:
        """From x (n, positions, inputs), of which the first `count` (n,) are held."""
        there, _ = self.there(x)
        back, _ = self.back(turned(x, count))
        return there + turned(back, count)
