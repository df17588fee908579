import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tladapt import DANN, EWC, Domain, LoRA, Method, Model, WiSEFT, fit
from tladapt.methods.weights import flat

State = dict[str, Tensor]


def learned(model: Model, stream: list, method: Method, **settings: int) -> State:
    """The weights and buffers after the stream."""
    fit(model, stream, method, steps=4, lr=0.05, **settings)  # type: ignore[arg-type]
    return copy.deepcopy(model.state_dict())


def assert_between(state: State, old: State, new: State, alpha: float) -> None:
    """Whether this is (1 - alpha) old + alpha new, but for whole numbers, which are those of the new."""
    for key, value in state.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (1 - alpha) * old[key] + alpha * new[key])
        else:
            assert torch.equal(value, new[key])


def ended(model: Model, stream: list) -> Tensor:
    """All weights as a stream of fine-tuning leaves them."""
    fit(model, stream, steps=4)
    return flat(model).detach()


@pytest.fixture
def two(make_domain: Callable) -> list[Domain]:
    return [make_domain("a"), make_domain("b", shift=2.0)]


@pytest.mark.parametrize("batchnorm", ["joint", "frozen"])
@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0])
def test_it_is_the_average_by_hand(alpha: float, batchnorm: str, make_model: Callable, two: list[Domain]):
    def model() -> Model:
        return make_model(norm=True, batchnorm=batchnorm)

    old, new = learned(model(), two[:1], Method()), learned(model(), two, Method())
    state = learned(model(), two, WiSEFT(alpha))
    assert_between(state, old, new, alpha)
    if alpha == 1:
        assert all(torch.equal(state[key], new[key]) for key in state)


def test_the_first_stage_is_kept_whole(make_model: Callable, two: list[Domain]):
    with_it, without = (learned(make_model(norm=True), two[:1], method) for method in (WiSEFT(), Method()))
    assert all(torch.equal(with_it[key], without[key]) for key in without)


def test_a_model_that_comes_trained_is_averaged_at_once(make_model: Callable, two: list[Domain]):
    old = make_model().state_dict()
    new = learned(make_model(), two, Method(), learned=1)
    assert_between(learned(make_model(), two, WiSEFT(0.3), learned=1), old, new, 0.3)


def test_it_acts_after_every_stage(make_model: Callable, make_domain: Callable, two: list[Domain]):
    stream = [*two, make_domain("c", shift=-2.0)]
    model, seen = make_model(), []

    class Watch(Method):
        def prepare(self, model: Model, stage: object) -> None:
            seen.append(flat(model).detach().clone())

        def adjust(self, model: Model, batch: object) -> None:
            self.before = flat(model).detach().clone()

        def consolidate(self, model: Model, stage: object) -> None:
            seen.append(flat(model).detach().clone())

    fit(model, stream, WiSEFT(0.5) + Watch(), steps=4, lr=0.05)
    begun, ended = seen[::2], seen[1::2]
    assert all(torch.equal(end, begin) for end, begin in zip(ended, begun[1:], strict=False))
    assert all((end - begin).abs().max() > 1e-3 for begin, end in zip(begun, ended, strict=True))


def test_a_stage_from_which_nothing_can_be_learned_changes_nothing(make_model: Callable, two: list[Domain]):
    a, b = two
    with_it, without = (learned(make_model(norm=True), [a, b.unlabelled()], method) for method in (WiSEFT(), Method()))
    assert all(torch.equal(with_it[key], without[key]) for key in without)


def test_statistics_of_a_new_domain_stay_as_they_are(make_model: Callable, two: list[Domain]):
    def norm(method: Method, stream: list) -> nn.Module:
        model = make_model(norm=True, batchnorm="per-domain")
        fit(model, stream, method, steps=4, lr=0.05, evaluate=two)
        return model.encoder.module[1]

    a, b = two
    old, new, found = norm(Method(), [a]), norm(Method(), [a, (a, b)]), norm(WiSEFT(0.5), [a, (a, b)])
    for name in ("running_mean", "running_var"):
        before, after, between = (getattr(layer, name) for layer in (old, new, found))
        torch.testing.assert_close(between[0], (before[0] + after[0]) / 2)
        assert torch.equal(between[1], after[1])
        assert not torch.equal(after[1], before[1])
    assert torch.equal(found.met, new.met)  # type: ignore[arg-type]


def test_no_statistics_are_lost_of_a_domain_that_is_never_learned(make_model: Callable, make_domain: Callable):
    model = make_model(norm=True, batchnorm="per-domain")
    a, b, c = map(make_domain, "abc")
    fit(model, [a, b], WiSEFT(), steps=2, evaluate=[a, b, c])
    assert all(value.isfinite().all() for value in model.state_dict().values())


# Together with others


def test_what_anchors_sees_the_average(make_model: Callable, two: list[Domain]):
    seen = []

    class Anchor(Method):
        def consolidate(self, model: Model, stage: object) -> None:
            seen.append(flat(model).detach().clone())

    model = make_model()
    fit(model, two, Anchor() + WiSEFT(), steps=4)
    assert torch.equal(seen[-1], flat(model))
    both = EWC() + WiSEFT()
    assert list(both.terms) == ["WiSEFT", "EWC"]
    assert_between({"": seen[1]}, {"": seen[0]}, {"": ended(make_model(), two)}, 0.5)


def test_the_products_of_lora_are_merged_before(make_model: Callable, two: list[Domain]):
    old, new = learned(make_model(), two[:1], LoRA()), learned(make_model(), two, LoRA())
    assert_between(learned(make_model(), two, WiSEFT(0.25) + LoRA()), old, new, 0.25)


def test_of_a_weight_that_is_made_of_others_those_are_averaged(two: list[Domain]):
    def model() -> Model:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Model(nn.Sequential(weight_norm(nn.Linear(2, 5)), nn.ReLU()), nn.Linear(5, 2))

    made = []
    for stream, method in ((two[:1], Method()), (two, Method()), (two, WiSEFT(0.5))):
        one = model()
        fit(one, stream, method, steps=4, lr=0.05)
        made.append(flat(one).detach())
    torch.testing.assert_close(made[2], (made[0] + made[1]) / 2)


def test_it_adapts_without_labels(make_model: Callable, two: list[Domain]):
    a, b = two
    stream = [a, (a, b.unlabelled())]
    old, new = learned(make_model(), [a], Method()), learned(make_model(), stream, DANN())
    assert_between(learned(make_model(), stream, DANN() + WiSEFT(0.5)), old, new, 0.5)


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1.5, float("nan"), True, "half"])
def test_a_share_out_of_range_is_refused(alpha: object):
    with pytest.raises(ValueError, match=r"WiSEFT\(alpha="):
        WiSEFT(alpha)  # type: ignore[arg-type]


def test_it_forgets_less_than_fine_tuning(contradicted: Callable):
    kept, free = contradicted(lambda: WiSEFT(0.3)), contradicted(Method)
    assert kept.forgetting < free.forgetting - 0.1
