"""A step on a GPU makes no wait of its own: the host only enqueues."""

import pytest
import torch
from torch import nn

from tests.test_precision import images
from tladapt import CORAL, DANN, EWC, MMD, LwF, Method, Model, Replay, adaptation, fit


class Steps(Method):
    """Between the first and the last step of a stage, each wait is an error."""

    role = "gradient"

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def prepare(self, model, stage):
        self.steps = 0

    def adjust(self, model, batch):
        self.steps += 1
        torch.cuda.set_sync_debug_mode("error" if 2 < self.steps < 8 else "default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("policy", ["joint", "per-domain", "frozen"])
@pytest.mark.parametrize(
    "make", [Method, DANN, CORAL, MMD, EWC, LwF, lambda: Replay(20), lambda: DANN() + Replay(20) + EWC() + LwF()],
    ids=["fine-tuning", "DANN", "CORAL", "MMD", "EWC", "LwF", "Replay", "sum"],
)  # fmt: skip
def test_a_step_waits_for_nothing(make, policy):
    layers = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2)]
    model = Model.of(nn.Sequential(*layers), batchnorm=policy).cuda()
    try:
        fit(model, adaptation(images("a"), images("b", 1.0)), make() + Steps(), steps=10)
    finally:
        torch.cuda.set_sync_debug_mode("default")
