"""Baselines learn for as many steps as the method beside them."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from tladapt import Batch, Domain, Method, Model, Output, adaptation, fit
from tladapt.backbones import mlp
from tladapt.lengths import lengths
from tladapt.scenarios import Scenario, few_digits, split_digits
from tladapt.streams import Stream


def blobs(name: str, rows: int, shift: float = 0.0) -> Domain:
    y = torch.arange(rows) % 2
    x = 2.0 * y[:, None] - 1 + shift + 0.5 * torch.randn(rows, 2, generator=torch.Generator().manual_seed(rows))
    return Domain(name, (x, y), (x, y))


A, B, C = blobs("a", 90), blobs("b", 700, 0.5), blobs("c", 200, -0.5)
STREAMS: dict[str, Stream] = {
    "adaptation to a larger target": adaptation(A, B),
    "adaptation to a smaller target": adaptation(B, A),
    "three domains": [A, B, C],
    "source and target, then another": [A, (A, B.unlabelled()), C],
}


class Counting(Method):
    """Counts the steps of every stage."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def prepare(self, model: Model, stage: object) -> None:  # type: ignore[override]
        self.counts.append(0)

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        self.counts[-1] += 1
        return output.logits.new_zeros(())


def scenario(stream: Stream, **changes: object) -> Scenario:
    made = Scenario(
        name="blobs", about="", stream=stream, ceiling=[A, (A, B)], method=Method,
        network=partial(mlp, 2, (4,), classes=2),
    )  # fmt: skip
    return made.but(**changes)


def taken(made: Scenario, baseline: str | None = None) -> list[int]:
    counting = Counting()
    made.run(counting, baseline=baseline, progress=False)
    return counting.counts


@pytest.mark.parametrize("length", [{}, {"epochs": 1}, {"epochs": 3, "batch_size": 7}, {"steps": 5}])
@pytest.mark.parametrize("name", STREAMS)
def test_every_baseline_takes_the_steps_of_the_stages_that_the_methods_learn(name: str, length: dict) -> None:
    made = scenario(STREAMS[name], **length)
    own = taken(made)
    assert own == made.lengths()
    assert taken(made, "source-only") == own
    assert taken(made, "joint") == [sum(own)]
    assert taken(made, "from-scratch") == own[-1:]
    if name.startswith("adaptation"):
        assert taken(made, "ceiling") == own


def test_a_stage_is_as_long_for_source_only_as_beside_a_larger_target() -> None:
    made = scenario(adaptation(A, B), epochs=2)
    assert made.lengths("source-only") == made.lengths() == [4, 22]  # of 90 and of 700 rows, 64 at a time
    assert lengths(made.baseline("source-only"), epochs=2) == [4, 4]


def test_joint_learns_as_long_as_the_stages_that_are_not_past() -> None:
    assert few_digits().but(steps=7).lengths("joint") == [7]
    assert split_digits().but(steps=[1, 2, 3, 4, 5]).lengths("joint") == [15]


def run(stream: Stream, method: Method | None = None, **changes: object) -> list[Tensor]:
    made = scenario(STREAMS["three domains"])
    model = made.model(3)
    fit(model, stream, method, seed=3, progress=False, **changes)  # type: ignore[arg-type]
    return list(model.parameters())


def equal(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_source_only_is_fine_tuning_on_a_stream_without_a_target_at_equal_steps_bit_for_bit() -> None:
    made = scenario(adaptation(A, B), epochs=2)
    alone = made.model(3)
    report = made.run(Method(), seed=3, model=alone, baseline="source-only", progress=False)
    assert equal(list(alone.parameters()), run([A, A], steps=made.lengths()))
    assert not equal(list(alone.parameters()), run([A, A], epochs=2))
    same = made.but(stream=[A, A, (A,)], epochs=3)
    tuned, alone = same.model(0), same.model(0)
    scores = same.run(Method(), model=tuned, progress=False).scores
    assert same.run(Method(), model=alone, baseline="source-only", progress=False).scores == scores
    assert equal(list(alone.parameters()), list(tuned.parameters()))
    assert len(report.scores) == 3


def test_a_target_that_nothing_looks_at_changes_a_network_without_batchnorm_by_no_more_than_rounding() -> None:
    made = scenario(adaptation(A, B), epochs=2)
    beside, alone = made.model(3), made.model(3)
    made.run(Method(), seed=3, model=beside, progress=False)
    made.run(Method(), seed=3, model=alone, baseline="source-only", progress=False)
    for one, two in zip(beside.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


# The steps of a stage


def test_steps_may_differ_from_stage_to_stage() -> None:
    counting = Counting()
    fit(scenario([A]).model(), [A, B, C], counting, steps=[3, 1, 2], progress=False)
    assert counting.counts == [3, 1, 2]


def test_one_number_of_steps_is_the_same_as_a_list_of_it() -> None:
    assert equal(run([A, B], steps=3), run([A, B], steps=[3, 3]))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([1, 2], r"steps=\[1, 2\]: expected one number, or one for each of the 3 stages"),
        ([1, 2, 0], "steps=0: expected a positive whole number"),
        ([1, 2, 2.5], "steps=2.5: expected a positive whole number"),
        (True, "steps=True: expected a positive whole number"),
        ("100", "steps='100': expected a positive whole number"),
        ({1}, r"steps=\{1\}: expected a positive whole number"),
    ],
)
def test_other_steps_are_refused_in_one_line(steps: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run([A, B, C], steps=steps)


@pytest.mark.parametrize("make", [lambda: 2, lambda: [2, 2]])
def test_a_checkpoint_knows_the_steps(make: Callable[[], object], tmp_path) -> None:
    model = scenario([A]).model()
    fit(model, [A, B], steps=make(), checkpoint=tmp_path, progress=False)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps"):
        fit(scenario([A]).model(), [A, B], steps=[2, 3], checkpoint=tmp_path, progress=False)
