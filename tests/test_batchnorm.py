"""The three BatchNorm policies, against torch's own layers."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tladapt import EWC, Classification, Domain, LwF, Model, Stage, adaptation, fit
from tladapt.backbones import mlp
from tladapt.layers.batchnorm import DomainNorm
from tladapt.methods.fisher import fisher
from tladapt.methods.squares import Squares

DOMAIN = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 0])
SHAPES = [(9, 4), (9, 4, 3, 2)]


def norm(ndim: int) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """A layer of four channels in double precision that has seen something."""
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(4) if ndim == 2 else nn.BatchNorm2d(4)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    for value in (layer.running_mean, layer.weight.data, layer.bias.data):
        value.normal_()
    layer.running_var.uniform_(0.5, 2)
    return layer.double()


def pair(shape) -> tuple[DomainNorm, list]:
    """The layer for two domains, and torch's two layers that it must equal."""
    layer = norm(len(shape))
    separate = [copy.deepcopy(layer) for _ in range(2)]
    return DomainNorm(layer, 2), separate


def rows(shape, step: int = 0) -> Tensor:
    """Two interleaved domains, one shifted and stretched."""
    torch.manual_seed(step)
    x = torch.randn(shape, dtype=torch.double)
    x[DOMAIN == 1] = 3 * x[DOMAIN == 1] + 5
    return x.requires_grad_()


def apply(layer: DomainNorm, x: Tensor, domain: Tensor | None = DOMAIN) -> Tensor:
    layer.domain = domain
    return layer(x)


