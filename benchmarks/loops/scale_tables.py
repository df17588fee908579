"""What the seconds and bytes of `scale.py` come to, as figures and as tables."""

from typing import Any

import numpy as np
from scipy.stats import theilslopes

from loops.alignments import SIZES
from loops.long_streams import is_late

RESAMPLES = 2000
STREAMS = [
    "", "stages", "short stream, s", "late stage, s", "late / short", "slope, % per 100 stages", "kept, kB",
    "/ short", "peak of a late stage, MB", "/ short", "growth of the peak, kB per stage",
]  # fmt: skip
ALIGNED = [
    "", "rows of each domain", "features", "classes", "loss alone, ms", "/ line above", "step without, ms",
    "step with, ms", "with / without", "memory of the loss, MB", "/ line above",
]  # fmt: skip
NOTES = """A late stage is one of the last quarter of its stream. It is compared with the second stage of a stream of
two (unlabelled stages: the third of three, for only then are there rows of both kinds to rehearse). Seconds are
medians; ratios are medians over pairs of stages that were run in turns, with a 95 % interval; the slope is that of the
ratio over the stages. Kept is what the method keeps after the stream; the peak is what the process held at most in a
stage, beyond what it held before the stream. Nothing is scored: to score all domains after every stage takes as many
times as long as there are domains, and is for the caller to choose. An alignment has so many labelled and as many
unlabelled rows; its loss alone is forward and backward from the features; the step is that of a network
784-400-features-classes; memory is what lives at once, without what kernels take for themselves.
"""


def figures(runs: list[dict[str, list[float]]], held: dict[str, Any], short: dict[str, Any]) -> dict[str, Any]:
    """What is said of one method and length.

    By `runs` of pairs, by bytes in a stream of this length, and by those in one of two stages.
    """
    stage, over, under = (np.concatenate([run[key] for run in runs]) for key in ("stage", "long", "short"))
    length = len(held["peak"])
    late = is_late(stage, length)
    slope, _, low, high = map(float, theilslopes(over / under, stage))
    peaks, before = (np.array(part["peak"]) - part["before"] for part in (held, short))
    peak = float(np.median(peaks[is_late(np.arange(length), length)]))
    return {
        "short": float(np.median(under)), "seconds": float(np.median(over[late])),
        "ratio": ratio(over[late], under[late]), "slope": [1e4 * part for part in (slope, low, high)],
        "kept": held["kept"][-1], "kept ratio": held["kept"][-1] / short["kept"][-1],
        "peak": peak, "peak ratio": peak / before[-1], "growth": next(map(float, theilslopes(peaks[1:]))),
    }  # fmt: skip


def ratio(over: np.ndarray, under: np.ndarray) -> tuple[float, float, float]:
    """The median of the paired ratios, and a 95 % bootstrap interval of it."""
    found = over / under
    drawn = np.random.default_rng(0).choice(found, (RESAMPLES, len(found)))
    low, high = np.quantile(np.median(drawn, 1), [0.025, 0.975])
    return float(np.median(found)), float(low), float(high)


def streams_table(results: dict[str, dict[int, dict[str, Any]]]) -> str:
    """A line per method and length."""
    lines = [
        [
            f"`{name}`", str(length), f"{found['short']:.3f}", f"{found['seconds']:.3f}",
            "{:.2f} ({:.2f} to {:.2f})".format(*found["ratio"]), "{:+.1f} ({:+.1f} to {:+.1f})".format(*found["slope"]),
            f"{found['kept'] / 1e3:.1f}", f"{found['kept ratio']:.3f}", f"{found['peak'] / 1e6:.1f}",
            f"{found['peak ratio']:.3f}", f"{found['growth'] / 1e3:+.1f}",
        ]
        for name, lengths in results.items() for length, found in lengths.items()
    ]  # fmt: skip
    return _table(STREAMS, lines)


def alignments_table(results: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    """A line per alignment and size; in bold what grows."""
    lines = list[list[str]]()
    for (name, axis), sizes in results.items():
        above: tuple[float, float] | None = None
        for found in sizes:
            alone, with_, without = (float(np.median(found[key])) for key in ("alone", "with", "without"))
            times = (
                [f"{now / then:.1f}" for now, then in zip((alone, found["bytes"]), above, strict=True)]
                if above
                else ["", ""]
            )
            lines.append([
                f"`{name}()`", *(f"**{found[key]}**" if key == axis else str(found[key]) for key in SIZES),
                f"{alone:.2f}", times[0], f"{without:.2f}", f"{with_:.2f}",
                "{:.2f} ({:.2f} to {:.2f})".format(*ratio(np.array(found["with"]), np.array(found["without"]))),
                f"{found['bytes'] / 1e6:.2f}", times[1],
            ])  # fmt: skip
            above = alone, found["bytes"]
    return _table(ALIGNED, lines)


def _table(header: list[str], lines: list[list[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) if lines else ""
