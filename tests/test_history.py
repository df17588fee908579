"""What a report keeps of the training: network, rows, settings, and the losses at some steps."""

import json
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from tladapt import DANN, Domain, EarlyStopping, Model, Replay, Report, adaptation, fit, train
from tladapt.backbones import mlp
from tladapt.history import POINTS, begun, note, stride, taken
from tladapt.training import cosine


def domain(name: str, rows: int = 40, **options) -> Domain:
    random = torch.Generator().manual_seed(rows)
    y = torch.arange(rows) % 2
    return Domain(name, (torch.randn(rows, 4, generator=random) + y[:, None], y), **options)


def network() -> Model:
    torch.manual_seed(0)
    return mlp(4, (8,), classes=2)


def test_a_report_says_what_was_trained():
    stream = adaptation(domain("web", validation=0.25), domain("phone", 60))
    report = fit(network(), stream, DANN(), steps=3, lr=0.01, batch_size=8, optimizer=partial(SGD, momentum=0.9))
    model = network()
    assert report.training == {
        "network": "mlp", "parameters": sum(p.numel() for p in model.parameters()), "trainable": 4 * 8 + 8 + 8 * 2 + 2,
        "batchnorm_layers": 0, "classes": 2, "epochs": None, "batch_size": 8, "lr": 0.01,
        "optimizer": "SGD(momentum=0.9)", "schedule": "cosine", "task": "Classification", "learned": 0, "steps": [3, 3],
        "data": [
            {"domain": "web", "labelled": 24, "unlabelled": 0, "validation": 8, "test": 8},
            {"domain": "phone", "labelled": 0, "unlabelled": 48, "validation": 0, "test": 12},
        ],
    }  # fmt: skip
    text = " ".join(str(report).split())
    assert "Trained: mlp, 58 parameters, 2 classes; web 24 labelled rows, phone 48 unlabelled rows" in text
    assert "3 steps in each of 2 stages, batch size 8, learning rate 0.01 (SGD(momentum=0.9));" in text


def test_domains_that_are_only_scored_are_not_named_among_what_was_trained():
    report = fit(network(), [domain("web")], steps=1, evaluate=[domain("web"), domain("other")])
    assert "web 32 labelled rows 1 steps" in " ".join(str(report).split())
    assert report.unseen == report.scores[-1][1]


