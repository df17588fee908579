"""Digits of which no label is learned from: what the features of old and new tell, by two measures.

    python benchmarks/unlabelled.py [--seeds 5] [--out benchmarks/results]

Writes `unlabelled-digits.md`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from kept import Kept, made_by

from tladapt.display.table import percent
from tladapt.evaluation import Evaluator, mean, spread
from tladapt.method import Method
from tladapt.methods import Replay, VICReg
from tladapt.report import environment
from tladapt.scenarios import Scenario
from tladapt.scenarios.unlabelled import unlabelled_digits
from tladapt.streams import domains_of
from tladapt.tasks import Representation
from tladapt.tasks.representation import METRICS

BESIDE = unlabelled_digits()
OLD, NEW = domains_of(BESIDE.stream)
GONE = BESIDE.but(stream=[OLD, NEW])
ROWS: list[tuple[str, Scenario, Callable[[], Method], str | None]] = [
    ("untrained: `Method()`", BESIDE, Method, None),
    ("the old domain alone: `VICReg()`", BESIDE, VICReg, "source-only"),
    ("the new beside the old: `VICReg()`", BESIDE, VICReg, None),
    ("the new, the old gone: `VICReg()`", GONE, VICReg, None),
    ("the new, the old gone: `VICReg() + Replay(200)`", GONE, lambda: VICReg() + Replay(200), None),
]


def main() -> None:
    """Run every row on every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = ", ".join(map(" ".join, environment().items()))
    columns = [f"{metric}: {side}" for metric in METRICS for side in ("old", "new")]
    lines = [
        f"`python benchmarks/unlabelled.py --seeds {options.seeds}`; {versions}; at the end, in %, mean ± sd", "",
        f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|",
    ]  # fmt: skip
    kept = Kept(Path("runs") / "unlabelled.json", made_by())
    for name, scenario, method, baseline in ROWS:
        runs = [kept(f"{name} | {seed}", final, scenario, method(), seed, baseline) for seed in range(options.seeds)]
        cells = [percent(mean(values), spread(values)) for values in zip(*runs, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    (options.out / "unlabelled-digits.md").write_text("\n".join(lines) + "\n")


def final(scenario: Scenario, method: Method, seed: int, baseline: str | None) -> list[float | None]:
    """The scores of old and new at the end, by each metric in turn."""
    model = scenario.model(seed)
    scenario.run(method, seed=seed, model=model, baseline=baseline, progress=False)
    judges = [Evaluator([OLD, NEW], Representation(metric), "domain") for metric in METRICS]
    return [score for judge in judges for score in judge.scores(model, set())]


if __name__ == "__main__":
    main()
