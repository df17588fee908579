from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tladapt import DANN, EWC, Domain, LinearProbe, Method, Model, Output, Replay, Stage, fit


def test_the_encoder_stays_bit_for_bit(
    batchnorm: str, optimizer: Callable, make_deep: Callable, fingerprints: Callable, two: list[Domain]
):
    model = make_deep(batchnorm)
    encoder, head = fingerprints(model.encoder), fingerprints(model.head)
    fit(model, two, LinearProbe(), steps=6, lr=0.1, optimizer=optimizer)
    assert fingerprints(model.encoder) == encoder
    assert not set(fingerprints(model.head).items()) & set(head.items())


SUMS = {
    "EWC": lambda: EWC(), "Replay": lambda: Replay(20), "DANN": lambda: DANN(),
    "all": lambda: DANN() + Replay(20) + EWC(),
}  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_in_a_sum_too(name: str, batchnorm: str, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model, (a, b) = make_deep(batchnorm), two
    encoder, head = fingerprints(model.encoder), fingerprints(model.head)
    fit(model, [a, (a, b.unlabelled()), b], LinearProbe() + SUMS[name](), steps=6, batch_size=8, lr=0.1)
    assert fingerprints(model.encoder) == encoder
    assert fingerprints(model.head) != head


class Watches(Method):
    """Notes at each step whether the encoder is in evaluation mode."""

    def prepare(self, model: Model, stage: Stage) -> None:
        self.still = list[bool]()

    def loss(self, model: Model, batch: object, output: Output) -> Tensor:
        self.still.append(not any(part.training for part in model.encoder.modules()) and model.head.training)
        return output.logits.new_zeros(())


def test_dropout_is_off(make_deep: Callable, two: list[Domain]):
    watches = Watches()
    fit(make_deep(), two[:1], LinearProbe() + watches, steps=4)
    assert watches.still == [True] * 4


def test_the_head_learns_as_on_features_that_were_computed_before(make_deep: Callable, two: list[Domain]):
    model, a = make_deep("frozen"), two[0]
    assert isinstance(a.train.x, Tensor)
    with torch.no_grad():
        features = model.eval().encoder(a.train.x)
    alone = Model(nn.Identity(), nn.Linear(8, 2))
    alone.head.load_state_dict(model.head.state_dict())
    fit(model, [a], LinearProbe(), steps=20, batch_size=8, lr=0.05)
    fit(alone, [Domain("a", (features, a.train.y), test=None)], Method(), steps=20, batch_size=8, lr=0.05)
    torch.testing.assert_close(model.head.weight, alone.head.weight)


def test_a_second_fit_trains_everything(batchnorm: str, make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model = make_deep(batchnorm)
    fit(model, two, LinearProbe(), steps=3)
    assert all(p.requires_grad for p in model.parameters())
    before = fingerprints(model)
    fit(model, two, Method(), steps=3)
    trained = {name for name, value in fingerprints(model).items() if value != before[name]}
    assert {name for name, _ in model.named_parameters()} <= trained
    assert (batchnorm == "frozen") == (not any("running" in name for name in trained))


def test_what_the_user_froze_stays_frozen(make_deep: Callable, fingerprints: Callable, two: list[Domain]):
    model = make_deep()
    model.encoder.get_submodule("1").requires_grad_(False)
    before = [p.requires_grad for p in model.parameters()]
    held = fingerprints(model.encoder.get_submodule("1.0"))
    for method in (LinearProbe(), Method()):
        fit(model, two, method, steps=3)
        assert [p.requires_grad for p in model.parameters()] == before
    assert fingerprints(model.encoder.get_submodule("1.0")) == held


def test_a_frozen_head_is_refused(make_deep: Callable, two: list[Domain]):
    model = make_deep()
    model.head.requires_grad_(False)
    with pytest.raises(ValueError, match=r"LinearProbe: nothing of the head trains.*requires_grad_\(True\)"):
        fit(model, two, LinearProbe(), steps=3)
    assert all(p.requires_grad for p in model.encoder.parameters())


def test_a_head_that_shares_its_weights_with_the_encoder_is_refused(two: list[Domain]):
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="shares its weights"):
        fit(Model(nn.Sequential(layer, nn.ReLU()), layer), two, LinearProbe(), steps=3)
