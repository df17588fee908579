"""Arguments of `fit` and methods that users write: a right result, or one line that tladapt itself raises."""

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from tests.conftest import without_address
from tladapt import DANN, Classification, Domain, Method, Model, adaptation, fit
from tladapt.checks import rate_factor, scalar


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.fixture
def domain() -> Domain:
    return Domain("a", (torch.randn(20, 4), torch.arange(20) % 2))


def refused(call: Callable[[], Any]) -> str:
    """The message of an error that a `raise` in the package made, in one line."""
    with pytest.raises((ValueError, TypeError)) as found:
        call()
    last = traceback.extract_tb(found.value.__traceback__)[-1]
    assert "/tladapt/" in last.filename.replace("\\", "/")
    assert (last.line or "").startswith("raise")
    message = str(found.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"steps": 2.0}, "steps=2.0: expected a positive whole number"),
    ({"steps": 0}, "steps=0: expected a positive whole number"),
    ({"steps": "5"}, "steps='5': expected a positive whole number"),
    ({"steps": True}, "steps=True: expected a positive whole number"),
    ({"epochs": 1.5}, "epochs=1.5: expected a positive whole number"),
    ({"epochs": 1, "steps": 1}, "epochs and steps: give one of them"),
    ({"batch_size": 8.0}, "batch_size=8.0: expected a positive whole number"),
    ({"batch_size": None}, "batch_size=None: expected a positive whole number"),
    ({"every": 2.5}, "every=2.5: expected a positive whole number"),
    ({"seed": 1.0}, "seed=1.0: expected a whole number"),
    ({"seed": None}, "seed=None: expected a whole number"),
    ({"seed": "x"}, "seed='x': expected a whole number"),
    ({"seed": 2**70}, f"seed={2**70}: expected a whole number"),
    ({"learned": "1"}, "learned='1': expected a whole number of at least 0"),
    ({"learned": 0.5}, "learned=0.5: expected a whole number of at least 0"),
    ({"learned": -1}, "learned=-1: expected a whole number of at least 0"),
    ({"learned": 1}, "learned=1: expected fewer than the 1 stages of the stream"),
    ({"lr": "0.1"}, "lr='0.1': expected a positive number"),
    ({"lr": float("nan")}, "lr=nan: expected a positive number"),
    ({"lr": [0.1]}, r"lr=[0.1]: expected a positive number"),
    ({"schedule": None}, "schedule: expected a function of the progress in [0, 1), got None"),
    ({"schedule": 0.1}, "schedule: expected a function of the progress in [0, 1), got 0.1"),
    ({"schedule": lambda: 1.0}, "schedule: expected a function of one argument"),
    ({"schedule": lambda progress: None}, "schedule: expected a function that returns a number, got None"),
    ({"optimizer": None}, "optimizer: expected a class such as torch.optim.Adam, got None"),
    ({"optimizer": "adam"}, "optimizer: expected a class such as torch.optim.Adam, got 'adam'"),
    ({"optimizer": SGD([torch.zeros(1)], lr=0.1)}, "optimizer: expected a class such as torch.optim.SGD, got a SGD"),
    ({"optimizer": torch.optim.LBFGS}, "optimizer: LBFGS needs a closure"),
    (
        {"optimizer": lambda parameters: SGD(parameters, lr=0.1)},
        "optimizer: could not be built as optimizer(parameters",
    ),
    ({"optimizer": lambda parameters, lr: None}, "optimizer: expected a function that returns a torch Optimizer, got"),
    (
        {"optimizer": partial(SGD, momentum=cast(Any, "x"))},
        "optimizer: could not be built as optimizer(parameters, lr=0.001)",
    ),
    ({"precision": "half"}, "precision='half': expected one of 'float32', 'bfloat16'"),
    ({"precision": 16}, "precision=16: expected one of"),
    ({"may_remember": ["samples"]}, "may_remember=['samples']: expected one of"),
    ({"increment": "domains"}, "increment='domains': expected one of"),
    ({"progress": "yes"}, "progress='yes': expected True, False or None"),
    ({"metric": "f1"}, "fit: unknown argument 'metric'; see help(fit)"),
    ({"optimiser": SGD}, "fit: unknown argument 'optimiser'; did you mean optimizer?"),
    ({"task": "classification"}, "task: expected a task such as Classification(), got 'classification', which lacks"),
    ({"task": Classification}, "task: expected a task, got the class Classification; write Classification()"),
    ({"evaluate": "a"}, "evaluate: expected a list of Domain, got a str"),
    ({"evaluate": [torch.zeros(3)]}, "evaluate: expected a list of Domain, got a list"),
    ({"checkpoint": 5}, "checkpoint=5: expected the path of a folder"),
    ({"scenario": 3}, "scenario=3: expected a name"),
    ({"method": DANN}, "method: expected a method, got the class DANN; write DANN()"),
    ({"method": "DANN"}, "method: expected a Method such as DANN(), got 'DANN'"),
    ({"method": torch.arange(2000)}, "method: expected a Method such as DANN(), got a Tensor"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_argument_is_refused_in_one_line_before_the_first_step(
    arguments: dict[str, Any], message: str, domain: Domain
):
    model = Model.of(network())
    before = [p.clone() for p in model.parameters()]
    assert refused(
        lambda: fit(model, [domain], **{"steps": None if "epochs" in arguments else 1, **arguments})
    ).startswith(message)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    "arguments",
    [
        {"steps": np.int64(2)}, {"seed": np.int64(3)}, {"lr": np.float32(0.01)}, {"lr": 1}, {"seed": -1},
        {"optimizer": partial(SGD, momentum=0.9)}, {"schedule": lambda progress, power=2: (1 - progress) ** power},
        {"schedule": lambda progress: torch.tensor(1.0 - progress)}, {"schedule": lambda progress: 1},
    ],
    ids=without_address,
)  # fmt: skip
def test_right_arguments_of_other_types_are_taken(arguments: dict[str, Any], domain: Domain):
    assert len(fit(Model.of(network()), [domain], **{"steps": 2, **arguments}).scores) == 2


