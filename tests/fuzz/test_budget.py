"""What a network may cost: an operation that would exceed it does not begin."""

import json
import resource

import pytest
import torch
from torch import nn

from tests.test_comparison import SHORT, count_runs, short
from tladapt import CORAL
from tladapt.storage.budget import Budget

WEIGHTS = {"w": torch.zeros(1000)}
LARGE = {
    "made": lambda: torch.zeros(10**10), "made of nothing": lambda: torch.arange(10**10),
    "drawn": lambda: torch.rand(10**5, 10**5),
    "repeated": lambda: torch.ones(3).repeat(10**9), "copied": lambda: torch.ones(1).expand(10**10).clone(),
    "outer product": lambda: torch.ones(10**5)[:, None] * torch.ones(10**5),
    "coded": lambda: nn.functional.one_hot(torch.tensor([10**10])),
    "many": lambda: [torch.zeros(10**6) for _ in range(1000)], "small": lambda: [torch.zeros(1) for _ in range(10**5)],
    "written": lambda: [x.normal_() for x in [torch.zeros(10**6)] for _ in range(1000)],
    "padded": lambda: nn.functional.pad(
        torch.ones(1), (10**10, 0)), "layer": lambda: nn.Linear(10**5, 10**5),
        "embedding": lambda: nn.Embedding(10**8, 100),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_before_it_is_there(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Budget(WEIGHTS), pytest.raises(ValueError, match="larger than its weights"):
        LARGE[name]()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_once_it_is_spent_nothing_more_is_done():
    with Budget(WEIGHTS):
        for _ in range(2):
            with pytest.raises(ValueError, match="larger than its weights"):
                torch.zeros(10**10)
        with pytest.raises(ValueError, match="larger than its weights"):
            torch.zeros(1)
    assert torch.zeros(10).sum() == 0


def test_it_changes_nothing_within():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout())
    torch.manual_seed(0)
    with Budget(WEIGHTS):
        counted = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout())
    assert all(
        torch.equal(a, b) for a, b in zip(plain.state_dict().values(), counted.state_dict().values(), strict=True)
    )
    assert torch.equal(torch.rand(3), torch.rand(3)) is False


DAMAGE = ["", "{", "[]", "null", '{"schema":1}', '{"schema":1,"scores":"x"}', "[" * 100_000, '{"error":"x"}']


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a comparison, and what it found."""
    folder = tmp_path_factory.mktemp("done")
    return folder, SHORT(short(), [CORAL()], out=folder)


@pytest.mark.parametrize("content", DAMAGE, ids=lambda text: text[:20])
def test_a_kept_run_that_is_damaged_is_run_again(content, done, monkeypatch):
    folder, first = done
    runs = count_runs(monkeypatch)
    path = min((folder / "runs").glob("*.json"))
    path.write_text(content)
    assert SHORT(short(), [CORAL()], out=folder).scores == first.scores
    assert len(runs) == 1


def test_a_kept_run_of_other_domains_is_run_again(done, monkeypatch):
    folder, first = done
    runs = count_runs(monkeypatch)
    path = min((folder / "runs").glob("*.json"))
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"domains": ["a"], "first": [0], "scores": [[0.1]] * len(kept["scores"])}))
    assert SHORT(short(), [CORAL()], out=folder).scores == first.scores
    assert len(runs) == 1
