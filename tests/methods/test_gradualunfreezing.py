from collections.abc import Callable

import pytest

from tladapt import DANN, EWC, LPFT, Batch, Domain, GradualUnfreezing, Method, Model, Replay, Stage, fit

LAYERS = 3  # of `make_deep`


class Watches(Method):
    """Notes at the start of each step which layers train, and what the encoder is."""

    def __init__(self, fingerprints: Callable) -> None:
        super().__init__()
        self.fingerprints = fingerprints

    def prepare(self, model: Model, stage: Stage) -> None:
        self.free, self.found = list[str](), list[dict[str, str]]()

    def extend(self, model: Model, batch: Batch) -> None:
        layers = [model.encoder.get_submodule(str(i)) for i in range(LAYERS)]
        free = [{p.requires_grad for p in layer.parameters()} for layer in layers]
        assert free == [{layer.get_submodule(part).training for part in "023"} for layer in layers]  # all but the norm
        self.free.append("".join("x" if values == {True} else "." for values in free))
        self.found.append(self.fingerprints(model.encoder))


SHARES = {
    (1.0, 8): ["...", "...", "..x", "..x", ".xx", ".xx", "xxx", "xxx"],
    (0.5, 8): ["...", "..x", ".xx", "xxx", "xxx", "xxx", "xxx", "xxx"],
    (1.0, 3): ["...", "..x", ".xx"],
    (1.0, 2): ["...", ".xx"],
    (0.1, 2): ["...", "xxx"],
}


@pytest.mark.parametrize(("share", "steps"), SHARES)
def test_a_layer_is_added_at_equal_shares_from_the_last_to_the_first(
    share: float, steps: int, make_deep: Callable, fingerprints: Callable, two: list[Domain]
):
    watches = Watches(fingerprints)
    fit(make_deep(), two, GradualUnfreezing(share) + watches, steps=steps)
    assert watches.free == SHARES[share, steps]


def test_what_has_not_come_yet_stays_bit_for_bit(
    batchnorm: str, optimizer: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]
):
    model, watches = make_deep(batchnorm), Watches(fingerprints)
    before = fingerprints(model.encoder)
    fit(model, two[:1], GradualUnfreezing() + watches, steps=8, lr=0.1, optimizer=optimizer)
    found = [*watches.found, fingerprints(model.encoder)]
    for layer, first in (("0", 6), ("1", 4), ("2", 2)):
        names = [name for name in before if name.startswith(f"{layer}.")]
        assert all(found[step][name] == before[name] for name in names for step in range(first + 1))
        assert all(found[first + 1][name] != before[name] for name in names if name.endswith("weight"))
        moves = any(found[8][name] != before[name] for name in names if "running" in name)
        assert moves == (batchnorm != "frozen")


def test_with_one_layer_it_is_lpft(make_model: Callable, fingerprints: Callable, make_domain: Callable[..., Domain]):
    first, second = make_model(norm=True), make_model(norm=True)
    fit(first, [make_domain("a")], GradualUnfreezing(), steps=6)
    fit(second, [make_domain("a")], LPFT(0.5), steps=6)
    assert fingerprints(first) == fingerprints(second)


@pytest.mark.parametrize("term", [lambda: EWC(), lambda: Replay(20), lambda: DANN()], ids=["EWC", "Replay", "DANN"])
def test_in_a_sum_too(term: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    watches, (a, b) = Watches(fingerprints), two
    fit(make_deep(), [a, (a, b.unlabelled())], GradualUnfreezing() + term() + watches, steps=4, batch_size=8)
    assert watches.free == ["...", "..x", ".xx", "xxx"]


class Ends(Method):
    """Ends the stage after a step."""

    def prepare(self, model: Model, stage: Stage) -> None:
        self.done = True


def test_afterwards_all_is_as_before(make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model = make_deep()
    model.encoder.get_submodule("1").requires_grad_(False)
    before = [p.requires_grad for p in model.parameters()]
    held = fingerprints(model.encoder.get_submodule("1.0"))
    for method in (GradualUnfreezing(), GradualUnfreezing() + Ends(), Method()):
        fit(model, two, method, steps=4)
        assert [p.requires_grad for p in model.parameters()] == before
        assert fingerprints(model.encoder.get_submodule("1.0")) == held
    first = fingerprints(model.encoder.get_submodule("0"))
    fit(model, two, Method(), steps=1)
    assert first != fingerprints(model.encoder.get_submodule("0"))


def test_a_frozen_head_is_refused(make_deep: Callable, two: list[Domain]):
    model = make_deep()
    model.head.requires_grad_(False)
    with pytest.raises(ValueError, match="GradualUnfreezing: nothing of the head trains"):
        fit(model, two, GradualUnfreezing(), steps=3)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan"), True])
def test_a_share_out_of_range_is_refused(share: float):
    with pytest.raises(ValueError, match=r"GradualUnfreezing\(share=.*above 0 and at most 1"):
        GradualUnfreezing(share)
