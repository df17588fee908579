"""How the defaults were chosen: on shifts made of the training rows of sources alone, on nine data sets.

    TLADAPT_DATA=DIR python benchmarks/defaults.py [TABLE ...] [--seeds 5] [--out benchmarks/results]

The tables are `adapt` (the second domain comes without labels), `keep` (it comes with labels, after the first; where a
set has four classes or more, it is the other half of the classes, as another task), `rate` (learning rates) and
`length` (steps of a stage). No row that a scenario scores is read, and no label of a target: see `proxies.py`. VICReg,
which needs random layers, and EarlyStopping, which has no weight, are left out. Writes `defaults-TABLE.md`; every
finished cell is kept in `runs/defaults.json`.
"""

import argparse
import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from kept import Kept, made_by
from proxies import PROXIES, Proxy, halves, pair
from torch import Tensor
from torch.nn import functional as F

from tladapt import (
    BSS,
    CORAL,
    DANN,
    EWC,
    L2SP,
    LPFT,
    MMD,
    Adapter,
    BitFit,
    Domain,
    GradualUnfreezing,
    LayerwiseRate,
    LinearProbe,
    LoRA,
    LwF,
    Method,
    Model,
    Replay,
    WiSEFT,
    fit,
)
from tladapt.report import environment
from tladapt.scenarios import Scenario, digits
from tladapt.scenarios.handwriting import upright_digits

STEPS, BATCH = 120, 32
SHIFTS = {  # fixed maps of images; `label_shift.py` looks at them
    "turned by 29 degrees": [[0.878, 0.479, 0.0], [-0.479, 0.878, 0.0]],
    "sheared upwards": [[1.0, 0.0, 0.0], [0.6, 1.0, 0.0]],
    "squeezed": [[1.5, 0.0, 0.0], [0.0, 1.0, 0.0]],
}
Make = Callable[[], Method]


def grid(method: type[Method], *weights: float) -> dict[str, Make]:
    """The method with each of these weights."""
    return {f"{method.__name__}({weight:g})": partial(method, weight) for weight in weights}  # type: ignore[call-arg]


ADAPT: dict[str, Make] = {
    "Method()": Method,
    **grid(DANN, 0.03, 0.1, 0.3),
    **grid(CORAL, 0.1, 0.3, 1.0, 3.0),
    **grid(MMD, 0.3, 1.0, 3.0),
}
KEEP: dict[str, Make] = {
    "Method()": Method,
    **grid(EWC, 0.001, 0.01, 0.1, 1.0),
    **grid(LwF, 0.3, 1.0, 3.0),
    "Replay(200)": partial(Replay, 200),
    **grid(L2SP, 0.001, 0.01, 0.1),
    **grid(BSS, 0.001, 0.01, 0.1),
    **grid(WiSEFT, 0.3, 0.5, 0.7),
    **{f"{kind.__name__}()": kind
       for kind in (LinearProbe, LPFT, GradualUnfreezing, LayerwiseRate, BitFit, LoRA, Adapter)},
}  # fmt: skip
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
LENGTHS = (30, 100, 300, 1000)


def main() -> None:
    """Run what is missing and write the tables."""
    tables = {"adapt": (ADAPT, adapted), "keep": (KEEP, kept_and_learned), "rate": (RATES, at_rate),
              "length": (LENGTHS, of_length)}  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"by default all: {', '.join(tables)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", choices=list(PROXIES), default=list(PROXIES))
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="names that those of the candidates begin with")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(Path("runs") / "defaults.json", made_by())
    for table in options.tables or tables:
        candidates, score = tables[table]
        if options.methods and isinstance(candidates, dict):
            wanted = ("Method()", *options.methods)
            candidates = {name: make for name, make in candidates.items() if name.startswith(wanted)}
            score = partial(score, candidates=candidates)
        columns = {
            name: [kept(f"{table} | {name} | {seed} | {list(candidates)}", score, PROXIES[name](), seed)
                   for seed in range(options.seeds)]
            for name in options.sets
        }  # fmt: skip
        more = f" --sets {' '.join(options.sets)}" if options.sets != list(PROXIES) else ""
        more += f" --methods {' '.join(options.methods)}" if options.methods else ""
        command = f"`python benchmarks/defaults.py {table} --seeds {options.seeds}{more}`"
        versions = ", ".join(map(" ".join, environment().items()))
        text = "\n".join([f"{command}; {versions}; {ABOUT[table]}", "", *lines(list(candidates), columns)])
        print(text, flush=True)
        (options.out / f"defaults-{table}.md").write_text(text + "\n")


