"""Methods side by side, beside the model that was never adapted."""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from joblib import cpu_count

from tladapt.comparison.cells import Cell, fingerprint, results
from tladapt.comparison.result import Comparison
from tladapt.method import Method
from tladapt.scenarios.scenario import Scenario
from tladapt.streams import domains_of, members
from tladapt.tasks import Classification

SOURCE_ONLY = "source-only"


def compare(
    scenario: Scenario | Callable[[], Scenario], methods: Sequence[Method], *, seeds: int = 5,
    baselines: Sequence[str] = (), batchnorm: str | None = None, jobs: int | None = None, out: str | Path | None = None,
    checkpoint_id: str | None = None, strict: bool = False, progress: bool | None = None,
) -> Comparison:  # fmt: skip
    """Run every method on every seed; the differences are to the model that was never adapted.

    That is source-only where a domain comes without labels, else fine-tuning. `Method()` is always among the rows: what
    it gains on a new domain comes from the BatchNorm statistics alone.

    Parameters
    ----------
    scenario : Scenario, or a function without arguments that makes one
        A function is called once in every process, which spares sending large data.
    methods : sequence of Method
        Every run is on a copy.
    seeds : int
        How many: 0 to `seeds` - 1.
    baselines : sequence of str
        Further rows, such as "ceiling"; see `Scenario.run`.
    jobs : int, optional
        Processes, one thread each; by default as many as there are cores. The figures do not depend on it.
    out : path, optional
        A folder: each run is kept there as soon as it is done, and not done again if scenario, data, settings, method
        and seed are the same. The table is written as comparison.md and comparison.json. One process at a time may use
        the folder.
    checkpoint_id : str, optional
        What stands for settings that cannot be compared after a restart; see `fit`.
    strict : bool
        Whether runs in `out` that were made with other versions raise ValueError; by default they are used with a
        warning.

    Raises
    ------
    ValueError
        If two methods are alike, a baseline is unknown, or no run came to its end. (A run that fails does not stop the
        others; the comparison says why it failed.)
    """
    here, jobs = scenario if isinstance(scenario, Scenario) else scenario(), jobs or cpu_count()
    make = (lambda: here) if isinstance(scenario, Scenario) or jobs == 1 else scenario
    policy = batchnorm or here.batchnorm
    rows = _rows(here, methods, baselines)
    cells = [Cell(*row, seed, policy) for seed in range(seeds) for row in rows]
    known = {} if out is None else fingerprint(here, checkpoint_id)
    scores = {name: list[list[float | None] | None]([None] * seeds) for name, *_ in rows}
    failed = dict[str, str]()
    for cell, found in results(make, cells, known, jobs=jobs, out=out, progress=progress, strict=strict):
        if "error" in found:
            failed[f"{cell.row}, seed {cell.seed}"] = found["error"]
        else:
            scores[cell.row][cell.seed] = found["scores"][-1]
    if len(failed) == len(cells):
        raise ValueError(next(iter(failed.values())))
    before = {domain.name for stage in here.stream[:-1] for domain in members(stage)}
    task = here.task or Classification()
    comparison = Comparison(
        scenario=here.name, metric=task.metric, higher_is_better=task.higher_is_better, share=task.share,
        increment=here.increment, batchnorm=policy, reference=rows[0][0],
        domains=[domain.name for domain in domains_of(here.stream)],
        new=[domain.name for domain in members(here.stream[-1]) if domain.name not in before],
        seeds=seeds, scores=scores, failed=failed,
        tested=[0 if domain.test is None else len(domain.test.y) for domain in domains_of(here.stream)],
    )  # fmt: skip
    if out is not None:
        comparison.save(out)
    return comparison


def _rows(
    scenario: Scenario, methods: Sequence[Method], baselines: Sequence[str]
) -> list[tuple[str, Method, str | None]]:
    """(name, method, baseline) of every row, the reference first."""
    first = [SOURCE_ONLY] if scenario.unlabelled else []
    others = [name for name in baselines if name not in first]
    for name in [*first, *others]:
        scenario.baseline(name)  # an unknown one fails here
    rows = [
        *((name, Method(), name) for name in first),
        *((_name(method), method, None) for method in [Method(), *(m for m in methods if m.terms)]),
        *((name, Method(), name) for name in others),
    ]
    if twice := [name for name, count in Counter(name for name, *_ in rows).items() if count > 1]:
        raise ValueError(f"compare: {twice[0]} is there twice; give it once")
    return rows


def _name(method: Method) -> str:
    """Its `repr` without the arguments that are as by default.

    >>> from tladapt import EWC, Replay
    >>> _name(Replay(200) + EWC())
    'EWC() + Replay(capacity=200)'
    """
    texts = []
    for term in method.terms.values():
        defaults = {name: p.default for name, p in inspect.signature(type(term)).parameters.items()}
        told = {name: getattr(term, name) for name, default in defaults.items() if getattr(term, name) != default}
        texts.append(f"{type(term).__name__}({', '.join(f'{name}={value!r}' for name, value in told.items())})")
    return " + ".join(texts) or repr(method)
