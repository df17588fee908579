"""Chest X-rays: one device, then another."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from tladapt.backbones import cnn
from tladapt.domains import Domain
from tladapt.methods import MMD
from tladapt.scenarios.files import find
from tladapt.scenarios.scenario import Scenario
from tladapt.seeding import generator
from tladapt.streams import adaptation
from tladapt.tasks import Classification

FINDINGS = ("normal", "pneumonia")
GAMMA, LOW, HIGH, BLUR, NOISE = 1.6, 0.1, 0.7, 0.7, 0.05  # of the other device; fixed before the figures were made


def chest_x_rays() -> Scenario:
    """X-rays of one device with findings, then of another without (PneumoniaMNIST).

    All are of one hospital. Every second training image is given to the other device, which is made here (see
    `other_device`); the test images, of other children, are seen by both. Three in four of the training images show a
    pneumonia, so both findings count alike, in the loss and in the score.
    """
    stored = np.load(find("medmnist/pneumoniamnist.npz", "the file of PneumoniaMNIST"))
    x, x_test = (torch.from_numpy(stored[f"{part}_images"])[:, None] for part in ("train", "test"))
    y, y_test = (torch.from_numpy(stored[f"{part}_labels"].ravel().astype(int)) for part in ("train", "test"))
    first = Domain("device", (x[::2], y[::2]), (x_test, y_test), classes=FINDINGS)
    changed = (other_device(part, name) for part, name in ((x[1::2], "train"), (x_test, "test")))
    second = Domain("other device", (next(changed), y[1::2]), (next(changed), y_test), classes=FINDINGS)
    return Scenario(
        name="chest-x-rays", about="X-rays of one device, then of another without findings", method=MMD,
        stream=adaptation(first, second), ceiling=[first, (first, second)],
        network=partial(cnn, 1, 28, 16, classes=FINDINGS), inputs={"kind": "images", "size": 28, "channels": 1},
        steps=200, batch_size=32, task=Classification(balanced=True),
    )  # fmt: skip


def other_device(x: Tensor, part: str) -> Tensor:
    r"""Images of bytes as another device would have taken them.

    .. math:: x' = 0.1 + 0.6\, (G * x^{1.6}) + 0.05\, \varepsilon

    for x from 0 to 1: another exposure, less contrast, an optic that blurs (a Gaussian G of 0.7 pixels), and noise, the
    same for the same `part`.
    """
    from torchvision.transforms.functional import gaussian_blur

    blurred = gaussian_blur((x / 255.0) ** GAMMA, [5, 5], [BLUR, BLUR])
    noise = torch.randn(x.shape, generator=generator(0, "other device", part))
    return (255 * (LOW + (HIGH - LOW) * blurred + NOISE * noise).clamp(0, 1)).round().byte()
