"""Ten fields of intents one after another, task- and class-incremental: old, newest, and what was forgotten.

    TLADAPT_DATA=DIR python benchmarks/intents.py [--seeds 3] [--out benchmarks/results]

Writes `intents.md`; every finished run is kept in `runs/intents.json`.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from digits import HEADER, final, row
from kept import Kept, made_by

from tladapt import EWC, LwF, Method, Replay
from tladapt.report import environment
from tladapt.scenarios import intents

memory = partial(Replay, balanced=True)
ROWS: dict[str, tuple[Callable[[], Method], str | None]] = {
    "source only": (Method, "source-only"),
    "`Method()`: fine-tuning": (Method, None),
    "`EWC()`": (EWC, None),
    "`EWC(0.01)`": (partial(EWC, 0.01), None),
    "`LwF()`": (LwF, None),
    "`Replay(1500, balanced=True)`": (partial(memory, 1500), None),
    "`Replay(3000, balanced=True)`": (partial(memory, 3000), None),
    "`Replay(3000, balanced=True) + EWC(0.01)`": (lambda: memory(3000) + EWC(0.01), None),
    "joint: all stages at once": (Method, "joint"),
}


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(Path("runs") / "intents.json", made_by())
    versions = ", ".join(map(" ".join, environment().items()))
    lines = [f"`python benchmarks/intents.py --seeds {options.seeds}`; {versions}; final accuracy in %, mean ± sd"]
    for increment in ("task", "class"):
        scenario = intents(increment)
        lines += ["", f"**intents, {increment}-incremental**", "", HEADER, "|---|---|---|---|---|"]
        for name, (method, baseline) in ROWS.items():
            runs = [
                kept(f"{increment} | {name} | {seed}", final, scenario, method, seed, baseline)
                for seed in range(options.seeds)
            ]
            lines.append(row(name, runs))
            print(lines[-1], flush=True)
    (options.out / "intents.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
