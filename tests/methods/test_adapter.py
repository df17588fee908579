import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tladapt import EWC, Adapter, Domain, LoRA, Method, Model, Stage, fit
from tladapt.data import Tensors
from tladapt.methods.adapted import is_adapter
from tladapt.methods.weights import flat, weights

peft = pytest.importorskip("peft")
Conv1D = pytest.importorskip("transformers.pytorch_utils").Conv1D


def plain() -> Model:
    return Model(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6, bias=False), nn.ReLU()), nn.Linear(6, 3))


def transposed() -> Model:
    return Model(nn.Sequential(Conv1D(6, 4), nn.ReLU()), nn.Linear(6, 3))


def looked_up() -> Model:
    return Model(nn.Sequential(nn.Embedding(7, 5), nn.Flatten(), nn.Linear(20, 6)), nn.Linear(6, 3))


def convolution(dimensions: int, **settings: Any) -> Model:
    """A convolution of inputs (n, 4, 7, ...)."""
    layer = getattr(nn, f"Conv{dimensions}d")(4, 6, 3, **settings)
    pool = getattr(nn, f"AdaptiveAvgPool{dimensions}d")(2)
    return Model(nn.Sequential(layer, nn.BatchNorm1d(6) if dimensions == 1 else nn.Identity(), nn.ReLU(), pool,
                               nn.Flatten()), nn.Linear(6 * 2**dimensions, 3))  # fmt: skip


LORA, ZERO = {"peft_type": "LORA", "r": 2}, {"target_modules": ["0"]}
CASES: dict[str, tuple[Callable[[], Model], tuple[int, ...], Any]] = {
    # the model, the shape of x, the configuration
    "lora": (plain, (9, 4), "lora"),
    "dora": (plain, (9, 4), LORA | {"use_dora": True}),
    "dropout": (plain, (9, 4), LORA | {"lora_dropout": 0.5}),
    "biases": (plain, (9, 4), LORA | {"bias": "lora_only"}),
    "rslora, only one": (plain, (9, 4), LORA | {"use_rslora": True, "target_modules": ["2"]}),
    "ia3": (plain, (9, 4), "IA3"),
    "ia3 of inputs": (
        plain, (9, 4), {"peft_type": "IA3", "target_modules": ["0", "2"], "feedforward_modules": ["0"]},
    ),
    "loha": (plain, (9, 4), {"peft_type": "LOHA", "r": 2}),
    "lokr": (plain, (9, 4), {"peft_type": "LOKR", "r": 2}),
    "oft": (plain, (9, 4), {"peft_type": "OFT", "oft_block_size": 4}),
    "fourier": (plain, (9, 4), {"peft_type": "FOURIERFT", "n_frequency": 20, "init_weights": True}),
    "transposed": (transposed, (9, 4), "lora"),
    "looked up": (looked_up, (9, 4), LORA | {"target_modules": ["0", "2"]}),
    "conv1d": (lambda: convolution(1), (9, 4, 7), LORA | ZERO),
    "conv2d": (lambda: convolution(2, padding=1, stride=2), (9, 4, 7, 7), LORA | ZERO),
    "conv2d, dilated": (
        lambda: convolution(2, padding=2, dilation=2, bias=False), (9, 4, 7, 7), {"peft_type": "IA3"} | ZERO,
    ),
    "conv2d, as large": (lambda: convolution(2, padding="same"), (9, 4, 7, 7), LORA | ZERO),
    "conv2d, dora": (lambda: convolution(2, padding=1), (9, 4, 7, 7), LORA | ZERO | {"use_dora": True}),
    "conv2d, groups": (lambda: convolution(2, groups=2, padding=1), (9, 4, 7, 7), {"peft_type": "IA3"} | ZERO),
    "conv2d, ia3": (
        lambda: convolution(2, padding=1, stride=2), (9, 4, 7, 7), {"peft_type": "IA3"} | ZERO,
    ),
    "conv3d": (lambda: convolution(3, stride=(1, 2, 3), padding=(2, 1, 0)), (9, 4, 7, 7, 7), LORA | ZERO),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES)


def made(case: str) -> tuple[Model, Tensor, Adapter]:
    build, shape, config = CASES[case]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = build(), torch.randn(shape)
        if case == "looked up":
            x = torch.randint(7, shape)
    return model, x, Adapter(config)


def prepared(method: Adapter, model: Model) -> Adapter:
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


