"""How many threads a command uses, and how they wait."""

import json
import os
import sys

import pytest
import torch
from torch import nn

from tladapt import Model
from tladapt.backbones import cnn, mlp
from tladapt.cli import main
from tladapt.cli.threads import WAITING, multiplications, restoring_threads, use_threads, wait_briefly


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    """Two threads in the test, and the environment as it was afterwards."""
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    with restoring_threads():
        torch.set_num_threads(2)
        yield
    for name in WAITING:
        os.environ.pop(name, None)


def test_multiplications_are_those_of_the_layers():
    first, second, hidden, head = 8 * 8 * 32 * 9, 4 * 4 * 64 * 9 * 32, 2 * 2 * 64 * 128, 128 * 10
    model = cnn(1, 8, classes=10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert multiplications(model, (1, 8, 8)) == first + second + hidden + head
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert multiplications(mlp(20, classes=2), (20,)) == 20 * 400 + 400 * 400 + 400 * 2


@pytest.mark.parametrize(
    ("model", "shape", "batch_size", "threads"),
    [
        (cnn(1, 8, classes=10), (1, 8, 8), 64, 1),
        (cnn(1, 8, classes=10), (1, 8, 8), 1024, 2),
        (mlp(784, classes=10), (1, 28, 28), 64, 1),
        (cnn(3, 32, classes=10), (3, 32, 32), 64, 2),
        (Model.of(nn.Linear(2, 2)), (2,), 64, 2),  # a network of the user's is left alone
    ],
)
def test_a_small_network_uses_one_thread(model, shape, batch_size, threads):
    use_threads(None, model, shape, batch_size)
    assert torch.get_num_threads() == threads


def test_what_was_asked_for_is_used():
    use_threads(2, cnn(1, 8, classes=10), (1, 8, 8), 64)
    assert torch.get_num_threads() == 2


def test_the_number_is_kept_and_restored(tmp_path, capsys):
    main(["run", "digits", "--steps", "1", "--json", "--out", str(tmp_path / "a")])
    main(["run", "digits", "--steps", "1", "--threads", "2", "--json", "--out", str(tmp_path / "b")])
    kept = [json.loads((tmp_path / name / "arguments.json").read_text())["threads"] for name in "ab"]
    assert kept == [1, 2]
    assert torch.get_num_threads() == 2
    main(["run", "--resume", str(tmp_path / "a")])  # refuses another number of threads than the run began with


def test_idle_threads_wait_briefly_unless_the_user_says_how(monkeypatch):
    wait_briefly()
    assert not any(name in os.environ for name in WAITING)  # torch is loaded and has read them
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_briefly()
    assert [name for name in WAITING if name in os.environ] == ["OMP_WAIT_POLICY"]
    monkeypatch.delenv("OMP_WAIT_POLICY")
    wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "10000"
    assert os.environ["KMP_BLOCKTIME"] == "0"
