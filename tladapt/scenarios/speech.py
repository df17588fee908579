"""Spoken digits: one speaker, then another; two, then five clips of a third; five, then a sixth, as text."""

import wave
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.backbones import cnn, deepspeech2, speech
from tladapt.domains import Domain
from tladapt.layers.log_mel import LogMel
from tladapt.methods import MMD, Replay
from tladapt.readers.sounds import Sounds
from tladapt.scenarios.files import find
from tladapt.scenarios.scenario import Scenario, known
from tladapt.streams import adaptation
from tladapt.tasks import SpeechToText

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
AMERICANS, OTHERS = ("jackson", "theo"), ("george", "lucas", "nicolas", "yweweler")
CLIPS = 5  # of each digit by a new speaker
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE, BANDS, FRAMES = 8000, 32, 32  # samples a second; bands and frames of a spectrogram
WINDOW, HOP = 256, 80  # samples in a window, and from one to the next
MEL = LogMel(RATE, BANDS, WINDOW, HOP)
SOUNDS = Sounds(RATE, 1.0)
SMALL = {  # a wav2vec 2.0 that learns in seconds: a frame each 10 ms, one layer
    "model_type": "wav2vec2", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 128, "num_feat_extract_layers": 3, "conv_dim": [32, 48, 64], "conv_kernel": [16, 8, 4],
    "conv_stride": [8, 5, 2], "conv_bias": True, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "layerdrop": 0.0, "hidden_dropout": 0.0,
    "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0,
}  # fmt: skip


def spoken_digits(source: str = "jackson", target: str = "theo") -> Scenario:
    """Digits spoken by one person, then by another without labels: george, jackson, lucas, nicolas, theo, yweweler."""
    first, second = (_speaker(known("spoken-digits", name, SPEAKERS)) for name in (source, target))
    return Scenario(
        name="spoken-digits", about=f"digits spoken by {source}, then by {target} without labels", method=MMD,
        stream=adaptation(first, second), ceiling=[first, (first, second)],
        network=partial(cnn, 1, BANDS, 16, classes=10), batch_size=32, steps=150,
    )  # fmt: skip


def five_clips(target: str = "george") -> Scenario:
    """Digits spoken by jackson and theo, then five clips of each by one more: george, lucas, nicolas, yweweler."""
    first, new = tuple(map(_speaker, AMERICANS)), _speaker(known("five-clips", target, OTHERS))
    few = new.unlabelled(keep=CLIPS)
    few.train = few.train.take(torch.arange(len(few.train.y)))  # the others are not there at all
    return Scenario(
        name="five-clips", about=f"digits spoken by {' and '.join(AMERICANS)}, then five clips of each by {target}",
        stream=[first, few], ceiling=[first, (*first, new)], method=partial(Replay, 2 * 10 * CLIPS),
        network=partial(cnn, 1, BANDS, 16, classes=10), batch_size=32, steps=150,
    )  # fmt: skip


def spoken_words(target: str = "george") -> Scenario:
    """Words spoken by five people with their text, then by a sixth without (character error rate): one of six."""
    task = SpeechToText(sorted(set("".join(WORDS))))
    stages = _leaving_out("spoken-words", target, SOUNDS, task.encode(WORDS), task.classes)
    return Scenario(
        name="spoken-words", about=f"words spoken by five people, then by {target} without their text", method=MMD,
        stream=adaptation(*stages), ceiling=[stages[0], stages], task=task, inputs=SOUNDS.spec(),
        network=partial(deepspeech2, 32, 8, 64, 1, rate=RATE, classes=task.classes), batch_size=32, steps=250, lr=0.01,
    )  # fmt: skip


def spoken_wav2vec2(target: str = "george") -> Scenario:
    """Digits spoken by five people, then by a sixth without labels, by a small wav2vec 2.0: one of six."""
    sounds = Sounds(RATE, 0.8)
    stages = _leaving_out("spoken-wav2vec2", target, sounds, torch.arange(10), WORDS)
    return Scenario(
        name="spoken-wav2vec2", about=f"digits spoken by five people, then by {target} without labels", method=MMD,
        stream=adaptation(*stages), ceiling=[stages[0], stages], inputs=sounds.spec(),
        network=partial(speech, SMALL, "mean", classes=WORDS), batch_size=32, steps=200, lr=0.003,
    )  # fmt: skip


def recordings(name: str) -> Iterator[tuple[Tensor, int, bool]]:
    """The recordings of a speaker: the sound (samples,) in [-1, 1), the digit, and whether it is to test on.

    Recordings 0 to 4 of every digit are the test data, as their authors have it.
    """
    folder = find("fsdd/recordings", "the recordings of the Free Spoken Digit Dataset")
    for file in sorted(folder.glob(f"?_{name}_*.wav")):
        digit, _, index = file.stem.split("_")
        with wave.open(str(file)) as sound:
            samples = torch.frombuffer(bytearray(sound.readframes(sound.getnframes())), dtype=torch.int16)
        yield samples.float() / 2**15, int(digit), int(index) < 5


def _speaker(name: str) -> Domain:
    """A speaker's digits, as spectrograms."""
    parts: dict[bool, tuple[list[Tensor], list[int]]] = {False: ([], []), True: ([], [])}
    for sound, digit, test in recordings(name):
        x, y = parts[test]
        x.append(log_mel(sound))
        y.append(digit)
    train, test = ((torch.stack(x), torch.tensor(y)) for x, y in (parts[False], parts[True]))
    return Domain(name, train, test, classes=10)


def _leaving_out(
    scenario: str, target: str, reader: Sounds, y: Tensor, classes: tuple[str, ...]
) -> tuple[Domain, Domain]:
    """The sounds of all speakers but one, and those of that one; row d of y is the label of digit d."""
    others = [name for name in SPEAKERS if name != known(scenario, target, SPEAKERS)]
    return _sounds("the others", others, reader, y, classes), _sounds(target, [target], reader, y, classes)


def _sounds(name: str, speakers: list[str], reader: Sounds, y: Tensor, classes: tuple[str, ...]) -> Domain:
    found, samples = [one for speaker in speakers for one in recordings(speaker)], round(reader.rate * reader.seconds)
    sound = torch.stack([F.pad(sound, (0, samples))[:samples] for sound, _, _ in found])
    length = torch.tensor([min(len(sound), samples) for sound, _, _ in found])
    labels, test = y[[digit for _, digit, _ in found]], torch.tensor([test for _, _, test in found])
    parts = (({"sound": sound[rows], "length": length[rows]}, labels[rows]) for rows in (~test, test))
    return Domain(name, *parts, classes=classes)


def log_mel(sound: Tensor) -> Tensor:
    """The log-mel spectrogram of a sound (samples,) at 8 kHz, stretched to (1, 32, 32), of mean 0 and variance 1."""
    sound = F.pad(sound, (0, max(0, WINDOW - len(sound))))[None]
    sound = F.pad(sound, (WINDOW // 2, WINDOW // 2), mode="reflect")  # so that every sample is in a window's middle
    frames, _ = MEL(sound, torch.tensor([sound.shape[1]]))
    mel = F.interpolate(frames.transpose(1, 2)[None], size=(BANDS, FRAMES), mode="bilinear", align_corners=False)[0]
    return (mel - mel.mean()) / mel.std()
