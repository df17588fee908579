import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from tladapt import EWC, Classification, Data, DivergedError, Domain, LwF, Method, Model, Output, Stage, fit
from tladapt.methods.fisher import fisher, some
from tladapt.methods.weights import flat


def most_likely(self: Classification, ask: Callable[[None], Output], random: torch.Generator | None) -> Tensor:
    """Instead of a draw from the model, so that nothing is left to chance."""
    return ask(None).logits.argmax(-1)


@pytest.fixture
def certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classification, "sample", most_likely)


def one_by_one(model: Model, x: Tensor) -> Tensor:
    """The mean of the squared gradients of single rows, each at its most likely class."""
    total = torch.zeros_like(flat(model))
    for row in x:
        logits = model(row[None]).logits
        gradients = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(-1)), list(model.parameters()))
        total += torch.cat([g.flatten() for g in gradients]).square()
    return total / len(x)


def unlabelled(x: object) -> Domain:
    return Domain("a", x, test=0.0)


def moved(model: Model, seed: int, by: float = 0.3) -> Model:
    """The model, a random step from where it was."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype)
    return model


class Recurrent(nn.Module):
    """The last state of a recurrent layer."""

    def __init__(self, layer: type[nn.Module]) -> None:
        super().__init__()
        self.layer = layer(2, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0][:, -1]


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.layer(torch.cat([left, right], 1)).tanh()


# The Fisher information


def test_that_of_a_softmax_regression_is_p_times_1_minus_p_times_x_squared(make_stage: Callable):
    torch.manual_seed(0)
    rows, model = torch.tensor([[1.0, -2.0], [0.5, 0.3], [-1.0, 1.0]]), Model.of(nn.Linear(2, 3))
    p = model(rows).logits.softmax(1).detach()
    spread = p * (1 - p)
    expected = torch.cat([(spread[:, :, None] * rows[:, None].square()).mean(0).flatten(), spread.mean(0)])
    stage = make_stage(unlabelled(rows.repeat(8000, 1)))
    found = fisher(model, stage, 24_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0)


def test_it_is_the_mean_of_squared_gradients_of_single_rows(certain: None, make_model: Callable, make_stage: Callable):
    x, model = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), make_model(classes=3)
    found = fisher(model, make_stage(unlabelled(x)), 30, torch.Generator())
    torch.testing.assert_close(found, one_by_one(model, x))


@pytest.mark.parametrize("chunk", [1, 100, 2**25])
def test_it_does_not_depend_on_how_many_rows_are_taken_at_once(
    chunk: int, certain: None, make_model: Callable, make_stage: Callable, monkeypatch: pytest.MonkeyPatch
):
    x, model = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), make_model(classes=3)
    monkeypatch.setattr("tladapt.methods.squares.CHUNK", chunk)
    found = fisher(model, make_stage(unlabelled(x)), 30, torch.Generator())
    torch.testing.assert_close(found, one_by_one(model, x))


def test_rows_that_come_twice_change_nothing(certain: None, make_model: Callable, make_stage: Callable):
    x, model = torch.randn(10, 2, generator=torch.Generator().manual_seed(0)), make_model()
    once, twice = (fisher(model, make_stage(unlabelled(x.repeat(n, 1))), 99, torch.Generator()) for n in (1, 2))
    torch.testing.assert_close(once, twice)


def test_the_slow_path_gives_the_same(make_model: Callable, stages: list[Stage], monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("vmap: not for this layer")

    model, fast = make_model(), fisher(make_model(), stages[1], 20, torch.Generator().manual_seed(1))
    monkeypatch.setattr("tladapt.methods.squares.vmap", refuse)
    slow = fisher(model, stages[1], 20, torch.Generator().manual_seed(1))
    torch.testing.assert_close(slow, fast)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_networks_work(layer: type[nn.Module], certain: None, make_stage: Callable):
    x = torch.randn(6, 5, 2, generator=torch.Generator().manual_seed(0))
    model = Model(Recurrent(layer), nn.Linear(4, 3))
    found = fisher(model, make_stage(unlabelled(x)), 6, torch.Generator())
    torch.testing.assert_close(found, one_by_one(model, x))


def test_a_dict_of_inputs_works(certain: None, make_stage: Callable):
    x = {"left": torch.randn(6, 2), "right": torch.randn(6, 3)}
    model = Model(TwoInputs(), nn.Linear(4, 2))
    whole = Model(nn.Sequential(model.encoder.layer, nn.Tanh()), model.head)  # type: ignore[arg-type]
    found = fisher(model, make_stage(unlabelled(x)), 6, torch.Generator())
    torch.testing.assert_close(found, one_by_one(whole, torch.cat([x["left"], x["right"]], 1)))


def test_no_label_is_read(make_model: Callable, make_domain: Callable, make_stage: Callable):
    a = make_domain("a")
    other = copy.copy(a)
    other.train = Data(a.train.x, a.train.y.roll(1))
    assert not torch.equal(other.train.y, a.train.y)
    of_a, of_other = (
        fisher(make_model(), make_stage(domain), 99, torch.Generator().manual_seed(2)) for domain in (a, other)
    )
    assert torch.equal(of_a, of_other)


def test_it_is_at_most_so_many_rows_each_once(make_stage: Callable, make_domain: Callable):
    stage = make_stage(make_domain("a"), make_domain("b", rows=20).unlabelled(keep=3))
    for count in (1, 7, 43, 44, 500):
        batch = some(stage, count, torch.Generator().manual_seed(count))
        assert len(set(zip(batch.domain.tolist(), batch.index.tolist(), strict=True))) == len(batch) == min(count, 44)
        for i, (domain, row) in enumerate(zip(batch.domain.tolist(), batch.index.tolist(), strict=True)):
            assert isinstance(batch.x, Tensor)
            assert torch.equal(batch.x[i], stage.domains[domain].train.x[row])


def test_a_class_that_is_not_live_has_no_information(make_model: Callable, make_domain: Callable, make_stage: Callable):
    live, model = torch.tensor([[True, True, False]]), make_model(classes=3)
    found = fisher(model, make_stage(make_domain("a"), live=live), 24, torch.Generator())
    assert (found[-1], found[-3 - 8 : -3].sum()) == (0, 0)  # the bias and the weights of the third class
    assert found[-2] > 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_the_model_is_left_as_it_was(batchnorm: str, training: bool, stages: list[Stage], make_model: Callable):
    model = make_model(norm=True, batchnorm=batchnorm)
    model.reserve(2)
    model.train(training)
    model(stages[1].batch(0).x, stages[1].batch(0).domain).logits.sum().backward()
    state, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    fisher(model, stages[1], 20, torch.Generator())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert all(map(torch.equal, gradients, [p.grad for p in model.parameters() if p.grad is not None]))


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_the_model_can_be_copied_afterwards(batchnorm: str, stages: list[Stage], make_model: Callable):
    model = make_model(norm=True, batchnorm=batchnorm)
    model.reserve(2)
    fisher(model, stages[1], 20, torch.Generator())
    copy.deepcopy(model)


def test_it_adds_to_lwf_where_no_domain_can_be_scored(make_model: Callable, make_domain: Callable):
    stream = [make_domain("a"), make_domain("b")]
    for domain in stream:
        domain.test = None
    fit(make_model(norm=True, batchnorm="per-domain"), stream, EWC() + LwF(), steps=2)


# The penalty


def test_it_is_0_before_the_end_of_the_first_stage(make_model: Callable, stages: list[Stage]):
    model, method, batch = make_model(), EWC(), stages[0].batch(0)
    method.prepare(model, stages[0])
    loss = method.loss(moved(model, 0), batch, model(batch.x))
    assert loss == 0
    assert not loss.requires_grad


def test_it_is_the_sum_over_all_stages(make_model: Callable, stages: list[Stage], monkeypatch: pytest.MonkeyPatch):
    model, method, batch = make_model().double(), EWC(weight=0.7), stages[0].batch(0)
    random, past, sizes = torch.Generator().manual_seed(0), list[tuple[Tensor, Tensor]](), list[int]()
    for k in range(3):
        importance = torch.rand(len(flat(model)), generator=random, dtype=torch.float64) ** 4
        importance[k::5] = 0  # parameters that a stage, or all of them, did not need
        monkeypatch.setattr("tladapt.methods.ewc.fisher", lambda *_, f=importance: 3.0 * f)
        method.consolidate(moved(model, k), stages[0])
        past.append((importance / importance.mean(), flat(model).detach().clone()))
        sizes.append(sum(value.numel() for value in method.state_dict().values()))
    here = flat(moved(model, 9))
    expected = sum((0.7 / 2 * (f * (here - anchor) ** 2).sum() for f, anchor in past), torch.zeros(()))
    loss = method.loss(model, batch, None)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    ours, theirs = (torch.autograd.grad(value, list(model.parameters())) for value in (loss, expected))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)
    assert sizes[0] == sizes[1] == sizes[2]


def test_its_importance_is_the_fisher_information_over_its_mean(make_model: Callable, stages: list[Stage]):
    model, method = make_model(), EWC(samples=10)
    method.seed(4)
    method.consolidate(model, stages[0])
    again = EWC(samples=10)
    again.seed(4)
    expected = fisher(model, stages[0], 10, again.random)
    assert method.total is not None
    torch.testing.assert_close(method.total, expected / expected.mean())
    assert method.anchor is not None
    assert torch.equal(method.anchor, flat(model))


def test_a_model_that_is_certain_of_everything_is_not_held(make_model: Callable, stages: list[Stage]):
    model, method, batch = make_model(), EWC(), stages[0].batch(0)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([1e4, 0.0]))
    for _ in range(2):
        method.consolidate(model, stages[0])
    assert method.loss(moved(model, 0), batch, model(batch.x)) == 0


def test_the_anchor_does_not_move_with_the_model(make_model: Callable, stages: list[Stage]):
    model, method, batch = make_model(), EWC(), stages[0].batch(0)
    method.consolidate(model, stages[0])
    assert method.loss(model, batch, model(batch.x)) == 0
    assert method.loss(moved(model, 0), batch, model(batch.x)) > 0


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"weight": -1.0}, {"samples": 0}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="EWC"):
        EWC(**arguments)


def test_a_weight_so_large_that_it_diverges_is_named_with_the_stage(make_model: Callable, make_domain: Callable):
    stream = [make_domain("a"), make_domain("b", shift=1.0)]
    with pytest.raises(DivergedError, match=r"EWC.* stage b, step \d+"):
        fit(make_model(), stream, EWC(weight=1e8), steps=60, optimizer=SGD, lr=0.1)


def test_it_forgets_less_than_fine_tuning(contradicted: Callable):
    held, free = contradicted(lambda: EWC(1.0)), contradicted(Method)
    assert held.forgetting < free.forgetting - 0.15
    assert held.new > free.new - 0.05


def test_the_model_computes_afterwards_as_it_did_before(
    make_model: Callable, make_domain: Callable, make_stage: Callable
):
    model = make_model().train()
    model.precision = "bfloat16"
    fisher(model, make_stage(make_domain("a")), 20, torch.Generator().manual_seed(2))
    assert model.precision == "bfloat16"
    assert model.training
