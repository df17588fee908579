"""Mixed precision, the layout of convolutions, compiled networks: options of torch that must change nothing else."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from tladapt import DANN, EWC, MMD, Domain, LwF, Method, Model, Replay, adaptation, fit


def images(name: str, shift: float = 0.0) -> Domain:
    random = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    return Domain(name, (torch.randn(60, 1, 8, 8, generator=random) + y[:, None, None, None] + shift, y))


def network(batchnorm: str = "joint") -> Model:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 2)]
    return Model.of(nn.Sequential(*layers), batchnorm=batchnorm)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def everything() -> Method:
    return DANN() + EWC() + LwF() + Replay(20)


# Precision


def test_layers_compute_in_half_precision_and_all_else_in_single():
    seen = list[torch.dtype]()

    class Watching(MMD):
        def loss(self, model, batch, output):
            seen.extend([output.features.dtype, output.logits.dtype, super().loss(model, batch, output).dtype])
            return super().loss(model, batch, output)

    model = network()
    inner = list[torch.dtype]()
    hook = next(m for m in model.modules() if isinstance(m, nn.Conv2d)).register_forward_hook(
        lambda layer, x, y: inner.append(y.dtype)
    )
    fit(model, adaptation(images("a"), images("b", 1.0)), Watching(), steps=3, precision="bfloat16")
    hook.remove()
    assert set(inner) == {torch.bfloat16}
    assert set(seen) == {torch.float32}
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_half_precision_learns_nearly_the_same(batchnorm: str):
    exact, low = network(batchnorm), network(batchnorm)
    stream = adaptation(images("a"), images("b", 0.5))
    expected = fit(exact, stream, everything(), steps=20, lr=0.003)
    found = fit(low, stream, everything(), steps=20, lr=0.003, precision="bfloat16")
    assert not torch.equal(weights(exact), weights(low))
    assert (weights(exact) - weights(low)).norm() < 0.2 * (weights(exact) - weights(network())).norm()
    assert found.scores[-1] == pytest.approx(expected.scores[-1], abs=0.2)


def test_the_precision_is_saved_with_the_model(tmp_path):
    model = network()
    fit(model, [images("a")], steps=1, precision="bfloat16")
    x = torch.randn(3, 1, 8, 8)
    model.save(tmp_path)
    again = Model.load(tmp_path, network())
    assert again.precision == "bfloat16"
    assert torch.equal(again(x).logits, model(x).logits)
    model.precision = "float32"
    assert not torch.equal(again(x).logits, model(x).logits)


def test_a_fit_goes_on_in_the_precision_of_the_model():
    model = network()
    fit(model, [images("a")], steps=1, precision="bfloat16")
    fit(model, [images("a")], steps=1)
    assert model.precision == "bfloat16"
    fit(model, [images("a")], steps=1, precision="float32")
    assert model.precision == "float32"


def test_an_unknown_precision_is_refused_before_anything_is_learned():
    model = network()
    before = weights(model)
    with pytest.raises(ValueError, match="precision='half': expected one of 'float32', 'bfloat16'"):
        fit(model, [images("a")], precision="half")
    assert torch.equal(weights(model), before)


def test_a_refused_fit_leaves_the_precision_as_it_was():
    model = network()
    with pytest.raises(ValueError, match="no stage"):
        fit(model, [images("a")], DANN(), precision="bfloat16")
    assert model.precision == "float32"


def test_the_report_says_in_what_precision_it_was_learned():
    assert fit(network(), [images("a")], steps=1, precision="bfloat16").precision == "bfloat16"


# The optimiser


def test_a_fused_optimiser_takes_the_same_steps():
    fused, plain = network(), network()
    fit(fused, [images("a"), images("b", 1.0)], EWC(), steps=10, optimizer=partial(Adam, fused=True))
    fit(plain, [images("a"), images("b", 1.0)], EWC(), steps=10)
    assert (weights(fused) - weights(plain)).norm() < 0.01 * (weights(plain) - weights(network())).norm()


# The layout


def test_channels_last_is_kept_and_learns_the_same():
    stream = adaptation(images("a"), images("b", 0.5))
    plain, last = network(), network()
    last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for model in (plain, last):
        fit(model, stream, everything(), steps=10, lr=0.001)
    inner = [m for m in last.modules() if isinstance(m, nn.Conv2d)][1]
    assert inner.weight.is_contiguous(memory_format=torch.channels_last)
    assert not inner.weight.is_contiguous()
    assert torch.allclose(
        weights(plain), torch.cat([p.detach().contiguous().flatten() for p in last.parameters()]), atol=2e-3
    )


# Compiled


@pytest.mark.parametrize("policy", ["joint", "per-domain"])
def test_a_compiled_model_learns_what_a_plain_one_does(policy: str):
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    plain, fast = (Model.of(copy.deepcopy(inner), batchnorm=policy) for _ in range(2))
    fast.compile(backend="aot_eager")
    stream = adaptation(images("a"), images("b", 0.5))
    reports = [fit(model, stream, everything(), steps=5) for model in (plain, fast)]
    assert torch.allclose(weights(plain), weights(fast), atol=1e-4)
    assert reports[0].scores == reports[1].scores
