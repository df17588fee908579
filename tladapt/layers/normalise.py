"""The scaling of images that a pre-trained network was given."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of red, green and blue


class Normalise(nn.Module):
    r"""Images as the network was trained on them: centred and scaled, channel by channel.

    .. math:: x'_c = (x_c - \mu_c) / \sigma_c

    Parameters
    ----------
    mean, std : sequence of float
        One per channel, in units of x: 0 is black and 1 is white; std > 0. (They are buffers, saved with the weights.)
    channels : int, optional
        How many channels there are, by default as many as means; where these are others, all get the average of them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels: int | None = None) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            held = torch.tensor(values, dtype=torch.float32)
            held = held if channels in (None, len(held)) else held.mean().repeat(channels or 1)
            self.register_buffer(name, held[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, channels, height, width) from 0 to 1; grey ones (n, 1, height, width) are given to every channel.

        Raises
        ------
        ValueError
            If x has another shape.
        """
        channels = len(self.mean)
        if x.ndim != 4 or x.shape[1] not in (1, channels):
            raise ValueError(
                f"x: images of shape {tuple(x.shape)}, expected (n, {channels}, height, width)"
                f"{' or (n, 1, height, width)' if channels > 1 else ''}"
            )
        return (x.expand(-1, channels, -1, -1) - self.mean) / self.std

    def extra_repr(self) -> str:
        """Mean and standard deviation."""
        mean, std = ([round(value, 4) for value in part.flatten().tolist()] for part in (self.mean, self.std))
        return f"mean={mean}, std={std}"
