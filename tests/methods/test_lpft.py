from collections.abc import Callable

import pytest

from tladapt import DANN, EWC, LPFT, Batch, Domain, LinearProbe, Method, Model, Replay, Stage, fit


class Watches(Method):
    """Notes what the encoder is at the start of each step."""

    def __init__(self, fingerprints: Callable) -> None:
        super().__init__()
        self.fingerprints = fingerprints

    def prepare(self, model: Model, stage: Stage) -> None:
        self.found, self.modes = list[dict[str, str]](), list[bool]()

    def extend(self, model: Model, batch: Batch) -> None:
        self.found.append(self.fingerprints(model.encoder))
        self.modes.append(any(part.training for part in model.encoder.modules()))


@pytest.mark.parametrize(("probe", "steps", "alone"), [(0.5, 10, 5), (0.5, 7, 4), (0.3, 10, 3), (0.1, 4, 1)])
def test_the_head_trains_alone_for_its_share(
    probe: float, steps: int, alone: int, batchnorm: str, optimizer: Callable, make_deep: Callable,
    fingerprints: Callable, two: list[Domain],
):  # fmt: skip
    model, watches = make_deep(batchnorm), Watches(fingerprints)
    before = fingerprints(model.encoder)
    fit(model, two[:1], LPFT(probe) + watches, steps=steps, lr=0.1, optimizer=optimizer)
    assert watches.found[: alone + 1] == [before] * (alone + 1)
    assert watches.modes == [False] * alone + [True] * (steps - alone)
    after = fingerprints(model.encoder)
    moved = {name for name, value in after.items() if value != before[name]}
    assert {name for name in after if name.endswith("weight")} <= moved
    assert (batchnorm == "frozen") == (not any("running" in name for name in moved))


def test_every_stage_begins_with_the_head(make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    watches = Watches(fingerprints)
    fit(make_deep(), two, LPFT() + watches, steps=4)
    assert watches.modes == [False, False, True, True]  # of the second stage


def test_for_the_whole_stage_it_is_a_linear_probe(make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    probed, other = make_deep(), make_deep()
    fit(probed, two, LinearProbe(), steps=4)
    fit(other, two, LPFT(1.0), steps=4)
    assert fingerprints(other) == fingerprints(probed)


@pytest.mark.parametrize("term", [lambda: EWC(), lambda: Replay(20), lambda: DANN()], ids=["EWC", "Replay", "DANN"])
def test_in_a_sum_too(term: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model, watches, (a, b) = make_deep(), Watches(fingerprints), two
    fit(model, [a, (a, b.unlabelled())], LPFT() + term() + watches, steps=4, batch_size=8)
    assert watches.found[0] == watches.found[2] != watches.found[3]
    assert watches.modes == [False, False, True, True]


@pytest.mark.parametrize("probe", [0.5, 1.0])
def test_afterwards_all_is_as_before(probe: float, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model = make_deep()
    model.encoder.get_submodule("1").requires_grad_(False)
    before = [p.requires_grad for p in model.parameters()]
    held = fingerprints(model.encoder.get_submodule("1.0"))
    fit(model, two, LPFT(probe), steps=4)
    assert [p.requires_grad for p in model.parameters()] == before
    assert fingerprints(model.encoder.get_submodule("1.0")) == held
    moved = fingerprints(model.encoder.get_submodule("2"))
    fit(model, two, Method(), steps=4)
    assert not set(fingerprints(model.encoder.get_submodule("2")).items()) & set(moved.items())


def test_a_frozen_head_is_refused(make_deep: Callable, two: list[Domain]):
    model = make_deep()
    model.head.requires_grad_(False)
    with pytest.raises(ValueError, match="LPFT: nothing of the head trains"):
        fit(model, two, LPFT(), steps=3)


@pytest.mark.parametrize("probe", [0.0, -0.5, 1.5, float("nan"), True, "half"])
def test_a_share_out_of_range_is_refused(probe: object):
    with pytest.raises(ValueError, match=r"LPFT\(probe=.*above 0 and at most 1"):
        LPFT(probe)  # type: ignore[arg-type]
