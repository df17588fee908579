"""What a report says of a domain without labels, and that saying it changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from tladapt import CORAL, DANN, Domain, Method, Model, Regression, Replay, Report, Segmentation, adaptation, fit, train
from tladapt.backbones import cnn
from tladapt.labelfree import distance
from tladapt.readers.files import read_domains
from tladapt.storage.documents import read_document
from tladapt.storage.reports import load_report


def blobs(shift: float = 0.0, rows: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % 2
    x = torch.randn(rows, 2, generator=random) + 4 * y[:, None] + shift
    return x, y


def network(batchnorm: str = "joint") -> Model:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    return Model.of(layers, classes=["cup", "pen"], batchnorm=batchnorm)


def source() -> Domain:
    return Domain("source", blobs(), classes=["cup", "pen"])


def target(shift: float = 1.0) -> Domain:
    return Domain("target", blobs(shift, seed=1)[0])


def facts_of(report: Report, name: str = "target") -> dict[str, Any]:
    return report.unlabelled[name]


def test_the_facts_are_those_of_the_final_model():
    model, domain = network(), target()
    report = fit(model, adaptation(source(), domain), CORAL(), steps=30)
    facts, chances = facts_of(report), model.predict_proba(domain.train.x)
    assert report.unlabelled.keys() == {"target"}
    assert (facts["stage"], facts["rows"], facts["predicted_rows"]) == ("source + target", 60, 60)
    assert facts["classes"] == ["cup", "pen"]
    shares = np.bincount(chances.argmax(1), minlength=2) / 60
    assert facts["proportions"] == pytest.approx(shares.tolist())
    assert facts["confidence"] == pytest.approx(chances.max(1).mean(), abs=1e-6)
    assert facts["entropy"] == pytest.approx(-(chances * np.log(chances)).sum(1).mean(), abs=1e-5)
    least = facts["least_certain"]
    assert [row["confidence"] for row in least] == pytest.approx(np.sort(chances.max(1))[:10].tolist(), abs=1e-6)
    assert [int(row["row"]) for row in least] == chances.max(1).argsort(kind="stable")[:10].tolist()


def test_the_distance_is_measured_before_and_after_the_stage():
    model, far = network(), target(3.0)
    first, last = train(model, adaptation(source(), far), CORAL(weight=100.0), steps=100, lr=0.01)
    assert first.unlabelled == {}
    facts = facts_of(last)
    assert facts["distance_before"] > 0.5
    assert facts["distance_after"] < facts["distance_before"]
    near = facts_of(fit(network(), adaptation(source(), Domain("target", blobs(seed=2)[0])), CORAL(), steps=30))
    assert near["distance_before"] < 0.5


@pytest.mark.parametrize(("scale", "rows"), [(1.0, 400), (1e-6, 400), (1e6, 400), (1.0, 40)])
def test_the_distance_is_in_standard_deviations(scale, rows):
    x = scale * torch.randn(rows, 5, generator=torch.Generator().manual_seed(0)).double()
    y = scale * torch.randn(rows, 5, generator=torch.Generator().manual_seed(1)).double()
    found = [distance(x, y + shift * scale) or 0.0 for shift in (0.0, 1.0, 3.0)]
    assert found[0] < 0.25
    assert found[1:] == pytest.approx([1.0, 3.0], abs=0.3)


def test_a_distance_that_is_not_defined_is_none():
    x = torch.randn(5, 2).double()
    assert distance(x[:1], x) is None
    assert distance(x * 0, x * 0 + 1) is None
    assert distance(x, x * float("nan")) is None


class Noisy(Dataset):
    """Rows that are different each time."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> Tensor:
        return self.x[row] + 0.1 * torch.randn(2)


@pytest.mark.parametrize("make", [CORAL, DANN, lambda: Replay(20) + CORAL()], ids=["CORAL", "DANN", "Replay"])
@pytest.mark.parametrize("kind", ["tensor", "dataset"])
def test_nothing_of_it_changes_what_is_learned(make: Callable[[], Method], kind, monkeypatch):
    def weights() -> dict[str, Tensor]:
        model, x = network("per-domain"), blobs(1.0, seed=1)[0]
        second = Domain("second", x + 1)
        first = source()
        unlabelled = Domain("target", x if kind == "tensor" else Noisy(x))
        stream = [*adaptation(first, unlabelled), (first, second)]
        fit(model, stream, make(), steps=6, batch_size=8)
        return {**model.state_dict(), "random": torch.get_rng_state()}

    torch.manual_seed(5)
    found = weights()
    monkeypatch.setattr("tladapt.training.before_stage", lambda *_: {})
    monkeypatch.setattr("tladapt.training.after_stage", lambda *_: {})
    torch.manual_seed(5)
    without = weights()
    assert all(torch.equal(value, without[name]) for name, value in found.items())


