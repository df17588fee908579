"""The forward pass before training: a network that cannot take the data is refused in one line."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tladapt import BSS, CORAL, DANN, MMD, Domain, Method, Model, VICReg, adaptation, fit


def data(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(20, *shape), torch.arange(20) % 2


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_rows_of_another_shape_are_named_by_their_domain():
    model = Model.of(network())
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(
        ValueError, match=r"^stream: the network cannot take the rows of 'b' \(float32, shape \(5,\)\)"
    ) as error:
        fit(model, [Domain("b", data(5), test=None)], steps=1)
    assert "\n" not in str(error.value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_inputs_by_name_that_the_network_does_not_know():
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 8)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.layer(left + right)

    x, y = data(4)
    domain = Domain("b", ({"left": x, "wrong": x}, y), test=None)
    with pytest.raises(
        TypeError, match=r"takes \(left: .*, right: .*\), but the data has the inputs left, wrong"
    ) as error:
        fit(Model(Named(), nn.Linear(8, 2)), [domain], steps=1)
    assert "\n" not in str(error.value)


def test_a_head_that_has_other_outputs_than_there_are_classes():
    head = nn.Sequential(nn.ReLU(), nn.Linear(8, 3), nn.Identity())
    with pytest.raises(ValueError, match=r"the head has 3 outputs, but there are 2 classes"):
        fit(Model(nn.Linear(4, 8), head, classes=2), [Domain("a", data(4))], steps=1)


def test_a_network_whose_answers_are_nan_from_the_start():
    net = network()
    with torch.no_grad():
        net[0].bias.fill_(torch.nan)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"its outputs for a row of 'a' are NaN before training"):
        fit(Model.of(net), [Domain("a", data(4))], steps=1)


METHODS = [DANN, CORAL, MMD, lambda: VICReg(hidden=8), BSS]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method().__class__.__name__)
def test_features_below_a_head_of_several_layers_are_aligned(method: Callable[[], Method]):
    net = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.1), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    model = Model(net[:3], net[3:])
    a, b = Domain("a", data(4)), Domain("b", data(4))
    report = fit(model, adaptation(a, b), method(), steps=3)
    assert model.width == 6
    assert not any("nothing to act on" in note and "stage 1" in note for note in report.notes)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method().__class__.__name__)
def test_features_that_are_not_one_vector_per_row_are_refused_by_methods_that_read_them(method: Callable[[], Method]):
    def build() -> Model:
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
        return Model(nn.Conv2d(1, 3, 3), head)

    a, b = Domain("a", data(1, 6, 6)), Domain("b", data(1, 6, 6))
    with pytest.raises(ValueError, match=r"the features of a row have the shape \(3, 4, 4\), expected \(d,\)"):
        fit(build(), adaptation(a, b), method(), steps=2)
    fit(build(), adaptation(a, b), steps=2)


def test_positions_that_the_head_answers_one_by_one_are_read():
    x, y = torch.randn(20, 5, 4), torch.zeros(20, 5, dtype=torch.long)
    model = Model(nn.Linear(4, 8), nn.Linear(8, 2))
    a, b = Domain("a", (x, y)), Domain("b", x)
    fit(model, adaptation(a, b), CORAL(), steps=2)


def test_the_trial_changes_nothing():
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.modes = nn.Linear(4, 8), list[bool]()

        def forward(self, x: Tensor) -> Tensor:
            self.modes.append(self.training)
            return self.layer(x)

    model = Model(Counts(), nn.Linear(8, 2)).train()
    domain = Domain("a", data(4), None)
    state = torch.get_rng_state()
    fit(model, [domain], steps=2)
    assert model.encoder.modes[0] is False  # type: ignore[union-attr, index]
    assert torch.equal(torch.get_rng_state(), state)


def test_a_lazy_layer_gets_its_size_from_the_data():
    model = Model(nn.Sequential(nn.LazyLinear(8), nn.ReLU()), nn.Linear(8, 2))
    fit(model, [Domain("a", data(4))], steps=2)
    assert model.encoder[0].in_features == 4  # type: ignore[index, union-attr]


def test_a_network_whose_first_dimension_is_not_the_rows():
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(4, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)[0][-1]  # the first dimension was taken for the positions

    with pytest.raises(
        ValueError, match=r"for 2 rows of 'a' it gives 5 rows of features and 5 of logits; .*batch_first"
    ):
        fit(Model(Last(), nn.Linear(8, 2)), [Domain("a", data(5, 4))], steps=1)
