"""What every pre-trained system must live through."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tladapt import DANN, EWC, Domain, Model, Replay, Task, adaptation, fit
from tladapt.methods.weights import flat


@pytest.fixture
def life(tmp_path: Path) -> Callable[..., None]:
    """`life(load, old, new, task, steps)`: fine-tuned, aligned to a domain without labels, trained in sequence, saved.

    `load()` reads the system from a checkpoint on disk; `old` and `new` are two labelled domains of a few rows.
    """

    def outputs(model: Model, domain: Domain) -> Tensor:
        assert domain.test is not None
        with torch.no_grad():
            return model.eval()(domain.test.rows(torch.arange(len(domain.test)))).logits

    def live(
        load: Callable[[], Model], old: Domain, new: Domain, task: Task | None = None, steps: int = 2, lr: float = 1e-3
    ) -> None:
        torch.manual_seed(0)
        streams = {None: [new], DANN(): adaptation(old, new), EWC(samples=2) + Replay(4): [old, new]}
        model = load()
        for method, stream in streams.items():
            model = load()
            before = flat(model).detach().clone()
            report = fit(model, stream, method, steps=steps, batch_size=2, lr=lr, task=task, evaluate=[old, new])
            moved = flat(model).detach() - before
            assert moved.isfinite().all()
            assert moved.abs().max() > 0
            assert all(score is not None for row in report.scores for score in row)
            acting = [note for note in report.notes if "stage 1" not in note]
            assert acting == []  # every term had something to act on
        model.save(tmp_path / "saved")
        assert torch.equal(outputs(Model.load(tmp_path / "saved"), new), outputs(model, new))

    return live
