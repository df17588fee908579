"""Networks as users bring them: each has the value of the same network written plainly, or an error of one line."""

import copy
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tladapt import BSS, EWC, MMD, DivergedError, Domain, LwF, Method, Model, Replay, VICReg, adaptation, fit
from tladapt.layers.batchnorm import lone_row, shared_statistics
from tladapt.layers.copying import copy_of
from tladapt.layers.wrappers import renamed, unwrapped
from tladapt.methods.mmd import mmd
from tladapt.model import Output


def rows(seed: int, count: int = 40) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return x, torch.arange(count) % 2


def stream() -> list[Domain]:
    return [Domain("a", rows(0)), Domain("b", rows(1))]


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build()


class Scaled(nn.Module):
    """A network that scales its input, in place or not."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace, self.a, self.drop, self.b = inplace, nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mul_(0.5).sub_(1.0) if self.inplace else x * 0.5 - 1.0
        return self.b(self.drop(self.a(x).relu()))


class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """A data set, whose rows may be augmented: LwF asks its teacher at every step."""

    def __init__(self, seed: int) -> None:
        self.x, self.y = rows(seed)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.x[row], int(self.y[row])


METHODS: dict[str, Callable[[], Method]] = {
    "EWC": lambda: EWC(weight=10.0),
    "LwF": LwF,
    "VICReg": lambda: VICReg(hidden=8),
    "Replay": lambda: Replay(20),
    "MMD": MMD,
    "EWC + LwF + Replay + VICReg": lambda: EWC() + LwF() + Replay(20) + VICReg(hidden=8),
}


@pytest.mark.parametrize("kind", ["tensors", "data sets"])
@pytest.mark.parametrize("name", METHODS)
def test_a_network_that_changes_its_input_in_place_learns_what_it_does_out_of_place(name: str, kind: str):
    found = []
    for inplace in (False, True):
        model = Model.of(seeded(lambda inplace=inplace: Scaled(inplace)))
        if kind == "tensors":
            a, b = Domain("a", rows(0)), Domain("b", rows(1))
        else:
            a, b = Domain("a", Rows(0), test=None), Domain("b", Rows(1), test=None)
        before = None if kind == "data sets" else a.train.x.clone()
        method = METHODS[name]()
        fit(model, [*adaptation(a, b), b], method, steps=4, lr=0.01)
        assert before is None or torch.equal(a.train.x, before)
        found.append([*(p.detach() for p in model.parameters()), *method.buffers()])
    for plain, changed in zip(*found, strict=True):
        torch.testing.assert_close(plain, changed, rtol=0, atol=0)


def test_a_head_that_changes_the_features_in_place_leaves_those_that_methods_see():
    encoder, head = nn.Linear(4, 8), nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 2))
    x = torch.randn(5, 4)
    assert torch.equal(Model(encoder, head)(x).features, encoder(x))


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2))


def old_spectral_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2))


class Remembering(nn.Module):
    """A network that stores what it computed last, in containers too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)
        self.last: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x).relu()
        self.last = {"h": [h], "pair": (h, h)}
        return self.b(h)


COMPUTED: dict[str, Callable[[], nn.Module]] = {
    "weight_norm": old_weight_norm,
    "spectral_norm": old_spectral_norm,
    "remembering": Remembering,
    "new weight_norm": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)),
    "new spectral_norm": lambda: nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)
    ),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_a_network_whose_weights_are_computed_is_copied_and_learns_two_stages(name: str):
    net = seeded(COMPUTED[name])
    x = torch.randn(6, 4)
    net(x)  # as a trained one was
    answer = net.eval()(x)
    copied = copy_of(net)
    assert torch.equal(copied(x), answer)
    owned = {id(value) for value in (*net.parameters(), *net.buffers())}
    assert not any(id(value) in owned for value in (*copied.parameters(), *copied.buffers()))
    for method in (LwF() + EWC(), VICReg(hidden=8) + Replay(10)):
        a, b = stream()
        model = Model.of(net)
        assert torch.equal(model.eval()(x).logits, answer)
        report = fit(model, [*adaptation(a, b), b], method, steps=3)
        assert all(math.isfinite(score) for row in report.scores for score in row if score is not None)
        copy_of(model)


