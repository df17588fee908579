"""The runs of a comparison: in parallel processes, each kept on disk as soon as it is done."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import torch
from joblib import Parallel, delayed, parallel_config

from tladapt.display.progress import bars
from tladapt.method import Method
from tladapt.report import environment
from tladapt.scenarios.scenario import Scenario
from tladapt.storage.digests import data_digest, network_digest
from tladapt.streams import domains_of

Make = Callable[[], Scenario]
SCHEMA = 1
_made: dict[str, Scenario] = {}  # the scenario that this process works on, by comparison


@dataclass(frozen=True, eq=False)
class Cell:
    """One run: a method, or a baseline, on one seed; `row` names it in the table."""

    row: str
    method: Method
    baseline: str | None
    seed: int
    batchnorm: str


def results(
    make: Make, cells: Sequence[Cell], known: dict[str, Any], *, jobs: int, out: str | Path | None,
    progress: bool | None,
) -> Iterator[tuple[Cell, dict[str, Any]]]:  # fmt: skip
    """The report of every cell, or {"error": why there is none}, in the order in which they are there.

    With `out`, what is kept there under the same `known` is taken from there.
    """
    token = uuid4().hex
    with bars(progress) as bar, parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        line = None if bar is None else bar.add_task("runs", total=len(cells), losses="")

        def seen(cell: Cell, found: dict[str, Any]) -> tuple[Cell, dict[str, Any]]:
            if bar is not None and line is not None:
                bar.update(line, advance=1, losses=f"{cell.row}, seed {cell.seed}")
            return cell, found

        kept = {cell: None if out is None else _read(_file(out, known, cell)) for cell in cells}
        yield from (seen(cell, found) for cell, found in kept.items() if found is not None)
        tasks = (delayed(_run)(token, make, cell) for cell, found in kept.items() if found is None)
        try:
            for cell, found in cast(Any, Parallel(return_as="generator_unordered")(tasks)):
                if out is not None and "error" not in found:
                    _write(_file(out, known, cell), {**found, "cell": _key(known, cell)})
                yield seen(cell, found)
        finally:
            _made.pop(token, None)  # one job runs in this process, which lives on


def _run(token: str, make: Make, cell: Cell) -> tuple[Cell, dict[str, Any]]:
    """One run, on one thread: more would change the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if token not in _made:
            _made.clear()
            _made[token] = make()
        scenario = _made[token]
        model = scenario.model(cell.seed, cell.batchnorm)
        method = copy.deepcopy(cell.method)
        report = scenario.run(method, seed=cell.seed, model=model, baseline=cell.baseline, progress=False)
        return cell, report.to_dict()
    except (ValueError, TypeError, FloatingPointError) as error:
        return cell, {"error": " ".join(str(error).split())}
    finally:
        torch.set_num_threads(threads)


def fingerprint(scenario: Scenario) -> dict[str, Any]:
    """What a run depends on beside method and seed: settings, network, data and versions."""
    content = [network_digest(scenario.model()), data_digest(scenario.stream)]
    return {
        "scenario": scenario.name, "stages": len(scenario.stream), "domains": len(domains_of(scenario.stream)),
        "increment": scenario.increment, "epochs": scenario.epochs, "steps": scenario.steps,
        "batch_size": scenario.batch_size, "lr": scenario.lr, "optimizer": repr(scenario.optimizer),
        "metric": scenario.task.metric if scenario.task else None, "content": content,
        "environment": environment(),
    }  # fmt: skip


def _key(known: dict[str, Any], cell: Cell) -> dict[str, Any]:
    return {**known, "method": repr(cell.method), "baseline": cell.baseline, "seed": cell.seed,
            "batchnorm": cell.batchnorm, "schema": SCHEMA}  # fmt: skip


def _file(out: str | Path, known: dict[str, Any], cell: Cell) -> Path:
    key = json.dumps(_key(known, cell), sort_keys=True)
    return Path(out) / "runs" / f"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.json"


def _read(path: Path) -> dict[str, Any] | None:
    """What is kept there; None if there is nothing, or it was cut off."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _write(path: Path, found: dict[str, Any]) -> None:
    """Written aside, then renamed: whatever ends the process leaves a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(found, allow_nan=False))
    aside.replace(path)