def test_a_seed_of_numpy_is_the_same_seed(domain: Domain):
    models = [Model(nn.Linear(4, 8), nn.Linear(8, 2)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    for model, seed in zip(models, (3, np.int64(3)), strict=True):
        fit(model, [domain], steps=3, seed=seed)  # type: ignore[arg-type]
    assert torch.equal(models[0].head.weight, models[1].head.weight)  # type: ignore[arg-type]


def test_the_model_and_the_stream_are_named_by_their_kind(domain: Domain):
    model = Model.of(network())
    assert refused(lambda: fit(network(), [domain])).startswith("model: expected a Model, got a Sequential; wrap it as")  # type: ignore[arg-type]
    assert refused(lambda: fit(Model, [domain])).startswith("model: expected a Model, got the class Model")  # type: ignore[arg-type]
    assert refused(lambda: fit(cast(Any, nn.DataParallel(model)), [domain])).startswith(
        "model: expected a Model, got a DataParallel around one"
    )  # type: ignore[arg-type]
    assert refused(lambda: fit(model, domain)) == "stream: expected a list of stages, got a Domain; write [a]"  # type: ignore[arg-type]
    for stream in (torch.randn(200, 4), np.zeros((300, 4)), "abc", 3, None, {"a": domain}):
        assert refused(lambda stream=stream: fit(model, stream)).startswith("stream: expected a list of Domain, got ")  # type: ignore[arg-type]
    assert "unlabelled" not in refused(lambda: fit(model, torch.zeros(2000, 4), torch.zeros(2000)))  # type: ignore[arg-type]


def test_a_network_that_is_frozen_whole_is_refused_but_not_a_part(domain: Domain):
    net = network().requires_grad_(False)
    for method in (None, DANN()):
        stream = [domain, (domain, Domain("t", torch.randn(20, 4)))]
        assert "nothing would train" in refused(lambda m=method, s=stream: fit(Model.of(net), s, m, steps=1))
    net[2].requires_grad_(True)
    fit(Model.of(net), [domain], steps=1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_are_refused_by_their_type_but_may_be_used(dtype: torch.dtype, domain: Domain):
    model = Model.of(network().to(dtype))
    message = refused(lambda: fit(model, [domain], steps=1))
    assert message.startswith(f"model: encoder.module.0.weight is {str(dtype).removeprefix('torch.')}")
    assert model(torch.randn(3, 4)).logits.dtype == dtype
    fit(model.float(), [domain], steps=1)


class Kept(Method):
    """A method that users write; the tests change one thing each."""

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power


class NoSuper(Kept):
    def __init__(self) -> None:
        self.power = 1.0


class Forward(Kept):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Forgets(Method):
    def __init__(self, power: float = 1.0) -> None:
        super().__init__()


class WrongVerb(Kept):
    def loss(self, model: Model, output: Any) -> Tensor:  # type: ignore[override]
        return output.logits.mean()


class Returns(Kept):
    value: Any = 0.0

    def loss(self, model: Model, batch: Any, output: Any) -> Any:
        return self.value(output) if callable(self.value) else self.value


def returning(value: Any) -> Method:
    method = Returns()
    method.value = value
    return method


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (NoSuper, "method: NoSuper.__init__ must begin with super().__init__()"),
        (Forward, "method: Forward.forward is never called; define loss(self, model, batch, output)"),
        (Forgets, "method: Forgets must keep its argument; write self.power = power in __init__"),
        (WrongVerb, "method: WrongVerb.loss must take (self, model, batch, output)"),
        (lambda: returning(None), "Returns.loss returned None; expected a tensor of shape (), such as a mean"),
        (lambda: returning(lambda o: o.logits.mean(1)), "Returns.loss returned a tensor of shape (16,); expected"),
        (lambda: returning("0"), "Returns.loss returned '0'; expected a tensor of shape ()"),
    ],
)
def test_a_method_that_is_written_wrong_is_told_what_is_wrong(
    method: Callable[[], Method], message: str, domain: Domain
):
    assert refused(lambda: fit(Model.of(network()), [domain], method(), steps=1)).startswith(message)


class Extends(Kept):
    def extend(self, model: Model, batch: Any) -> Any:
        return batch.x, batch.y


@pytest.mark.parametrize("method", [Extends, lambda: Extends() + DANN()])
def test_rows_that_a_method_adds_are_a_batch(method: Callable[[], Method]):
    stream = adaptation(make("a"), make("t"))
    message = refused(lambda: fit(Model.of(network()), stream, method(), steps=1))
    assert message == "Extends.extend returned a tuple; expected a Batch, as batch.remembered(...), or None"


@pytest.mark.parametrize("value", [0.0, 0, np.float64(0.0), torch.zeros(())])
def test_the_loss_of_an_own_method_may_be_a_number(value: Any, domain: Domain):
    models = [Model(nn.Linear(4, 8), nn.Linear(8, 2)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    fit(models[0], [domain], returning(value), steps=3)
    fit(models[1], [domain], steps=3)
    assert torch.equal(models[0].head.weight, models[1].head.weight)  # type: ignore[arg-type]


def test_a_scalar_and_a_factor_keep_their_value():
    like = torch.zeros(2, dtype=torch.float64)
    assert scalar("x", 2, like) == torch.tensor(2.0, dtype=torch.float64)
    assert rate_factor(lambda progress: 1 - progress, 0.25) == 0.75


def test_a_method_object_serves_one_fit(domain: Domain):
    method = Kept()
    fit(Model.of(network()), [domain], method, steps=1)
    assert "has the memory of an earlier fit; build a new one" in refused(
        lambda: fit(Model.of(network()), [domain], method, steps=1)
    )


def make(name: str) -> Domain:
    return Domain(name, (torch.randn(40, 4), torch.arange(40) % 2))


def test_several_sources_go_into_a_list():
    a, b, target = make("a"), make("b"), make("t")
    first, second = adaptation([a, b], target)
    assert [domain.name for domain in first] == ["a", "b"]  # type: ignore[union-attr]
    assert [domain.name for domain in second] == ["a", "b", "t"]  # type: ignore[union-attr]
    assert len(second[2].train.y) == 0  # type: ignore[index]
    assert adaptation([a], target)[0] is a
    report = fit(Model.of(network()), adaptation((a, b), target), DANN(), steps=2)
    assert report.domains == ["a", "b", "t"]
    message = refused(lambda: adaptation(a, b, target))  # type: ignore[arg-type]
    assert message == "adaptation: several sources go into a list, as in adaptation([a, b], target)"
    assert "expected one target, got several" in refused(lambda: adaptation(a, [b, target]))  # type: ignore[arg-type]
    assert "no source given" in refused(lambda: adaptation([], target))
    assert "got a Tensor" in refused(lambda: adaptation(torch.zeros(3), target))  # type: ignore[arg-type]
    for keep in (1.5, -1, "1", True):
        assert f"keep={keep!r}" in refused(lambda keep=keep: adaptation(a, target, keep))  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [1, 5])
def test_labels_that_a_target_kept_stay_kept(kept: int):
    a, target = make("a"), make("t")
    once, twice = adaptation(a, target, keep=kept), adaptation(a, target.unlabelled(keep=kept))
    assert torch.equal(once[1][1].train.y, twice[1][1].train.y)  # type: ignore[index]
    assert len(twice[1][1].train.y) == 2 * kept  # type: ignore[index]
    assert len(adaptation(a, target.unlabelled(keep=kept), keep=0)[1][1].train.y) == 0  # type: ignore[index]
    assert len(adaptation(a, target)[1][1].train.y) == 0  # type: ignore[index]


def test_what_is_not_a_network_is_refused():
    for module in (nn.Sequential, lambda x: x, "resnet18", None):
        assert refused(lambda module=module: Model.of(module)).startswith("Model.of: expected a torch network")  # type: ignore[arg-type]
    assert "got a Model" in refused(lambda: Model.of(Model.of(network())))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (2.0, "Model.of(classes=2.0): expected a number of classes, or a list of their names"),
        ("ab", "Model.of(classes='ab'): expected a number of classes, or a list of their names"),
        (True, "Model.of(classes=True): expected a number of classes"),
        (0, "Model.of(classes=0): expected at least one class"),
        ([], "Model.of(classes=[]): expected at least one class"),
        (["a", "a"], "Model.of(classes=...): 'a' is given twice"),
        ({"a": 1}, "Model.of(classes={'a': 1}): expected a number of classes"),
    ],
)
def test_classes_that_are_neither_a_number_nor_names(classes: Any, message: str):
    assert refused(lambda: Model.of(network(), classes)).startswith(message)


def test_classes_of_other_types_are_taken():
    assert Model.of(network(), np.int64(3)).classes == ("0", "1", "2")  # type: ignore[arg-type]
    assert Model.of(network(), np.array(["a", "b"])).classes == ("a", "b")  # type: ignore[arg-type]


def test_halves_that_are_not_modules():
    for encoder, head in ((nn.Linear, nn.Linear(8, 2)), (nn.Linear(4, 8), None), (lambda x: x, nn.Linear(4, 2))):
        assert "expected a torch module, got a " in refused(lambda e=encoder, h=head: Model(e, h))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 2)),
            "has the shape (8,) in the saved weights and (9,) in the network",
        ),
        (nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)), "which is not among the saved weights"),
        (nn.Sequential(nn.Flatten(), nn.Linear(8, 2)), "which the network does not have"),
        (nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 2)), "which the network does not have"),
    ],
)
def test_weights_of_another_network_are_named(other: nn.Module, message: str, tmp_path: Path):
    Model.of(network()).save(tmp_path)
    assert message in refused(lambda: Model.load(tmp_path, other))
