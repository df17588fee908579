"""When, and by which estimator, the class proportions of a target are best estimated; what an alignment does to them.

    python benchmarks/label_shift.py [--seeds 2] [--out benchmarks/results]

A label shift is made by keeping a fifth of the target's rows of the first half of the classes (a quarter, of two). On
shifts made of source images (see `defaults.py`) the report must not warn without cause. Writes `label_shift.md`. The
labels of the target serve to make the shift and to score the estimates, and nothing else.
"""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from defaults import SHIFTS, warped
from kept import Kept, made_by
from torch import Tensor
from torch.nn import functional as F

from tladapt import DANN, MMD, Data, Domain, Method, Model, adaptation, fit
from tladapt.backbones import cnn
from tladapt.labelshift import em, label_shift
from tladapt.report import environment
from tladapt.scenarios import Scenario, named
from tladapt.scenarios.handwriting import labelled_digits
from tladapt.streams import domains_of

MADE = {"none": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], **SHIFTS}
TRUE = ["heart:cleveland-va", "heart:cleveland-hungarian", "heart:cleveland-switzerland", "adult"]  # uncut
CUT = ["digits", "amazon-reviews", "office-caltech:caltech10-amazon"]
METHODS: dict[str, Callable[[], Method]] = {"`Method()`": Method, "`MMD()`": MMD, "`DANN()`": DANN}
COLUMNS = ["true distance", "BBSE: distance", "doubt", "warns", "error of BBSE", "of counting", "of EM", "of EM at T"]
COLUMNS += [f"of BBSE after {name}" for name in METHODS] + [f"accuracy of {name}" for name in METHODS]


def made(shift: list[list[float]]) -> Scenario:
    """The second half of the source of `digits` under an affine map, as the target."""
    x, y = (part[:899] for part in labelled_digits())
    source = Domain("source", (x[:450], y[:450]), 0.2, classes=10)
    target = Domain("target", (warped(x[450:], shift), y[450:]), 0.4, classes=10)
    return Scenario(
        name="made", about="", stream=adaptation(source, target), ceiling=[source, target], steps=300, method=MMD,
        network=lambda batchnorm: cnn(1, 8, classes=10, batchnorm=batchnorm),
    )  # fmt: skip


def cut(data: Data, classes: int) -> Data:
    """Fewer rows of the first half of the classes."""
    rows = [(data.y == c).nonzero()[:, 0] for c in range(classes)]
    less = [r[:: 4 if classes == 2 else 5] if c < classes // 2 else r for c, r in enumerate(rows)]
    return data.take(torch.cat(less).sort().values)


def shares(y: Tensor, classes: int) -> Tensor:
    """The proportions of the classes."""
    return torch.bincount(y, minlength=classes).double() / len(y)


@torch.no_grad()
def logits(model: Model, data: Data, domain: int) -> Tensor:
    """What the model answers."""
    return torch.cat([model(data.rows(r), r * 0 + domain).logits for r in torch.arange(len(data)).split(512)]).double()


def distance(a: Tensor, b: Tensor | list[float]) -> float:
    """The total variation."""
    return float((a - torch.as_tensor(b)).abs().sum() / 2)


def accuracy(model: Model, data: Data) -> float:
    """On the target."""
    return float((logits(model, data, 1).argmax(1) == data.y).double().mean())


def measured(scenario: Scenario, shifted: bool, seed: int) -> list[Any]:
    """One row of the table."""
    source, target = domains_of(scenario.ceiling or ())
    classes, target = len(target.classes), copy.copy(target)
    assert target.test is not None
    if shifted:
        target.train, target.test = cut(target.train, classes), cut(target.test, classes)
    first = scenario.but(stream=[source]).model(seed)
    options = {name: getattr(scenario, name) for name in ("epochs", "steps", "batch_size", "lr", "optimizer", "task")}
    fit(first, [source], seed=seed, progress=False, **options)
    shift, true = label_shift(first, source, target), shares(target.train.y, classes)
    prior, old, new = shares(source.train.y, classes), logits(first, source.train, 0), logits(first, target.train, 1)
    warmth = min(torch.logspace(-1, 1, 41).tolist(), key=lambda t: float(F.cross_entropy(old / t, source.train.y)))
    found = [torch.tensor(shift.estimate), shares(new.argmax(1), classes), em(new.softmax(1), prior)]
    found.append(em((new / warmth).softmax(1), prior))
    row = [distance(prior, true), shift.distance, shift.doubt, float(shift.large), *(distance(true, f) for f in found)]
    models = [copy.deepcopy(first) for _ in METHODS]
    for model, method in zip(models, METHODS.values(), strict=True):
        fit(model, [source, (source, target.unlabelled())], method(), learned=1, seed=seed, progress=False, **options)
        row.append(distance(true, label_shift(model, source, target).estimate))
    return row + [accuracy(m, target.test) for m in models]


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = [(f"made: {name}", made(rows), cutting) for name, rows in MADE.items() for cutting in (False, True)]
    runs += [(name, named(name), cutting) for name in CUT + TRUE for cutting in (False, True)[: 1 + (name in CUT)]]
    kept = Kept(Path("runs") / "label_shift.json", made_by())
    versions = ", ".join(map(" ".join, environment().items()))
    lines = [f"`python benchmarks/label_shift.py --seeds {options.seeds}`; {versions}; the mean over the seeds", ""]
    lines += [f"| | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for name, scenario, cutting in runs:
        title = f"{name}{', cut' * cutting}"
        rows = [kept(f"{title} | {seed}", measured, scenario, cutting, seed) for seed in range(options.seeds)]
        means = [torch.tensor(column, dtype=torch.float64).mean(0).tolist() for column in zip(*rows, strict=True)]
        cells = [f"{value:.2f}" for value in means]
        lines.append(f"| {title} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        (options.out / "label_shift.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
