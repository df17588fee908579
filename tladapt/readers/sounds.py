"""Folders of WAV files: one folder per class, or, for sounds without labels, the files themselves."""

import math
import wave
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tladapt.readers.class_folders import files_in, require_file
from tladapt.readers.limits import is_real, is_whole

SLOWEST, FASTEST = 1000, 384_000  # samples a second; of rates far apart, the filter between them would be endless
LONGEST = 2**24  # samples of one sound: 17 minutes at 16 kHz
RATIO = 16_000  # the largest number of a ratio of rates that is kept as it is: the filter has 20 times as many values
AT_ONCE = 2**27  # numbers that are read of one file, of all channels


@dataclass(frozen=True)
class Sounds:
    """Sounds as {"sound": (n, samples) in [-1, 1], "length": (n,)}, the samples that are sound and not silence behind.

    From WAV files of 8, 16, 24 or 32 bits (PCM) at 1 to 384 kHz; of several channels the mean is taken. Of a file that
    is longer than `seconds`, no more is read.

    Parameters
    ----------
    rate : int
        Samples a second that every sound is resampled to, 1000 to 384 000; a pre-trained network wants its own (mostly
        16000).
    seconds : float
        The length that every sound is padded with silence, or cut off, to; at most 2^24 samples.

    Raises
    ------
    ValueError
        If `rate` or `seconds` is out of range.
    """

    rate: int = 16000
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not is_whole(self.rate, SLOWEST, FASTEST):
            raise ValueError(
                f"Sounds(rate={self.rate!r}): expected a whole number of samples a second, {SLOWEST} to {FASTEST}"
            )
        if not (is_real(self.seconds) and 0 < self.rate * self.seconds <= LONGEST):
            raise ValueError(
                f"Sounds(rate={self.rate}, seconds={self.seconds!r}): expected a number of seconds above 0, and "
                f"at most {LONGEST // self.rate} at this rate"
            )

    def read(self, path: Path) -> tuple[dict[str, Tensor], list[str] | None, list[str]]:
        """The sounds, the name of each one's class (None for sounds without), and their paths.

        Raises
        ------
        ValueError
            If there are none, a file is no sound or damaged, files lie both beside and within class folders, or a link
            leads out of the folder.
        """
        files, labels = files_in(path, "sounds")
        x = torch.zeros(len(files), self._samples)
        length = torch.zeros(len(files), dtype=torch.long)
        for row, file in enumerate(files):
            sound = self._one(file)
            x[row, : len(sound)], length[row] = torch.from_numpy(sound), len(sound)
        return {"sound": x, "length": length}, labels, list(map(str, files))

    @property
    def _samples(self) -> int:
        return max(1, round(self.rate * self.seconds))

    def _one(self, file: Path) -> np.ndarray:
        try:
            require_file(file)
            sound, rate = _read(file, self._samples / self.rate, self.rate)
        except Exception as error:  # of a damaged file, anything
            reason = str(error) or "it ends too early"
            raise ValueError(f"{file}: no PCM WAV file that can be read ({reason})") from error
        sound = sound if rate == self.rate else _resampled(sound, rate, self.rate)
        return sound[: self._samples].astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """What `reader_from` builds this again from."""
        return {"kind": "sounds", **asdict(self)}


def _read(file: Path, seconds: float, wanted: int) -> tuple[np.ndarray, int]:
    """The samples of so many seconds, and what the filter to the rate `wanted` hears beyond; in [-1, 1); their rate."""
    with wave.open(str(file)) as sound:
        channels, width, rate, count, *_ = sound.getparams()
        if not 1 <= width <= 4 or not SLOWEST <= rate <= FASTEST:
            raise ValueError(f"{8 * width} bits at {rate} samples a second")
        if not count:
            raise ValueError("no samples in it")
        if (size := file.stat().st_size) < count * width * channels:
            raise EOFError(f"{size} bytes where it says that there are {count * width * channels} of sound")
        count = min(count, _needed(seconds, rate, wanted))
        if count * channels > AT_ONCE:
            raise ValueError(f"{channels} channels are too many; mix them down to one or two")
        data = sound.readframes(count)
    if len(data) < count * width * channels:
        raise EOFError(f"{len(data)} bytes of sound where it says {count * width * channels}")
    return _numbers(data, width).reshape(-1, channels).mean(1), rate


def _needed(seconds: float, rate: int, wanted: int) -> int:
    """The samples within so many seconds, and those beyond that the filter of `_resampled` hears."""
    return math.ceil(seconds * rate) + 10 * math.ceil(max(1, rate / wanted)) + 1


def _numbers(data: bytes, width: int) -> np.ndarray:
    """Whole numbers of `width` bytes, the lowest first, divided by the largest; of one byte, 128 stands for 0."""
    if width == 1:
        return np.frombuffer(data, np.uint8) / 128 - 1
    upper = np.zeros((len(data) // width, 4), np.uint8)  # the upper bytes of 32 bits, which keeps the sign
    upper[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return upper.view("<i4")[:, 0] / 2**31


def _resampled(sound: np.ndarray, old: int, new: int) -> np.ndarray:
    from scipy.signal import resample_poly  # which takes most of a second to import

    ratio = Fraction(new, old)
    if max(ratio.numerator, ratio.denominator) > RATIO:  # rates without a common divisor need an endless filter
        ratio = ratio.limit_denominator(RATIO) if ratio < 1 else 1 / (1 / ratio).limit_denominator(RATIO)
    return resample_poly(sound, ratio.numerator, ratio.denominator).clip(-1, 1)  # the filter may swing beyond
