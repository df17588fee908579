"""MNIST, USPS and MNIST-M: the digit pairs and streams of the field."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.backbones import lenet, mlp
from tladapt.domains import Domain
from tladapt.methods import DANN, EWC, MMD, Replay
from tladapt.readers.folders import FORMATS
from tladapt.scenarios.files import data_folder, torchvision_images
from tladapt.scenarios.scenario import Scenario
from tladapt.scenarios.splits import by_class
from tladapt.seeding import generator
from tladapt.streams import adaptation

SGD = partial(torch.optim.SGD, momentum=0.9, weight_decay=5e-4, nesterov=True)
PHOTOGRAPHS = "bsds500_subset"
GREY, RGB = ({"kind": "images", "size": 28, "channels": channels} for channels in (1, 3))


def mnist_usps() -> Scenario:
    """MNIST with labels, then USPS without; grey, 28 x 28."""
    return _pair("mnist-usps", mnist(), usps())


def usps_mnist() -> Scenario:
    """USPS with labels, then MNIST without; grey, 28 x 28."""
    return _pair("usps-mnist", usps(), mnist())


def mnist_mnistm() -> Scenario:
    """MNIST with labels, then MNIST on photographs without; colour, 28 x 28."""
    source, target = colour(mnist()), mnist_m()
    return Scenario(
        name="mnist-mnistm", about="digits, then digits on photographs without labels", method=DANN,
        stream=adaptation(source, target), ceiling=[source, (source, target)],
        network=partial(lenet, 3, 28, classes=10), inputs=RGB,
        steps=1000, lr=0.01, optimizer=SGD, batchnorm="per-domain",
    )  # fmt: skip


def digit_stream() -> Scenario:
    """MNIST with labels, then MNIST-M, then USPS, both without labels and with the source gone; colour, 28 x 28."""
    stages = [colour(mnist()), mnist_m(), colour(usps())]
    first, *others = stages
    return Scenario(
        name="digit-stream", about="digits, digits on photographs, digits of letters: the source gone after its stage",
        stream=[first, *(domain.unlabelled() for domain in others)], ceiling=stages,
        method=lambda: DANN() + Replay(500), network=partial(lenet, 3, 28, classes=10), inputs=RGB,
        steps=1000, lr=0.01, optimizer=SGD, batchnorm="per-domain",
    )  # fmt: skip


def split_mnist(increment: str = "class") -> Scenario:
    """Five stages of two digits of MNIST each, one pass; task- or class-incremental."""
    return _sequence("split-mnist", "MNIST, two new digits in each of five stages", by_class(mnist(), 5), increment)


def permuted_mnist(stages: str = "5") -> Scenario:
    """MNIST with its pixels in another fixed random order in every stage; one pass, domain-incremental."""
    count = _count("permuted-mnist", stages)
    plain, stream = mnist(), []
    for number in range(count):
        order = torch.randperm(784, generator=generator(number, "permuted-mnist")) if number else torch.arange(784)
        stream.append(_changed(plain, f"order {number}", partial(_reordered, order)))
    return _sequence("permuted-mnist", "MNIST, the pixels in another order in every stage", stream, "domain", EWC)


def rotated_mnist(stages: str = "5") -> Scenario:
    """MNIST turned further in every stage, from 0 to 90 degrees; one pass, domain-incremental."""
    angles = torch.linspace(0, 90, _count("rotated-mnist", stages)).tolist()
    plain = mnist()
    stream = [_changed(plain, f"{angle:.0f} degrees", partial(_turned, angle)) for angle in angles]
    return _sequence("rotated-mnist", "MNIST, turned further in every stage", stream, "domain")


def _count(scenario: str, stages: str) -> int:
    if not stages.isascii() or not stages.isdigit() or not 1 <= int(stages) <= 1000:
        raise ValueError(f"SCENARIO {scenario}:{stages}: expected a whole number of stages, from 1 to 1000")
    return int(stages)


def mnist() -> Domain:
    """60 000 + 10 000 images (1, 28, 28)."""
    from torchvision.datasets import MNIST

    return Domain("mnist", torchvision_images(MNIST, True), torchvision_images(MNIST, False), classes=10)


def usps() -> Domain:
    """7 291 + 2 007 images, from 16 x 16 to (1, 28, 28)."""
    from torchvision.datasets import USPS

    train, test = (torchvision_images(USPS, part) for part in (True, False))
    return Domain("usps", (_resized(train[0]), train[1]), (_resized(test[0]), test[1]), classes=10)


def colour(domain: Domain) -> Domain:
    """The same in three equal channels."""
    return _changed(domain, domain.name, lambda x: x.expand(-1, 3, -1, -1))


def mnist_m() -> Domain:
    """60 000 training images: MNIST's, each inverted against a piece of a photograph; the published test images.

    The photographs are those in the folder bsds500_subset, or the two that scikit-learn carries. Without the file
    mnist_m/mnist_m_test_first4000_28x28.npz the test images are made like the training ones, from MNIST's test set.
    """
    from torchvision.datasets import MNIST

    (x, y), (x_test, y_test) = (torchvision_images(MNIST, part) for part in (True, False))
    train, published = (_on_photographs(x, "train"), y), data_folder() / "mnist_m" / "mnist_m_test_first4000_28x28.npz"
    if not published.exists():
        return Domain("mnist-m", train, (_on_photographs(x_test, "test"), y_test), classes=10)
    stored = np.load(published)
    return Domain("mnist-m", train, (torch.from_numpy(stored["x"]).permute(0, 3, 1, 2), stored["y"]), classes=10)


def _on_photographs(x: Tensor, part: str) -> Tensor:
    """|piece - digit|, channel by channel, as bytes; the pieces are drawn by a fixed seed."""
    photographs, random = _photographs(), generator(0, "mnist-m", part)
    pieces = torch.empty(len(x), 3, 28, 28, dtype=torch.uint8)
    which = torch.randint(len(photographs), (len(x),), generator=random).tolist()
    where = torch.rand(len(x), 2, generator=random).tolist()
    for i, (photograph, (row, column)) in enumerate(zip(which, where, strict=True)):
        image = photographs[photograph]
        top, left = int(row * (image.shape[1] - 28)), int(column * (image.shape[2] - 28))
        pieces[i] = image[:, top : top + 28, left : left + 28]
    return (pieces.short() - x.short()).abs().byte()


def _photographs() -> list[Tensor]:
    folder = data_folder() / PHOTOGRAPHS
    if folder.is_dir():
        from PIL import Image

        arrays = [np.array(Image.open(file, formats=FORMATS).convert("RGB")) for file in sorted(folder.glob("*.jpg"))]
    else:
        from sklearn.datasets import load_sample_images

        arrays = list(load_sample_images().images)
    return [torch.from_numpy(np.array(array)).permute(2, 0, 1) for array in arrays]


def _pair(name: str, source: Domain, target: Domain) -> Scenario:
    return Scenario(
        name=name, about=f"{source.name}, then {target.name} without labels", method=MMD,
        stream=adaptation(source, target), ceiling=[source, (source, target)],
        network=partial(lenet, 1, 28, jitter=True, classes=10), inputs=GREY,
        steps=1000, lr=0.01, optimizer=SGD,
    )  # fmt: skip


def _sequence(name: str, about: str, stream: list[Domain], increment: str, method: Any = None) -> Scenario:
    return Scenario(
        name=name, about=about, stream=stream, method=method or partial(Replay, 1000), increment=increment,
        epochs=1, batch_size=128, schedule=constant, network=partial(mlp, 784, classes=10), inputs=GREY,
    )  # fmt: skip


def constant(progress: float) -> float:
    """The factor of a learning rate that never changes, as in the published protocol of these streams."""
    return 1.0


def _changed(domain: Domain, name: str, change: Any) -> Domain:
    """The domain under another name, all its images changed."""
    assert domain.test is not None
    train, test = domain.train, domain.test
    return Domain(name, (change(train.x), train.y), (change(test.x), test.y), classes=domain.classes)


def _resized(x: Tensor) -> Tensor:
    return F.interpolate(x.float(), size=(28, 28), mode="bilinear", align_corners=False).round().byte()


def _reordered(order: Tensor, x: Tensor) -> Tensor:
    return x.flatten(1)[:, order].reshape(x.shape)


def _turned(angle: float, x: Tensor) -> Tensor:
    turn = torch.deg2rad(torch.tensor(angle))
    rows = torch.stack([turn.cos(), -turn.sin(), torch.zeros(()), turn.sin(), turn.cos(), torch.zeros(())])
    grid = F.affine_grid(rows.reshape(1, 2, 3), [1, 1, 28, 28], align_corners=False)
    parts = [
        F.grid_sample(part.float(), grid.expand(len(part), -1, -1, -1), align_corners=False) for part in x.split(4096)
    ]
    return torch.cat(parts).round().byte()