def test_the_fisher_information_of_a_computed_weight_is_that_of_single_gradients():
    model = Model.of(seeded(old_weight_norm))
    ewc = EWC(weight=1.0)
    fit(model, [Domain("a", rows(0), test=None)], ewc, steps=1)
    assert ewc.total is not None
    assert len(ewc.total) == sum(p.numel() for p in model.parameters())
    assert bool((ewc.total > 0).any())


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(8, track_running_stats=False), nn.InstanceNorm1d(8), nn.GroupNorm(2, 8)]
)
def test_ewc_on_norms_without_running_statistics(layer: nn.Module):
    norm = copy.deepcopy(layer)
    shape = [nn.Unflatten(1, (8, 1)), nn.Upsample(4), norm, nn.Flatten(), nn.Linear(32, 2)]
    model = Model.of(nn.Sequential(nn.Linear(4, 8), *shape))
    report = fit(model, stream(), EWC(), steps=3)
    assert report.scores[-1][0] is not None


def test_statistics_are_those_of_one_pass_and_are_gone_afterwards():
    norm = nn.BatchNorm1d(4, track_running_stats=False).eval()
    plain = nn.BatchNorm1d(4).eval()
    x, _ = rows(3)
    plain.running_mean, plain.running_var = x.mean(0), x.var(0, unbiased=False)
    with shared_statistics(norm, lambda: norm(x)):
        torch.testing.assert_close(norm(x[:1]), plain(x[:1]))
    assert norm.running_mean is None
    assert norm.running_var is None


def test_ewc_without_statistics_measures_what_it_does_with_the_same_statistics():
    found = []
    for track in (True, False):
        net = seeded(
            lambda t=track: nn.Sequential(nn.BatchNorm1d(4, affine=False, track_running_stats=t), nn.Linear(4, 2))
        )
        if track:
            net[0].running_mean = rows(0)[0].mean(0)  # type: ignore[index, union-attr]
            net[0].running_var = rows(0)[0].var(0, unbiased=False)  # type: ignore[index, union-attr]
        ewc = EWC()
        model = Model.of(net, batchnorm="frozen")
        fit(
            model, [Domain("a", rows(0), test=None), Domain("b", rows(0), test=None)], ewc, learned=1, steps=1, lr=1e-30
        )
        found.append(ewc.total)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize("batchnorm", ["joint", "frozen"])
def test_one_row_is_learned_by_the_running_statistics(track: bool, batchnorm: str):
    norm = nn.BatchNorm1d(8, track_running_stats=track)
    model = Model.of(nn.Sequential(nn.Linear(4, 8), norm, nn.ReLU(), nn.Linear(8, 2)), batchnorm=batchnorm)
    layer = next(part for part in model.modules() if isinstance(part, nn.BatchNorm1d))
    one = Domain("one", (torch.randn(1, 4), [1]), test=None)
    fit(model, [Domain("many", rows(0)), one], EWC() + LwF(), steps=2)
    before = None if layer.running_mean is None else layer.running_mean.clone()
    fit(model, [one], steps=2)
    assert before is None or torch.equal(before, layer.running_mean)  # type: ignore[arg-type]
    fit(model, [Domain("many", rows(0))], steps=1, batch_size=1)
    fit(model, [Domain("odd", rows(0), rows(1, 513))], steps=1)  # the last batch of the test data is one row


def test_a_lone_row_has_the_value_of_the_running_statistics():
    norm = nn.BatchNorm1d(4)
    norm.running_mean, norm.running_var = torch.full((4,), 2.0), torch.full((4,), 4.0)
    free = nn.BatchNorm1d(4, track_running_stats=False)
    x = torch.full((1, 4), 6.0)
    with lone_row(norm), lone_row(free):
        torch.testing.assert_close(norm(x), torch.full((1, 4), 2.0))
        torch.testing.assert_close(free(x), torch.zeros(1, 4))
        assert free(torch.randn(5, 4, 3)).shape == (5, 4, 3)
    assert norm.training
    assert not norm._forward_hooks
    with pytest.raises(ValueError, match="Expected more than 1 value"):
        norm(x)