ABOUT = {
    "adapt": "accuracy on the new domain in %, and for the methods the difference to `Method()` in points",
    "keep": "the mean accuracy on both domains in %, and for the methods the difference to `Method()` in points",
    "rate": "accuracy on held-out source rows in %, after 120 steps, and the difference to a rate of 0.001",
    "length": "accuracy on held-out source rows in %, and the difference to 300 steps",
}


def lines(names: list[object], columns: dict[str, list[dict[str, float]]]) -> list[str]:
    """The table: a row per candidate, a column per data set; the first row in percent, the others as differences."""
    reference = {300: "300", RATES[1]: str(RATES[1])}
    text = [f"| | {' | '.join(columns)} | mean | worst |", "|---|" + "---|" * (len(columns) + 2)]
    first = next((str(name) for name in names if name in reference), str(names[0]))
    base = [mean(run[first] for run in runs) for runs in columns.values()]
    text.append(f"| `{first}` | {' | '.join(f'{100 * value:.1f}' for value in base)} | {100 * mean(base):.1f} | |")
    for name in map(str, names):
        if name != first:
            change = [100 * mean(run[name] - run[first] for run in runs) for runs in columns.values()]
            cells = " | ".join(f"{value:+.1f}" for value in [*change, mean(change), min(change)])
            text.append(f"| `{name}` | {cells} |")
    return text


def adapted(proxy: Proxy, seed: int, candidates: dict[str, Make] = ADAPT) -> dict[str, float]:
    """By method: the accuracy on a shifted domain that comes without labels."""
    source, target = pair(proxy, seed)
    stream = [source, (source, target.unlabelled())]
    return {name: scores[1] for name, scores in _with_each(candidates, proxy, stream, "domain", seed).items()}


def kept_and_learned(proxy: Proxy, seed: int, candidates: dict[str, Make] = KEEP) -> dict[str, float]:
    """By method: the mean accuracy on a domain, and on another that was learned after it."""
    stream = list(halves(proxy, seed) if proxy.classes >= 4 else pair(proxy, seed))
    increment = "task" if proxy.classes >= 4 else "domain"
    return {name: mean(scores) for name, scores in _with_each(candidates, proxy, stream, increment, seed).items()}


def _with_each(candidates: dict[str, Make], proxy: Proxy, stream: list, increment: str, seed: int) -> dict:
    """The final scores of both domains with each method, from the same network, which learned the first."""
    trained = _network(proxy, seed)
    how = {"batch_size": BATCH, "lr": proxy.lr, "increment": increment, "seed": seed, "progress": False}
    domains = [stream[0], stream[1][1] if isinstance(stream[1], tuple) else stream[1]]
    fit(trained, stream[:1], steps=STEPS, evaluate=domains, **how)
    found = {}
    for name, make in candidates.items():
        try:
            found[name] = fit(copy.deepcopy(trained), stream, make(), learned=1, steps=STEPS, **how).scores[-1]
        except FloatingPointError:
            found[name] = [0.0, 0.0]
    return found


def at_rate(proxy: Proxy, seed: int) -> dict[str, float]:
    """By learning rate: the accuracy on held-out rows of the source."""
    return {str(rate): _alone(proxy, seed, STEPS, rate) for rate in RATES}


def of_length(proxy: Proxy, seed: int) -> dict[str, float]:
    """By number of steps: the accuracy on held-out rows of the source."""
    return {str(steps): _alone(proxy, seed, steps, proxy.lr) for steps in LENGTHS}


def _alone(proxy: Proxy, seed: int, steps: int, rate: float) -> float:
    source, _ = pair(proxy, seed)
    report = fit(_network(proxy, seed), [source], steps=steps, lr=rate, seed=seed, progress=False)
    return report.scores[-1][0] or 0.0


def _network(proxy: Proxy, seed: int) -> Model:
    torch.manual_seed(seed)
    return proxy.network()


def on_digits() -> tuple[Scenario, Tensor, Tensor]:
    """The scenario `digits`, and what is read of it: the training rows of its source."""
    source: Domain = upright_digits()
    return digits(), torch.as_tensor(source.train.x), source.train.y


def warped(x: Tensor, rows: list[list[float]]) -> Tensor:
    """The images under an affine map."""
    grid_of = F.affine_grid(torch.tensor(rows).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid_of, align_corners=False)


if __name__ == "__main__":
    main()
