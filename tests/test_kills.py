"""Processes are killed at random moments; what is started again ends with the bits of a run that was never stopped.

`pytest tests/test_kills.py --slow` kills a hundred over every method there is and three sums; TLADAPT_KILLS=1000 asks
for more, TLADAPT_KILL_SEED=1 for other moments.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pydantic  # noqa: F401 (what a first step imports takes seconds: here once for all processes)
import pytest
import torch
import torch._dynamo
from safetensors.torch import load_file, save_file

from tests.test_resuming import BUILDS, STAGES, run
from tladapt.cli import main
from tladapt.storage.checkpoints import read
from tladapt.storage.runs import NAME

SEED = int(os.environ.get("TLADAPT_KILL_SEED", 0))
MANY = int(os.environ.get("TLADAPT_KILLS", 100))

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the operating system knows no SIGKILL")


def work(number: int, every: int, folder: Path) -> None:
    """One run to its end, in the process that is to be killed; what it found lies beside its checkpoints."""
    torch.set_num_threads(1)
    weights, report = run(BUILDS[number], folder, every=every)
    report.save(folder)
    save_file({name: value.contiguous().clone() for name, value in weights.items()}, folder / "weights.safetensors")


def found_in(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The weights, bit for bit, and the report but for what may differ."""
    weights = {name: value.numpy().tobytes() for name, value in load_file(folder / "weights.safetensors").items()}
    report = json.loads((folder / "report.json").read_text())
    return weights, {name: value for name, value in report.items() if name not in ("seconds", "environment")}


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """New processes, each a copy of one that has imported everything and done nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_kills"])
    yield context
    multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def whole(processes, tmp_path_factory) -> Any:
    """`whole(number)`: what the run of this number finds when nobody stops it, and how long that takes."""
    known: dict[int, tuple[Any, float]] = {}

    def look(number: int) -> tuple[Any, float]:
        if number not in known:
            folder = tmp_path_factory.mktemp("whole")
            process = started_with(processes, number, 1, folder)
            process.join()
            assert process.exitcode == 0
            known[number] = found_in(folder), json.loads((folder / "report.json").read_text())["seconds"]
            shutil.rmtree(folder)
        return known[number]

    return look


def started_with(processes: Any, number: int, every: int, folder: Path) -> ForkServerProcess:
    process = processes.Process(target=work, args=(number, every, folder))
    process.start()
    return process


def written(folder: Path) -> int:
    """When the checkpoint was."""
    return os.stat(folder / NAME).st_mtime_ns if (folder / NAME).exists() else 0


def reached(folder: Path) -> tuple[int, int]:
    """The stage and the step of the checkpoint; one past all others, if there is none of the middle of a run."""
    try:
        kept = read(folder / NAME)
        return kept["past"]["stage"], kept["step"]
    except (ValueError, KeyError):
        return STAGES, 0


def killed_and_resumed(processes: Any, whole: Any, number: int, draw: random.Random, folder: Path) -> tuple[int, bool]:
    """How often the run was killed (1 to 3 times are tried), and whether it found the same.

    Those kills count that hit a running process in the middle of a run, and further on than the one before.
    """
    expected, seconds = whole(number)
    every, kills, last = draw.choice([1, 1, 2, 5]), 0, (-1, 0)
    for _ in range(draw.randint(1, 3)):
        before = written(folder)
        process = started_with(processes, number, every, folder)
        while process.is_alive() and written(folder) == before:
            time.sleep(0.001)
        time.sleep(seconds * draw.random())
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL and last < (place := reached(folder)) < (STAGES, 0):
            kills, last = kills + 1, place
    process = started_with(processes, number, every, folder)
    process.join()
    assert process.exitcode == 0
    return kills, found_in(folder) == expected


def check(processes: Any, whole: Any, tmp_path: Path, count: int, every_one: bool = False) -> None:
    draw, kills, numbers = random.Random(SEED), 0, list(range(len(BUILDS)))
    draw.shuffle(numbers)
    rounds = 0
    while kills < count or (every_one and rounds < len(numbers)):
        number, folder = numbers[rounds % len(numbers)], tmp_path / str(rounds)
        more, same = killed_and_resumed(processes, whole, number, draw, folder)
        assert same, f"round {rounds} of seed {SEED}: {BUILDS[number]} ended elsewhere after {more} kills"
        shutil.rmtree(folder)
        kills, rounds = kills + more, rounds + 1
    print(
        f"{kills} kills in {rounds} runs of {min(rounds, len(numbers))} of {len(numbers)} methods and sums, seed {SEED}"
    )


def test_some_processes_are_killed_and_nothing_is_lost(processes, whole, tmp_path):
    check(processes, whole, tmp_path, 24)


@pytest.mark.slow
def test_many_processes_are_killed_and_nothing_is_lost(processes, whole, tmp_path):
    check(processes, whole, tmp_path, MANY, every_one=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BUILDS)))
def test_a_new_interpreter_goes_on_whatever_order_its_sets_have(number, processes, whole, tmp_path, monkeypatch):
    expected, seconds = whole(number)
    process = started_with(processes, number, 1, tmp_path)
    process.join(seconds / 2)
    process.kill()
    process.join()
    monkeypatch.setenv("PYTHONHASHSEED", str(number + 1))
    process = started_with(multiprocessing.get_context("spawn"), number, 1, tmp_path)
    process.join()
    assert process.exitcode == 0
    assert found_in(tmp_path) == expected


def kept(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "report.json").read_text())
    weights = load_file(folder / "model" / "model.safetensors")
    return {name: value.numpy().tobytes() for name, value in weights.items()} | {
        name: value for name, value in report.items() if name not in ("seconds", "environment")
    }


def test_a_command_that_is_killed_goes_on_by_its_folder_alone(tmp_path):
    typed = ["run", "digits", "--json", "--method", "DANN + Replay(50) + EWC", "--model", "mlp", "--steps", "30"]
    typed += ["--every", "7"]
    main([*typed, "--out", str(tmp_path / "whole")])
    command, alone = [sys.executable, "-m", "tladapt"], {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *typed, "--out", "stopped"], cwd=tmp_path, env=alone)
    while not (tmp_path / "stopped" / "checkpoint.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(0.2 * random.Random(SEED).random())
    process.kill()
    process.wait()
    subprocess.run([*command, "run", "--resume", tmp_path / "stopped"], check=True)
    assert kept(tmp_path / "stopped") == kept(tmp_path / "whole")
    main(["run", "--resume", str(tmp_path / "stopped")])  # which is through
    assert kept(tmp_path / "stopped") == kept(tmp_path / "whole")
