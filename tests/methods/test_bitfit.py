from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tladapt import DANN, EWC, BitFit, Domain, Method, Model, Output, Replay, Stage, fit

BIASES = {f"encoder.{layer}.{part}.bias" for layer in range(3) for part in (0, 1)}
HEAD = {"head.weight", "head.bias"}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in after if after[name] != before[name]}


def test_the_biases_and_the_head_train_and_all_else_stays_bit_for_bit(
    batchnorm: str, optimizer: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]
):
    model = make_deep(batchnorm)
    before = fingerprints(model)
    fit(model, two, BitFit(), steps=6, lr=0.1, optimizer=optimizer)
    assert changed(before, fingerprints(model)) == BIASES | HEAD


SUMS = {
    "EWC": lambda: EWC(), "Replay": lambda: Replay(20), "DANN": lambda: DANN(),
    "all": lambda: DANN() + Replay(20) + EWC(),
}  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_in_a_sum_too(name: str, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model, (a, b) = make_deep(), two
    before = fingerprints(model)
    fit(model, [a, (a, b.unlabelled()), b], BitFit() + SUMS[name](), steps=6, batch_size=8, lr=0.1)
    assert changed(before, fingerprints(model)) == BIASES | HEAD


class Watches(Method):
    """Notes at each step the modes of the layers, by kind."""

    def prepare(self, model: Model, stage: Stage) -> None:
        self.modes = set[tuple[str, bool]]()

    def loss(self, model: Model, batch: object, output: Output) -> Tensor:
        self.modes |= {(type(part).__name__, part.training) for part in model.encoder.modules()}
        return output.logits.new_zeros(())


def test_dropout_stays_on(make_deep: Callable, two: list[Domain]):
    watches = Watches()
    fit(make_deep(), two, BitFit() + watches, steps=3)
    assert watches.modes == {
        ("Sequential", True), ("Linear", True), ("ReLU", True), ("Dropout", True), ("BatchNorm1d", False),
    }  # fmt: skip


class Recurrent(nn.Module):
    """Layers whose biases have other names, a table that is none, and statistics of another kind."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.attention = nn.GRU(2, 4, batch_first=True), nn.MultiheadAttention(4, 2, batch_first=True)
        self.position_bias_table = nn.Parameter(torch.randn(1, 4))
        self.norm = nn.InstanceNorm1d(4, affine=True, track_running_stats=True)
        self.last = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.cells(x[:, None].expand(-1, 3, -1) * torch.tensor([[1.0], [2.0], [3.0]]))[0]
        hidden = self.attention(hidden, hidden, hidden)[0] + self.position_bias_table
        return self.last(self.norm(hidden.transpose(1, 2)).mean(2))


def test_biases_of_any_layer(fingerprints: Callable, two: list[Domain]):
    torch.manual_seed(0)
    model = Model(Recurrent(), nn.Linear(4, 2))
    before = fingerprints(model)
    fit(model, two, BitFit(), steps=6, lr=0.1)
    biases = {
        "cells.bias_ih_l0", "cells.bias_hh_l0", "attention.in_proj_bias", "attention.out_proj.bias", "norm.bias",
        "last.bias",
    }  # fmt: skip
    assert changed(before, fingerprints(model)) == {f"encoder.{name}" for name in biases} | HEAD


def test_afterwards_all_is_as_before(batchnorm: str, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model = make_deep(batchnorm)
    model.encoder.get_submodule("1").requires_grad_(False)
    asked, before = [p.requires_grad for p in model.parameters()], fingerprints(model)
    fit(model, two, BitFit(), steps=4)
    assert [p.requires_grad for p in model.parameters()] == asked
    user = {name for name in BIASES if name.startswith("encoder.1")}
    now = fingerprints(model)
    assert changed(before, now) == BIASES - user | HEAD
    fit(model, two, Method(), steps=4)
    weights = {name for name, p in model.named_parameters() if p.requires_grad and name.endswith("weight")}
    moved = changed(now, fingerprints(model))
    assert weights <= moved
    assert (batchnorm == "frozen") == (not any("running" in name for name in moved))


def test_a_head_that_shares_a_weight_with_the_encoder_trains(fingerprints: Callable, two: list[Domain]):
    torch.manual_seed(0)
    first, head = nn.Linear(2, 2), nn.Linear(2, 2)
    head.weight = first.weight
    model = Model(nn.Sequential(first, nn.Tanh()), head)
    before = fingerprints(model)
    fit(model, two, BitFit(), steps=4, lr=0.1)
    assert changed(before, fingerprints(model)) == {"encoder.0.weight", "encoder.0.bias", "head.bias"}


def test_an_encoder_without_biases_is_refused(two: list[Domain]):
    model = Model(nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU()), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"BitFit: no bias of the encoder trains; LinearProbe\(\)"):
        fit(model, two, BitFit(), steps=3)
    assert all(p.requires_grad for p in model.parameters())
