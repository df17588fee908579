"""How long the same training takes: by hand, by this library, by Avalanche and pytorch-adapt. One run, interleaved.

    TLADAPT_DATA=DIR python benchmarks/speed.py [--check] [--repeats 7] [--threads 2] [--device cpu] [--only METHOD ...]

Split-MNIST (5 tasks, MLP 784-400-400-10, Adam, batch 128, one epoch) for fine-tuning, Replay(1000), EWC and LwF; MNIST
to USPS (LeNet, SGD, 64 + 64) for DANN, CORAL and MMD. Evaluation is not timed; the accuracy of every loop stands beside
its time. Every repeat runs all loops of a method in turns, and a ratio is that of two loops of one repeat: what slows
the machine slows both. One that was stopped goes on with the next method. Writes `speed.json` and `speed.md`; with
--check, exit code 1 if a target is missed.
"""

import argparse
import copy
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kept import Kept
from loops import by_hand, ours, peers, settings
from torch import nn

from tladapt.report import environment

warnings.simplefilter("ignore")  # the peers warn of their own future
BY_HAND: dict[str, Callable[..., None]] = {
    "fine-tuning": by_hand.fine_tuning, "Replay": by_hand.replay, "EWC": by_hand.ewc, "LwF": by_hand.lwf,
    "DANN": by_hand.dann, "CORAL": by_hand.coral, "MMD": by_hand.mmd,
}  # fmt: skip
MOST = {"fine-tuning": 1.10, "Replay": 1.10, "EWC": 1.15, "LwF": 1.15, "DANN": 1.05, "CORAL": 1.05, "MMD": 1.05}
RESAMPLES = 2000

Loop = Callable[[], None]


def loops(name: str, data: Any, seed: int, device: str) -> tuple[dict[str, Loop], dict[str, nn.Module]]:
    """What trains each one's copy of one network, and the networks."""
    torch.manual_seed(seed)
    start = settings.mlp() if name in ours.SEQUENTIAL else settings.lenet()
    halves: dict[str, tuple[nn.Module, nn.Module]] = {}
    for who in ("by hand", "tladapt", "peer"):
        encoder, head = copy.deepcopy(start)
        halves[who] = encoder.to(device), head.to(device)
    networks: dict[str, nn.Module] = {who: nn.Sequential(*parts) for who, parts in halves.items()}
    if name in ours.SEQUENTIAL:
        return {
            "by hand": partial(BY_HAND[name], networks["by hand"], data.tasks),
            "tladapt": ours.sequential(name, *halves["tladapt"], data.tasks),
            "peer": peers.avalanche(name, networks["peer"], data.tasks),
        }, networks
    return {
        "by hand": partial(BY_HAND[name], *halves["by hand"], data),
        "tladapt": ours.adapted(name, *halves["tladapt"], data),
        "peer": peers.pytorch_adapt(name, *halves["peer"], data),
    }, networks


def measured(name: str, data: Any, repeats: int, device: str) -> dict[str, Any]:
    """Seconds and accuracies of every loop, by repeat; the first round only warms up."""
    seconds: dict[str, list[float]] = {who: [] for who in ("by hand", "tladapt", "peer")}
    accuracies: dict[str, list[float]] = {who: [] for who in seconds}
    for repeat in range(repeats + 1):
        train, networks = loops(name, data, repeat, device)
        turn = list(seconds)[repeat % 3 :] + list(seconds)[: repeat % 3]
        for who in turn:
            torch.manual_seed(repeat)
            _settled(device)
            start = time.perf_counter()
            train[who]()
            _settled(device)
            taken = time.perf_counter() - start
            if repeat:
                seconds[who].append(taken)
                accuracies[who].append(settings.accuracy(networks[who].eval(), data.test))
        print(name, repeat, {who: round(values[-1], 2) for who, values in seconds.items() if values}, file=sys.stderr)
    return {"seconds": seconds, "accuracy": {who: float(np.mean(values)) for who, values in accuracies.items()}}


