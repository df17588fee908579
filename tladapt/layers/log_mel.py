"""Sound as energies in bands of pitch, frame by frame."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tladapt.layers.positions import within


class LogMel(nn.Module):
    r"""The log-mel spectrogram of sounds.

    .. math:: \log \left( \sum_f M_{bf} \, |X_{tf}|^2 + 10^{-6} \right)

    with X the spectrum of a Hann window and M the triangular filters of `mel_bank`. Only windows that lie within the
    sound are frames, so that what a sound is padded with is never heard; one shorter than a window is one frame, as if
    silence followed.

    Parameters
    ----------
    rate : int
        Samples a second.
    bands : int
        How many bands.
    window, hop : int
        Samples in a window, and from one window to the next.
    """

    hann: Tensor
    bank: Tensor

    def __init__(self, rate: int, bands: int, window: int, hop: int) -> None:
        super().__init__()
        self.rate, self.window, self.hop = rate, window, hop
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        self.register_buffer("bank", mel_bank(rate, bands, window), persistent=False)

    def forward(self, sound: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (n, frames, bands), 0 behind the last one, and how many there are (n,).

        `sound` (n, samples) is in [-1, 1]; `length` (n,) says how many samples each one has.
        """
        sound = F.pad(sound * within(length, sound.shape[1]), (0, max(0, self.window - sound.shape[1])))
        spectrum = torch.stft(
            sound, self.window, hop_length=self.hop, window=self.hann, center=False, return_complex=True
        )
        mel = (self.bank @ spectrum.abs().square() + 1e-6).log().transpose(1, 2)
        count = 1 + (length - self.window).clamp(min=0) // self.hop
        return mel * within(count, mel.shape[1])[..., None], count

    def extra_repr(self) -> str:
        """The arguments."""
        return f"rate={self.rate}, bands={len(self.bank)}, window={self.window}, hop={self.hop}"


def mel_bank(rate: int, bands: int, window: int) -> Tensor:
    """Triangular filters (bands, window // 2 + 1) with centres equally far apart in mel = 2595 log10(1 + Hz / 700).

    Raises
    ------
    ValueError
        If a band would be so narrow that it holds no frequency.
    """
    mel = torch.linspace(0, 2595 * torch.log10(torch.tensor(1 + rate / 2 / 700)).item(), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = torch.linspace(0, rate / 2, window // 2 + 1)
    up = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    bank = torch.minimum(up, down).clamp(min=0)
    if not bank.any(1).all():
        raise ValueError(f"bands={bands}: too many for windows of {window} samples at {rate} a second; take fewer")
    return bank