def close(a: Tensor, b: Tensor | None) -> bool:
    return b is not None and torch.allclose(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_interleaved_domains_equal_torchs_separate_layers_in_training(shape):
    layer, separate = pair(shape)
    for step in range(3):
        x = rows(shape, step)
        out = apply(layer.train(), x)
        for number, own in enumerate(separate):
            assert close(out[number == DOMAIN], own.train()(x[number == DOMAIN]))
            assert close(layer.running_mean[number], own.running_mean)
            assert close(layer.running_var[number], own.running_var)


@pytest.mark.parametrize("shape", SHAPES)
def test_interleaved_domains_equal_torchs_separate_layers_in_evaluation(shape):
    layer, separate = pair(shape)
    x = rows(shape)
    apply(layer.train(), x)
    out = apply(layer.eval(), x)
    for number, own in enumerate(separate):
        own.train()(x[number == DOMAIN])
        assert close(out[number == DOMAIN], own.eval()(x[number == DOMAIN]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_equal_those_of_torchs_separate_layers(shape, training):
    layer, separate = pair(shape)
    x, pull = rows(shape), torch.randn(shape, dtype=torch.double)
    apply(layer.train(), x)
    (apply(layer.train(training), x) * pull).sum().backward()
    gradient, expected = x.grad, torch.zeros_like(x)
    assert gradient is not None
    for number, own in enumerate(separate):
        part = x.detach()[number == DOMAIN].requires_grad_()
        own.train()(part.detach())
        (own.train(training)(part) * pull[number == DOMAIN]).sum().backward()
        assert part.grad is not None
        expected[number == DOMAIN] = part.grad
    assert close(gradient, expected)
    for name in ("weight", "bias"):
        assert close(getattr(layer, name).grad, torch.stack([getattr(own, name).grad for own in separate]).sum(0))


def test_a_layer_without_scale_and_shift_works():
    own = nn.BatchNorm1d(4, affine=False)
    x = torch.randn(9, 4)
    layer = DomainNorm(copy.deepcopy(own))
    assert close(apply(layer, x, torch.zeros(9, dtype=torch.long)), own(x))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_unseen_domain_is_normalised_as_the_newest(shape):
    layer, _ = pair(shape)
    layer.reserve(4)
    x = rows(shape)
    apply(layer.train(), x)  # domains 0 and 1
    unseen, newest = (apply(layer.eval(), x, torch.full((9,), number)) for number in (3, 1))
    assert torch.equal(unseen, newest)
    assert not torch.equal(newest, apply(layer, x, torch.zeros(9, dtype=torch.long)))


def test_rows_of_no_known_domain_are_normalised_as_the_newest():
    layer, _ = pair((9, 4))
    x = rows((9, 4))
    apply(layer.train(), x)
    assert torch.equal(apply(layer.eval(), x, None), apply(layer, x, torch.ones(9, dtype=torch.long)))


def test_before_any_training_every_domain_is_normalised_as_the_layer_came():
    layer, (own, _) = pair((9, 4))
    layer.reserve(3)
    x = rows((9, 4))
    for number in range(3):
        assert close(apply(layer.eval(), x, torch.full((9,), number)), own.eval()(x))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def domain(name: str, shift: float = 0.0, test: float | None = 0.2) -> Domain:
    y = torch.arange(40) % 2
    torch.manual_seed(1)
    return Domain(name, (torch.randn(40, 4) + shift + 2 * y[:, None], y), test=test)


def test_the_newest_domain_is_the_one_learned_last_whatever_its_column():
    a, b = domain("a"), domain("b", 5.0)
    model = Model.of(network(), batchnorm="per-domain")
    fit(model, [a, b], epochs=2, evaluate=[b, a])
    x = torch.randn(6, 4)
    assert torch.equal(model.eval()(x).logits, model(x, torch.zeros(6, dtype=torch.long)).logits)  # column 0 is b


def test_a_lone_sample_is_normalised_by_what_its_domain_was_before():
    layer, (own, _) = pair((9, 4))
    x, lone = rows((9, 4)), torch.tensor([0, 0, 1, 0, 0, 0, 0, 0, 0])
    before = layer.running_mean[1].clone(), layer.running_var[1].clone()
    out = apply(layer.train(), x, lone)
    assert close(out[lone == 1], own.eval()(x[lone == 1]))
    assert torch.equal(layer.running_mean[1], before[0])
    assert torch.equal(layer.running_var[1], before[1])
    assert layer.met.tolist() == [True, False]


def test_a_lone_picture_has_a_variance_of_its_own():
    layer, (own, other) = pair((9, 4, 3, 2))
    x, lone = rows((9, 4, 3, 2)), torch.tensor([0, 0, 1, 0, 0, 0, 0, 0, 0])
    out = apply(layer.train(), x, lone)
    assert close(out[lone == 1], own.train()(x[lone == 1]))
    assert close(out[lone == 0], other.train()(x[lone == 0]))


def test_reserving_room_keeps_all_statistics():
    layer, _ = pair((9, 4))
    apply(layer.train(), rows((9, 4)))
    mean, var = layer.running_mean.clone(), layer.running_var.clone()
    layer.reserve(5)
    layer.reserve(1)
    assert (layer.running_mean.shape, layer.met.tolist()) == ((5, 4), [True, True, False, False, False])
    assert torch.equal(layer.running_mean[:2], mean)
    assert torch.equal(layer.running_var[:2], var)


def test_a_layer_without_running_statistics_cannot_be_per_domain():
    net = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"batchnorm='per-domain'\).*without running statistics"):
        Model.of(net, batchnorm="per-domain")


def test_every_batchnorm_layer_is_found_however_deep():
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.BatchNorm1d(8))), nn.Linear(8, 2))
    assert len(Model.of(net, batchnorm="per-domain").norms) == 1
    assert Model.of(net, batchnorm="joint").norms == []


def test_joint_is_torchs_own():
    net = network()
    model = Model.of(net, batchnorm="joint").train()
    x = torch.randn(9, 4)
    assert torch.equal(model(x, DOMAIN).logits, net.train()(x))
    mine, torchs = (list(m.state_dict().values()) for m in (model, net))
    assert all(torch.equal(a, b) for a, b in zip(mine, torchs, strict=True))


def statistics(model: Model) -> dict[str, Tensor]:
    names = ("running_mean", "running_var", "num_batches_tracked")
    return {name: value.clone() for name, value in model.state_dict().items() if name.endswith(names)}


def test_frozen_statistics_never_move_while_the_weights_train():
    model = Model.of(network(), batchnorm="frozen")
    before, weights = statistics(model), [p.detach().clone() for p in model.parameters()]
    fit(model, adaptation(domain("a"), domain("b", 3.0)), EWC(), epochs=2)
    assert len(before) == 3
    assert all(torch.equal(value, before[name]) for name, value in statistics(model).items())
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), weights, strict=True))


