"""A run that was stopped anywhere goes on in its folder to the same bits, for every method there is and for sums."""

import copy
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

import tladapt.methods
from tladapt import DANN, EWC, BitFit, Domain, EarlyStopping, LoRA, LwF, Method, Model, Replay, Report, WiSEFT, fit
from tladapt.storage.checkpoints import read, write
from tladapt.storage.runs import Run
from tladapt.storage.stepping import Stepping, load_stepper, stepper_by_name

METHODS = [getattr(tladapt.methods, name) for name in tladapt.methods.__all__]
SUMS = [
    lambda: DANN() + Replay(10) + EWC(),
    lambda: LoRA() + LwF() + WiSEFT(),
    lambda: BitFit() + EarlyStopping() + Replay(5),
]
BUILDS = [*METHODS, *SUMS]
STEPS, STAGES = 6, 3


class StoppedError(Exception):
    pass


def domain(name: str, labelled: bool = True) -> Domain:
    random = torch.Generator().manual_seed(sum(map(ord, name)))
    x, y = torch.randn(40, 4, generator=random), torch.arange(40) % 2
    found = Domain(name, (x, y), validation=0.2)
    return found if labelled else found.unlabelled()


def stream() -> list:
    a = domain("a")
    return [a, (a, domain("b", labelled=False)), domain("c")]


def network(batchnorm: str = "joint") -> Model:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)]
    return Model.of(nn.Sequential(*layers), batchnorm=batchnorm)


def run(build: Callable[[], Method], folder: Path | None = None, **rest) -> tuple[dict[str, Tensor], Report]:
    model = network(rest.pop("batchnorm", "joint"))
    report = fit(model, stream(), build(), steps=STEPS, batch_size=8, checkpoint=folder, **{"every": 1, **rest})
    return model.state_dict(), report


def stopped_at(step: int, build: Callable[[], Method], folder: Path, monkeypatch: pytest.MonkeyPatch, **rest) -> None:
    """The run, until it has written so many checkpoints; the next step raises."""
    keep, seen = Run.keep, [0]

    def count(self, now):
        if seen[0] == step:
            raise StoppedError
        seen[0] += 1
        keep(self, now)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "keep", count)
        try:
            run(build, folder, **rest)
        except StoppedError:
            return
    assert seen[0] < step  # a term was done before


def same(left: tuple[dict[str, Tensor], Report], right: tuple[dict[str, Tensor], Report]) -> bool:
    (a, first), (b, second) = left, right
    told = [{k: v for k, v in r.to_dict().items() if k not in ("seconds", "environment")} for r in (first, second)]
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) and told[0] == told[1]


@pytest.mark.parametrize("step", [1, 3, 8, 11, 13, 17])
@pytest.mark.parametrize("build", BUILDS, ids=lambda build: getattr(build, "__name__", "sum"))
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(build, step: int, tmp_path: Path, monkeypatch):
    whole = run(build)
    stopped_at(step, build, tmp_path, monkeypatch)
    assert same(run(build, tmp_path), whole)


@pytest.mark.parametrize(
    "rest",
    [{"precision": "bfloat16"}, {"batchnorm": "per-domain"}, {"increment": "task"},
     {"learned": 1}, {"optimizer": SGD}, {"optimizer": Adam, "schedule": float}],
    ids=str,
)  # fmt: skip
def test_whatever_the_settings_are(rest: dict, tmp_path: Path, monkeypatch):
    whole = run(SUMS[0], **rest)
    for step in (3, 5):
        stopped_at(step, SUMS[0], tmp_path, monkeypatch, **rest)
    assert same(run(SUMS[0], tmp_path, **rest), whole)


def test_a_memory_on_disk_is_part_of_the_checkpoint(tmp_path: Path, monkeypatch):
    (tmp_path / "memory").mkdir()

    def build() -> Method:
        return DANN() + Replay(10, folder=str(tmp_path / "memory"))

    whole = run(build)
    for step in (8, 5):
        stopped_at(step, build, tmp_path / "run", monkeypatch)
    assert same(run(build, tmp_path / "run"), whole)


def test_a_finished_run_gives_its_report_and_model_without_a_step(tmp_path: Path, monkeypatch):
    whole = run(SUMS[0], tmp_path)

    def learn(*_, **__):
        raise AssertionError("learned again")

    monkeypatch.setattr("tladapt.training.learn", learn)
    assert same(run(SUMS[0], tmp_path), whole)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: getattr(build, "__name__", "sum"))
def test_a_finished_run_gives_the_whole_memory_of_its_method(build, tmp_path: Path):
    before, after = build(), build()
    for method in (before, after):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of methods that have nothing to act on in this network
            fit(network(), stream(), method, steps=STEPS, batch_size=8, checkpoint=tmp_path)
    left, right = before.state_dict(), after.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_a_call_may_be_repeated_with_the_same_model(batchnorm: str, tmp_path: Path):
    model = network(batchnorm)
    reports = [fit(model, stream(), EWC(), steps=STEPS, checkpoint=tmp_path) for _ in range(2)]
    assert reports[0].scores == reports[1].scores