def plain_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


WRAPPED: dict[str, Callable[[nn.Module], Any]] = {
    "plain": lambda net: net,
    "DataParallel": nn.DataParallel,
    "compiled": lambda net: torch.compile(net, backend="eager"),
    "both": lambda net: torch.compile(nn.DataParallel(net), backend="eager"),
}


@pytest.mark.parametrize("loaded", WRAPPED)
@pytest.mark.parametrize("saved", WRAPPED)
def test_a_wrapped_network_is_saved_and_loaded_both_ways(saved: str, loaded: str, tmp_path: Path):
    model, x = Model.of(WRAPPED[saved](plain_network())).eval(), torch.randn(3, 4)
    model.save(tmp_path)
    assert torch.equal(Model.load(tmp_path, WRAPPED[loaded](plain_network()))(x).logits, model(x).logits)


def test_a_wrapped_encoder_is_loaded_into_a_plain_one_and_the_other_way_round(tmp_path: Path):
    def build(wrap: Callable[[nn.Module], nn.Module]) -> Model:
        return Model(wrap(nn.Sequential(nn.Linear(4, 8), nn.ReLU())), nn.Linear(8, 2))

    x = torch.randn(3, 4)
    for first, second in ((nn.DataParallel, nn.Sequential), (nn.Sequential, nn.DataParallel)):
        if first is nn.Sequential:
            model, other = build(lambda net: net), build(nn.DataParallel)
        else:
            model, other = build(nn.DataParallel), build(lambda net: net)
        model.eval().save(tmp_path / second.__name__)
        assert torch.equal(Model.load(tmp_path / second.__name__, other)(x).logits, model(x).logits)


def test_names_that_differ_by_more_than_wrappers_stay():
    weights = {"module.a": torch.zeros(1), "a": torch.ones(1)}
    assert renamed(weights, ["a", "b"]) is weights
    assert renamed({"b": torch.zeros(1)}, ["a"]).keys() == {"b"}
    net = nn.Linear(2, 2)
    assert unwrapped(nn.DataParallel(nn.DataParallel(net))) is net


