"""Deep Speech 2: a network that learns to transcribe sound from nothing but sound and text."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn

from tladapt.backbones.checkpoints import load_into, local, read_state
from tladapt.layers.log_mel import LogMel
from tladapt.layers.positions import within
from tladapt.layers.recurrent import BothWays
from tladapt.model import Model
from tladapt.readers.sounds import Sounds

HEARD = 20.0  # the clipped ReLU ends here


def deepspeech2(
    bands: int = 64, channels: int = 32, width: int = 512, layers: int = 3, weights: str | Path | None = None, *,
    rate: int = 16000, classes: int | Sequence[str], batchnorm: str = "joint",
) -> Model:  # fmt: skip
    """Deep Speech 2, a character per frame; x is {"sound": (n, samples) in [-1, 1], "length": (n,) of whole numbers}.

    A log-mel spectrogram (a frame each 10 ms) of mean 0 and variance 1, two convolutions with BatchNorm and a ReLU
    clipped at 20, of which the first halves frames and bands and the second the bands; GRUs in both directions, with
    BatchNorm between them; a linear head. Features (n, frames, width), with the mask of the frames that are sound.
    Learn with `SpeechToText`.

    Parameters
    ----------
    bands : int
        Bands of the spectrogram.
    channels : int
        Channels of the convolutions.
    width, layers : int
        The size of a GRU's state, and how many pairs of them lie on another.
    weights : str or Path, optional
        A folder written by `Model.save`, or a file with the weights of such a model (.safetensors, or of `torch.save`).
        The head is kept if it has as many outputs as there are `classes`; else it is a new one, for other characters.
    rate : int
        Samples of the sounds a second.
    classes : int or sequence of str
        `task.classes` of a `SpeechToText`: the blank first.
    batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If a number is not positive, there are more bands than the rate can tell apart, or the weights are damaged or of
        another network.

    Notes
    -----
    What a sound is padded with never changes what is said of it in evaluation mode. In training, BatchNorm counts the
    frames behind the end, as zeros.

    Differences from the paper: mel bands, and filters that are as much smaller; GRUs of layer 1 read what the
    convolutions give as it is; no lookahead convolution; log-mel frames are scaled per sound; no language model.

    References
    ----------
    :cite:`Amodei2016`
    """
    numbers = {"bands": bands, "channels": channels, "width": width, "layers": layers, "rate": rate}
    if wrong := [name for name, value in numbers.items() if not isinstance(value, int) or value < 1]:
        raise ValueError(f"deepspeech2({wrong[0]}={numbers[wrong[0]]!r}): expected a positive whole number")
    encoder = DeepSpeech2(bands, channels, width, layers, rate)
    head = nn.Linear(width, classes if isinstance(classes, int) else len(classes))
    recipe = {"backbone": "deepspeech2", "arguments": numbers}
    model = Model(encoder, head, classes=classes, batchnorm=batchnorm, recipe=recipe)
    model.inputs = Sounds(rate).spec()
    said = f"deepspeech2(weights={str(weights)!r})"
    if path := local(weights, (), said):
        load_into(model, read_state(path / "model.safetensors" if path.is_dir() else path, said), ["head"], said)
    return model


class DeepSpeech2(nn.Module):
    """From sounds to one vector per frame, and the mask of the frames that are sound."""

    def __init__(self, bands: int, channels: int, width: int, layers: int, rate: int) -> None:
        super().__init__()
        window = 2 ** (rate // 40 - 1).bit_length()  # 25 ms, and up to a power of two
        self.mel = LogMel(rate, bands, window, max(1, rate // 100))
        self.near = _convolution(1, channels, (11, 11), (2, 2))
        self.far = _convolution(channels, channels, (11, 5), (1, 2))
        widths = [channels * -(-bands // 4), *[width] * layers]
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in widths[2:])
        self.layers = nn.ModuleList(BothWays(a, b) for a, b in pairwise(widths))

    def forward(self, sound: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """From sounds (n, samples) of these lengths (n,) to features (n, frames, width) and mask (n, frames)."""
        x, count = self.mel(sound, length)
        x, count = _standardised(x, count)[:, None], (count + 1) // 2
        mask = within(count, -(-x.shape[2] // 2))
        x = self.near(x) * mask[:, None, :, None]
        x = self.far(x) * mask[:, None, :, None]
        x = x.transpose(1, 2).flatten(2)
        for i, layer in enumerate(self.layers):
            x = layer(self.norms[i - 1](x.transpose(1, 2)).transpose(1, 2) if i else x, count)
        return x, mask


def _convolution(inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]) -> nn.Sequential:
    """Over frames and bands; as many of each come out as go in, divided by the stride."""
    padding = (size[0] // 2, size[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.Hardtanh(0.0, HEARD)
    )


def _standardised(x: Tensor, count: Tensor) -> Tensor:
    """The first `count` frames of each sample (n, frames, bands), of mean 0 and variance 1; 0 behind them."""
    held = within(count, x.shape[1])[..., None].to(x.dtype)
    numbers = (count * x.shape[2]).to(x.dtype)[:, None, None]
    x = (x - (x * held).sum((1, 2), keepdim=True) / numbers) * held
    return x * (x.square().sum((1, 2), keepdim=True) / numbers + 1e-5).rsqrt()
