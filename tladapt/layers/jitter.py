"""Random small turns, shifts and scalings of images."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Jitter(nn.Module):
    """Every image of a training batch turned, moved and scaled at random; the identity in evaluation mode.

    Parameters
    ----------
    degrees : float
        The largest turn, either way.
    shift : float
        The largest move along each axis, as a share of the side.
    scale : float
        The largest relative change of size.
    """

    def __init__(self, degrees: float = 10.0, shift: float = 0.08, scale: float = 0.15) -> None:
        super().__init__()
        self.degrees, self.shift, self.scale = degrees, shift, scale

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, channels, height, width) of the same shape."""
        if not self.training:
            return x
        draw = 2 * torch.rand(4, len(x), device=x.device) - 1
        angle, size = draw[0] * math.radians(self.degrees), 1 + self.scale * draw[1]
        cos, sin = angle.cos() / size, angle.sin() / size
        rows = torch.stack([cos, -sin, 2 * self.shift * draw[2], sin, cos, 2 * self.shift * draw[3]], 1)
        grid = F.affine_grid(rows.reshape(-1, 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"degrees={self.degrees}, shift={self.shift}, scale={self.scale}"