def test_your_own_network_is_named_by_its_class():
    class Mine(nn.Sequential):
        pass

    model = Model.of(Mine(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    assert fit(model, [domain("a")], steps=1).training["network"] == "Mine"


@pytest.mark.parametrize(("batchnorm", "said"), [(False, False), (True, True)])
def test_the_batchnorm_policy_is_told_of_networks_that_have_such_layers(batchnorm, said):
    layers = [nn.Linear(4, 8), *([nn.BatchNorm1d(8)] if batchnorm else []), nn.ReLU(), nn.Linear(8, 2)]
    report = fit(Model.of(nn.Sequential(*layers)), [domain("a")], steps=1)
    assert ("BatchNorm joint" in str(report)) is said


def test_stages_that_end_early_or_are_not_trained_are_counted_as_they_were():
    stages = [domain("a", validation=0.2), domain("b", validation=0.2)]
    method = EarlyStopping(patience=1, every=2)
    report = fit(network(), stages, method, steps=40, lr=1e-6, learned=1)
    assert report.training["steps"][0] == 0
    assert 0 < report.training["steps"][1] <= 40
    assert [record["stage"] for record in report.history] == ["a", "b"]


@pytest.mark.parametrize("steps", [1, 3, 49, 50, 51, 130])
def test_the_history_is_bounded_evenly_spaced_and_ends_with_the_last_step(steps):
    (record,) = fit(network(), [domain("a")], steps=steps, progress=False).history
    assert record["steps"][0] == 0
    assert record["steps"][-1] == steps - 1
    assert len(record["steps"]) <= POINTS + 1
    gap = stride(steps, 1)
    assert record["steps"][:-1] == list(range(0, steps, gap))[: len(record["steps"]) - 1]
    assert [len(values) for values in record["losses"].values()] == [len(record["steps"])]


def test_the_losses_have_the_names_of_the_terms_and_fall():
    report = fit(network(), adaptation(domain("a"), domain("b")), DANN() + Replay(9), steps=60, lr=0.05)
    assert [set(record["losses"]) for record in report.history] == [{"task", "DANN", "Replay"}] * 2
    task = report.history[0]["losses"]["task"]
    assert task[-1] < task[0]


def test_the_report_on_the_way_is_not_changed_later():
    first, last = train(network(), [domain("a"), domain("b")], steps=3)
    assert (len(first.history), len(last.history)) == (1, 2)
    assert first.training["steps"] == [3]


def test_many_stages_have_fewer_points_each():
    assert sum(len(range(0, 1000, stride(1000, 1000))) for _ in range(1000)) <= 5000


def test_a_run_that_was_stopped_has_the_same_history(tmp_path, monkeypatch):
    stream = adaptation(domain("a"), domain("b"))
    whole = fit(network(), stream, DANN() + Replay(9), steps=23, progress=False)
    stopping, seen = DANN.loss, [0]

    def loss(self, *given):
        seen[0] += 1
        if seen[0] == 40:  # in the second stage
            raise MemoryError
        return stopping(self, *given)

    monkeypatch.setattr(DANN, "loss", loss)
    options = {"steps": 23, "checkpoint": tmp_path, "every": 4, "progress": False}
    with pytest.raises(MemoryError):
        fit(network(), stream, DANN() + Replay(9), **options)
    monkeypatch.setattr(DANN, "loss", stopping)
    again = fit(network(), stream, DANN() + Replay(9), **options)
    assert again.history == whole.history
    assert again.to_dict() | {"seconds": 0} == whole.to_dict() | {"seconds": 0}


def test_all_of_it_comes_back_from_the_file(tmp_path):
    report = fit(network(), [domain("a")], steps=3, schedule=cosine)
    report.ceiling = {"old": None, "new": 0.5, "average": 0.5, "seed": 0}
    report.arguments = {"steps": 3, "methods": ["DANN"], "lr": 0.5, "quiet": True, "label": None}
    path = report.save(tmp_path)
    assert Report.load(tmp_path) == report
    assert list(json.loads(path.read_text()))[-1] == "history"


OLDER = ("training", "history", "ceiling", "arguments", "warnings", "unseen", "average")


def test_a_report_of_an_earlier_version_is_read_and_shown(tmp_path):
    report = fit(network(), [domain("a")], steps=3)
    stored = {name: value for name, value in report.to_dict().items() if name not in OLDER}
    (tmp_path / "report.json").write_text(json.dumps({**stored, "notes": ["stage 0 (a): EWC had nothing to act on"]}))
    older = Report.load(tmp_path)
    assert (older.training, older.history, older.ceiling, older.scores) == ({}, [], {}, report.scores)
    assert "BatchNorm joint" in str(older)
    assert "Note: stage 0 (a)" in str(older)


@pytest.mark.parametrize(
    ("name", "value"),
    [("training", {"network": "mlp"}), ("training", []), ("history", [{"stage": "a"}]), ("history", {}),
     ("ceiling", {"old": "x"}), ("ceiling", {"old": 1e300, "new": 1, "average": 1, "seed": 0}), ("arguments", []),
     ("arguments", {"x": {}}), ("warnings", [1])],
)  # fmt: skip
def test_what_is_of_another_form_is_refused_in_one_line(name, value, tmp_path):
    report = fit(network(), [domain("a")], steps=1)
    (tmp_path / "report.json").write_text(json.dumps({**report.to_dict(), name: value}))
    with pytest.raises(ValueError, match=rf"no report of tladapt \({name}"):
        Report.load(tmp_path)


def test_a_mean_keeps_what_was_trained_and_says_which_seed_a_note_is_of():
    runs = [fit(network(), [domain("a")], steps=2, seed=seed) for seed in (0, 1)]
    runs[0].notes, runs[1].notes = ["both", "one"], ["both"]
    whole = Report.mean(runs)
    assert whole.training == runs[0].training
    assert whole.history == []
    assert whole.notes == ["both", "seed 0: one"]


def test_a_record_counts_its_steps():
    record = begun("a")
    assert taken(record) == 0
    note(record, 7, {"task": 0.123456789})
    assert (taken(record), record["losses"]) == (8, {"task": [0.123457]})
