"""What makes two runs the same: all that changes their bits, and nothing else; and it holds in every process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.utils.data import IterableDataset

from tests.conftest import without_address
from tests.test_resuming import SUMS, domain, network, run, same, stopped_at, stream
from tladapt import EWC, Classification, Domain, Method, Replay, fit
from tladapt.cli import main
from tladapt.comparison import compare
from tladapt.display.progress import DivergedError
from tladapt.scenarios import digits
from tladapt.storage.identity import identity


def warm(progress: float, least: float = 0.1) -> float:
    return max(least, progress)


class Weighted(Classification):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight


class Curve:
    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, progress: float) -> float:
        return (1 - progress) ** self.power


DIFFERENT: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"schedule": lambda p: 1.0 - p}, {"schedule": lambda p: 1.0 - 0.5 * p}, "schedule"),
    ({"schedule": partial(warm, least=0.1)}, {"schedule": partial(warm, least=0.2)}, "schedule"),
    ({"schedule": Curve(1.0)}, {"schedule": Curve(2.0)}, "schedule"),
    ({"optimizer": partial(SGD, momentum=0.9)}, {"optimizer": partial(SGD, momentum=0.1)}, "optimizer"),
    ({"optimizer": SGD}, {"optimizer": Adam}, "optimizer"),
    ({"task": Weighted(1.0)}, {"task": Weighted(100.0)}, "task"),
    ({"evaluate": [*"abc"]}, {"evaluate": [*"abcd"]}, "evaluate"),
    ({"evaluate": [*"abcd"]}, {"evaluate": [*"cabd"]}, "evaluate"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "name"), DIFFERENT, ids=without_address)
def test_what_changes_the_bits_is_another_run(before, after, name, tmp_path: Path):
    domains = {n: domain(n) for n in "abcd"}

    def fitted(told: dict[str, Any]) -> None:
        told = {k: [domains[n] for n in v] if k == "evaluate" else v for k, v in told.items()}
        fit(network(), [domains["a"], domains["b"], domains["c"]], EWC(), steps=2, checkpoint=tmp_path, **told)

    fitted(before)
    fitted(before)
    with pytest.raises(ValueError, match=rf"another run is stored there \(.*\b{name}\b"):
        fitted(after)


def test_other_labels_to_score_on_are_another_run(tmp_path: Path):
    a, b = domain("a"), domain("b")
    fit(network(), [a], steps=2, evaluate=[a, b], checkpoint=tmp_path)
    assert b.test is not None
    b.test.y = 1 - b.test.y
    with pytest.raises(ValueError, match="of domain b of data: changed"):
        fit(network(), [a], steps=2, evaluate=[a, b], checkpoint=tmp_path)


def test_a_setting_is_the_same_in_every_process():
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from functools import partial; from peft import LoraConfig; from tladapt import Adapter\n"
        "from tests.test_sameness import Curve, warm; from tladapt.storage.identity import identity\n"
        "config = LoraConfig(target_modules=['0', '2', '4'], lora_dropout=0.5)\n"
        "print(identity([lambda p: p / 2, partial(warm, least=3), Curve(2.0), warm, Adapter(config)]))\n"
    )
    found = {
        subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, text=True,
                       capture_output=True, check=True).stdout
        for seed in "12"
    }  # fmt: skip
    assert len(found) == 1
    assert " at 0x" not in found.pop()


def test_what_holds_itself_is_told_apart_all_the_same():
    one: list[Any] = [1]
    one.append(one)
    assert identity(one) == [1, {"itself": 1}]
    assert identity({np.float64(0.5): np.float32(1.0), "s": {3, 1}}) != identity({"s": {3, 2}})
    assert identity(torch.arange(2000.0)) != identity(torch.arange(2000.0).flip(0))


def test_a_comparison_is_not_given_the_figures_of_another(tmp_path: Path):
    def scores(**changes: Any) -> Any:
        return compare(digits().but(steps=20, **changes), [EWC()], seeds=1, jobs=1, out=tmp_path).scores

    first = scores(schedule=lambda p: 1.0)
    assert scores(schedule=lambda p: 1.0) == first
    assert len(list(tmp_path.glob("runs/*.json"))) == 3
    assert scores(schedule=lambda p: 1e-6) != first
    assert len(list(tmp_path.glob("runs/*.json"))) == 6


# What is drawn, and what changes, outside of a step


class Draws(Method):
    """Draws from the global random numbers wherever it can."""

    kept: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(2))

    def prepare(self, model, stage):
        self.critic = nn.Linear(2, 1)

    def loss(self, model, batch, output):
        return (self.critic(output.logits) - self.kept.sum()).square().mean()

    def consolidate(self, model, stage):
        self.kept = torch.randperm(2).float() + torch.rand(2)


class Noise(nn.Module):
    """Noise in evaluation, too, and a running mean that no state dict has."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean += 0.1 * (x.detach().mean() - self.mean)
        return x - self.mean + 0.1 * torch.randn_like(x)


@pytest.mark.parametrize("step", [3, 8, 14])
def test_what_is_drawn_outside_of_the_steps_is_drawn_again(step: int, tmp_path: Path, monkeypatch):
    plain = network
    model = lambda *rest: setattr(m := plain(*rest), "encoder", nn.Sequential(m.encoder, Noise())) or m  # noqa: E731
    monkeypatch.setattr("tests.test_resuming.network", model)
    build = lambda: Draws() + Replay(8)  # noqa: E731
    torch.manual_seed(1)
    whole = run(build)
    torch.manual_seed(2)
    stopped_at(step, build, tmp_path, monkeypatch)
    torch.manual_seed(3)
    assert same(run(build, tmp_path), whole)


