"""Squared gradients of single samples: every formula, and every way in which a layer may be out of its reach."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tladapt import Model, Output
from tladapt.methods.squares import Squares
from tladapt.methods.weights import weights


def surprise(output: Output, live: Tensor | None, y: Tensor) -> Tensor:
    return F.cross_entropy(output.logits.flatten(0, -2), y.flatten(), reduction="sum")


def expected(model: Model, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Sample by sample, by a copy of the model whose every weight wants a gradient."""
    model = copy.deepcopy(model).requires_grad_(True)
    total = {name: torch.zeros_like(w) for name, w in weights(model).items()}
    for i in range(len(x)):
        model.zero_grad()
        surprise(model(x[i : i + 1]), None, y[i : i + 1]).backward()
        for name, w in weights(model).items():
            total[name] += 0 if w.grad is None else w.grad.square()
    return total


class Mean(nn.Module):
    """Over the positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(2)


class Last(nn.Module):
    """What a recurrent layer ends with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(6, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0][:, -1]


class Swapped(nn.Module):
    """A linear layer that sees positions first, samples second."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.transpose(0, 1)).tanh().mean(0)


class Merged(nn.Module):
    """A linear layer that sees positions as samples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(0, 1)).tanh().reshape(*x.shape[:2], 4).mean(1)


class Twice(nn.Module):
    """A layer that is called twice, and one by its weight alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.bare = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.layer(self.layer(x).tanh()), self.bare.weight, self.bare.bias).mean(1)


class Residual(nn.Module):
    """Convolutions whose outputs are changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x), inplace=True)
        y = self.second(x)
        y += x
        return F.relu(y, inplace=True).mean((2, 3))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(7, 5, padding_idx=0), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.table(x)).tanh().mean(1)


IMAGES, ROWS, SEQUENCES = torch.randn(5, 2, 6, 6), torch.randn(5, 6), torch.randn(5, 5, 6)
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor, int]] = {  # network, inputs, weights with a formula
    "rows": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)), ROWS, 4),
    "positions": (lambda: nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.Flatten(2)), SEQUENCES, 4),
    "convolution": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1, dilation=2), Mean()), IMAGES, 2),
    "groups": (lambda: nn.Sequential(nn.Conv2d(2, 4, (3, 2), groups=2), nn.BatchNorm2d(4), Mean()), IMAGES, 4),
    "one dimension": (lambda: nn.Sequential(nn.Conv1d(5, 4, 3, 2, 1), nn.ReLU(True), Mean()), SEQUENCES, 2),
    "norms": (lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Tanh()), ROWS, 4),
    "in place": (Residual, IMAGES, 3),
    "words": (Words, torch.randint(7, (5, 6)), 3),
    "strange padding": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding_mode="circular"), Mean()), IMAGES, 0),
    "recurrent": (Last, SEQUENCES, 0),
    "swapped": (Swapped, SEQUENCES, 0),
    "swapped, as many": (Swapped, SEQUENCES[:, :3], 0),
    "merged": (Merged, SEQUENCES, 0),
    "twice": (Twice, SEQUENCES, 0),
    "transformer": (
        lambda: nn.Sequential(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), nn.Linear(6, 4), nn.Flatten(2)),
        SEQUENCES, 2 + 2 + 2 + 2 + 2,
    ),
}  # fmt: skip


def built(case: str) -> tuple[Model, Tensor, Tensor]:
    torch.manual_seed(0)
    make, x, _ = CASES[case]
    model = Model(make(), nn.Linear(4, 3)).eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm):
            part.weight.data.uniform_(-1, 1)
    y = torch.randint(3, model(x).logits.shape[:-1])
    return model, x, y


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [1, 2**25])
def test_they_are_those_of_single_samples(case: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tladapt.methods.squares.CHUNK", chunk)
    monkeypatch.setattr("tladapt.methods.layer_squares.CHUNK", chunk)
    model, x, y = built(case)
    found = Squares(model, surprise)(x, torch.zeros(5, dtype=torch.long), None, y)
    for name, right in expected(model, x, y).items():
        torch.testing.assert_close(found[name], right, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_formulas_are_used_where_they_hold_and_only_there(case: str) -> None:
    model, x, y = built(case)
    squares, domain = Squares(model, surprise), torch.zeros(5, dtype=torch.long)
    squares(x, domain, None, y)
    assert squares.layers is not None
    by_formula = squares._by_layer(squares.layers, x, domain, None, y)
    assert len([name for name in by_formula if name.startswith("encoder")]) == CASES[case][2]


def test_weights_that_are_made_of_others_for_good_have_information() -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))
    model, x, y = Model(layer, nn.Linear(4, 3)).eval(), torch.randn(5, 6), torch.randint(3, (5,))
    found = Squares(model, surprise)(x, torch.zeros(5, dtype=torch.long), None, y)
    right = expected(model, x, y)
    assert {name for name in right if name.startswith("encoder.parametrizations")}
    for name in right:
        torch.testing.assert_close(found[name], right[name], rtol=1e-4, atol=1e-7)
        assert found[name].sum() > 0


@pytest.mark.parametrize("case", ["rows", "in place", "words"])
def test_weights_that_a_user_froze_count_too(case: str) -> None:
    model, x, y = built(case)
    right = expected(model, x, y)
    model.requires_grad_(False)
    found = Squares(model, surprise)(x, torch.zeros(5, dtype=torch.long), None, y)
    for name in right:
        torch.testing.assert_close(found[name], right[name], rtol=1e-4, atol=1e-7)
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())


def test_nothing_is_left_behind() -> None:
    model, x, y = built("in place")
    found = Squares(model, surprise)(x, torch.zeros(5, dtype=torch.long), None, y)
    assert not any(value.requires_grad for value in found.values())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(part._forward_hooks for part in model.modules())
