"""Spoken digits: one speaker, then another."""

import wave
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.backbones import cnn
from tladapt.domains import Domain
from tladapt.layers.log_mel import LogMel
from tladapt.methods import MMD
from tladapt.scenarios.files import find
from tladapt.scenarios.scenario import Scenario, known
from tladapt.streams import adaptation

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
RATE, BANDS, FRAMES = 8000, 32, 32  # samples a second; bands and frames of a spectrogram
WINDOW, HOP = 256, 80  # samples in a window, and from one to the next
MEL = LogMel(RATE, BANDS, WINDOW, HOP)


def spoken_digits(source: str = "jackson", target: str = "theo") -> Scenario:
    """Digits spoken by one person, then by another without labels: george, jackson, lucas, nicolas, theo, yweweler."""
    first, second = (_speaker(known("spoken-digits", name, SPEAKERS)) for name in (source, target))
    return Scenario(
        name="spoken-digits", about=f"digits spoken by {source}, then by {target} without labels", method=MMD,
        stream=adaptation(first, second), ceiling=[first, (first, second)],
        network=partial(cnn, 1, BANDS, 16, classes=10), batch_size=32, steps=150,
    )  # fmt: skip


def _speaker(name: str) -> Domain:
    """Recordings 0 to 4 of every digit are the test data, as their authors have it."""
    folder = find("fsdd/recordings", "the recordings of the Free Spoken Digit Dataset")
    parts: dict[bool, tuple[list[Tensor], list[int]]] = {False: ([], []), True: ([], [])}
    for file in sorted(folder.glob(f"?_{name}_*.wav")):
        digit, _, index = file.stem.split("_")
        x, y = parts[int(index) < 5]
        with wave.open(str(file)) as sound:
            samples = torch.frombuffer(bytearray(sound.readframes(sound.getnframes())), dtype=torch.int16)
        x.append(log_mel(samples.float() / 2**15))
        y.append(int(digit))
    train, test = ((torch.stack(x), torch.tensor(y)) for x, y in (parts[False], parts[True]))
    return Domain(name, train, test, classes=10)


def log_mel(sound: Tensor) -> Tensor:
    """The log-mel spectrogram of a sound (samples,) at 8 kHz, stretched to (1, 32, 32), of mean 0 and variance 1."""
    sound = F.pad(sound, (0, max(0, WINDOW - len(sound))))[None]
    sound = F.pad(sound, (WINDOW // 2, WINDOW // 2), mode="reflect")  # so that every sample is in a window's middle
    frames, _ = MEL(sound, torch.tensor([sound.shape[1]]))
    mel = F.interpolate(frames.transpose(1, 2)[None], size=(BANDS, FRAMES), mode="bilinear", align_corners=False)[0]
    return (mel - mel.mean()) / mel.std()