def test_labels_of_the_target_have_no_part_in_it():
    x, y = blobs(1.0, seed=1)
    labelled, poisoned = (Domain("target", (x, labels), classes=["cup", "pen"]) for labels in (y, 1 - y))
    found = [facts_of(fit(network(), adaptation(source(), one), CORAL(), steps=5)) for one in (labelled, poisoned)]
    assert found[0] == found[1]


def test_it_is_the_same_after_a_resume(tmp_path, monkeypatch):
    def stop(method: Method, model: Model, batch: Any) -> None:
        if batch.progress > 0.5 and len(batch) > len(batch.y):
            raise KeyboardInterrupt

    def run(**options: Any) -> Report:
        return fit(network(), adaptation(source(), target()), CORAL(), steps=20, **options)

    whole = run()
    with monkeypatch.context() as patch:
        patch.setattr(CORAL, "adjust", stop)
        with pytest.raises(KeyboardInterrupt):
            run(checkpoint=tmp_path, every=3)
    assert run(checkpoint=tmp_path, every=3).unlabelled == whole.unlabelled
    assert run(checkpoint=tmp_path, every=3).unlabelled == whole.unlabelled  # of a finished run


def test_rows_of_a_labelled_target_keep_their_numbers():
    x, y = blobs(1.0, seed=1)
    domain = Domain("target", (x, y), classes=["cup", "pen"])
    model = network()
    facts = facts_of(fit(model, adaptation(source(), domain), CORAL(), steps=5))
    chances = model.predict_proba(x)
    for row in facts["least_certain"]:
        assert chances[int(row["row"])].max() == pytest.approx(row["confidence"], abs=1e-6)
    assert facts["rows"] == 48


def test_rows_of_files_are_named(tmp_path):
    random = np.random.default_rng(0)
    for folder in ("old/cup", "old/pen", "new"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(12):
            low = 150 if folder.endswith("pen") or (folder == "new" and number % 2) else 0
            pixels = random.integers(low, low + 90, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number:02}.png")
    (old, new), reader = read_domains([tmp_path / "old", tmp_path / "new"], size=8)
    torch.manual_seed(0)
    model = cnn(3, 8, 4, 8, classes=old.classes)
    report = fit(model, adaptation(old, new), CORAL(), steps=20)
    model.inputs = reader.spec()
    found = model.predict([row["row"] for row in facts_of(report, "new")["least_certain"]])
    expected = [row["confidence"] for row in facts_of(report, "new")["least_certain"]]
    assert found.confidence.tolist() == pytest.approx(expected, abs=1e-5)
    assert str(tmp_path / "new") in found.ids[0]


def test_rows_of_a_table_are_numbered_as_predict_numbers_them(tmp_path):
    for name, shift in (("old", 0.0), ("new", 1.0)):
        x, y = blobs(shift)
        rows = [f"{a:.3f},{b:.3f}" + (f",{['cup', 'pen'][int(c)]}" if name == "old" else "")
                for (a, b), c in zip(x.tolist(), y.tolist(), strict=True)]  # fmt: skip
        header = "a,b,label" if name == "old" else "a,b"
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    (old, new), reader = read_domains([tmp_path / "old.csv", tmp_path / "new.csv"])
    model = network()
    report = fit(model, adaptation(old, new), CORAL(), steps=5)
    model.inputs = reader.spec()
    found = model.predict(tmp_path / "new.csv")
    for row in facts_of(report, "new")["least_certain"]:
        assert found.confidence[found.ids.index(row["row"])] == pytest.approx(row["confidence"], abs=1e-5)


def test_a_method_does_not_see_the_names_and_the_order_of_the_rows():
    seen = list[tuple[Any, Any]]()

    class Looks(CORAL):
        def prepare(self, model: Model, stage: Any) -> None:
            super().prepare(model, stage)
            seen.extend((domain.row_ids, domain.train.numbers) for domain in stage.domains)

    x, y = blobs(1.0, seed=1)
    domain = Domain("target", (x, y), classes=["cup", "pen"])
    domain.row_ids = ["cup/1.png"] * 60
    fit(network(), adaptation(source(), domain), Looks(), steps=1)
    assert seen == [(None, None)] * 3


def test_tasks_without_classes_have_a_distance_only():
    x, y = blobs()
    model = Model.of(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)))
    stream = adaptation(Domain("source", (x, y.float())), target())
    facts = facts_of(fit(model, stream, CORAL(), task=Regression(), steps=3))
    assert set(facts) == {"stage", "rows", "distance_before", "distance_after"}

    class Pixels(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1)

    masks = Domain("source", (torch.randn(12, 2, 3, 3), torch.randint(0, 2, (12, 3, 3))), classes=2)
    stream = adaptation(masks, Domain("target", torch.randn(12, 2, 3, 3)))
    facts = facts_of(fit(Model(Pixels(), nn.Linear(2, 2)), stream, task=Segmentation(), steps=3))
    assert set(facts) == {"stage", "rows", "distance_before", "distance_after"}


