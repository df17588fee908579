"""The runs of a comparison: in parallel processes, each kept on disk as soon as it is done."""

import copy
import hashlib
import json
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
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
from tladapt.storage.digests import data_identity, digest_of
from tladapt.storage.files import made, write_json
from tladapt.storage.identity import describer
from tladapt.storage.locks import FolderLock
from tladapt.storage.reports import read_report
from tladapt.storage.sameness import OtherRunError, changed_versions, network, setting
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
    progress: bool | None, strict: bool = False,
) -> Iterator[tuple[Cell, dict[str, Any]]]:  # fmt: skip
    """The report of every cell, or {"error": why there is none}, in the order in which they are there.

    With `out`, what is kept there under the same `known` is taken from there.
    """
    token = uuid4().hex
    lock = nullcontext() if out is None else FolderLock(made(Path(out)))
    with lock, bars(progress) as bar, parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        line = None if bar is None else bar.add_task("runs", total=len(cells), losses="")

        def seen(cell: Cell, found: dict[str, Any]) -> tuple[Cell, dict[str, Any]]:
            if bar is not None and line is not None:
                bar.update(line, advance=1, losses=f"{cell.row}, seed {cell.seed}")
            return cell, found

        kept = {cell: _read(_file(out, known, cell), known) for cell in cells}
        _require_same_versions([found for found in kept.values() if found is not None], out, strict)
        yield from (seen(cell, found) for cell, found in kept.items() if found is not None)
        for cell, found in kept.items():  # left by a process that outlived the one that it worked for
            if found is not None:
                shutil.rmtree(_checkpoint(_file(out, known, cell)), ignore_errors=True)
        missing = [cell for cell, found in kept.items() if found is None]
        how = {"checkpoint_id": known.get("checkpoint_id"), "strict": strict}
        tasks = (delayed(_run)(token, make, cell, _file(out, known, cell), os.getpid(), how) for cell in missing)
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


def _run(
    token: str, make: Make, cell: Cell, file: Path | None, owner: int, how: dict[str, Any]
) -> tuple[Cell, dict[str, Any]]:
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
            checkpoint=file and _checkpoint(file), **how,
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


def fingerprint(scenario: Scenario, checkpoint_id: str | None = None) -> dict[str, Any]:
    """What a run depends on beside method and seed: settings, network and data.

    Raises
    ------
    ValueError
        If a setting cannot be compared, and there is no `checkpoint_id`.
    """
    inside = describer(lenient=checkpoint_id is not None)
    how = [setting(inside, name, getattr(scenario, name)) for name in ("optimizer", "schedule", "task")]
    model = scenario.model()
    content = [network(inside, model), data_identity(scenario.stream)]
    return {
        "scenario": scenario.name, "stages": len(scenario.stream), "domains": len(domains_of(scenario.stream)),
        "increment": scenario.increment, "steps": scenario.lengths(),
        "batch_size": scenario.batch_size, "lr": scenario.lr or model.lr, "learned": scenario.learned,
        "how": _digest(how), "content": _digest(content), "checkpoint_id": checkpoint_id,
    }  # fmt: skip


def _digest(described: Any) -> str:
    return digest_of(json.dumps(described, sort_keys=True).encode())


def _key(known: dict[str, Any], cell: Cell) -> dict[str, Any]:
    inside = describer(lenient=known["checkpoint_id"] is not None)
    return {**known, "method": _digest(setting(inside, "methods", cell.method)), "baseline": cell.baseline,
            "seed": cell.seed, "batchnorm": cell.batchnorm, "schema": SCHEMA}  # fmt: skip


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


def _require_same_versions(kept: Sequence[dict[str, Any]], out: str | Path | None, strict: bool) -> None:
    """Warn of runs that were made with other versions, or refuse them."""
    here = {name: str(version) for name, version in environment().items()}
    changes = [changed_versions(found["environment"], here) for found in kept]
    changes = [text for text in changes if text]
    if not changes:
        return
    reason = f"{len(changes)} runs were made with other versions ({changes[0]})"
    if strict:
        raise OtherRunError(f"out={out}", f"strict=True, and {reason}", "use the versions from before")
    warnings.warn(f"out={out}: {reason}; strict=True refuses this", stacklevel=2)


def _read(path: Path | None, known: dict[str, Any]) -> dict[str, Any] | None:
    """What is kept there; None if there is nothing, or it is damaged: that run is done again."""
    try:
        report = None if path is None else read_report(path)
    except ValueError:
        return None
    return report.to_dict() if report is not None and len(report.domains) == known["domains"] else None
