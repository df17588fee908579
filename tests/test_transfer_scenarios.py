"""Photographs, X-rays, vessels and credit: read as they are stored, and the other device as it is said to be."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tladapt import Domain, Model
from tladapt.readers.files import reader_from
from tladapt.scenarios import Scenario, named
from tladapt.scenarios.credit import GERMAN
from tladapt.scenarios.radiographs import other_device
from tladapt.scenarios.retina import PATCH, SIDE
from tladapt.streams import domains_of, members
from tladapt.tasks import Segmentation


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path))
    return tmp_path


def inputs(domain: Domain, part: str = "train") -> Tensor:
    x = getattr(domain, part).x
    assert isinstance(x, Tensor)
    return x


def pair(scenario: Scenario) -> tuple[Domain, Domain]:
    """The source, and the target without labels; the scenario's ceiling has the same target with them."""
    source, target = domains_of(scenario.stream)
    assert not len(target.train.y)
    labelled = members((scenario.ceiling or [])[1])[1]
    assert labelled.origin is target.origin
    assert len(labelled.train.y) == len(target.train)
    return source, target


# X-rays


@pytest.fixture
def radiographs(folder: Path) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    stored = {}
    for part, count in (("train", 12), ("val", 3), ("test", 6)):
        stored[f"{part}_images"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        stored[f"{part}_labels"] = (np.arange(count)[:, None] % 3 > 0).astype(np.uint8)
    (folder / "medmnist").mkdir()
    np.savez(folder / "medmnist" / "pneumoniamnist.npz", **stored)
    return stored


def test_no_x_ray_is_trained_on_by_both_devices(radiographs: dict[str, np.ndarray]):
    source, target = pair(named("chest-x-rays"))
    assert inputs(source).tolist() == radiographs["train_images"][::2, None].tolist()
    assert source.train.y.tolist() == radiographs["train_labels"][::2, 0].tolist()
    rest = torch.from_numpy(radiographs["train_images"][1::2, None])
    assert sorted(inputs(target).tolist()) == sorted(other_device(rest, "train").tolist())  # its order tells no label
    assert inputs(source, "test").tolist() == radiographs["test_images"][:, None].tolist()
    assert inputs(target, "test").equal(other_device(inputs(source, "test"), "test"))
    assert target.test is not None
    assert target.test.y.tolist() == radiographs["test_labels"][:, 0].tolist()


def test_the_other_device_follows_its_formula():
    grey = torch.full((400, 1, 28, 28), 128, dtype=torch.uint8)
    found = other_device(grey, "train").double() / 255
    assert float(found.mean()) == pytest.approx(0.1 + 0.6 * (128 / 255) ** 1.6, abs=1e-3)
    assert float(found.std()) == pytest.approx(0.05, rel=0.02)
    assert other_device(grey, "train").equal(other_device(grey, "train"))
    assert not other_device(grey, "train").equal(other_device(grey, "test"))
    edge = torch.zeros(400, 1, 28, 28, dtype=torch.uint8)
    edge[..., 14:] = 255
    column = (other_device(edge, "train").double() / 255).mean((0, 1, 2))
    gauss = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 0.7**2))
    assert column[13].item() == pytest.approx(0.1 + 0.6 * gauss[3:].sum() / gauss.sum(), abs=2e-3)
    assert column[5].item() == pytest.approx(0.1, abs=2e-3)


# Vessels


def eye(folder: Path, name: str, size: tuple[int, int], masks: dict[str, str]) -> None:
    """A red disc on black, off the middle, its right half a vessel; the masks as PNG would have them."""
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    disc = (rows - 60) ** 2 + (columns - 70) ** 2 <= 50**2
    rgb = np.zeros((height, width, 3), dtype=np.uint8)
    rgb[disc] = (200, 60, 20)
    for path, array in ((name, rgb), (masks["vessels"], disc & (columns > 70)), (masks.get("field"), disc)):
        if path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array if array.ndim == 3 else array.astype(np.uint8) * 255).save(folder / path)


