"""Odd networks crossed with methods: each pair ends in a finished, finite fit that reloads equal, or in one line before
the first step. Which networks are refused is part of the test."""

import functools
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from tladapt import BSS, CORAL, DANN, EWC, L2SP, MMD, Domain, LoRA, LwF, Method, Model, Replay, VICReg, WiSEFT, fit


class Forward(nn.Module):
    """A network of three layers whose forward pass is a function of it and the input."""

    def __init__(self, way: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.a, self.b, self.drop, self.head = nn.Linear(4, 8), nn.Linear(8, 8), nn.Dropout(0.3), nn.Linear(8, 2)
        self.way = way

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module], masked: bool = False) -> None:
        super().__init__()
        self.layer, self.masked = kind(1, 8, batch_first=True), masked

    def forward(self, x: Tensor) -> Any:
        states = self.layer(x[..., None])[0]
        return (states, torch.ones(x.shape, dtype=torch.bool)) if self.masked else states[:, -1]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.attention = nn.Linear(1, 8), nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(x[..., None])
        return self.attention(h, h, h, need_weights=False)[0].mean(1)


class Tied(nn.Module):
    """The weights of the second layer are those of the first, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.back, self.head = nn.Linear(4, 8, bias=False), nn.Parameter(torch.zeros(4)), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.linear(self.a(x).tanh(), self.a.weight.T, self.back))


def chain(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), *middle, nn.ReLU(), nn.Linear(8, 2))


def old(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return chain(norm(nn.Linear(8, 8)))


def same_layer_twice() -> nn.Module:
    layer = nn.Linear(8, 8)
    return chain(layer, nn.Tanh(), layer)


def frozen(net: nn.Sequential, place: int) -> nn.Sequential:
    net[place].requires_grad_(False)
    return net


def pruned() -> nn.Module:
    net = chain(nn.Linear(8, 8))
    prune.l1_unstructured(net[1], "weight", amount=0.5)
    return net


def late(self: Any, x: Tensor) -> Tensor:
    h = self.a(x).relu()
    with torch.no_grad():
        h = h * 2
    return self.head(self.b(h))


def rematerialised(self: Any, x: Tensor) -> Tensor:
    h = self.a(x).relu()
    return self.head(checkpoint(lambda part: self.drop(self.b(part)).relu(), h, use_reentrant=False))


NETWORKS: dict[str, Callable[[], Any]] = {  # compiled networks have no common type
    "plain": chain,
    "input in place": lambda: Forward(lambda self, x: self.head(self.drop(self.a(x.mul_(0.5).sub_(1.0)).relu()))),
    "features in place": lambda: Forward(lambda self, x: self.head(self.b(self.a(x).relu_()).mul_(2.0))),
    "old weight_norm": lambda: old(nn.utils.weight_norm),
    "old spectral_norm": lambda: old(nn.utils.spectral_norm),
    "weight_norm": lambda: chain(parametrizations.weight_norm(nn.Linear(8, 8))),
    "spectral_norm": lambda: chain(parametrizations.spectral_norm(nn.Linear(8, 8))),
    "orthogonal": lambda: chain(parametrizations.orthogonal(nn.Linear(8, 8))),
    "pruned": pruned,
    "tied": Tied,
    "same layer twice": same_layer_twice,
    "BatchNorm": lambda: chain(nn.BatchNorm1d(8)),
    "BatchNorm without statistics": lambda: chain(nn.BatchNorm1d(8, track_running_stats=False)),
    "cumulative BatchNorm": lambda: chain(nn.BatchNorm1d(8, momentum=None)),
    "InstanceNorm": lambda: chain(nn.Unflatten(1, (2, 4)), nn.InstanceNorm1d(2), nn.Flatten()),
    "dropout": lambda: chain(nn.Dropout(0.5), nn.AlphaDropout(0.1)),
    "logits in a dict": lambda: Forward(lambda self, x: {"logits": self.head(self.a(x).relu()), "loss": None}),
    "other name in a dict": lambda: Forward(lambda self, x: {"out": self.head(self.a(x).relu())}),
    "tuple": lambda: Forward(lambda self, x: (self.head(self.a(x).relu()), x)),
    "softmax": lambda: Forward(lambda self, x: self.head(self.a(x).relu()).softmax(-1)),
    "random forward": lambda: Forward(lambda self, x: self.head(self.a(x + 0.01 * torch.randn_like(x)).relu())),
    "part without gradient": lambda: Forward(late),
    "rematerialised": lambda: Forward(rematerialised),
    "DataParallel": lambda: nn.DataParallel(chain()),
    "compiled": lambda: torch.compile(chain(), backend="eager"),
    "compiled in place": lambda: _compiled(chain(nn.BatchNorm1d(8))),
    "frozen first layer": lambda: frozen(chain(nn.Linear(8, 8)), 0),
    "frozen head": lambda: frozen(chain(nn.Linear(8, 8)), 3),
    "frozen whole": lambda: chain().requires_grad_(False),
    "double": lambda: chain(nn.BatchNorm1d(8)).double(),
    "half": lambda: chain().half(),
    "bfloat16": lambda: chain().bfloat16(),
    "lazy": lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2)),
    "scripted": lambda: torch.jit.script(chain()),
    "GRU": lambda: nn.Sequential(Recurrent(nn.GRU), nn.Linear(8, 2)),
    "LSTM": lambda: nn.Sequential(Recurrent(nn.LSTM), nn.Linear(8, 2)),
    "attention": lambda: nn.Sequential(Attention(), nn.Linear(8, 2)),
}
REFUSED = {
    "other name in a dict": "expected a network that returns the output of its last linear layer",
    "tuple": "expected a network that returns the output of its last linear layer",
    "softmax": "expected a network that returns the output of its last linear layer",
    "frozen whole": "nothing would train",
    "half": "is float16",
    "bfloat16": "is bfloat16",
    "scripted": "a scripted network cannot be taken apart",
}
METHODS: dict[str, Callable[[], Method | None]] = {
    "fine-tuning": lambda: None,
    "EWC": lambda: EWC(samples=40),
    "LwF": LwF,
    "Replay": lambda: Replay(12),
    "DANN": DANN,
    "CORAL": CORAL,
    "MMD": MMD,
    "VICReg": lambda: VICReg(hidden=8),
    "L2SP": L2SP,
    "BSS": BSS,
    "LoRA": lambda: LoRA(2),
    "WiSEFT": WiSEFT,
}
# Each network meets every fifth method, beginning at its own place; so each method meets every fifth network.
PAIRS = [
    (network, method)
    for place, network in enumerate(NETWORKS)
    for number, method in enumerate(METHODS)
    if (place + number) % 5 == 0
]


def _compiled(net: nn.Module) -> nn.Module:
    net.compile(backend="eager")
    return net


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about scripts and lazy layers
        return NETWORKS[name]()


def rows(seed: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(seed))
    return x, torch.arange(30) % 2


@functools.cache
def stream() -> tuple[Any, ...]:
    a, b = Domain("a", rows(0)), Domain("b", rows(1))
    return (a, (a, b.unlabelled()), b)


def refusal(error: BaseException) -> None:
    """Check that a `raise` in the package made the error, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert "/tladapt/" in last.filename.replace("\\", "/"), f"{error!r} was raised in {last.filename}"
    assert (last.line or "").startswith("raise")
    assert "\n" not in str(error)


