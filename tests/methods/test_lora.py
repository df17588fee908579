import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tladapt import EWC, Domain, LoRA, LwF, Method, Model, Stage, fit
from tladapt.data import Tensors
from tladapt.methods.fisher import fisher
from tladapt.methods.lora import LowRank
from tladapt.methods.weights import flat, weights


class Transposed(nn.Module):
    """A linear map whose weight is kept as (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, other: int = 4) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(4, 2, batch_first=True, kdim=other, vdim=other)

    def forward(self, x: Tensor) -> Tensor:
        other = x[..., : self.layer.kdim]
        return self.layer(x, other, other, need_weights=False)[0].flatten(1)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 4), nn.Linear(4, 4)
        self.down.weight = self.up.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.up(x).relu())


class Looked(nn.Module):
    """Rows looked up, by numbers that are made of x."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.layer = nn.Embedding(5, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.rows((x[:, 0] * 2).long().clamp(0, 4)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.layer = nn.Linear(4, 4), nn.GRU(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.first(x))[0][:, -1]


WHOLE, PART = (6, 4), (6, 5, 4)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    # the encoder, the shape of x, the number of matrices that are changed
    "linear": (lambda: nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 4, bias=False)), WHOLE, 2),
    "transposed": (lambda: Transposed(4, 4), WHOLE, 1),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(5, 6, 3), nn.Flatten()), PART, 1),
    "conv2d": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Flatten()), (6, 3, 5, 5), 1),
    "conv3d": (lambda: nn.Sequential(nn.Conv3d(2, 4, 2), nn.Flatten()), (6, 2, 3, 3, 3), 1),
    "depthwise": (lambda: nn.Sequential(nn.Conv1d(5, 5, 3, groups=5, bias=False), nn.Flatten()), PART, 1),
    "groups": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten()), (6, 4, 5, 5), 1),
    "transposed convolution": (lambda: nn.Sequential(nn.ConvTranspose1d(5, 2, 3), nn.Flatten()), PART, 1),
    "attention": (Attention, PART, 2),
    "attention to another": (lambda: Attention(3), PART, 4),
    "transformer": (
        lambda: nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten()),
        PART,
        4,
    ),
    "tied": (Tied, WHOLE, 0),
    "looked up": (Looked, WHOLE, 1),
    "recurrent": (Recurrent, PART, 1),
    "weight norm": (lambda: nn.Sequential(weight_norm(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 4)), WHOLE, 1),
    "layer norm": (lambda: nn.Sequential(nn.LayerNorm([5, 4]), nn.Flatten(), nn.Linear(20, 4)), PART, 1),
    "batch norm": (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()), WHOLE, 1),
    "nothing": (nn.Identity, WHOLE, 0),
}


