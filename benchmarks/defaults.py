"""How the default weights were chosen: on other shifts than those they are shown on, made of source images alone.

    python benchmarks/defaults.py [--seeds 2] [--out benchmarks/results]

The source of `digits` (899 upright digits) is halved; the second half is turned, sheared upwards or squeezed, and plays
the target. The target of `digits` is not read. Writes `defaults.md`.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt import CORAL, DANN, MMD, Domain, Method, Report, adaptation, fit
from tladapt.backbones import cnn
from tladapt.report import environment
from tladapt.scenarios.handwriting import labelled_digits
from tladapt.seeding import seeded

SHIFTS = {
    "turned by 29 degrees": [[0.878, 0.479, 0.0], [-0.479, 0.878, 0.0]],
    "sheared upwards": [[1.0, 0.0, 0.0], [0.6, 1.0, 0.0]],
    "squeezed": [[1.5, 0.0, 0.0], [0.0, 1.0, 0.0]],
}
CANDIDATES: dict[str, Callable[[], Method]] = {
    "Method()": Method,
    **{f"DANN({w})": partial(DANN, w) for w in (0.1, 0.3, 1.0)},
    **{f"CORAL({w})": partial(CORAL, w) for w in (1.0, 10.0, 100.0)},
    **{f"MMD({w})": partial(MMD, w) for w in (0.3, 1.0, 3.0)},
}


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = ", ".join(map(" ".join, environment().items()))
    lines = [f"`python benchmarks/defaults.py --seeds {options.seeds}`; {versions}; accuracy on the shifted half in %"]
    lines += ["", f"| | {' | '.join(SHIFTS)} | mean |", "|---|" + "---|" * (len(SHIFTS) + 1)]
    for name, method in CANDIDATES.items():
        scores = [score(method, shift, options.seeds) for shift in SHIFTS.values()]
        cells = [*scores, sum(scores) / len(scores)]
        lines.append(f"| `{name}` | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} |")
        print(lines[-1], flush=True)
    (options.out / "defaults.md").write_text("\n".join(lines) + "\n")


def score(method: Callable[[], Method], shift: list[list[float]], seeds: int) -> float:
    """The mean accuracy on the shifted half."""
    x, y = (part[:899] for part in labelled_digits())
    source = Domain("source", (x[:450], y[:450]), 0.2, classes=10)
    target = Domain("target", (warped(x[450:], shift), y[450:]), 0.4, classes=10)
    reports = list[Report]()
    for seed in range(seeds):
        with seeded(seed):
            model = cnn(1, 8, classes=10)
        reports.append(fit(model, adaptation(source, target), method(), steps=300, seed=seed, progress=False))
    new = Report.mean(reports).new
    assert new is not None
    return new


def warped(x: Tensor, rows: list[list[float]]) -> Tensor:
    """The images under an affine map."""
    grid = F.affine_grid(torch.tensor(rows).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


if __name__ == "__main__":
    main()
