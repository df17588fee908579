"""The scenarios that read the field's files; what can be checked without them is checked without them."""

import math
import wave
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tladapt import Model
from tladapt.scenarios import SCENARIOS, Scenario, named
from tladapt.scenarios.features import PRODUCTS, pairs
from tladapt.scenarios.speech import BANDS, log_mel, mel_bank
from tladapt.streams import domains_of, members

FIELD = [name for name in SCENARIOS if name not in ("digits", "split-digits")]


@pytest.mark.parametrize("name", FIELD)
def test_without_its_files_a_scenario_says_in_one_line_what_belongs_where(
    name: str, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.MNIST.download", refuse)
    monkeypatch.setattr("torchvision.datasets.usps.download_url", refuse)
    with pytest.raises(ValueError, match=str(tmp_path)) as refusal:
        named(name)
    assert "TLADAPT_DATA" in str(refusal.value)


def refuse(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_what_a_scenario_is_told_is_checked():
    with pytest.raises(ValueError, match=r"'rome' is none of cleveland"):
        named("heart:cleveland-rome")
    with pytest.raises(ValueError, match="takes at most 2"):
        named("heart:a-b-c")
    with pytest.raises(ValueError, match="takes at most 0"):
        named("digits:upright")


@pytest.mark.parametrize("told", ["x", "0", "2.5", "1001", "²"])
def test_the_number_of_stages_is_a_whole_number(told: str):
    for name in ("permuted-mnist", "rotated-mnist"):
        with pytest.raises(ValueError, match=f"SCENARIO {name}:.*whole number of stages"):
            named(f"{name}:{told}")


def test_all_ordered_pairs():
    assert len(pairs(PRODUCTS)) == 12
    assert ("dvd", "books") in pairs(PRODUCTS)
    assert all(a != b for a, b in pairs(PRODUCTS))


def test_a_tone_lights_the_band_of_its_pitch():
    bank = mel_bank()
    assert bank.shape == (BANDS, 129)
    for band in (3, 15, 28):
        hertz = 4000 * int(bank[band].argmax()) / 128
        tone = torch.sin(2 * math.pi * hertz * torch.arange(8000) / 8000)
        assert abs(int(log_mel(tone)[0].mean(1).argmax()) - band) <= 1


def test_a_spectrogram_is_standardised_and_of_one_size():
    for samples in (40, 3000, 20000):
        mel = log_mel(torch.randn(samples, generator=torch.Generator().manual_seed(0)))
        assert mel.shape == (1, 32, 32)
        assert mel.mean().abs() < 1e-4
        assert (mel.std() - 1).abs() < 1e-3


def test_recordings_are_read_by_digit_speaker_and_index(tmp_path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for speaker in ("jackson", "theo"):
        for digit in range(10):
            for index in (0, 5, 6):
                with wave.open(str(folder / f"{digit}_{speaker}_{index}.wav"), "wb") as sound:
                    sound.setnchannels(1)
                    sound.setsampwidth(2)
                    sound.setframerate(8000)
                    sound.writeframes((np.sin(np.arange(2000) * (digit + 1) / 9) * 9000).astype("<i2").tobytes())
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path))
    first, second = domains_of(named("spoken-digits").stream)
    assert (len(first.train), len(first.train.y), len(second.train), len(second.train.y)) == (20, 20, 20, 0)
    assert first.test is not None
    assert first.test.y.tolist() == list(range(10))


# With the files


ROWS: dict[str, Callable[[Scenario], bool]] = {
    "mnist-usps": lambda s: [len(d.train) for d in domains_of(s.stream)] == [60000, 7291],
    "usps-mnist": lambda s: [len(d.test or ()) for d in domains_of(s.stream)] == [2007, 10000],
    "mnist-mnistm": lambda s: domains_of(s.stream)[1].train.shape == (3, 28, 28),
    "digit-stream": lambda s: [len(d.train.y) for d in domains_of(s.stream)] == [60000, 0, 0],
    "split-mnist": lambda s: sum(len(d.train) for d in domains_of(s.stream)) == 60000 and len(s.stream) == 5,
    "permuted-mnist": lambda s: len(s.stream) == 5,
    "rotated-mnist": lambda s: len(s.stream) == 5,
    "office-caltech": lambda s: sum(len(d.train) + len(d.test or ()) for d in domains_of(s.stream)) == 958 + 295,
    "amazon-reviews": lambda s: [len(d.test or ()) for d in domains_of(s.stream)] == [4465, 5681],
    "spoken-digits": lambda s: [len(d.test or ()) for d in domains_of(s.stream)] == [50, 50],
    "heart": lambda s: domains_of(s.stream)[0].classes == ("0", "1"),
    "bank-marketing": lambda s: len(domains_of(s.stream)[0].train) > 10000,
    "adult": lambda s: len(domains_of(s.stream)) == 2,
}


def test_every_field_scenario_has_its_check():
    assert set(ROWS) == set(FIELD)


@pytest.mark.parametrize("name", FIELD)
def test_a_scenario_has_the_rows_of_the_field_and_a_network_for_them(name: str, tladapt_data):
    scenario = named(name)
    assert ROWS[name](scenario)
    source = members(scenario.stream[0])[0]
    assert len(source.train.y) == len(source.train)
    if scenario.ceiling is not None:
        later = [d for stage in scenario.stream[1:] for d in members(stage) if d.name != source.name]
        assert all(not len(d.train.y) for d in later)
    model = scenario.model()
    x = source.train.rows(torch.arange(4))
    assert isinstance(model, Model)
    assert model.eval()(x).logits.shape == (4, len(source.classes))