@pytest.mark.filterwarnings("ignore:VICReg. stage:UserWarning")
@pytest.mark.parametrize(("network", "method"), PAIRS)
def test_a_network_and_a_method(network: str, method: str, tmp_path: Path):
    net = built(network)
    if network in REFUSED:
        with pytest.raises((ValueError, TypeError), match=REFUSED[network]) as error:
            fit(Model.of(net), list(stream()), METHODS[method](), steps=3)
        refusal(error.value)
        return
    model = Model.of(net)
    before = {name: value.clone() for name, value in model.state_dict().items()} if network != "lazy" else {}
    report = fit(model, list(stream()), METHODS[method](), steps=3, lr=0.01, batch_size=8, progress=False)
    assert all(0 <= score <= 1 for row in report.scores for score in row if score is not None)
    after = model.state_dict()
    assert all(bool(value.isfinite().all()) for value in after.values())
    assert network == "lazy" or any(not torch.equal(before[name], value) for name, value in after.items())
    if network == "random forward":
        return
    model.save(tmp_path)
    x = rows(2)[0]
    fresh = built(network)
    if network == "lazy":
        fresh(x)
    assert torch.equal(Model.load(tmp_path, fresh)(x).logits, model(x).logits)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("LoRA", "VICReg")])
def test_positions_and_a_mask(method: str, tmp_path: Path):
    def build() -> Model:
        torch.manual_seed(0)
        return Model(Recurrent(nn.GRU, masked=True), nn.Linear(8, 2))

    x, y = rows(0)
    label = y[:, None].expand(-1, 4).contiguous()
    a, b = Domain("a", (x, label)), Domain("b", (x + 1, label))
    model = build()
    fit(model, [a, (a, b.unlabelled()), b], METHODS[method](), steps=3, batch_size=8, progress=False)
    model.save(tmp_path)
    assert torch.equal(Model.load(tmp_path, build())(x).logits, model(x).logits)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_layer_itself_is_refused_before_the_first_step(kind: type[nn.Module]):
    x, y = rows(0)
    with pytest.raises(TypeError, match="the encoder returned a tuple") as error:
        fit(Model(kind(4, 8), nn.Linear(8, 2)), [Domain("a", (x, y))], steps=1)
    refusal(error.value)
