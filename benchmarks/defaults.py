"""How weights were chosen: on other shifts than those they are shown on, made of source images alone.

    python benchmarks/defaults.py digits [--seeds 2] [--out benchmarks/results]   # the defaults
    python benchmarks/defaults.py few [--seeds 4]                                 # for a trained network, few labels
    python benchmarks/defaults.py mnist [--seeds 2]                               # the weights on MNIST and USPS

The source of `digits` (899 upright digits), or 10 000 training images of MNIST, are halved; the second half is turned,
sheared upwards or squeezed, and plays the target. No target of a scenario is read. Writes `defaults-digits.md`,
`defaults-few.md`.
"""

import argparse
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from kept import Kept, made_by
from torch import Tensor
from torch.nn import functional as F

from tladapt import BSS, CORAL, DANN, L2SP, MMD, Domain, Method, Report, adaptation, fit
from tladapt.report import environment
from tladapt.scenarios import Scenario, digits, mnist_usps
from tladapt.scenarios.handwriting import labelled_digits
from tladapt.streams import domains_of

SHIFTS = {
    "turned by 29 degrees": [[0.878, 0.479, 0.0], [-0.479, 0.878, 0.0]],
    "sheared upwards": [[1.0, 0.0, 0.0], [0.6, 1.0, 0.0]],
    "squeezed": [[1.5, 0.0, 0.0], [0.0, 1.0, 0.0]],
}
CANDIDATES: dict[str, Callable[[], Method]] = {
    "Method()": Method,
    **{f"DANN({w})": partial(DANN, w) for w in (0.1, 0.3, 1.0)},
    **{f"CORAL({w})": partial(CORAL, w) for w in (1.0, 10.0, 30.0, 100.0)},
    **{f"MMD({w})": partial(MMD, w) for w in (0.3, 1.0, 3.0)},
}
FEW: dict[str, Callable[[], Method]] = {
    "Method()": Method,
    **{f"L2SP({w})": partial(L2SP, w) for w in (0.01, 0.1, 1.0)},
    **{f"BSS({w})": partial(BSS, w) for w in (0.001, 0.01, 0.1, 1.0)},
}


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("setting", choices=("digits", "few", "mnist"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = ", ".join(map(" ".join, environment().items()))
    few, kept = options.setting == "few", Kept(Path("runs") / "defaults.json", made_by())
    scored = "the mean of the accuracies on both halves, in %" if few else "accuracy on the shifted half in %"
    lines = [
        f"`python benchmarks/defaults.py {options.setting} --seeds {options.seeds}`; {versions}; {scored}",
        "", f"| | {' | '.join(SHIFTS)} | mean |", "|---|" + "---|" * (len(SHIFTS) + 1),
    ]  # fmt: skip
    for name, method in (FEW if few else CANDIDATES).items():
        scores = [
            kept(f"{options.setting} | {name} | {how} | {options.seeds}", score, options, method, shift)
            for how, shift in SHIFTS.items()
        ]
        cells = [*scores, sum(scores) / len(scores)]
        lines.append(f"| `{name}` | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} |")
        print(lines[-1], flush=True)
        (options.out / f"defaults-{options.setting}.md").write_text("\n".join(lines) + "\n")


def score(options: argparse.Namespace, method: Callable[[], Method], shift: list[list[float]]) -> float:
    """The mean accuracy on the shifted half; on both halves for a trained network."""
    setting, seeds = options.setting, options.seeds
    scenario, x, y = on_mnist() if setting == "mnist" else on_digits()
    half = len(x) // 2
    source = Domain("source", (x[:half], y[:half]), 0.2, classes=10)
    target = Domain("target", (warped(x[half:], shift), y[half:]), 0.4, classes=10)
    if setting == "few":
        return kept_and_learned(scenario, method, source, target, seeds)
    scenario = scenario.but(stream=adaptation(source, target))
    new = Report.mean([scenario.run(method(), seed=seed, progress=False) for seed in range(seeds)]).new
    assert new is not None
    return new


def kept_and_learned(
    scenario: Scenario, method: Callable[[], Method], source: Domain, target: Domain, seeds: int
) -> float:
    """The mean accuracy on both, of a network that learned the source and then five labels per class of the target."""
    few = target.unlabelled(keep=5).train
    target = Domain("target", few.take(torch.arange(len(few.y))), target.test, classes=10)
    scenario, total = scenario.but(steps=60), 0.0
    for seed in range(seeds):
        model = scenario.model(seed)
        fit(model, [source], steps=100, progress=False)
        report = scenario.but(stream=[source, target], learned=1).run(method(), seed=seed, model=model, progress=False)
        total += sum(value or 0.0 for value in report.scores[-1]) / 2
    return total / seeds


def on_digits() -> tuple[Scenario, Tensor, Tensor]:
    """The scenario `digits`, and its source."""
    x, y = labelled_digits()
    return digits(), x[:899], y[:899]


@cache
def on_mnist() -> tuple[Scenario, Tensor, Tensor]:
    """The scenario `mnist-usps` with 300 steps a stage, and 10 000 images of its source."""
    scenario = mnist_usps()
    train = domains_of(scenario.stream)[0].train
    assert isinstance(train.x, Tensor)
    return scenario.but(steps=300), train.x[:10_000] / 255, train.y[:10_000]


def warped(x: Tensor, rows: list[list[float]]) -> Tensor:
    """The images under an affine map."""
    grid = F.affine_grid(torch.tensor(rows).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


if __name__ == "__main__":
    main()