def _settled(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def ratio(over: list[float], under: list[float]) -> tuple[float, float, float]:
    """The median of the paired ratios, and a 95 % bootstrap interval of it."""
    pairs = np.array(over) / np.array(under)
    drawn = np.random.default_rng(0).choice(pairs, (RESAMPLES, len(pairs)))
    low, high = np.quantile(np.median(drawn, 1), [0.025, 0.975])
    return float(np.median(pairs)), float(low), float(high)


def missed(name: str, found: dict[str, Any]) -> list[str]:
    """The targets that are not met."""
    seconds, lines = found["seconds"], []
    hand = ratio(seconds["tladapt"], seconds["by hand"])[0]
    if hand > MOST[name]:
        lines.append(f"{name}: {hand:.2f} times the loop by hand, target {MOST[name]:.2f}")
    peer, low, _ = ratio(seconds["tladapt"], seconds["peer"])
    if name in ours.ADAPTED and low > 1:
        lines.append(f"{name}: {peer:.2f} times pytorch-adapt, target 1")
    lead = ratio(seconds["peer"], seconds["by hand"])[0]
    if name in ours.SEQUENTIAL and name != "EWC" and 1 / peer < 0.9 * lead:
        lines.append(f"{name}: {1 / peer:.2f} times as fast as Avalanche, target {0.9 * lead:.2f}")
    if name == "EWC" and 1 / peer < 3:
        lines.append(f"EWC: {1 / peer:.2f} times as fast as Avalanche, target 3")
    return lines


def markdown(results: dict[str, Any], about: str) -> str:
    """A line per method."""
    lines = [
        "| | by hand, s | tladapt, s | peer, s | tladapt / by hand | tladapt / peer | accuracies in this order |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        seconds = found["seconds"]
        medians = [f"{np.median(seconds[who]):.2f}" for who in ("by hand", "tladapt", "peer")]
        ratios = [
            "{:.2f} ({:.2f}-{:.2f})".format(*ratio(seconds["tladapt"], seconds[who])) for who in ("by hand", "peer")
        ]
        shares = ", ".join(f"{100 * found['accuracy'][who]:.1f}" for who in ("by hand", "tladapt", "peer"))
        lines.append(f"| {' | '.join([name, *medians, *ratios, shares])} |")
    return "\n".join(lines) + f"\n\n{about}\n"


def main() -> None:
    """Run, write, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", default=list(BY_HAND), choices=list(BY_HAND), metavar="METHOD")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sequence, pair = settings.sequence(options.device), settings.two_domains(options.device)
    how = {name: str(value) for name, value in vars(options).items() if name in ("repeats", "threads", "device")}
    kept = Kept(Path("runs") / "speed.json", {**environment(options.device), **how})
    results = {
        name: kept(name, measured, name, sequence if name in ours.SEQUENTIAL else pair, options.repeats, options.device)
        for name in options.only
    }
    kept.forget()
    machine = platform.machine() if options.device == "cpu" else torch.cuda.get_device_name()
    about = (
        f"Medians of {options.repeats} repeats; ratios of pairs with a 95 % interval; {machine}, {options.threads} "
        f"threads, torch {torch.__version__}, avalanche-lib {version('avalanche-lib')} (fine-tuning to LwF), "
        f"pytorch-adapt {version('pytorch-adapt')} (DANN to MMD). `python benchmarks/speed.py`"
    )
    table = markdown(results, about)
    stem = "speed" if options.device == "cpu" else f"speed-{options.device}"
    (options.out / f"{stem}.json").write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
    (options.out / f"{stem}.md").write_text(table)
    print(table)
    lines = [line for name, found in results.items() for line in missed(name, found)]
    print("\n".join(lines) or "every target is met")
    sys.exit(bool(options.check and lines))


if __name__ == "__main__":
    main()