class Answers(nn.Module):
    """An encoder that returns more than features."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.answer = nn.Linear(4, 8), answer

    def forward(self, x: Tensor) -> Any:
        return self.answer(self.layer(x))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda h: (h, h.norm(dim=1)), "a tuple of float32 (3, 8), float32 (3,)"),
        (lambda h: (h, h, h), "a tuple of float32 (3, 8), float32 (3, 8), float32 (3, 8)"),
        (lambda h: (h, (h, h)), "a tuple of float32 (3, 8), a tuple of float32 (3, 8), float32 (3, 8)"),
        (lambda h: (h, torch.ones(3, dtype=torch.long)), "a tuple of float32 (3, 8), int64 (3,)"),
        (lambda h: (h, torch.ones(8, dtype=torch.bool)), "a tuple of float32 (3, 8), bool (8,)"),
        (lambda h: [h, h], "a list of float32 (3, 8), float32 (3, 8)"),
        (lambda h: {"features": h}, "a dict with 'features'"),
        (lambda h: None, "a NoneType"),
    ],
)
def test_an_encoder_with_another_answer_is_refused_by_what_it_returns(answer: Callable[[Tensor], Any], found: str):
    with pytest.raises(TypeError, match="expected features") as error:
        Model(Answers(answer), nn.Linear(8, 2))(torch.zeros(3, 4))
    assert f"the encoder returned {found}; " in str(error.value)


def test_recurrent_layers_are_refused_as_encoders_since_they_return_their_state():
    for layer in (nn.LSTM(4, 8), nn.GRU(4, 8)):
        with pytest.raises(TypeError, match="the encoder returned a tuple of float32"):
            Model(layer, nn.Linear(8, 2))(torch.zeros(3, 5, 4))


def test_a_network_in_double_precision_takes_rows_in_single_precision(tmp_path: Path):
    model = Model.of(seeded(plain_network).double())
    assert model(rows(0)[0]).logits.dtype == torch.float64
    a, b = stream()
    report = fit(model, [*adaptation(a, b), b], EWC() + LwF() + MMD() + Replay(10), steps=3)
    model.save(tmp_path)
    loaded = Model.load(tmp_path, plain_network().double())
    assert torch.equal(loaded(rows(1)[0]).logits, model(rows(1)[0]).logits)
    assert report.scores[-1][0] is not None


def test_masked_positions_do_not_count_in_pooled_logits():
    logits, mask = torch.tensor([[[3.0, 0.0], [9.0, 9.0]]]), torch.tensor([[True, False]])
    pooled = Output(logits * 2, logits, mask).pooled
    torch.testing.assert_close(pooled.logits, torch.tensor([[3.0, 0.0]]))
    torch.testing.assert_close(pooled.features, torch.tensor([[6.0, 0.0]]))
    one = Output(torch.ones(1, 2, 2), torch.tensor([[1.0, 2.0]]), mask).pooled  # one row of logits per sample already
    torch.testing.assert_close(one.logits, torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(Output(logits, logits).pooled.logits, torch.tensor([[6.0, 4.5]]))


def test_a_model_can_be_exported():
    model = Model.of(plain_network()).eval()
    exported = torch.export.export(model, (torch.randn(3, 4),))
    x = torch.randn(3, 4)
    torch.testing.assert_close(exported.module()(x).logits, model(x).logits)


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e3, 1e4])
def test_mmd_does_not_change_when_all_features_are_moved(offset: float):
    g = torch.Generator().manual_seed(1)
    a, b = (torch.randn(64, 16, generator=g) * 0.1 + offset + shift for shift in (0.0, 0.1))
    scales = (0.25, 0.5, 1.0, 2.0, 4.0)
    assert float(mmd(a, b, scales)) == pytest.approx(float(mmd(a.double(), b.double(), scales)), rel=0.02)


class Fails(Method):
    """A decomposition that raises an error of its own for NaN."""

    def loss(self, model: Model, batch: Any, output: Output) -> Tensor:
        return 0 * torch.linalg.eigvalsh(output.features.T @ output.features).sum()


@pytest.mark.parametrize(
    ("method", "name"), [(lambda: BSS(1e6), "task|BSS"), (Fails, "Fails|task")], ids=["BSS", "Fails"]
)
def test_a_decomposition_of_nan_is_a_divergence_by_the_name_of_the_term(method: Callable[[], Method], name: str):
    model = Model.of(seeded(plain_network))
    with pytest.raises(DivergedError, match=rf"^({name}): .* in stage a, step \d+; lower lr"):
        fit(model, [Domain("a", rows(0), None)], method(), steps=60, lr=1e30)


def test_a_divergence_that_shows_first_after_the_stage_is_one():
    for method in (EWC(), None):
        with pytest.raises(DivergedError, match="no longer finite in stage a, step 1"):
            fit(Model.of(seeded(plain_network)), [Domain("a", rows(0), None)], method, steps=1, lr=1e30)


def test_infinite_statistics_are_a_divergence():
    x, y = rows(0)
    model = Model.of(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)))
    with pytest.raises(DivergedError, match=r"running_var is no longer finite in stage a, step \d+; scale the inputs"):
        fit(model, [Domain("a", (x * 1e30, y), None)], steps=3)


def test_an_error_of_the_user_is_not_taken_for_a_divergence():
    class Wrong(Method):
        def loss(self, model: Model, batch: Any, output: Output) -> Tensor:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match=r"^mine$"):
        fit(Model.of(plain_network()), [Domain("a", rows(0), None)], Wrong(), steps=1)


def test_an_encoder_that_raises_leaves_no_domain_behind():
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.broken = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)), True

        def forward(self, x: Tensor) -> Tensor:
            if self.broken:
                raise RuntimeError("broken")
            return self.layers(x)

    model = Model(Breaks(), nn.Linear(8, 2), batchnorm="per-domain")
    with pytest.raises(RuntimeError, match="broken"):
        model(torch.zeros(3, 4), torch.zeros(3, dtype=torch.long))
    assert model.norms[0].domain is None