def test_the_seconds_of_all_processes_count(tmp_path: Path):
    first = run(Method, tmp_path)[1].seconds
    assert run(Method, tmp_path)[1].seconds >= first * 0.5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 before, 1 now"),
        ({"lr": 0.5}, "lr: 0.001 before, 0.5 now"),
        ({"increment": "task"}, "task"),
    ],
    ids=str,
)
def test_another_run_in_the_folder_is_refused_and_left_alone(change: dict, named: str, tmp_path: Path):
    run(EWC, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=named):
        run(EWC, tmp_path, **change)
    with pytest.raises(ValueError, match=r"method: EWC\(\) before, LwF\(\) now"):
        run(LwF, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_data_is_refused(tmp_path: Path):
    fit(network(), [domain("a")], steps=2, checkpoint=tmp_path)
    other = domain("a")
    other.train.x[0, 0] += 1  # type: ignore[index]
    with pytest.raises(ValueError, match="input x of train of domain a of data: changed"):
        fit(network(), [other], steps=2, checkpoint=tmp_path)


def test_another_number_of_threads_is_refused(tmp_path: Path):
    run(EWC, tmp_path)
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="threads: 1 before, 2 now"):
            run(EWC, tmp_path)
    finally:
        torch.set_num_threads(1)


def test_a_checkpoint_that_holds_something_else_is_refused_in_one_line(tmp_path: Path, monkeypatch):
    stopped_at(8, SUMS[0], tmp_path, monkeypatch)
    path = tmp_path / "checkpoint.safetensors"
    whole = read(path)
    changes: list[Callable[[dict], object]] = [
        lambda kept: kept.pop("about"), lambda kept: kept.pop("past"), lambda kept: kept.update(about=3),
        lambda kept: kept["past"].update(stage=7), lambda kept: kept["past"].update(scores="all"),
        lambda kept: kept.pop("model"), lambda kept: kept["model"].popitem(), lambda kept: kept.update(method=[]),
        lambda kept: kept.update(step="three"), lambda kept: kept.update(idle=None),
        lambda kept: kept["stepper"]["param_groups"].pop(), lambda kept: kept["stepper"]["state"].update(more={}),
        lambda kept: kept["random"].update(torch=torch.zeros(3)), lambda kept: kept["random"].update(numpy=[]),
        lambda kept: kept["random"].pop("python"),
    ]  # fmt: skip
    for change in changes:
        spoilt = copy.deepcopy(whole)
        change(spoilt)
        write(path, spoilt)
        with pytest.raises(ValueError, match="cannot be resumed") as caught:
            run(SUMS[0], tmp_path)
        assert "\n" not in str(caught.value)


class Draws(nn.Module):
    """Noise from all the places that layers draw it from."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x + 0.1 * torch.randn(()) + 0.1 * np.random.randn() + 0.1 * random.gauss(0, 1)  # noqa: NPY002


def test_layers_may_draw_from_any_random_numbers(tmp_path: Path, monkeypatch):
    plain = network

    def noisy(batchnorm: str = "joint") -> Model:
        model = plain(batchnorm)
        model.encoder = nn.Sequential(model.encoder, Draws())
        return model

    monkeypatch.setattr("tests.test_resuming.network", noisy)
    whole = run(SUMS[0])
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)
    for step in (3, 5):
        stopped_at(step, SUMS[0], tmp_path, monkeypatch)
    assert same(run(SUMS[0], tmp_path), whole)


def test_the_state_of_the_optimiser_goes_by_names_and_not_by_places():
    def stepping(order: int) -> tuple[Stepping, list[nn.Parameter]]:
        model = network()
        first, *rest = model.parameters()
        stepper = Adam([{"params": [first], "lr": 0.5}, {"params": rest}][::order])
        return Stepping(model, Method(), stepper, [], 0), [first, *rest]

    (one, before), (two, after) = stepping(1), stepping(-1)
    one.model(torch.randn(8, 4)).logits.square().sum().backward()
    one.stepper.step()
    load_stepper(two, stepper_by_name(one))
    for p, q in zip(before, after, strict=True):
        assert torch.equal(one.stepper.state[p]["exp_avg"], two.stepper.state[q]["exp_avg"])
    assert [group["lr"] for group in two.stepper.param_groups] == [1e-3, 0.5]


class Forgets(Method):
    """Counts its steps where no state dict finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def loss(self, model, batch, output):
        self.seen += 1
        return output.logits.square().mean() * self.seen


def test_a_method_that_keeps_something_elsewhere_is_found_out(tmp_path: Path, monkeypatch):
    whole = run(Forgets)
    stopped_at(3, Forgets, tmp_path, monkeypatch)
    assert not same(run(Forgets, tmp_path), whole)


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.test_resuming import BUILDS, run
from safetensors.torch import save_file
weights, report = run(BUILDS[{number}], Path({folder!r}))
save_file({{name: value.contiguous().clone() for name, value in weights.items()}}, {folder!r} + "/weights.safetensors")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the operating system knows no SIGKILL")
def test_a_process_that_is_killed_goes_on_in_another(tmp_path: Path):
    from safetensors.torch import load_file

    number = len(METHODS)  # the first sum
    script = SCRIPT.format(root=str(Path(__file__).parents[1]), number=number, folder=str(tmp_path))
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    kept = tmp_path / "checkpoint.safetensors"
    while not kept.exists() and process.poll() is None:
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, check=False).returncode == 0
    weights, _ = run(BUILDS[number])
    found = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(found[name], weights[name]) for name in weights)
