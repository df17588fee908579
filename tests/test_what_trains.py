"""Frozen parts stand still, learning rates differ by parameter, and a method can end a stage."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from tladapt import Domain, Method, Model, Output, fit


def network(batchnorm: str = "joint") -> Model:
    torch.manual_seed(0)
    layers = [nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8), nn.Linear(8, 2)]
    return Model.of(nn.Sequential(*layers), batchnorm=batchnorm)


def domain() -> Domain:
    random = torch.Generator().manual_seed(0)
    return Domain("a", (torch.randn(32, 2, generator=random) + 3, torch.arange(32) % 2))


def state(model: Model) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def changed(model: Model, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


class HeadAlone(Method):
    role = "trainable"

    def prepare(self, model, stage):
        model.freeze(model.encoder)


class HeadFirst(Method):
    """The head alone for half of the stage."""

    role = "trainable"

    def prepare(self, model, stage):
        model.freeze(model.encoder)
        self.start, self.moved = state(model), set[str]()

    def extend(self, model, batch):
        if batch.progress == 0.5:
            self.moved = changed(model, self.start)
            model.thaw(model.encoder)


class Halted(Method):
    """Ends the stage after three steps."""

    def prepare(self, model, stage):
        self.steps = 0

    def extend(self, model, batch):
        self.steps += 1
        self.done = self.steps == 3


class Paced(Method):
    role = "trainable"

    def prepare(self, model, stage):
        for parameter in model.encoder.parameters():
            model.rates[parameter] = 0.1


@pytest.mark.parametrize("optimizer", [SGD, AdamW])
@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_what_is_frozen_stands_still_and_trains_again_after_the_stage(batchnorm, optimizer):
    model = network(batchnorm)
    before = state(model)
    fit(model, [domain()], HeadAlone(), steps=5, lr=0.1, optimizer=optimizer)
    assert changed(model, before) == {"head.weight", "head.bias"}
    before = state(model)
    fit(model, [domain()], Method(), steps=5, lr=0.1)
    assert {"encoder.module.0.weight", "encoder.module.4.weight", "head.weight"} <= changed(model, before)


def test_dropout_is_off_in_frozen_parts():
    model = network().train()
    model.freeze(model.encoder)
    x = torch.randn(4, 2)
    assert torch.equal(model(x).logits, model(x).logits)
    model.eval().train()  # as an evaluation in the middle of a stage does
    assert not any(part.training for part in model.encoder.modules())
    model.thaw()
    assert all(part.training for part in model.encoder.modules())


def test_parts_can_be_thawed_within_a_stage():
    model, method = network(), HeadFirst()
    before = state(model)
    fit(model, [domain()], method, steps=10, lr=0.1)
    assert method.moved == {"head.weight", "head.bias"}
    assert "encoder.module.0.weight" in changed(model, before)


def test_what_a_user_froze_stays_frozen():
    model = network()
    first, later = model.encoder.get_submodule("module.0"), model.encoder.get_submodule("module.4")
    first.requires_grad_(False)
    before = state(model)
    fit(model, [domain()], HeadFirst(), steps=10, lr=0.1)
    assert not {"encoder.module.0.weight", "encoder.module.0.bias"} & changed(model, before)
    assert [p.requires_grad for p in (*first.parameters(), *later.parameters())] == [False, False, True, True]


def moves(method: Method) -> dict[str, Tensor]:
    """How far each weight goes in one step."""
    model = network("frozen")
    model.encoder.get_submodule("module.3").p = 0.0  # type: ignore[assignment]
    before = state(model)
    fit(model, [domain()], method, steps=1, lr=0.1, optimizer=SGD)
    assert model.rates == {}
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def test_a_rate_is_a_factor_of_the_learning_rate():
    slow, fast = moves(Paced()), moves(Method())
    for name, move in slow.items():
        factor = 0.1 if name.startswith("encoder") else 1.0
        torch.testing.assert_close(move, factor * fast[name], atol=1e-6, rtol=1e-3)
    assert fast["encoder.module.0.weight"].abs().max() > 1e-4


def test_a_method_can_end_a_stage():
    method = Halted()
    fit(network(), [domain()], method, steps=10)
    assert method.steps == 3


def test_features_of_many_positions_are_pooled_over_those_that_hold_something():
    features, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [False, False, False]])
    pooled = Output(features, torch.randn(2, 3, 5), mask).pooled
    torch.testing.assert_close(pooled.features, torch.stack([features[0, :2].mean(0), torch.zeros(4)]))
    assert pooled.logits.shape == (2, 5)
    torch.testing.assert_close(Output(features, torch.randn(2, 3, 5)).pooled.features, features.mean(1))


class Padded(nn.Module):
    def forward(self, ids: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        return ids[..., None].float().expand(-1, -1, 4), held


def test_an_encoder_can_say_which_positions_hold_something():
    held = torch.tensor([[True, False], [True, True]])
    output = Model(Padded(), nn.Linear(4, 3))({"ids": torch.ones(2, 2, dtype=torch.long), "held": held})
    assert torch.equal(output.mask, held)  # type: ignore[arg-type]
    assert ((output.logits != 0).all(-1) == held).all()


class Decoder(nn.Module):
    """Its answer at a place is the answer before."""

    autoregressive, in_features = True, 4

    def forward(self, features: Tensor, mask: Tensor | None, y: Tensor | None) -> Tensor:
        given = features.new_zeros(len(features), 3) if y is None else nn.functional.pad(y[:, :-1], (1, 0)).float()
        return nn.functional.pad(given, (0, 0, 0, len(features) - len(given)))[..., None].expand(-1, -1, 5)


def test_an_autoregressive_head_gets_the_answers():
    model, y = Model(nn.Linear(2, 4), Decoder(), classes=5), torch.tensor([[3, 2, 1]])
    assert model(torch.zeros(2, 2), None, y).logits[..., 0].tolist() == [[0, 3, 2], [0, 0, 0]]
    assert model(torch.zeros(2, 2)).logits.abs().sum() == 0
    assert model.width == 4


def test_what_a_user_holds_stays_held_and_a_stage_that_fails_holds_nothing():
    model = network()
    model.freeze(first := model.encoder.get_submodule("module.0"))
    fit(model, [domain()], HeadAlone(), steps=2)
    with pytest.raises(RuntimeError, match="fails"):
        fit(model, [domain()], HeadAlone() + Failing(), steps=2)
    later = model.encoder.get_submodule("module.4")
    assert [p.requires_grad for p in (*first.parameters(), *later.parameters())] == [False, False, True, True]
    model.thaw(first)
    assert all(p.requires_grad for p in model.parameters())


class Failing(Method):
    def extend(self, model, batch):
        raise RuntimeError("fails")


class Late(Method):
    """A loss in the second half of a stage alone."""

    def loss(self, model, batch, output):
        return output.features.square().mean() if batch.progress >= 0.5 else output.logits.new_zeros(())


def test_only_what_is_idle_at_every_step_is_called_so():
    assert fit(network(), [domain()], Late() + HeadFirst(), steps=4).notes == []
    assert fit(network(), [domain()], Late(), steps=1).notes == ["stage 1 (a): Late was inactive"]