@pytest.mark.parametrize("policy", ["joint", "per-domain"])
def test_statistics_move_unless_frozen(policy):
    model = Model.of(network(), batchnorm=policy)
    before = statistics(model)
    fit(model, [domain("a")], epochs=2)
    assert any(not torch.equal(value, before[name]) for name, value in statistics(model).items())


@pytest.mark.parametrize("policy", ["joint", "per-domain", "frozen"])
def test_a_stage_without_anything_to_learn_moves_neither_weights_nor_statistics(policy):
    model = Model.of(network(), batchnorm=policy)
    fit(model, [domain("a")], epochs=2)
    model.reserve(2)
    before = copy.deepcopy(model.state_dict())
    report = fit(model, [domain("b", 3.0).unlabelled()], epochs=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert "nothing was learned" in report.notes[0]


def test_domains_keep_apart_in_a_fit():
    model = Model.of(network(), batchnorm="per-domain")
    fit(model, [domain("a"), domain("b", 50.0)], epochs=2)
    (layer,) = model.norms
    first, second = layer.running_mean.clone()
    assert layer.met.all()
    assert (first - second).abs().max() > 1
    fit(model, [domain("a")], epochs=1)
    assert torch.equal(layer.running_mean[1], second)


def measured(model: Model) -> Tensor:
    both = Stage([domain("a"), domain("b", 5.0)], [0, 1], 0, None, Classification())
    return fisher(model, both, 64, torch.Generator().manual_seed(0))


def two_domain_model() -> Model:
    model = Model.of(network(), batchnorm="per-domain")
    fit(model, [(domain("a"), domain("b", 5.0))], epochs=2)
    return model.eval()


def test_per_sample_gradients_of_two_domains_are_taken_at_once(monkeypatch):
    model, singly, calls = two_domain_model(), Squares._one_by_one, list[int]()
    with monkeypatch.context() as patch:
        patch.setattr(Squares, "_one_by_one", lambda *given: (calls.append(1), singly(*given))[1])
        at_once = measured(model)
    assert len(calls) == 1  # to try the formulas
    with monkeypatch.context() as patch:
        patch.setattr(Squares, "_by_sample", singly)
        one_by_one = measured(model)
    assert at_once.sum() > 0
    assert torch.allclose(at_once, one_by_one, atol=1e-6)


def test_the_fisher_information_leaves_the_statistics_alone():
    model = two_domain_model().train()
    before = copy.deepcopy(model.state_dict())
    measured(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training


def test_a_model_can_be_copied_after_its_fisher_information_was_measured():
    model = two_domain_model()
    measured(model)
    x = torch.randn(3, 4)
    assert torch.equal(copy.deepcopy(model)(x).logits, model(x).logits)


def test_anchor_and_distillation_get_along_with_statistics_per_domain():
    stream = [domain("a", test=None), domain("b", 5.0, test=None)]
    report = fit(Model.of(network(), batchnorm="per-domain"), stream, EWC() + LwF(), epochs=1)
    assert report.batchnorm == "per-domain"


def test_a_mean_over_all_batches_is_not_kept_per_domain():
    with pytest.raises(ValueError, match=r"batchnorm='per-domain'\): a BatchNorm layer with momentum=None"):
        Model.of(
            nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 2)), batchnorm="per-domain"
        )


@pytest.mark.parametrize("policy", ["per-domain", "frozen"])
def test_a_policy_that_has_no_layer_to_act_on_is_noted(policy):
    x, y = torch.randn(20, 3), torch.arange(20) % 2
    note = f"batchnorm={policy!r} has no effect: the network has no BatchNorm layer"
    report = fit(mlp(3, (4,), classes=2, batchnorm=policy), [Domain("a", (x, y))], steps=1)
    assert note in report.notes
    report = fit(mlp(3, (4,), normalise=True, classes=2, batchnorm=policy), [Domain("a", (x, y))], steps=1)
    assert note not in report.notes
