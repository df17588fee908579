"""The runs of a comparison: in parallel processes, each kept on disk as soon as it is done."""

import copy
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from functools import cache
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
from tladapt.storage.files import write_json
from tladapt.storage.identity import identity
from tladapt.storage.reports import read_report
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

        kept = {cell: _read(_file(out, known, cell), known) for cell in cells}
        yield from (seen(cell, found) for cell, found in kept.items() if found is not None)
        for cell, found in kept.items():  # left by a process that outlived the one that it worked for
            if found is not None:
                shutil.rmtree(_checkpoint(_file(out, known, cell)), ignore_errors=True)
        missing = [cell for cell, found in kept.items() if found is None]
        tasks = (delayed(_run)(token, make, cell, _file(out, known, cell), os.getpid()) for cell in missing)
        try:
            for cell, found in cast(Any, Parallel(return_as="generator_unordered")(tasks)):
                if (file := _file(out, known, cell)) is not None and "error" not in found:
                    write_json(file, {**found, "cell": _key(known, cell)})
                    shutil.rmtree(_checkpoint(file), ignore_errors=True)
                yield seen(cell, found)
        except BrokenExecutor as error:
            there = "nothing was kept; give out=" if out is None else f"what was done is in {out}; call it again"
            raise ChildProcessError(
                f"a process has died, for want of memory or by a signal; {there}, with fewer jobs"
            ) from error
        finally:
            _made.pop(token, None)  # one job runs in this process, which lives on


def _run(token: str, make: Make, cell: Cell, file: Path | None, owner: int) -> tuple[Cell, dict[str, Any]]:
    """One run, on one thread: more would change the last bits. Its checkpoints lie beside `file`.

    A process that works for another, the `owner`, ends with it.
    """
    if os.getpid() != owner:
        _end_with(os.getppid())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if token not in _made:
            _made.clear()
            _made[token] = make()
        scenario = _made[token]
        model = scenario.model(cell.seed, cell.batchnorm)
        method = copy.deepcopy(cell.method)
        report = scenario.run(
            method, seed=cell.seed, model=model, baseline=cell.baseline, progress=False,
            checkpoint=file and _checkpoint(file),
        )  # fmt: skip
        return cell, report.to_dict()
    except Exception as error:  # of whatever kind: the other runs go on, and the table says what it was
        named = isinstance(error, ValueError | TypeError | FloatingPointError)
        return cell, {"error": ("" if named else f"{type(error).__name__}: ") + " ".join(str(error).split())}
    finally:
        torch.set_num_threads(threads)


@cache
def _end_with(parent: int) -> None:
    """Look every second whether the parent is still there, as long as this process lives."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def fingerprint(scenario: Scenario) -> dict[str, Any]:
    """What a run depends on beside method and seed: settings, network, data and versions."""
    content = [network_digest(scenario.model()), data_digest(scenario.stream)]
    return {
        "scenario": scenario.name, "stages": len(scenario.stream), "domains": len(domains_of(scenario.stream)),
        "increment": scenario.increment, "steps": scenario.lengths(),
        "batch_size": scenario.batch_size, "lr": scenario.lr, "learned": scenario.learned,
        "how": identity([scenario.optimizer, scenario.schedule, scenario.task]), "content": content,
        "environment": environment(),
    }  # fmt: skip


def _key(known: dict[str, Any], cell: Cell) -> dict[str, Any]:
    return {**known, "method": identity(cell.method), "baseline": cell.baseline, "seed": cell.seed,
            "batchnorm": cell.batchnorm, "schema": SCHEMA}  # fmt: skip


def _file(out: str | Path | None, known: dict[str, Any], cell: Cell) -> Path | None:
    """Where the run is kept; None if none is."""
    if out is None:
        return None
    key = json.dumps(_key(known, cell), sort_keys=True)
    return Path(out) / "runs" / f"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.json"


def _checkpoint(file: Path | None) -> Path:
    """The folder that a run is kept in until it is through."""
    assert file is not None
    return file.with_suffix("")


def _read(path: Path | None, known: dict[str, Any]) -> dict[str, Any] | None:
    """What is kept there; None if there is nothing, or it is damaged: that run is done again."""
    try:
        report = None if path is None else read_report(path)
    except ValueError:
        return None
    return report.to_dict() if report is not None and len(report.domains) == known["domains"] else None
