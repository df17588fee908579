"""What a stage costs as a stream grows to 200 stages, and an alignment as batch, features and classes grow.

    TLADAPT_DATA=DIR python benchmarks/scale.py [--check] [--only NAME ...] [--repeats 1] [--threads 1] [--device cpu]

Permuted MNIST, 20 steps per stage, nothing scored. A stage of a long stream is timed beside the second stage of a
stream of two, in turns in one process, and their ratio taken: what slows the machine slows both. Memory is measured
stage by stage, each stream in a process of its own. Writes `scale.json` and `scale.md`; what the JSON of the same
version and settings holds is not run again. With --quick, a smoke test (`scale-quick`), whose figures mean little.

Target: from 2 to 200 stages, time and memory per stage of EWC, LwF and Replay stay within 10 %. With --check, exit code
1 if it is missed.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kept import Kept
from loops.alignments import ALIGNMENTS, SIZES, costs
from loops.long_streams import HELD, RUNS, images, memory, pairs
from loops.scale_tables import NOTES, alignments_table, figures, streams_table

from tladapt.report import environment

LENGTHS, STEPS, MOST = (10, 50, 200), 20, 1.10
QUICK_LENGTHS, QUICK_STEPS = (10,), 4
ROUNDS = 15  # of an alignment, for each repeat
ENOUGH = 50  # stages: shorter streams are repeated until there are as many


def apart(measure: Callable[..., Any], *arguments: Any) -> Any:
    """What is measured in a process of its own."""
    print(measure.__name__, *(argument for argument in arguments if isinstance(argument, str | int)), file=sys.stderr)
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(measure, *arguments).result()


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Within: in processes that start, glibc gives back what is freed, so that the peak of a stage is its own."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    try:
        yield
    finally:
        del os.environ["MALLOC_MMAP_THRESHOLD_"]


def streamed(kept: Kept, name: str, options: argparse.Namespace, data: Any) -> dict[int, dict[str, Any]]:
    """The figures of one method, by the length of the stream."""
    rest = data, options.threads, options.device
    short, found = RUNS[name].short, dict[int, dict[str, Any]]()
    with freed_at_once():
        held = {n: kept(f"memory | {name} | {n}", apart, memory, name, n, *rest) for n in (short, *options.lengths)}
    for n in options.lengths:
        repeats = range(options.repeats * (1 if options.quick else max(1, ENOUGH // n)))
        runs = [kept(f"pairs | {name} | {n} | {i}", apart, pairs, name, n, *rest) for i in repeats]
        found[n] = figures(runs, held[n], held[short])
    return found


def aligned(kept: Kept, name: str, axis: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What one alignment costs at each size along one axis."""
    sizes, rounds = SIZES[axis][: 2 if options.quick else None], (3 if options.quick else ROUNDS) * options.repeats
    key, rest = f"alignment | {name} | {axis} | {rounds}", (options.threads, options.device)
    return kept(key, apart, costs, name, axis, sizes, rounds, *rest)


def missed(name: str, length: int, found: dict[str, Any]) -> list[str]:
    """The targets that are not met."""
    ratios = {"seconds per stage": found["ratio"][0], "bytes kept": found["kept ratio"], "peak": found["peak ratio"]}
    return [
        f"{name}, {what}: late in {length} stages {ratio:.2f} times what it is in a stream of 2, target {MOST:.2f}"
        for what, ratio in ratios.items()
        if ratio > MOST
    ]


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [*RUNS, *ALIGNMENTS]
    parser.add_argument("--check", action="store_true", help="exit with 1 if the target is missed")
    parser.add_argument("--quick", action="store_true", help="short streams of short stages, small alignments, once")
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--lengths", nargs="+", type=int, help="stages of a stream, each 6 or more", metavar="N")
    parser.add_argument("--repeats", type=int, default=1, help="of the pairs, and of the rounds of an alignment")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.lengths = sorted(options.lengths or (QUICK_LENGTHS if options.quick else LENGTHS))
    options.steps = QUICK_STEPS if options.quick else STEPS
    if options.lengths[0] < 6:
        parser.error(f"--lengths {options.lengths[0]}: expected 6 or more, for the last 3 to be late")
    return options


def main() -> None:
    """Run what is missing, write, and check."""
    options = parsed()
    stem = "-".join(["scale", *["cuda"] * (options.device == "cuda"), *["quick"] * options.quick])
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {**environment(options.device), "threads": options.threads, "steps per stage": options.steps}
    kept, data = Kept(options.out / f"{stem}.json", settings), images(options.steps)
    streams = {name: streamed(kept, name, options, data) for name in RUNS if name in options.only}
    alignments = {
        (name, axis): aligned(kept, name, axis, options)
        for name in ALIGNMENTS if name in options.only for axis in SIZES
    }  # fmt: skip
    tables = [table for table in (streams_table(streams), alignments_table(alignments)) if table]
    about = ", ".join(f"{key} {value}" for key, value in settings.items())
    command = f"python benchmarks/scale.py --repeats {options.repeats} --threads {options.threads}"
    text = "\n".join([*tables, NOTES, f"`{command} --device {options.device}`; {about}\n"])
    (options.out / f"{stem}.md").write_text(text)
    print(text)
    last = options.lengths[-1]
    lines = [line for name in HELD if name in streams for line in missed(name, last, streams[name][last])]
    print("\n".join(lines) or "every target is met")
    sys.exit(bool(options.check and lines))


if __name__ == "__main__":
    main()
