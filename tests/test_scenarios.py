"""The embedded scenarios are what they say: disjoint, visibly shifted, hard enough, and won back."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor

from tladapt import DANN, EWC, Data, Domain, Method, Replay
from tladapt.backbones import mlp
from tladapt.scenarios import (
    SCENARIOS,
    Scenario,
    by_class,
    digits,
    few_digits,
    from_scratch,
    joint,
    picture,
    slant,
    source_only,
    split_digits,
)
from tladapt.streams import adaptation, members


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return digits()


def pixels(domain: Domain) -> Tensor:
    assert domain.test is not None
    return torch.cat([torch.as_tensor(part.x) for part in (domain.train, domain.test)])


def two_domains(scenario: Scenario) -> tuple[Domain, Domain]:
    upright, slanted = members(scenario.stream[1])
    return upright, slanted


# Slant


def spot(row: int, column: int, shape: tuple[int, int] = (9, 9)) -> Tensor:
    x = torch.zeros(1, 1, *shape)
    x[0, 0, row, column] = 1
    return x


@pytest.mark.parametrize("row", range(9))
@pytest.mark.parametrize("shift", [1.0, -1.0, 2.0])
def test_a_row_moves_by_the_shift_per_row_from_the_middle(row, shift):
    column = 4 - int(shift) * (row - 4)
    moved = slant(spot(row, 4), shift)
    expected = spot(row, column) if 0 <= column < 9 else torch.zeros(1, 1, 9, 9)
    assert torch.allclose(moved, expected, atol=1e-5)


def test_half_a_pixel_is_shared_by_two():
    moved = slant(spot(5, 4), 0.5)[0, 0]
    assert torch.allclose(moved[5, 3:5], torch.tensor([0.5, 0.5]), atol=1e-6)
    assert moved.sum() == pytest.approx(1)


@pytest.mark.parametrize("shape", [(9, 21), (21, 9), (5, 8)])
def test_an_image_that_is_not_square_moves_by_as_many_pixels(shape):
    row, column = shape[0] // 2 + 1, 3
    assert torch.allclose(slant(spot(row, column, shape), 1.0), spot(row, column - 1, shape), atol=1e-5)


def test_no_slant_is_the_identity(scenario):
    x = pixels(two_domains(scenario)[0])
    assert torch.allclose(slant(x, 0.0), x, atol=1e-6)


# Digits


def test_the_stream_is_the_source_and_then_both_without_the_labels_of_the_target(scenario):
    first, second = scenario.stream
    upright, slanted = members(second)
    assert [domain.name for domain in (*members(first), upright, slanted)] == ["upright", "upright", "slanted"]
    assert len(upright.train.y) == len(upright.train) == len(members(first)[0].train)
    assert len(slanted.train.y) == 0
    assert slanted.labels is None
    assert slanted.test is not None
    assert len(slanted.test.y) == len(slanted.test)  # only the evaluator has them


def test_every_image_is_in_one_domain_and_one_part():
    source, target = members(digits().ceiling[1])  # type: ignore[index]
    images = torch.tensor(load_digits(return_X_y=True)[0] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    assert len(images.flatten(1).unique(dim=0)) == len(images) == 1797  # so that each can be told by its pixels
    known = {image.numpy().tobytes(): i for i, image in enumerate(images[:899])}
    found = sorted(known[image.numpy().tobytes()] for image in pixels(source))
    assert found == list(range(899))
    slanted = {image.numpy().tobytes(): i for i, image in enumerate(slant(images[899:], 0.5))}
    assert len(slanted) == 898
    assert sorted(slanted[image.numpy().tobytes()] for image in pixels(target)) == list(range(898))
    assert not known.keys() & slanted.keys()


def test_the_target_is_visibly_shifted(scenario):
    upright, slanted = (pixels(domain).mean((0, 1)) for domain in two_domains(scenario))
    columns = torch.arange(8.0)
    centres = [(rows * columns).sum(1) / rows.sum(1) for rows in (upright, slanted)]
    assert (centres[0][:2].mean() - centres[0][-2:].mean()).abs() < 0.3
    assert 2 < centres[1][:2].mean() - centres[1][-2:].mean() < 3.5  # six rows by half a pixel, less what is lost
    assert (upright - slanted).abs().mean() > 0.05


def test_all_images_are_between_black_and_white(scenario):
    for domain in two_domains(scenario):
        assert pixels(domain).min() == 0
        assert 0.99 < pixels(domain).max() <= 1


def test_the_ceiling_has_the_labels_that_the_methods_do_not_get(scenario):
    assert scenario.ceiling is not None
    source, target = members(scenario.ceiling[1])
    assert (source.name, target.name) == ("upright", "slanted")
    assert len(target.train.y) == len(target.train)
    assert target.test is two_domains(scenario)[1].test
    rows = [sorted(map(bytes, part.train.x.numpy())) for part in (target, two_domains(scenario)[1])]
    assert rows[0] == rows[1]


def test_the_shift_is_shown_as_a_picture(scenario, tmp_path):
    figure = picture(scenario, count=3)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["upright", "slanted"]
    figure.savefig(tmp_path / "digits.png")


def loss_and_recovery(seeds: range, **changes: int) -> tuple[float, float, float]:
    """What the unadapted model loses on the target, the share that is won back, and what the source loses."""
    scores = np.array([digits().but(**changes).run(seed=seed).scores for seed in seeds], dtype=float).mean(0)
    lost = scores[1, 0] - scores[1, 1]
    return lost, (scores[2, 1] - scores[1, 1]) / lost, scores[1, 0] - scores[2, 0]


def test_the_default_method_wins_back_half_of_what_the_shift_costs():
    lost, won, source = loss_and_recovery(range(2), steps=80)
    assert lost >= 0.15
    assert won >= 0.5
    assert source <= 0.02


@pytest.mark.slow
def test_over_five_seeds_the_default_method_wins_back_half_of_what_the_shift_costs():
    lost, won, source = loss_and_recovery(range(5))
    assert lost >= 0.15
    assert won >= 0.5
    assert source <= 0.02


def test_three_terms_are_equal_in_any_order_bit_for_bit(scenario):
    short = scenario.but(steps=2)

    def run(*terms: Callable[[], Method]) -> tuple[list, dict]:
        model = short.model()
        report = short.run(sum((term() for term in terms), Method()), model=model)
        return report.scores, model.state_dict()

    scores, weights = run(DANN, partial(Replay, 200), EWC)
    for order in ((EWC, partial(Replay, 200), DANN), (partial(Replay, 200), DANN, EWC)):
        again = run(*order)
        assert again[0] == scores
        assert all(torch.equal(value, again[1][name]) for name, value in weights.items())


# Split digits


def test_split_digits_has_two_new_classes_per_stage():
    stream = split_digits().stream
    domains = [members(stage)[0] for stage in stream]
    assert [domain.name for domain in domains] == [f"digits {i}-{i + 1}" for i in range(0, 10, 2)]
    assert [domain.labels for domain in domains] == [[i, i + 1] for i in range(0, 10, 2)]
    assert sum(len(domain.train) + len(domain.test or ()) for domain in domains) == 1797
    for domain in domains:
        for part in (domain.train, domain.test):
            assert part is not None
            assert part.y.unique().tolist() == domain.labels


def test_knowing_the_task_is_easier_than_not_knowing_it():
    task, classes = (split_digits(increment).but(steps=15).run(Method()) for increment in ("task", "class"))
    assert (task.increment, classes.increment) == ("task", "class")
    assert task.old is not None
    assert classes.old is not None
    assert task.old > 0.6
    assert classes.old < 0.3  # forgotten
    assert max(row[j] or 0 for i, row in enumerate(classes.scores[1:]) for j in range(i + 1, 5)) == 0


def test_rehearsal_is_the_default_of_split_digits_and_helps():
    report = split_digits().but(steps=15).run()
    assert report.method.startswith("Replay(capacity=200")
    assert report.old is not None
    assert report.old > 0.6


def test_a_domain_is_dealt_out_by_class_with_its_names():
    y = torch.arange(12) % 4
    whole = Domain("pets", (torch.arange(12.0)[:, None], y), (torch.arange(4.0)[:, None], y[:4]), classes=list("abcd"))
    one, two = by_class(whole, 2)
    assert (one.name, two.name) == ("pets a-b", "pets c-d")
    assert one.classes == two.classes == ("a", "b", "c", "d")
    assert torch.as_tensor(two.train.x)[:, 0].tolist() == [2, 3, 6, 7, 10, 11]
    assert two.test is not None
    assert two.test.y.tolist() == [2, 3]
    assert [part.name for part in by_class(whole, 4)] == ["pets a", "pets b", "pets c", "pets d"]
    assert whole.labels == [0, 1, 2, 3]


@pytest.mark.parametrize("stages", [3, 5, 8])
def test_classes_that_cannot_be_dealt_out_equally_are_refused(stages):
    whole = Domain("pets", (torch.zeros(8, 1), torch.arange(8) % 4), test=0.0)
    with pytest.raises(ValueError, match=rf"by_class\(stages={stages}\): 4 classes"):
        by_class(whole, stages)


def test_a_domain_without_labels_cannot_be_dealt_out():
    whole = Domain("pets", (torch.zeros(8, 1), torch.arange(8) % 4), test=0.0)
    for domain in (whole.unlabelled(), whole.unlabelled(keep=1)):
        with pytest.raises(ValueError, match="every training row needs a label"):
            by_class(domain, 2)


# Baselines


def small(poisoned: bool = False) -> Scenario:
    """Two blobs in two domains; the training rows of the target are NaN if `poisoned`."""
    random = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    a, b = (
        Domain(name, (2.0 * y[:, None] - 1 + shift + 0.1 * torch.randn(60, 2, generator=random), y), seed=1)
        for name, shift in (("a", 0.0), ("b", 0.5))
    )
    if poisoned:
        b.train = Data(torch.full_like(torch.as_tensor(b.train.x), float("nan")), b.train.y)
    return Scenario(
        name="small", about="", stream=adaptation(a, b), network=partial(mlp, 2, (4,), classes=2), method=Method,
        ceiling=[a, (a, b)], steps=3, lr=0.01,
    )  # fmt: skip


def test_source_only_never_reads_the_target():
    clean, poisoned = (small(poison).run(baseline="source-only") for poison in (False, True))
    assert poisoned.scores == clean.scores
    assert poisoned.stages == ["a", "a"]
    assert poisoned.first == [0, 2]  # the target never came
    with pytest.raises(ValueError, match="outputs for a row of 'b' are NaN"):  # which reads the target
        small(poisoned=True).run(baseline="joint", method=DANN())


def test_from_scratch_has_the_last_stage_alone(scenario):
    (stage,) = from_scratch(scenario.stream)
    assert stage == members(scenario.stream[-1])
    report = small().run(baseline="from-scratch")
    assert (report.stages, len(report.scores)) == (["a + b"], 2)


def test_joint_has_all_domains_at_once():
    stream = split_digits().stream
    (stage,) = joint(stream)
    assert list(stage) == [members(part)[0] for part in stream]
    a, b = members(small().stream[1])
    assert [domain.name for domain in joint([a, (a, b)])[0]] == ["a", "b"]
    assert len(joint([a.unlabelled(), (b, a)])[0][0].train.y) == len(a.train)  # as it last comes


def test_source_only_has_as_many_stages(scenario):
    assert source_only(scenario.stream) == [members(scenario.stream[0])] * 2
    assert len(source_only(split_digits().stream)) == 5


def test_the_ceiling_learns_the_labels_of_the_target():
    scenario = small()
    report = scenario.run(baseline="ceiling")
    assert report.scenario == "small (ceiling)"
    assert scenario.baseline("ceiling") is scenario.ceiling


def test_an_unknown_baseline_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="baseline='best': small has source-only, from-scratch, joint, ceiling"):
        small().run(baseline="best")
    with pytest.raises(ValueError, match=r"baseline='ceiling': small has source-only, from-scratch, joint$"):
        small().but(ceiling=None).run(baseline="ceiling")


# A network that comes trained


def test_few_digits_begins_with_a_network_that_knows_the_upright_ones():
    few = few_digits().but(steps=2)
    upright, slanted = (members(stage)[0] for stage in few.stream)
    assert slanted.train.y.bincount().tolist() == [5] * 10
    assert len(slanted.train) == 50
    twice = [few.run(Method(), seed=seed) for seed in (0, 0)]
    assert twice[0].scores == twice[1].scores
    assert twice[0].scores[0] == twice[0].scores[1]  # nothing is trained in its past
    assert (twice[0].scores[0][0] or 0) > 0.95
    assert len(upright.train) > 600


def test_baselines_of_as_many_stages_have_the_same_past():
    few = few_digits().but(steps=1)
    assert len(few.run(Method(), baseline="source-only").scores) == 3
    assert len(few.run(Method(), baseline="joint").scores) == 2


# All


@pytest.mark.parametrize("name", ["digits", "split-digits"])
def test_a_scenario_has_the_name_that_it_is_asked_for_by(name):
    made = SCENARIOS[name]()
    assert made.name == name
    assert made.about
    assert "\n" not in made.about


def test_but_changes_a_copy(scenario):
    changed = scenario.but(steps=7, lr=0.5)
    assert (changed.steps, changed.lr, changed.name) == (7, 0.5, "digits")
    assert (scenario.steps, scenario.lr) == (300, None)
    with pytest.raises(TypeError, match="stepps"):
        scenario.but(stepps=7)


def test_a_model_depends_on_the_seed_alone(scenario):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = scenario.model(3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = scenario.model(3).state_dict(), scenario.model(4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert scenario.model().inputs == {"kind": "images", "size": 8, "channels": 1}


def test_a_run_without_a_model_trains_a_new_one_of_its_seed():
    scenario = small()
    model = scenario.model(2)
    assert scenario.run(seed=2).scores == scenario.run(seed=2, model=model).scores
    assert not torch.equal(model.state_dict()["head.weight"], scenario.model(2).state_dict()["head.weight"])