def merged(method: Adapter, model: Model) -> Model:
    method.consolidate(model, None)  # type: ignore[arg-type]
    return model


def adapters(model: Model) -> list[nn.Module]:
    return [module for module in model.modules() if is_adapter(module)]


@every_case
def test_the_first_output_is_unchanged_and_the_merge_changes_nothing(case: str):
    model, x, method = made(case)
    before = model.eval()(x).logits
    prepared(method, model)
    assert adapters(model)
    torch.testing.assert_close(model.eval()(x).logits, before, atol=1e-6, rtol=1e-5)
    after = learned(model, x)(x).logits
    assert not torch.allclose(after, before, atol=1e-3)
    torch.testing.assert_close(merged(method, model)(x).logits, after, atol=1e-5, rtol=1e-5)
    assert adapters(model) == []


@every_case
def test_the_weights_as_they_act_are_those_after_the_merge(case: str):
    model, x, method = made(case)
    before = {name: weight.detach().clone() for name, weight in weights(model).items()}
    prepared(method, model)
    during = weights(learned(model, x))
    assert list(during) == list(before)
    touched = [name for name, weight in during.items() if weight.requires_grad and name.startswith("encoder")]
    assert touched
    merged(method, model)
    for name, weight in weights(model).items():
        torch.testing.assert_close(during[name], weight, atol=1e-6, rtol=1e-5)
    changed = [name for name, weight in weights(model).items() if not torch.allclose(weight, before[name], atol=1e-4)]
    assert {name for name in changed if name.startswith("encoder")} <= set(touched)
    assert len(changed) > 2  # beside the head


@every_case
def test_their_gradient_reaches_the_adapter(case: str):
    model, x, method = made(case)
    prepared(method, model)
    anchor = flat(learned(model, x)).detach() + 0.1
    own = [p for part in adapters(model) for p in part.parameters() if p.requires_grad]
    gradients = torch.autograd.grad((flat(model) - anchor).square().sum(), own, allow_unused=True)
    assert any(g is not None and g.abs().sum() > 0 for g in gradients)
    assert all(g is None or g.isfinite().all() for g in gradients)


@every_case
def test_afterwards_the_model_is_what_it_was_but_for_its_weights(case: str):
    model, x, method = made(case)
    shape = [(name, type(module), list(module._parameters)) for name, module in model.named_modules()]
    parameters = list(model.parameters())
    merged(prepared(method, model), learned(model, x))
    assert [(name, type(module), list(module._parameters)) for name, module in model.named_modules()] == shape
    assert all(old is new for old, new in zip(parameters, model.parameters(), strict=True))
    assert all(p.requires_grad for p in parameters)
    assert not hasattr(model.encoder, "peft_config")


def test_the_modes_are_left_alone():
    model, _, method = made("dropout")
    prepared(method, model.train())
    adapters(model)[0].eval()
    modes = [module.training for module in model.modules()]
    weights(model)
    assert [module.training for module in model.modules()] == modes


def test_it_changes_as_much_as_our_own(make_model: Callable, make_domain: Callable):
    """The same maps, trained alike, from the same start."""
    reports, moved = [], []
    for method in (LoRA(rank=2, alpha=4), Adapter({"peft_type": "LORA", "r": 2, "lora_alpha": 4})):
        model = make_model(width=16)
        before = flat(model).detach().clone()
        reports.append(fit(model, [make_domain("a")], method, steps=40, lr=0.02))
        moved.append(flat(model).detach() - before)
    assert reports[0].scores[-1] == reports[1].scores[-1]
    cosine = torch.nn.functional.cosine_similarity(*moved, dim=0)
    assert cosine > 0.5  # another start at random
    assert moved[0].norm() / moved[1].norm() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_the_model_comes_back_exactly(batchnorm: str, tmp_path: Path, make_model: Callable, make_domain: Callable):
    a, b = make_domain("a"), make_domain("b", shift=2.0)
    model = make_model(norm=True, batchnorm=batchnorm)
    fit(model, [a, b], Adapter(), steps=5, lr=0.01)
    model.save(tmp_path)
    loaded = Model.load(tmp_path, make_model(seed=1, norm=True, batchnorm=batchnorm))
    for domain in (0, 1):
        rows = torch.full((len(a.train),), domain)
        assert torch.equal(loaded(a.train.x, rows).logits, model(a.train.x, rows).logits)


