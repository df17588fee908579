"""Label shift: what is estimated, what is warned of, and what is never looked at."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from tladapt import DANN, MMD, Classification, Data, Domain, Method, Model, Report, Stage, adaptation, fit, train
from tladapt.backbones import cnn
from tladapt.labelshift import LabelShift, alarms, bbse, em, label_shift, label_shifts
from tladapt.labelshift.shift import _doubt
from tladapt.scenarios.handwriting import labelled_digits
from tladapt.seeding import seeded

SHARES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
TARGETS = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1], [0.0, 0.5, 0.5]]


def gaussians(shares: list[float] | Tensor, n: int = 20000) -> tuple[Tensor, Tensor]:
    """The exact probabilities, in the proportions SHARES, of points that come in the proportions `shares`."""
    random = torch.Generator().manual_seed(0)
    y = torch.multinomial(torch.as_tensor(shares), n, replacement=True, generator=random)
    x = 2 * y.double() + torch.randn(n, generator=random, dtype=torch.float64)
    return (SHARES.log() - (x[:, None] - 2 * torch.arange(3)).square() / 2).softmax(1), y


@pytest.mark.parametrize("target", TARGETS)
def test_em_finds_the_proportions_where_the_probabilities_are_right(target):
    found = em(gaussians(target)[0], SHARES)
    assert found == pytest.approx(torch.tensor(target), abs=0.015)
    assert float(found.sum()) == pytest.approx(1)


@pytest.mark.parametrize("target", TARGETS)
def test_black_box_shift_estimation_finds_the_proportions_whatever_the_model_gets_wrong(target):
    (old, y), (new, _) = gaussians(SHARES), gaussians(target)
    joint = nn.functional.one_hot(old.argmax(1), 3).double().T @ nn.functional.one_hot(y, 3).double() / len(y)
    found = bbse(joint, torch.bincount(new.argmax(1), minlength=3) / len(new))
    assert found == pytest.approx(torch.tensor(target), abs=0.03)
    assert float(found.sum()) == pytest.approx(1)


def test_a_model_that_tells_nothing_apart_changes_no_proportion():
    joint = torch.zeros(3, 3, dtype=torch.float64)
    joint[1] = SHARES
    assert bbse(joint, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)) == pytest.approx(SHARES)


def test_a_class_that_the_source_does_not_have_is_not_found():
    assert bbse(torch.diag(torch.tensor([0.5, 0.5, 0.0])), torch.tensor([0.2, 0.3, 0.5]))[2] == 0


def digits(cut: bool) -> tuple[Domain, Domain]:
    """Digits, and other people's; with `cut` only every eighth of the digits 0 to 4."""
    x, y = labelled_digits()
    rows = torch.arange(899, len(x))
    if cut:
        few = rows[y[rows] < 5]
        rows = torch.cat([few[::8], rows[y[rows] >= 5]]).sort().values
    return Domain("source", (x[:899], y[:899])), Domain("target", (x[rows], y[rows]), 0.5)


@cache
def run(cut: bool) -> tuple[Report, Model]:
    with seeded(0):
        model = cnn(1, 8, classes=10)
    return fit(model, adaptation(*digits(cut)), MMD(), steps=150, progress=False), model


def test_a_label_shift_is_warned_of_with_the_domain_and_none_without_one():
    shifted, even = run(True)[0], run(False)[0]
    assert [line for line in shifted.warnings if line.startswith("target: possible label shift: by estimate class '")]
    assert "Warning: target: possible label shift" in str(shifted)
    assert even.warnings == []
    assert even.label_shift["target"]["distance"] < 0.1
    assert set(even.label_shift) == {"target"}


def test_the_estimate_is_close_to_the_truth_that_it_has_not_seen():
    y = digits(True)[1].train.y
    true = (torch.bincount(y, minlength=10) / len(y)).tolist()
    estimate = run(True)[0].label_shift["target"]["estimate"]
    assert sum(abs(a - b) for a, b in zip(estimate, true, strict=True)) / 2 < 0.1


def small(bias: bool = True) -> Model:
    with seeded(0):
        return Model.of(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2, bias=bias)))


def test_the_doubt_by_hand():
    shares = torch.tensor([0.5, 0.5], dtype=torch.float64)
    variance = 0.25 * (1 / 100 + 1 / 100)
    chance = 0.4 * 2 * variance**0.5 + 0.85 * (2 * variance) ** 0.5
    assert _doubt(0.0, shares, 100, 100) == pytest.approx(chance)
    assert _doubt(0.3, shares, 100, 100) == pytest.approx(math.hypot(4 / 3 * 0.3, chance))
    assert _doubt(0.3, shares, 10**9, 10**9) == pytest.approx(0.4, abs=1e-4)
    assert _doubt(0.9, shares, 100, 100) == 1


def test_a_sure_model_is_believed_beyond_chance_only():
    assert LabelShift(("a", "b"), [0.5, 0.5], [0.4, 0.6], doubt=0.11).large is False
    assert LabelShift(("a", "b"), [0.5, 0.5], [0.4, 0.6], doubt=0.09).large is True


def test_a_warning_names_the_classes_says_how_sure_it_is_and_advises_nothing_that_is_not_known():
    shifts = {
        "phone": LabelShift(("3", "7"), [0.26, 0.74], [0.0, 1.0], doubt=0.1),
        "even": LabelShift(("3", "7"), [0.26, 0.74], [0.2, 0.8], doubt=0.1),
    }
    (line,) = alarms(shifts)
    assert line.startswith(
        "phone: possible label shift: by estimate class '3': 0 % instead of 26 %, class '7': 100 % instead of 74 %."
    )
    assert "help or hurt" in line
    assert "leave it out" not in line
    assert "correct" not in line