def network(kind: str) -> tuple[Model, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, x = NETWORKS[kind][0](), torch.randn(NETWORKS[kind][1])
        head = nn.Linear(encoder(x).shape[-1], 3)
    return Model(encoder, head), x


def prepared(model: Model, **arguments: int) -> LoRA:
    method = LoRA(**arguments)
    method.seed(0)
    method.prepare(model, None)  # type: ignore[arg-type]
    return method


def learned(model: Model, x: Tensors, steps: int = 3) -> Model:
    """The model, some steps of all that trains later."""
    stepper = torch.optim.Adam(model.trained(), lr=0.03)
    for _ in range(steps):
        stepper.zero_grad()
        model.train()(x).logits.square().sum().backward()
        stepper.step()
    return model.eval()


def merged(method: LoRA, model: Model) -> Model:
    method.consolidate(model, None)  # type: ignore[arg-type]
    return model


def by_kind(model: Model) -> list[LowRank]:
    return [module for module in model.modules() if isinstance(module, LowRank)]


every_network = pytest.mark.parametrize("kind", NETWORKS)


@every_network
def test_the_first_output_is_unchanged_and_the_merge_changes_nothing(kind: str):
    model, x = network(kind)
    before = model.eval()(x).logits
    method = prepared(model)
    assert len(by_kind(model)) == NETWORKS[kind][2]
    torch.testing.assert_close(model.eval()(x).logits, before, atol=1e-6, rtol=1e-6)
    after = learned(model, x)(x).logits
    assert not torch.allclose(after, before, atol=1e-4)
    torch.testing.assert_close(merged(method, model)(x).logits, after, atol=1e-6, rtol=1e-6)
    assert by_kind(model) == []


@every_network
def test_afterwards_the_model_is_what_it_was_but_for_its_weights(kind: str):
    model, x = network(kind)
    shape = [(type(module), list(module._parameters)) for module in model.modules()]
    names, parameters = list(model.state_dict()), list(model.parameters())
    merged(prepared(model), learned(model, x))
    assert [(type(module), list(module._parameters)) for module in model.modules()] == shape
    assert list(model.state_dict()) == names
    assert all(old is new for old, new in zip(parameters, model.parameters(), strict=True))
    assert all(p.requires_grad for p in parameters)


@every_network
def test_all_weights_have_one_order_before_during_and_after(kind: str):
    model, x = network(kind)
    names, before = list(weights(model)), flat(model).detach().clone()
    method = prepared(model)
    assert list(weights(model)) == names
    assert torch.equal(flat(model), before)
    during = flat(learned(model, x)).detach().clone()
    assert torch.equal(flat(merged(method, model)), during)
    assert list(weights(model)) == names


@every_network
def test_what_trains_are_the_products_and_the_head(kind: str):
    model, x = network(kind)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    method = prepared(model)
    parts = [p for part in by_kind(model) for p in (part.a, part.b)]
    assert {id(p) for p in model.trained()} == {id(p) for p in (*parts, *model.head.parameters())}
    merged(method, learned(model, x))
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed >= {"head.weight", "head.bias"}
    assert {name for name in changed if "bias" in name} == {"head.bias"}
    assert len(changed) == NETWORKS[kind][2] + 2


def test_it_is_the_formula():
    model, x = network("linear")
    weight = model.encoder[0].weight  # type: ignore[index]
    before = weight.detach().clone()
    method = prepared(model, rank=3, alpha=5)
    part = by_kind(learned(model, x))[0]
    assert (part.a.shape, part.b.shape) == ((3, 4), (9, 3))
    expected = before + 5 / 3 * part.b.detach() @ part.a.detach()
    merged(method, model)
    torch.testing.assert_close(weight.detach(), expected)
    assert torch.linalg.matrix_rank(weight - before) == 3


def test_a_matrix_smaller_than_the_rank_has_a_lower_one():
    model, _ = network("linear")
    prepared(model, rank=100)
    assert [tuple(part.a.shape) for part in by_kind(model)] == [(4, 4), (4, 9)]


def test_its_start_depends_on_the_seed_alone():
    starts = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        model, _ = network("linear")
        prepared(model)
        starts.append(by_kind(model)[0].a.detach().clone())
    assert torch.equal(*starts)
    assert starts[0].abs().min() > 0


def test_what_the_user_froze_stays_as_it_is():
    model, x = network("linear")
    model.encoder[0].requires_grad_(False)  # type: ignore[index]
    before = copy.deepcopy(model.encoder[0].state_dict())  # type: ignore[index]
    merged(prepared(model), learned(model, x))
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    assert flags == {"encoder.0.weight": False, "encoder.0.bias": False, "encoder.2.weight": True,
                     "head.weight": True, "head.bias": True}  # fmt: skip
    assert all(torch.equal(value, before[key]) for key, value in model.encoder[0].state_dict().items())  # type: ignore[index]


def test_a_weight_that_the_head_shares_trains_with_the_head():
    model, x = network("looked up")
    model.head = nn.Linear(4, 5, bias=False)
    model.head.weight = model.encoder.rows.weight  # type: ignore
    method = prepared(model)
    assert model.head.weight.requires_grad
    before = model.head.weight.detach().clone()
    merged(method, learned(model, x))
    assert model.head.weight is model.encoder.rows.weight  # type: ignore[union-attr]
    assert not torch.equal(model.head.weight, before)


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_statistics_move_as_the_policy_says_and_scales_do_not(
    batchnorm: str, make_model: Callable, make_domain: Callable
):
    model = make_model(norm=True, batchnorm=batchnorm)
    norm = model.encoder.module[1]
    with torch.no_grad():
        norm.weight.fill_(2.0)
    before = copy.deepcopy(norm.state_dict())
    fit(model, [make_domain("a", shift=3.0)], LoRA(), steps=5)
    moved = {key for key, value in norm.state_dict().items() if not torch.equal(value, before[key])}
    assert ("running_mean" in moved) == (batchnorm != "frozen")
    assert not moved & {"weight", "bias"}


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_the_model_comes_back_exactly(batchnorm: str, tmp_path: Path, make_model: Callable, make_domain: Callable):
    a, b = make_domain("a"), make_domain("b", shift=2.0)
    model = make_model(norm=True, batchnorm=batchnorm)
    fit(model, [a, b], LoRA(rank=2), steps=5, lr=0.01)
    model.save(tmp_path)
    loaded = Model.load(tmp_path, make_model(seed=1, norm=True, batchnorm=batchnorm))
    assert list(loaded.state_dict()) == list(model.state_dict())
    for domain in (0, 1):
        rows = torch.full((len(a.train),), domain)
        assert torch.equal(loaded(a.train.x, rows).logits, model(a.train.x, rows).logits)


def test_the_copies_of_a_model_are_merged_apart():
    model, x = network("linear")
    method = prepared(model)
    twin = copy.deepcopy(learned(model, x))
    expected = twin(x).logits
    merged(method, model)
    assert torch.equal(twin(x).logits, expected)
    torch.testing.assert_close(merged(LoRA(), twin)(x).logits, expected)


def test_a_stage_that_is_past_leaves_the_model_alone(make_model: Callable, make_domain: Callable):
    model, seen = make_model(), []

    class Watch(Method):
        def prepare(self, model: Model, stage: Stage) -> None:
            seen.append((stage.index, len(by_kind(model))))

    fit(model, [make_domain("a"), make_domain("b")], LoRA() + Watch(), learned=1, steps=2)
    assert seen == [(1, 1)]


# Together with what holds weights


def test_ewc_holds_what_the_weights_are_with_the_products(make_model: Callable, stages: list[Stage]):
    model, ewc = make_model(), EWC(weight=2.0)
    ewc.seed(0)
    ewc.consolidate(model, stages[0])
    method, batch = prepared(model), stages[1].batch(0)
    assert ewc.loss(model, batch, model(batch.x)) == 0
    during = ewc.loss(learned(model, batch.x), batch, model(batch.x))
    gradient = torch.autograd.grad(during, by_kind(model)[0].b)[0]
    after = ewc.loss(merged(method, model), batch, model(batch.x))
    assert during > 0
    assert gradient.abs().sum() > 0
    assert torch.equal(during, after)


def test_the_fisher_information_is_that_of_the_merged_model(
    make_model: Callable, make_domain: Callable, monkeypatch: pytest.MonkeyPatch
):
    taken = []

    def watched(model: Model, *arguments: object) -> Tensor:
        taken.append((len(by_kind(model)), sum(p.numel() for p in model.parameters())))
        return fisher(model, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("tladapt.methods.ewc.fisher", watched)
    model = make_model()
    fit(model, [make_domain("a"), make_domain("b")], LoRA() + EWC(), steps=3)
    assert taken == [(0, sum(p.numel() for p in model.parameters()))] * 2


def test_lwf_asks_the_model_as_the_stage_found_it(make_model: Callable, stages: list[Stage]):
    model, both = make_model(), LoRA() + LwF()
    both.seed(0)
    for stage in stages:
        both.prepare(model, stage)
        batch = stage.batch(0)
        assert both.loss(model, batch, model(batch.x)).abs() < 1e-6
        learned(model, batch.x)
        assert (both.loss(model, batch, model(batch.x)) > 1e-4) == (stage.index == 1)
        both.consolidate(model, stage)


@pytest.mark.parametrize("arguments", [{"rank": 0}, {"rank": 1.5}, {"alpha": 0.0}, {"alpha": -1.0}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="LoRA"):
        LoRA(**arguments)


def test_it_forgets_less_than_fine_tuning_a_model_that_comes_trained(make_model: Callable):
    def domain(name: str, turn: float) -> Domain:
        random = torch.Generator().manual_seed(len(name))
        x = torch.randn(200, 8, generator=random)
        y = (x[:, 0] * (1 - turn) + x[:, 1] * turn > 0).long()
        return Domain(name, (x[:100], y[:100]), (x[100:], y[100:]))

    def run(method: Method, seed: int) -> float:
        old, new = domain("old", 0.0), domain("newer", 0.8)
        model = make_model(seed, inputs=8, width=64)
        fit(model, [old], steps=100, lr=0.01)
        return fit(model, [old, new], method, learned=1, steps=60, lr=0.01, seed=seed).forgetting or 0.0

    lora, whole = (sum(run(make(), seed) for seed in range(3)) / 3 for make in (lambda: LoRA(1, 1.0), Method))
    assert lora < whole - 0.02
