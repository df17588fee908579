"""WAV files of any kind become the samples that were meant."""

import json
import math
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from tladapt.backbones import speech
from tladapt.cli import main
from tladapt.readers.files import read_domains, reader_from
from tladapt.readers.sounds import Sounds


def save(path: Path, sound: np.ndarray, rate: int = 8000, bits: int = 16) -> Path:
    """A sound (samples,) or (samples, channels) in [-1, 1]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.round(sound.reshape(len(sound), -1) * (2 ** (bits - 1) - 1)).astype("<i4")
    whole = whole + 128 if bits == 8 else whole
    with wave.open(str(path), "wb") as file:
        file.setparams((whole.shape[1], bits // 8, rate, 0, "NONE", ""))
        file.writeframes(np.ascontiguousarray(whole[..., None].view(np.uint8)[..., : bits // 8]).tobytes())
    return path


def tone(hertz: float, rate: int = 8000, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_every_depth_is_the_same_sound(tmp_path, bits):
    sound = tone(440)
    x, labels, names = Sounds(8000, 0.5).read(save(tmp_path / "a.wav", sound, bits=bits))
    assert x["sound"].dtype == torch.float32
    assert np.abs(x["sound"][0].numpy() - sound).max() < 2.0 ** (2 - bits) + 1e-6
    assert (x["length"].tolist(), labels, names) == ([4000], None, [str(tmp_path / "a.wav")])


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_the_loudest_is_one(tmp_path, bits):
    x, *_ = Sounds(8000, 0.001).read(save(tmp_path / "a.wav", np.tile([1.0, -1.0, 0.0, 0.0], 2), bits=bits))
    assert x["sound"][0].numpy() == pytest.approx([1, -1, 0, 0] * 2, abs=0.02)


def test_channels_become_their_mean(tmp_path):
    left, right = tone(440), tone(880)
    x, *_ = Sounds(8000, 0.5).read(save(tmp_path / "a.wav", np.stack([left, right], 1)))
    assert np.abs(x["sound"][0].numpy() - (left + right) / 2).max() < 1e-4


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_a_tone_keeps_its_pitch_at_another_rate(tmp_path, rate):
    x, *_ = Sounds(16000, 0.5).read(save(tmp_path / "a.wav", tone(1000, rate), rate))
    assert abs(int(x["length"]) - 8000) <= 2
    middle = slice(1000, -1000)  # the filter hears where the sound begins and ends
    assert np.abs(x["sound"][0].numpy()[middle] - tone(1000, 16000)[middle]).max() < 0.02


def test_what_is_too_high_for_the_new_rate_is_gone(tmp_path):
    x, *_ = Sounds(8000, 0.5).read(save(tmp_path / "a.wav", tone(6000, 16000), 16000))
    assert x["sound"][0, 500:-500].abs().max() < 0.01


def test_resampled_sounds_stay_within_one(tmp_path):
    square = np.sign(tone(100, 11025))
    x, *_ = Sounds(16000, 0.5).read(save(tmp_path / "a.wav", square, 11025))
    assert x["sound"].abs().max() == 1


def test_all_have_one_length_and_say_how_much_is_sound(tmp_path):
    for name, seconds in (("a", 0.1), ("b", 0.25), ("c", 1.0)):
        save(tmp_path / f"{name}.wav", tone(440, seconds=seconds))
    x, *_ = Sounds(8000, 0.25).read(tmp_path)
    assert x["sound"].shape == (3, 2000)
    assert x["length"].tolist() == [800, 2000, 2000]
    assert x["sound"][0, 800:].abs().max() == 0
    assert torch.equal(x["sound"][1], x["sound"][2])


def test_class_folders_give_the_labels(tmp_path):
    for name in ("no/a.wav", "yes/a.wav", "yes/b.wav"):
        save(tmp_path / name, tone(440, seconds=0.1))
    _, labels, names = Sounds(8000, 0.1).read(tmp_path)
    assert labels == ["no", "yes", "yes"]
    assert [Path(name).name for name in names] == ["a.wav", "a.wav", "b.wav"]
    save(tmp_path / "stray.wav", tone(440))
    with pytest.raises(ValueError, match=r"stray\.wav: lies beside class folders"):
        Sounds().read(tmp_path)


def test_a_folder_without_sounds_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no sounds in it"):
        Sounds().read(tmp_path)


BROKEN = {
    "empty": lambda data: b"",
    "no header": lambda data: data[:20],
    "cut off": lambda data: data[:-100],
    "a picture": lambda data: b"\x89PNG" + data[4:],
    "floats": lambda data: data[:20] + b"\x03\x00" + data[22:],
    "no samples": lambda data: data[:40] + bytes(4),
    "no rate": lambda data: data[:24] + bytes(4) + data[28:],
    "64 bits": lambda data: data[:32] + b"\x08\x00\x40\x00" + data[36:],
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_damaged_file_is_named_in_one_line(tmp_path, how):
    path = save(tmp_path / "a.wav", tone(440))
    path.write_bytes(BROKEN[how](path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.wav: no PCM WAV file that can be read \(.+\)") as refusal:
        Sounds(8000, 0.5).read(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("arguments", [(0, 1.0), (8000, 0.0), (8000, -1.0), (8000, math.inf), (8000, math.nan)])
def test_what_is_not_positive_is_refused(arguments):
    with pytest.raises(ValueError, match=r"Sounds\(rate="):
        Sounds(*arguments)


def test_a_reader_is_built_again_from_its_description():
    reader = Sounds(8000, 1.5)
    assert reader_from(reader.spec()) == reader
    with pytest.raises(ValueError, match="describes no reader"):
        reader_from({"kind": "sounds", "pitch": 1})


# From folders to predictions


@pytest.fixture
def speakers(tmp_path) -> list[Path]:
    """Two folders with a folder of tones per class, five each; and one of tones that nobody named."""
    for speaker, pitch in (("low", 1.0), ("high", 1.3), ("unknown", 1.1)):
        for name, hertz in (("no", 300.0), ("yes", 900.0)):
            for i in range(5):
                place = f"{name}-{i}.wav" if speaker == "unknown" else f"{name}/{i}.wav"
                save(tmp_path / speaker / place, tone(pitch * hertz + 10 * i, seconds=0.1 + 0.02 * i))
    return [tmp_path / "low", tmp_path / "high", tmp_path / "unknown"]


def test_folders_of_sounds_are_domains(speakers):
    (low, high, unknown), reader = read_domains(speakers, reader=Sounds(8000, 0.2))
    assert reader == Sounds(8000, 0.2)
    assert low.classes == ("no", "yes")
    assert [len(d.train.y) for d in (low, high, unknown)] == [8, 8, 0]
    assert low.train.shape == {"sound": (1600,), "length": ()}
    with pytest.raises(ValueError, match=r"unknown: the first domain has no labels.*one folder of sounds per class"):
        read_domains(speakers[2:], reader=Sounds(8000, 0.2))


def test_a_saved_model_of_sounds_predicts_from_files(speakers, tmp_path, capsys):
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = {
        "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "conv_dim": [8, 8], "conv_kernel": [10, 8], "conv_stride": [5, 4], "num_feat_extract_layers": 2,
    }  # fmt: skip
    model = speech(config, "mean", classes=["no", "yes"]).eval()
    model.inputs = Sounds(8000, 0.2).spec()
    model.save(tmp_path / "model")
    main(["predict", str(tmp_path / "model"), str(speakers[2]), "--json"])
    rows = json.loads(capsys.readouterr().out)["predictions"]
    x, _, names = Sounds(8000, 0.2).read(speakers[2])
    chances = model(x).logits.softmax(-1)
    assert [row["file"] for row in rows] == names
    assert [row["prediction"] for row in rows] == [model.classes[c] for c in chances.argmax(-1).tolist()]
    assert [row["probability"] for row in rows] == pytest.approx(chances.amax(-1).tolist(), abs=1e-5)
