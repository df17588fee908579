"""The scenarios that read the field's files; what can be checked without them is checked without them."""

import math
import pickle
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from tladapt import Domain, Model
from tladapt.scenarios import SCENARIOS, Scenario, named
from tladapt.scenarios.features import PRODUCTS, pairs
from tladapt.scenarios.objects import OFFICE, THINGS
from tladapt.scenarios.speech import BANDS, MEL, log_mel
from tladapt.streams import domains_of, members

WITHOUT_FILES = ("digits", "split-digits", "few-digits")
ELSEWHERE = (  # in test_language_scenarios.py and test_transfer_scenarios.py
    "reviews", "reviews-bert", "intents", "spoken-words", "five-clips", "german-credit", "credit-default",
    "chest-x-rays", "vessels", "spoken-wav2vec2",
)  # fmt: skip
FIELD = [name for name in SCENARIOS if name not in (*WITHOUT_FILES, *ELSEWHERE)]


@pytest.mark.parametrize("name", [*FIELD, *ELSEWHERE])
def test_without_its_files_a_scenario_says_in_one_line_what_belongs_where(
    name: str, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.MNIST.download", refuse)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", refuse)
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
    bank = MEL.bank
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


# Objects, from files made here


def photograph(path: Path, width: int = 32, height: int = 32) -> None:
    """In the middle a white square with a black frame, an eighth of its side wide; grey beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image, side = np.full((height, width, 3), 100, dtype=np.uint8), min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = np.pad(np.full((side * 3 // 4,) * 2, 255), side // 8)[..., None]
    Image.fromarray(image).save(path)


@pytest.fixture
def objects(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with 2 + 1 images per class of CIFAR-10, and 4 photographs per class of two cameras."""
    for thing in THINGS:
        for part, count in (("train", 2), ("test", 1)):
            for i in range(count):
                photograph(tmp_path / "cifar10_subset" / part / thing / f"{i}.png")
    for camera, shape in (("dslr", (160, 80)), ("webcam", (80, 120))):
        for thing in OFFICE:
            for i in range(4):
                photograph(tmp_path / "office_caltech10" / "images" / camera / thing / f"{i}.png", *shape)
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", refuse)
    return tmp_path


def test_the_subset_of_cifar10_is_read_where_the_whole_is_not(objects: Path):
    scenario = named("split-cifar10:task")
    assert "20 + 10 images of cifar10_subset" in scenario.about
    assert scenario.increment == "task"
    stages = domains_of(scenario.stream)
    assert [d.name for d in stages][:2] == ["cifar10 airplane-automobile", "cifar10 bird-cat"]
    assert [(d.train.y.tolist(), d.test.y.tolist()) for d in stages if d.test][1] == ([2, 2, 3, 3], [2, 3])
    assert isinstance(images := stages[0].train.x, torch.Tensor)
    assert (images.dtype, images.shape) == (torch.uint8, (4, 3, 32, 32))