class Augmented(IterableDataset):
    def __len__(self) -> int:
        return 30

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for row in range(30):
            yield torch.full((4,), float(row % 2)) + torch.randn(4), row % 2


@pytest.mark.parametrize("workers", [0, 1])
def test_rows_that_are_passed_over_take_no_randomness_from_those_that_are_read(workers: int, tmp_path, monkeypatch):
    tape = Domain("a", Augmented(), None, workers=workers)
    monkeypatch.setattr("tests.test_resuming.stream", lambda: [tape, domain("c")])
    whole = run(EWC)
    stopped_at(3, EWC, tmp_path, monkeypatch)
    assert same(run(EWC, tmp_path), whole)


class Double(Optimizer):
    """Sums of gradients in double precision, whatever the weights are."""

    def __init__(self, parameters: Any, lr: float = 1e-3) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                total = self.state[p].setdefault("total", torch.zeros_like(p, dtype=torch.float64))
                total += p.grad.double() / 3
                p -= (group["lr"] * total).float()


def test_the_optimiser_and_the_schedule_are_kept_to_the_bit(tmp_path: Path, monkeypatch):
    rest = {"optimizer": Double, "schedule": lambda p: 0.5 * (1 + np.cos(np.pi * p)), "lr": np.float64(0.01)}
    whole = run(SUMS[0], **rest)
    for step in (4, 4):
        stopped_at(step, SUMS[0], tmp_path, monkeypatch, **rest)
    assert same(run(SUMS[0], tmp_path, **rest), whole)


class Spoils(Method):
    def consolidate(self, model, stage):
        if stage.name == "c":
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))


def test_weights_that_the_last_consolidation_spoils_are_not_kept(tmp_path: Path):
    with pytest.raises(DivergedError, match="no longer finite at the end of stage 2"):
        fit(network(), stream(), Spoils(), steps=2, checkpoint=tmp_path)


def test_a_model_that_was_never_good_is_named_as_such(tmp_path: Path):
    model = network()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="its outputs for a row of 'a' are NaN before training; check its weights"):
        fit(model, stream(), steps=2, checkpoint=tmp_path)


class PressesLast(Method):
    def loss(self, model, batch, output):
        if batch.progress > 0.8:
            signal.raise_signal(signal.SIGINT)
        return output.logits.square().mean()


def test_control_c_in_the_last_step_is_heard(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        fit(network(), [domain("a")], PressesLast(), steps=6, checkpoint=tmp_path)


# The command line


def refused(capsys, *arguments: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()
    return line


SHORT = ("--model", "mlp", "--steps", "2")


def test_a_slip_does_not_replace_the_command_to_go_on_with(tmp_path: Path, capsys):
    main(["compare", "digits", "--seeds", "1", "--jobs", "1", *SHORT, "--out", str(tmp_path)])
    assert "digitz" in refused(capsys, "compare", "digitz", "--seeds", 1, *SHORT, "--out", tmp_path)
    main(["compare", "--resume", str(tmp_path)])


def test_one_seed_and_several_do_not_share_a_folder(tmp_path: Path, capsys):
    main(["run", "digits", "--seeds", "1", *SHORT, "--out", str(tmp_path)])
    assert "begun with --seeds" in refused(capsys, "run", "digits", *SHORT, "--out", tmp_path)
    main(["run", "digits", *SHORT, "--out", str(tmp_path / "other")])
    assert "begun without --seeds" in refused(
        capsys, "run", "digits", "--seeds", 1, *SHORT, "--out", tmp_path / "other"
    )


def test_a_run_goes_on_from_any_place(tmp_path: Path, monkeypatch):
    (tmp_path / "here" / "memory").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    main(["run", "digits", *SHORT, "--method", "Replay(20, folder='memory')", "--out", "out"])
    monkeypatch.chdir(tmp_path)
    main(["run", "--resume", "here/out"])
    assert not (tmp_path / "here" / "here").exists()


TAMPERED: list[dict[str, Any]] = [
    {"threads": 10**8}, {"threads": 0}, {"folder": "/nowhere at all"}, {"arguments": ["run", "--help"]},
    {"arguments": ["run", "--nonsense"]},
]  # fmt: skip


@pytest.mark.parametrize("change", TAMPERED, ids=str)
def test_a_command_that_was_tampered_with_is_refused(change: dict, tmp_path: Path, capsys):
    main(["run", "digits", *SHORT, "--out", str(tmp_path)])
    path = tmp_path / "arguments.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert f"--resume {tmp_path}: " in refused(capsys, "run", "--resume", tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_processes_of_a_comparison_end_with_it(tmp_path: Path):
    typed = ["compare", "digits", "--model", "mlp", "--steps", "100000", "--jobs", "2", "--out", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "tladapt", *typed], stderr=subprocess.DEVNULL)
    while len(list(tmp_path.glob("runs/*/checkpoint.safetensors"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    workers = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _parent(p) == process.pid]
    process.kill()
    process.wait()
    assert len(workers) >= 2
    for _ in range(200):
        if not any(_alive(worker) for worker in workers):
            return
        time.sleep(0.1)
    pytest.fail("they live on")


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _alive(worker: int) -> bool:
    try:
        return (Path("/proc") / str(worker) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
