"""What `tladapt run` reaches by default on its own domain, beside a linear model on the same rows.

    TLADAPT_DATA=DIR python benchmarks/in_domain.py [--seeds 3] [--sets NAME ...] [--out benchmarks/results]
                                                    [-- OPTIONS OF tladapt run]

Writes twelve shared data sets into a temporary folder, as CSV files or as folders of images, and calls `tladapt run`
with --source LABELLED --target UNLABELLED. The score is the accuracy on the rows of the source that it held out. The
linear model is scikit-learn's logistic regression, with its defaults, on the same features of the same rows. Writes
`in_domain.md`; every finished run is kept in `runs/in_domain.json`.
"""

import argparse
import contextlib
import io
import json
import warnings
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch
from kept import Kept, made_by
from sets import SETS, written
from sklearn.linear_model import LogisticRegression

from tladapt.cli import main as tladapt
from tladapt.cli.arguments import parser as arguments
from tladapt.cli.describing import described
from tladapt.display.table import percent
from tladapt.evaluation import spread
from tladapt.report import environment
from tladapt.streams import members

MARGIN = 0.01  # that the mean may lie below the linear model's


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("more", nargs="*", help="options of `tladapt run`, after --")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(Path("runs") / "in_domain.json", made_by())
    only = ["--sets", *options.sets] if options.sets != SETS else []
    command = " ".join(["python benchmarks/in_domain.py", f"--seeds {options.seeds}", *only, *options.more])
    versions = ", ".join(map(" ".join, environment().items()))
    scored = f"accuracy on held-out rows of the source in %, mean ± sd over seeds 0-{options.seeds - 1}"
    lines = [
        f"`{command}`; {versions}; {scored}",
        "", "| | steps | after the source's stage | at the end | logistic regression | at the end, minus it |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    below = list[str]()
    for name in options.sets:
        runs = [
            kept(f"{name} | {seed} | {options.more}", one, name, seed, options.more) for seed in range(options.seeds)
        ]
        first, last, linear = ([run[what] for run in runs] for what in ("first", "last", "linear"))
        change = mean(last) - mean(linear)
        below += [name] if change < -MARGIN else []
        cells = [percent(mean(part), spread(part)) for part in (first, last, linear)]
        lines.append(f"| {name} | {runs[0]['steps']} | {' | '.join(cells)} | {percent(change, signed=True)} |")
        print(lines[-1], flush=True)
    lines += ["", f"More than a point below the linear model: {', '.join(below) or 'none'}."]
    print(lines[-1])
    if not options.more:
        (options.out / "in_domain.md").write_text("\n".join(lines) + "\n")


def one(name: str, seed: int, more: list[str]) -> dict[str, object]:
    """The accuracies of one run of the command, and that of the linear model."""
    with TemporaryDirectory() as folder:
        source, target = written(name, Path(folder), seed)
        command = ["run", "--source", str(source), "--target", str(target), "--seed", str(seed), *more]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            tladapt([*command, "--json"])
        scores = [row[0] for row in json.loads(printed.getvalue())["scores"]]
        scenario = described(arguments().parse_args(command))
        return {"first": scores[1], "last": scores[-1], "linear": linear(scenario), "steps": scenario.lengths()}


def linear(scenario) -> float:  # type: ignore[no-untyped-def]
    """The accuracy of logistic regression on the test rows of the source."""
    (source,) = members(scenario.stream[0])
    assert source.test is not None
    (x, y), (test, wanted) = (
        (part.x.flatten(1).double().numpy(), part.y.numpy()) for part in (source.train, source.test)
    )
    if source.train.x.dtype == torch.uint8:
        x, test = x / 255, test / 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its limit of 100 iterations
        return float(LogisticRegression().fit(x, y).score(test, wanted))


if __name__ == "__main__":
    main()
