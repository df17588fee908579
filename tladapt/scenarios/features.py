"""Ready-made features: photographs of objects (SURF) and words of product reviews."""

from functools import partial
from itertools import permutations

import torch

from tladapt.backbones import mlp
from tladapt.domains import Domain
from tladapt.methods import MMD
from tladapt.scenarios.files import find
from tladapt.scenarios.scenario import Scenario, known
from tladapt.streams import adaptation

CAMERAS = ("amazon", "caltech10", "dslr", "webcam")
PRODUCTS = ("books", "dvd", "electronics", "kitchen")


def office_caltech(source: str = "amazon", target: str = "webcam") -> Scenario:
    """Objects from one camera, then another without labels (SURF): amazon, caltech10, dslr, webcam."""
    names = [known("office-caltech", name, CAMERAS) for name in (source, target)]
    domains = [Domain(name, _surf(name), 0.3, classes=10) for name in names]
    return _pair("office-caltech", f"objects from {source}, then from {target} without labels", domains, 200)


def amazon_reviews(source: str = "books", target: str = "electronics") -> Scenario:
    """Good and bad reviews of one product, then of another without labels: books, dvd, electronics, kitchen."""
    domains = [_reviews(known("amazon-reviews", name, PRODUCTS)) for name in (source, target)]
    return _pair("amazon-reviews", f"reviews of {source}, then of {target} without labels", domains, 100)


def pairs(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """All ordered pairs."""
    return list(permutations(names, 2))


def _surf(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts of 800 visual words, each row divided by its sum, each column z-scored within its domain."""
    from scipy.io import loadmat

    stored = loadmat(find(f"office_caltech10/features/surf/{name}.mat", "the SURF features of Office-Caltech10"))
    x = torch.tensor(stored["fts"], dtype=torch.float64)
    x = x / x.sum(1, keepdim=True)
    x = (x - x.mean(0)) / x.std(0).clamp(min=1e-12)
    return x, torch.tensor(stored["labels"].ravel().astype(int)) - 1


def _reviews(name: str) -> Domain:
    """Counts of 5 000 words and pairs of words, as log(1 + count); the split of the DANN paper."""
    from sklearn.datasets import load_svmlight_files

    files = [str(find(f"amazon_reviews/{name}_{part}.svmlight.gz", "the Amazon reviews")) for part in ("train", "test")]
    x_train, y_train, x_test, y_test = load_svmlight_files(files, n_features=5000, zero_based=True)  # pyright: ignore[reportArgumentType]
    train, test = ((torch.tensor(x.toarray()).log1p(), torch.tensor(y > 0).long())
                   for x, y in ((x_train, y_train), (x_test, y_test)))  # fmt: skip
    return Domain(name, train, test, classes=("bad", "good"))


def _pair(name: str, about: str, domains: list[Domain], steps: int) -> Scenario:
    source, target = domains
    return Scenario(
        name=name, about=about, stream=adaptation(source, target), ceiling=[source, (source, target)], method=MMD,
        network=partial(mlp, source.train.shape[0], (100,), classes=source.classes), steps=steps,
    )  # fmt: skip
