"""All methods on the embedded scenarios, five seeds each, old and new domain: the table of the README.

    python benchmarks/digits.py [--seeds 5] [--out benchmarks/results]

Writes `digits.md` and `digits.json`; a cell that is already in the JSON of the same version is not run again.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from kept import Kept, made_by

from tladapt.backbones import cnn
from tladapt.display.table import percent
from tladapt.method import Method
from tladapt.methods import (
    BSS,
    CORAL,
    DANN,
    EWC,
    L2SP,
    LPFT,
    MMD,
    Adapter,
    BitFit,
    GradualUnfreezing,
    LayerwiseRate,
    LinearProbe,
    LoRA,
    LwF,
    Replay,
    WiSEFT,
)  # fmt: skip
from tladapt.report import environment
from tladapt.scenarios import Scenario, digits, few_digits, split_digits
from tladapt.streams import domains_of

Row = tuple[str, Callable[[], Scenario], Callable[[], Method], str | None]
ADAPT = [
    ("source only", Method, "source-only"),
    ("`Method()`: BatchNorm statistics alone", Method, None),
    ("`DANN()`", DANN, None),
    ("`CORAL()`", CORAL, None),
    ("`MMD()`", MMD, None),
    ("`DANN() + EWC()`", lambda: DANN() + EWC(), None),
    ("`DANN() + Replay(200) + EWC()`", lambda: DANN() + Replay(200) + EWC(), None),
    ("ceiling: the target's labels", Method, "ceiling"),
]
CONTINUE = [
    ("`Method()`: fine-tuning", Method, None),
    ("`EWC()`", EWC, None),
    ("`EWC(10)`", partial(EWC, 10), None),
    ("`LwF()`", LwF, None),
    ("`LwF(100)`", partial(LwF, 100), None),
    ("`Replay(200)`", partial(Replay, 200), None),
    ("`Replay(200) + LwF()`", lambda: Replay(200) + LwF(), None),
    ("joint: all stages at once", Method, "joint"),
]
FEW = [
    ("source only", Method, "source-only"),
    ("`Method()`: fine-tuning", Method, None),
    ("`LinearProbe()`", LinearProbe, None),
    ("`LPFT()`", LPFT, None),
    ("`GradualUnfreezing()`", GradualUnfreezing, None),
    ("`LayerwiseRate()`", LayerwiseRate, None),
    ("`BitFit()`", BitFit, None),
    ("`LoRA()`", LoRA, None),
    ("`LoRA(2, 4.0)`", partial(LoRA, 2, 4.0), None),
    ("`Adapter()`", Adapter, None),
    ('`Adapter("ia3")`', partial(Adapter, "ia3"), None),
    ("`L2SP()`", L2SP, None),
    ("`L2SP(1.0)`", partial(L2SP, 1.0), None),
    ("`BSS()`", BSS, None),
    ("`BSS(0.001)`", partial(BSS, 0.001), None),
    ("`WiSEFT()`", WiSEFT, None),
    ("`WiSEFT(0.7)`", partial(WiSEFT, 0.7), None),
    ("`LoRA() + WiSEFT(0.7)`", lambda: LoRA() + WiSEFT(0.7), None),
    ("`Replay(200)`", partial(Replay, 200), None),
    ("joint: all stages at once", Method, "joint"),
]
POLICY = [("`Method()`", Method, None), ("`DANN()`", DANN, None), ("`MMD()`", MMD, None)]
GONE = [
    ("`Method()`", Method, None),
    ("`DANN() + Replay(500)`", lambda: DANN() + Replay(500), None),
    ("`MMD() + Replay(500)`", lambda: MMD() + Replay(500), None),
]


def with_batchnorm(policy: str) -> Scenario:
    """`digits` under another BatchNorm policy."""
    return digits().but(network=lambda batchnorm: cnn(1, 8, classes=10, batchnorm=policy))


def source_gone() -> Scenario:
    """`digits` without its source in the second stage."""
    upright, slanted = domains_of(digits().stream)
    return digits().but(stream=[upright, slanted.unlabelled()])


TABLES = {
    "digits": (digits, ADAPT),
    "split-digits, class-incremental": (partial(split_digits, "class"), CONTINUE),
    "split-digits, task-incremental": (partial(split_digits, "task"), CONTINUE),
    "few-digits": (few_digits, FEW),
    "few-digits, learning rate 0.003": (lambda: few_digits().but(lr=3e-3), FEW),
    "few-digits, two labels per digit": (partial(few_digits, 2), FEW),
    "digits, BatchNorm per-domain": (partial(with_batchnorm, "per-domain"), POLICY),
    "digits, BatchNorm frozen": (partial(with_batchnorm, "frozen"), POLICY),
    "digits, the source gone in the second stage": (source_gone, GONE),
}
HEADER = "| | old domains | newest domain | mean of all | forgetting |"


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    kept = Kept(options.out / "digits.json", made_by())
    versions = ", ".join(map(" ".join, environment().items()))
    lines = [f"`python benchmarks/digits.py --seeds {options.seeds}`; {versions}; final accuracy in %, mean ± sd"]
    for title, (scenario, rows) in TABLES.items():
        made = scenario()
        lines += ["", f"**{title}**", "", HEADER, "|---|---|---|---|---|"]
        for name, method, baseline in rows:
            runs = [
                kept(f"{title} | {name} | {seed}", final, made, method, seed, baseline) for seed in range(options.seeds)
            ]
            lines.append(row(name, runs))
            print(lines[-1], flush=True)
    (options.out / "digits.md").write_text("\n".join(lines) + "\n")


def final(scenario: Scenario, method: Callable[[], Method], seed: int, baseline: str | None) -> dict:
    """The report of one run."""
    return scenario.run(method(), seed=seed, baseline=baseline, progress=False).to_dict()


def row(name: str, runs: list[dict]) -> str:
    """One line of a table: mean and standard deviation over the seeds, in percent."""
    final = torch.tensor([run["scores"][-1] for run in runs], dtype=torch.float64)  # (seeds, domains)
    columns = [final[:, :-1].mean(1), final[:, -1], final.mean(1)]
    if runs[0]["forgetting"] is not None:
        columns.append(torch.tensor([run["forgetting"] for run in runs], dtype=torch.float64))
    cells = [percent(float(values.mean()), float(values.std())) for values in columns]
    return f"| {name} | {' | '.join([*cells, '-'][:4])} |"


if __name__ == "__main__":
    main()