@pytest.fixture
def eyes(folder: Path) -> Path:
    pytest.importorskip("segmentation_models_pytorch")
    for part, first in (("training", 21), ("test", 1)):
        for i in range(first, first + 2):
            masks = {"vessels": f"1st_manual/{i:02}_manual1.gif", "field": f"mask/{i:02}_{part}_mask.gif"}
            eye(folder / "retina" / "DRIVE" / part, f"images/{i:02}_{part}.jpg", (140, 130), masks)
    for i in range(1, 13):
        for side in "LR":
            name = f"Image_{i:02}{side}"
            eye(folder / "retina" / "CHASE_DB1", f"{name}.jpg", (150, 125), {"vessels": f"{name}_1stHO.png"})
    return folder


def test_the_round_image_fills_the_square_and_nothing_is_answered_outside(eyes: Path):
    for domain, images in zip(pair(named("vessels")), ((2, 2), (20, 4)), strict=True):
        pieces = (SIDE // PATCH) ** 2
        assert domain.test is not None
        assert (len(domain.train), len(domain.test)) == tuple(pieces * n for n in images)
        assert (inputs(domain).dtype, inputs(domain).shape[1:]) == (torch.uint8, (3, PATCH, PATCH))
        y, x = domain.test.y[:pieces], inputs(domain, "test")[:pieces]  # the quarters of one eye, row by row
        whole = torch.cat([torch.cat([*y[:2]], 1), torch.cat([*y[2:]], 1)])
        assert whole.shape == (SIDE, SIDE)
        assert (whole[SIDE // 2, 4], whole[SIDE // 2, -4], whole[4, SIDE // 2 + 4]) == (0, 1, 1)  # disc, to the edge
        assert whole[0, 0] == whole[-1, -1] == -1
        assert abs(float((whole >= 0).double().mean()) - np.pi / 4) < 0.02
        assert abs(float((whole == 1).sum() / (whole >= 0).sum()) - 0.5) < 0.03
        assert float(x[3, 0, 2, 2]) > 150  # its middle


def test_eyes_of_one_child_are_never_on_both_sides(eyes: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[list[str]] = []
    monkeypatch.setattr("tladapt.scenarios.retina._image", lambda photograph, *_: photograph.stem)
    monkeypatch.setattr("tladapt.scenarios.retina._cut", lambda names: seen.append(names) or TINY)
    named("vessels:chase-drive")
    train, test = ({name[6:8] for name in names} for names in seen[:2])
    assert (len(train), len(test)) == (10, 2)
    assert not train & test


TINY = (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, 32, 32, dtype=torch.long))


def test_a_missing_mask_is_named(eyes: Path):
    (eyes / "retina" / "CHASE_DB1" / "Image_03L_1stHO.png").unlink()
    with pytest.raises(ValueError, match=r"Image_03L\.jpg: no photograph with its masks beside it"):
        named("vessels")
    for file in (eyes / "retina" / "DRIVE" / "test" / "images").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"test/images: no photographs in it \(\.jpg\)"):
        named("vessels")


# Credit


@pytest.fixture
def loans(folder: Path) -> Path:
    """German loans of applicants from 20 to 59 years old; customers of Taiwan with limits from 10 000 to 400 000."""
    random = np.random.default_rng(0)
    lines = []
    for i in range(80):
        cells = {name: f"A{int(random.integers(2))}" for name in GERMAN} | {"months": str(random.integers(4, 60))}
        cells |= {"age": str(20 + i // 2), "housing": f"A15{1 + i % 2}", "label": str(1 + i // 2 % 2)}
        lines.append(",".join(cells[name] for name in GERMAN))
    (folder / "tabular" / "german_credit").mkdir(parents=True)
    (folder / "tabular" / "german_credit" / "german.csv").write_text("\n".join(lines) + "\n")
    header = ["ID", "LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE", "PAY_0", "default.payment.next.month"]
    rows = [[i, 10000 * (1 + i), 1 + i % 2, i % 5, 1 + i % 3, 21 + i, i % 4 - 1, i // 2 % 2] for i in range(40)]
    (folder / "tabular" / "credit_default_taiwan").mkdir()
    with gzip.open(folder / "tabular" / "credit_default_taiwan" / "UCI_Credit_Card.csv.gz", "wt") as file:
        file.write("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n")
    return folder


def test_applicants_are_parted_by_age_and_by_housing(loans: Path):
    source, target = pair(named("german-credit"))
    assert (len(source.train) + len(source.test or ()), len(target.train) + len(target.test or ())) == (20, 60)
    assert source.classes == target.classes == ("bad", "good")
    owners, tenants = pair(named("german-credit:housing"))
    assert (owners.name, tenants.name) == ("owners", "tenants")
    with pytest.raises(ValueError, match=r"german-credit: 'sex' is none of age, housing"):
        named("german-credit:sex")


def test_customers_are_parted_by_limit_and_their_numbers_are_words(loans: Path):
    scenario = named("credit-default")
    source, target = pair(scenario)
    assert (len(source.train) + len(source.test or ()), len(target.train) + len(target.test or ())) == (21, 5)
    assert source.classes == ("default", "paid")
    reader = reader_from(scenario.model().inputs)
    assert vars(reader)["words"]["SEX"] == ["man", "woman"]
    assert set(vars(reader)["numbers"]) == {"LIMIT_BAL", "AGE", "PAY_0"}  # and not the number of the customer
    limits = vars(reader)["numbers"]["LIMIT_BAL"]
    assert limits[0] > 200_000  # of the source alone
    x = target.train.x
    assert float(x["numbers"][:, 0].max()) == pytest.approx((50_000 - limits[0]) / limits[1], rel=0.3)
    with pytest.raises(ValueError, match=r"credit-default: 'sex' is none of limit, age, education"):
        named("credit-default:sex")


def test_the_means_of_a_table_are_those_of_its_training_rows(loans: Path):
    source, _ = pair(named("credit-default:age"))
    numbers = source.train.x["numbers"]
    assert numbers.mean(0).abs().max() < 1e-5
    assert (numbers.std(0, correction=0) - 1).abs().max() < 1e-4


# With the files


ROWS = {  # training and test rows, of the source and of the target
    "office-images:webcam-dslr": [207, 88, 110, 47],
    "chest-x-rays": [2354, 624, 2354, 624],
    "vessels": [80, 80, 80, 32],
    "german-credit": [260, 111, 441, 188],
    "german-credit:housing": [500, 213, 126, 53],
    "credit-default": [7805, 3345, 5374, 2302],
    "credit-default:age": [6733, 2885, 3701, 1585],
    "credit-default:education": [17231, 7384, 3442, 1475],
}


@pytest.mark.parametrize("name", ROWS)
def test_a_scenario_has_its_rows_and_learns(name: str, tladapt_data):
    scenario = named(name)
    source, target = pair(scenario)
    assert [len(part or ()) for domain in (source, target) for part in (domain.train, domain.test)] == ROWS[name]
    assert isinstance(scenario.model(), Model)
    report = scenario.but(steps=3, batch_size=4).run()
    assert report.old is not None
    assert 0 < report.old <= 1
    assert report.new is not None


def test_a_tenth_of_the_retina_is_vessel(tladapt_data):
    scenario = named("vessels")
    assert isinstance(scenario.task, Segmentation)
    for domain in members((scenario.ceiling or [])[1]):
        y = domain.train.y
        assert 0.08 < float((y == 1).sum() / (y >= 0).sum()) < 0.16
        assert 0.7 < float((y >= 0).double().mean()) < 0.85  # a disc in its square, cut off above and below in DRIVE