def test_ewc_holds_the_weights_as_they_act(make_model: Callable, stages: list[Stage]):
    model, ewc = make_model(), EWC(weight=2.0)
    ewc.seed(0)
    ewc.consolidate(model, stages[0])
    method, batch = prepared(Adapter("ia3"), model), stages[1].batch(0)
    assert ewc.loss(model, batch, model(batch.x)).item() == pytest.approx(0, abs=1e-9)
    during = ewc.loss(learned(model, batch.x), batch, model(batch.x))
    assert during > 0
    torch.testing.assert_close(ewc.loss(merged(method, model), batch, model(batch.x)), during)


def test_the_copies_of_a_model_are_merged_apart():
    model, x, method = made("lora")
    prepared(method, model)
    twin = copy.deepcopy(learned(model, x))
    expected = twin(x).logits
    merged(method, model)
    torch.testing.assert_close(twin(x).logits, expected)
    torch.testing.assert_close(merged(Adapter(), twin)(x).logits, expected)


def test_attention_of_torch_reads_its_weights_past_any_adapter_so_it_is_left_out():
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    with pytest.raises(ValueError, match="Adapter"):
        prepared(Adapter(), Model(layer, nn.Linear(4, 2)))
    model = Model(nn.Sequential(layer, nn.Linear(4, 4)), nn.Linear(4, 2))
    method, x = prepared(Adapter(), model), torch.randn(3, 5, 4)
    assert len(adapters(model)) == 1
    after = learned(model, x)(x).logits
    torch.testing.assert_close(merged(method, model)(x).logits, after, atol=1e-5, rtol=1e-5)


def test_it_is_built_with_a_configuration_of_peft_which_stays_as_it_is():
    config = peft.LoraConfig(r=3)
    model, _, _ = made("lora")
    prepared(Adapter(config), model)
    assert config.target_modules is None
    assert adapters(model)[0].lora_A["default"].weight.shape[0] == 3  # type: ignore[index, union-attr]


REFUSED: dict[str, tuple[Callable[[], Model], Any]] = {
    "no such kind": (plain, "lorra"),
    "no such argument": (plain, {"peft_type": "LORA", "rr": 4}),
    "lengthens the input": (plain, {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}),
    "a prefix": (plain, "prefix_tuning"),
    "no merge": (plain, "lily"),
    "no such layer": (plain, {"peft_type": "LORA", "target_modules": ["nowhere"]}),
    "shared among layers": (plain, "vera"),
    "too large": (plain, {"peft_type": "MISS", "r": 64}),
    "groups": (lambda: convolution(2, groups=2, padding=1), LORA | ZERO),
    "dilation, which peft forgets": (lambda: convolution(2, dilation=2), LORA | ZERO),
    "no linear map": (lambda: Model(nn.Sequential(nn.Flatten()), nn.Linear(4, 3)), "lora"),
    "the encoder is one layer": (lambda: Model(nn.Linear(4, 6), nn.Linear(6, 3)), "lora"),
}


@pytest.mark.filterwarnings("ignore:LoRA adapter added to ConvNd layer with groups")
@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_merged_is_refused_in_one_line_and_leaves_the_model(why: str):
    build, config = REFUSED[why]
    model = build()
    state, shape = copy.deepcopy(model.state_dict()), [type(module) for module in model.modules()]
    with pytest.raises(ValueError, match=r"Adapter\(config=") as refusal:
        prepared(Adapter(config), model)
    assert "\n" not in str(refusal.value)
    assert [type(module) for module in model.modules()] == shape
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert not hasattr(model.encoder, "peft_config")


def test_what_is_no_configuration_is_refused():
    with pytest.raises(TypeError, match="Adapter"):
        Adapter(8)  # type: ignore[arg-type]


def test_without_peft_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(ValueError, match=r'pip install "tladapt\[peft\]"'):
        Adapter()


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

    small, whole = (sum(run(make(), seed) for seed in range(3)) / 3 for make in (lambda: Adapter("ia3"), Method))
    assert small < whole - 0.02


@pytest.mark.parametrize("name", ["megatron_core", "megatron_config", "auto_mapping"])
def test_arguments_that_name_a_module_to_import_are_refused(name: str):
    with pytest.raises(ValueError, match=rf"{name} names a module to import; remove it"):
        Adapter({"peft_type": "LORA", name: {"a": 1}})