def test_what_the_model_drops_at_random_in_training_does_not_change_the_estimate():
    model, a, b = small(), points("a"), points("b", few=40)
    with seeded(0):
        model.encoder.register_forward_hook(lambda _, __, output: nn.functional.dropout(output, 0.5, model.training))  # type: ignore[arg-type]
    fit(model, [a], steps=30, lr=0.05)
    assert label_shift(model.train(), a, b) == label_shift(model.eval(), a, b)


def test_a_target_whose_labels_are_there_is_estimated_as_if_they_were_not():
    source, target = digits(True)
    model = run(True)[1]
    assert label_shift(model, source, target) == label_shift(model, source, target.unlabelled())
    with pytest.raises(ValueError, match=r"label_shift: 'source' needs labels"):
        label_shift(model, source.unlabelled(), target)


def points(name: str, few: int = 20, n: int = 60, **options) -> Domain:
    """Points around (0, 0), of which `few`, and (4, 4)."""
    random = torch.Generator().manual_seed(n)
    y = (torch.arange(n) >= few).long()
    return Domain(name, (torch.randn(n, 2, generator=random) + 4 * y[:, None], y), **options)


def test_there_is_no_estimate_without_classes_without_labels_or_before_anything_was_learned():
    a, b = points("a"), points("b").unlabelled()
    assert fit(small(), [a, b, (a, points("c"))], steps=1).label_shift == {}
    assert fit(small(), [(a, b)], steps=1).label_shift == {}
    assert set(fit(small(), [a, (a, b)], steps=1).label_shift) == {"b"}
    assert set(fit(small(), [a, (a, b), (a, points("c").unlabelled())], steps=1).label_shift) == {"b", "c"}
    grid = Data(torch.randn(8, 5, 2), torch.zeros(8, 5, dtype=torch.long))
    pixels = Stage((Domain("p", grid), b), (0, 1), 1, None, Classification())
    numbers = Stage((Domain("q", Data(torch.randn(8, 2), torch.randn(8))), b), (0, 1), 1, None, Classification())
    assert label_shifts(small(), pixels) == label_shifts(small(), numbers) == {}


def test_a_domain_with_some_labels_is_estimated_from_the_rows_without():
    report = fit(small(), adaptation(points("a"), points("b", few=40), keep=2), steps=30, lr=0.05)
    assert report.label_shift["b"]["estimate"][0] > 0.5


def test_the_model_keeps_its_mode_and_everyone_their_random_numbers():
    model, a, b = small(), points("a"), points("b")
    for training in (True, False):
        model.train(training)
        state = torch.get_rng_state()
        label_shift(model, a, b)
        assert model.training is training
        assert torch.equal(torch.get_rng_state(), state)


class Secret(Data):
    """Rows that nobody may read."""

    def rows(self, index, key=()):
        raise AssertionError("read")


def test_nothing_is_read_but_training_data():
    a, b = points("a"), points("b")
    secret = Secret(torch.zeros(3, 2), torch.full((3,), 777))
    a.test, a.validation, b.test = secret, secret, secret  # b's validation rows are sorted by their inputs
    proportions = a.train.y.bincount() / len(a.train)
    assert label_shift(small(), a, b).source == pytest.approx(proportions.tolist())


def test_no_more_than_two_thousand_rows_of_each_are_looked_at():
    seen = [0]
    model = small()
    model.encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    label_shift(model, points("a", n=5000, test=0.0), points("b", n=9000, test=0.0))
    assert sum(seen) == 4000
    assert max(seen) <= 256


@pytest.mark.parametrize("method", [Method, DANN, MMD])
def test_the_weights_are_the_same_with_the_estimate_as_without_and_a_seed_gives_one_report(method, monkeypatch):
    def once() -> tuple[Report, Tensor]:
        with seeded(1):
            layers = [nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2)]
        model = Model.of(nn.Sequential(*layers))
        report = fit(model, adaptation(points("a"), points("b", few=50)), method(), steps=12, seed=3)
        return report, torch.cat([value.flatten() for value in model.state_dict().values()])

    (first, weights), (second, _) = once(), once()
    assert first.to_dict() | {"seconds": 0} == second.to_dict() | {"seconds": 0}
    monkeypatch.setattr("tladapt.training.label_shifts", lambda model, stage: {})
    without, same = once()
    assert torch.equal(weights, same)
    assert (without.label_shift, without.scores) == ({}, first.scores)


def test_a_report_on_the_way_holds_what_was_found_so_far():
    a, b = points("a"), points("b").unlabelled()
    assert [set(report.label_shift) for report in train(small(), [a, (a, b)], steps=1)] == [set(), {"b"}]


def test_the_report_comes_back_from_its_file_and_an_older_one_too(tmp_path):
    report = fit(small(), adaptation(points("a"), points("b", few=50)), steps=2)
    path = report.save(tmp_path)
    assert Report.load(tmp_path) == report
    assert set(report.label_shift["b"]) == {"source", "estimate", "distance", "doubt"}
    stored = path.read_text()
    older = stored[: stored.index(' "label_shift"')] + stored[stored.index(' "seconds"') :]
    path.write_text(older)
    assert Report.load(tmp_path).label_shift == {}
    assert Report.mean([Report.load(tmp_path), report]).label_shift == {}


def test_the_mean_over_seeds_is_the_mean_of_every_figure():
    runs = [fit(small(), adaptation(points("a"), points("b", few=50)), steps=9, lr=0.05, seed=s) for s in range(3)]
    found, whole = [run.label_shift["b"] for run in runs], Report.mean(runs).label_shift["b"]
    assert whole["distance"] == pytest.approx(math.fsum(f["distance"] for f in found) / 3)
    assert whole["estimate"] == pytest.approx([math.fsum(f["estimate"][c] for f in found) / 3 for c in (0, 1)])
