from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import SGD

from tladapt import EWC, Domain, LayerwiseRate, Method, Model, Replay, Stage, fit


def moves(method: Method, model: Model, domain: Domain, steps: int = 1) -> dict[str, torch.Tensor]:
    """How far each weight goes in one step of gradient descent."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    fit(model, [domain], method, steps=steps, lr=0.1, optimizer=SGD)
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


@pytest.mark.parametrize("decay", [0.8, 0.5])
def test_each_layer_moves_by_its_own_rate(decay: float, make_deep: Callable, two: list[Domain]):
    slow = moves(LayerwiseRate(decay), make_deep(), two[0])
    fast = moves(Method(), make_deep(), two[0])
    for start, distance in (("head", 0), ("encoder.2", 1), ("encoder.1", 2), ("encoder.0", 3)):
        names = [name for name in fast if name.startswith(start)]
        assert max(fast[name].abs().max() for name in names) > 1e-3
        for name in names:
            torch.testing.assert_close(slow[name], decay**distance * fast[name], rtol=1e-4, atol=1e-6)


def test_at_one_rate_it_is_fine_tuning(make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    first, second = make_deep(), make_deep()
    fit(first, two, LayerwiseRate(1.0), steps=5)
    fit(second, two, Method(), steps=5)
    assert fingerprints(first) == fingerprints(second)


def test_the_rates_are_those_of_timm(make_stage: Callable, two: list[Domain]):
    timm, optim = pytest.importorskip("timm"), pytest.importorskip("timm.optim")
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 8, "depth": 3, "num_heads": 2, "num_classes": 5}
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False, **sizes)
    model = Model.of(network, 5)
    LayerwiseRate(0.7).prepare(model, make_stage(*two))
    ours = {name: model.rates[p] for name, p in model.encoder.get_submodule("module").named_parameters()}
    groups = optim.param_groups_layer_decay(network, layer_decay=0.7)
    names = {p: name for name, p in network.named_parameters()}
    theirs = {names[p]: group["lr_scale"] for group in groups for p in group["params"]}
    assert {theirs[name] for name in ("head.weight", "head.bias")} == {1.0}
    assert all(model.rates[p] == 1.0 for p in model.head.parameters())
    last = ("norm.weight", "norm.bias")  # timm counts it to the head; here it belongs to the last layer
    assert {ours.pop(name) for name in last} == {0.7}
    assert ours == pytest.approx({name: theirs[name] for name in ours})
    assert len(set(ours.values())) == 4


def test_what_two_layers_share_goes_at_the_faster_rate(make_stage: Callable, two: list[Domain]):
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    first.weight = second.weight
    model = Model(nn.Sequential(first, nn.ReLU(), second), nn.Linear(2, 2))
    LayerwiseRate(0.5).prepare(model, make_stage(*two))
    rates = {name: model.rates[p] for name, p in model.named_parameters()}
    head = {"head.weight": 1.0, "head.bias": 1.0}
    assert rates == {"encoder.0.weight": 0.5, "encoder.0.bias": 0.25, "encoder.2.bias": 0.5, **head}


def test_the_rates_end_with_the_stage(make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model, twin = make_deep(), make_deep()
    fit(model, two, LayerwiseRate(), steps=3)
    assert model.rates == {}
    twin.load_state_dict(model.state_dict())
    fit(model, two, Method(), steps=3)
    fit(twin, two, Method(), steps=3)
    assert fingerprints(model) == fingerprints(twin)


class Paces(Method):
    """Notes the rates."""

    def consolidate(self, model: Model, stage: Stage) -> None:
        self.rates = sorted({round(rate, 6) for rate in model.rates.values()})


@pytest.mark.parametrize("term", [lambda: EWC(), lambda: Replay(20)], ids=["EWC", "Replay"])
def test_in_a_sum_every_stage_has_them(term: Callable, make_deep: Callable, two: list[Domain]):
    paces = Paces()
    fit(make_deep(), two, LayerwiseRate(0.5) + term() + paces, steps=3, batch_size=8)
    assert paces.rates == [0.125, 0.25, 0.5, 1.0]


def test_what_the_user_froze_stays_frozen(make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model = make_deep()
    model.encoder.get_submodule("1").requires_grad_(False)
    before, held = [p.requires_grad for p in model.parameters()], fingerprints(model.encoder.get_submodule("1.0"))
    fit(model, two, LayerwiseRate(), steps=3)
    assert [p.requires_grad for p in model.parameters()] == before
    assert fingerprints(model.encoder.get_submodule("1.0")) == held


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5, float("nan"), True])
def test_a_decay_out_of_range_is_refused(decay: float):
    with pytest.raises(ValueError, match=r"LayerwiseRate\(decay=.*above 0 and at most 1"):
        LayerwiseRate(decay)
