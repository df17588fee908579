"""Folders of WAV files: one folder per class, or, for sounds without labels, the files themselves."""

import math
import wave
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.readers.folders import files_in

UNREADABLE = (OSError, EOFError, ValueError, wave.Error)


@dataclass(frozen=True)
class Sounds:
    """Sounds as {"sound": (n, samples) in [-1, 1], "length": (n,)}, the samples that are sound and not silence behind.

    From WAV files of 8, 16, 24 or 32 bits (PCM) at any rate; of several channels the mean is taken.

    Parameters
    ----------
    rate : int
        Samples a second that every sound is resampled to; a pre-trained network wants its own (mostly 16000).
    seconds : float
        The length that every sound is padded with silence, or cut off, to.

    Raises
    ------
    ValueError
        If `rate` or `seconds` is not positive.
    """

    rate: int = 16000
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.rate < 1 or not 0 < self.rate * self.seconds < math.inf:
            raise ValueError(f"Sounds(rate={self.rate}, seconds={self.seconds}): expected two positive numbers")

    def read(self, path: Path) -> tuple[dict[str, Tensor], list[str] | None, list[str]]:
        """The sounds, the name of each one's class (None for sounds without), and their paths.

        Raises
        ------
        ValueError
            If there are none, a file is no sound or damaged, or files lie both beside and within class folders.
        """
        files, labels = files_in(path, "sounds")
        sounds = [self._one(file) for file in files]
        x = torch.zeros(len(files), max(1, round(self.rate * self.seconds)))
        length = torch.tensor([min(len(sound), x.shape[1]) for sound in sounds])
        for row, sound, size in zip(x, sounds, length.tolist(), strict=True):
            row[:size] = torch.from_numpy(sound[:size])
        return {"sound": x, "length": length}, labels, list(map(str, files))

    def _one(self, file: Path) -> np.ndarray:
        try:
            sound, rate = _samples(file)
        except UNREADABLE as error:
            reason = str(error) or "it ends too early"
            raise ValueError(f"{file}: no PCM WAV file that can be read ({reason})") from error
        return (sound if rate == self.rate else _resampled(sound, rate, self.rate)).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """What `reader_from` builds this again from."""
        return {"kind": "sounds", **asdict(self)}


def _samples(file: Path) -> tuple[np.ndarray, int]:
    """The samples, in [-1, 1), and how many there are a second."""
    with wave.open(str(file)) as sound:
        channels, width, rate, count, *_ = sound.getparams()
        data = sound.readframes(count)
    if not 1 <= width <= 4 or rate < 1:
        raise ValueError(f"{8 * width} bits at {rate} samples a second")
    if len(data) < count * width * channels:
        raise EOFError(f"{len(data)} bytes of sound where it says {count * width * channels}")
    if not count:
        raise ValueError("no samples in it")
    return _numbers(data, width).reshape(-1, channels).mean(1), rate


def _numbers(data: bytes, width: int) -> np.ndarray:
    """Whole numbers of `width` bytes, the lowest first, divided by the largest; of one byte, 128 stands for 0."""
    if width == 1:
        return np.frombuffer(data, np.uint8) / 128 - 1
    upper = np.zeros((len(data) // width, 4), np.uint8)  # the upper bytes of 32 bits, which keeps the sign
    upper[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return upper.view("<i4")[:, 0] / 2**31


def _resampled(sound: np.ndarray, old: int, new: int) -> np.ndarray:
    from scipy.signal import resample_poly  # which takes most of a second to import

    common = math.gcd(old, new)
    return resample_poly(sound, new // common, old // common).clip(-1, 1)  # the filter may swing beyond