def test_torchvisions_cifar10_comes_before_the_subset(objects: Path, monkeypatch: pytest.MonkeyPatch):
    folder = objects / "cifar-10-batches-py"
    folder.mkdir()
    rows = np.arange(30 * 3072).reshape(30, 3072).astype(np.uint8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": [i % 10 for i in range(30)]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(THINGS)}))
    with pytest.raises(ValueError, match="cifar-10-batches-py"):  # not the files that torchvision knows
        named("split-cifar10")
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    scenario = named("split-cifar10")
    assert scenario.about.startswith("CIFAR-10, ")
    stages = domains_of(scenario.stream)
    assert [len(d.train) for d in stages] == [30] * 5
    assert isinstance(images := stages[0].train.x, torch.Tensor)
    assert (images.dtype, images.shape) == (torch.uint8, (30, 3, 32, 32))
    assert images[1].flatten().tolist() == rows[1].tolist()  # channel by channel, row by row


def test_photographs_are_cropped_around_the_middle_and_not_distorted(objects: Path):
    scenario = named("office-images:dslr-webcam")
    first, second = domains_of(scenario.stream)
    assert (first.name, second.name) == ("dslr", "webcam")
    assert [(len(d.train), len(d.train.y), len(d.test or ())) for d in (first, second)] == [(28, 28, 12), (28, 0, 12)]
    for domain in (first, second):
        assert domain.classes == OFFICE
        assert isinstance(x := domain.train.x, torch.Tensor)
        assert (x.dtype, x.shape) == (torch.uint8, (28, 3, 64, 64))
        assert max(x[:, :, :5].max(), x[..., -5:].max()) < 10  # the frame, to the edge; grey bleeds in when it shrinks
        assert x[:, :, 10:54, 10:54].min() == 255


def test_folders_of_other_classes_are_refused(objects: Path):
    with pytest.raises(ValueError, match="office-images: 'phone' is none of amazon, caltech10, dslr, webcam"):
        named("office-images:phone-webcam")
    for folder, name in (
        ("cifar10_subset/test", "split-cifar10"),
        ("office_caltech10/images/dslr", "office-images:dslr"),
    ):
        photograph(objects / folder / "zebra" / "0.png")
        with pytest.raises(ValueError, match=f"{folder}: expected a folder of images for each of"):
            named(name)
    (objects / "cifar10_subset" / "train").rename(objects / "cifar10_subset" / "learn")
    with pytest.raises(ValueError, match="train is missing: expected a folder of images for each of airplane"):
        named("split-cifar10")


# With the files


SURF = {  # accuracy in % of the nearest neighbour, as Long et al. (ICCV 2013) and others print it
    "caltech10-amazon": 23.7, "caltech10-webcam": 25.8, "caltech10-dslr": 25.5, "amazon-caltech10": 26.0,
    "amazon-webcam": 29.8, "amazon-dslr": 25.5, "webcam-caltech10": 19.9, "webcam-amazon": 23.0,
    "webcam-dslr": 59.2, "dslr-caltech10": 26.3, "dslr-amazon": 28.5, "dslr-webcam": 63.4,
}  # fmt: skip


def test_the_nearest_neighbour_in_surf_has_the_published_accuracy(tladapt_data):
    found = {}
    for pair in SURF:
        source, target = members((named(f"office-caltech:{pair}").ceiling or [])[1])
        found[pair] = 100 * float(KNeighborsClassifier(1).fit(*all_rows(source)).score(*all_rows(target)))
    assert {pair: round(accuracy, 1) for pair, accuracy in found.items()} == SURF
    assert round(sum(found.values()) / 12, 1) == 31.4


def all_rows(domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    assert domain.test is not None
    x, y = ([getattr(part, name) for part in (domain.train, domain.test)] for name in "xy")
    return torch.cat(x).numpy(), torch.cat(y).numpy()


ROWS: dict[str, Callable[[Scenario], bool]] = {
    "mnist-usps": lambda s: [len(d.train) for d in domains_of(s.stream)] == [60000, 7291],
    "usps-mnist": lambda s: [len(d.test or ()) for d in domains_of(s.stream)] == [2007, 10000],
    "mnist-mnistm": lambda s: domains_of(s.stream)[1].train.shape == (3, 28, 28),
    "digit-stream": lambda s: [len(d.train.y) for d in domains_of(s.stream)] == [60000, 0, 0],
    "split-mnist": lambda s: sum(len(d.train) for d in domains_of(s.stream)) == 60000 and len(s.stream) == 5,
    "permuted-mnist": lambda s: len(s.stream) == 5,
    "rotated-mnist": lambda s: len(s.stream) == 5,
    "split-cifar10": lambda s: len(s.stream) == 5 and domains_of(s.stream)[0].train.shape == (3, 32, 32),
    "office-caltech": lambda s: sum(len(d.train) + len(d.test or ()) for d in domains_of(s.stream)) == 958 + 295,
    "office-images": lambda s: sum(len(d.train) + len(d.test or ()) for d in domains_of(s.stream)) == 958 + 295,
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