def test_only_domains_with_unlabelled_rows_are_described():
    assert fit(network(), [source(), Domain("b", blobs(1.0), classes=2)], steps=2).unlabelled == {}
    kept = Domain("target", blobs(1.0, seed=1), classes=["cup", "pen"])
    facts = facts_of(fit(network(), adaptation(source(), kept, keep=3), CORAL(), steps=2))
    assert facts["rows"] == 48 - 6


def test_the_report_keeps_and_shows_it(tmp_path):
    report = fit(network(), adaptation(source(), target()), CORAL(), steps=5)
    report.save(tmp_path)
    assert load_report(tmp_path) == report
    assert json.loads((tmp_path / "report.json").read_text())["unlabelled"] == report.unlabelled
    lines = str(report).splitlines()
    (start,) = (i for i, line in enumerate(lines) if line.startswith("target: 60 rows without labels"))
    assert [line.split()[0] for line in lines[start + 1 : start + 5]] == [
        "predicted",
        "certainty",
        "distance",
        "uncertain",
    ]
    assert max(map(len, lines)) <= 80
    assert "cup: " in lines[start + 1]
    assert "(cup: " in lines[start + 4] or "(pen: " in lines[start + 4]
    assert "60 rows without labels" in report._repr_html_()
    scored = fit(network(), adaptation(source(), Domain("t", blobs(1.0), classes=2)), CORAL(), steps=2)
    assert "without labels" not in str(scored)


def test_the_mean_over_seeds_has_the_means():
    reports = [fit(network(), adaptation(source(), target()), CORAL(), steps=5, seed=seed) for seed in range(2)]
    mean = facts_of(Report.mean(reports))
    assert mean["confidence"] == pytest.approx(np.mean([facts_of(report)["confidence"] for report in reports]))
    assert mean["proportions"] == pytest.approx(np.mean([facts_of(r)["proportions"] for r in reports], 0).tolist())
    assert "least_certain" not in mean
    assert "predicted" in str(Report.mean(reports))


@pytest.mark.parametrize(
    "changes",
    [{"confidence": "high"}, {"proportions": [1e308, "x"]}, {"least_certain": [{"row": 3}]}, {"distance_after": True}],
)
def test_a_damaged_report_is_refused(changes, tmp_path: Path):
    fit(network(), adaptation(source(), target()), CORAL(), steps=1).save(tmp_path)
    document = read_document(tmp_path / "report.json", 2**22, 10**5)
    document["unlabelled"]["target"] |= changes
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="unlabelled"):
        Report.load(tmp_path)


def test_facts_that_are_missing_or_odd_can_be_shown():
    facts: list[dict[str, Any]] = [
        {}, {"rows": 3}, {"classes": ["a"], "proportions": []}, {"confidence": 1e100, "distance_after": -1.0},
        {"least_certain": [{"row": "\x1b[2J" + 300 * "x", "prediction": "[bold]", "confidence": 0.5}]},
    ]  # fmt: skip
    for one in facts:
        report = Report(
            domains=["a"], stages=["a"], first=[0], scores=[[None], [None]], method="", unlabelled={"a": one}
        )
        assert "\x1b" not in str(report)
