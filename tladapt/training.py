"""The loop: one stage after another, every domain scored before the first and after each."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec

from torch.optim import Adam, Optimizer

from tladapt.checks import check_arguments, check_choice, check_fit, check_learned, check_numbers
from tladapt.choices import PRECISIONS, REMEMBERED
from tladapt.display.progress import bars
from tladapt.domains import Domain
from tladapt.evaluation import Evaluator
from tladapt.history import facts, taken
from tladapt.labelfree import after_stage, before_stage, known
from tladapt.labelshift import alarms, label_shifts, stored, too_many_classes
from tladapt.layers.batchnorm import without_effect
from tladapt.learning import learn
from tladapt.lengths import lengths
from tladapt.matching import matched
from tladapt.method import Method
from tladapt.model import Model
from tladapt.recovery import forgotten_on_failure
from tladapt.report import Report, environment
from tladapt.seeding import generator, seeded
from tladapt.stage import Stage
from tladapt.storage.runs import Run
from tladapt.streams import Stream, members
from tladapt.task import Task
from tladapt.tasks import Classification
from tladapt.trial import try_out

P = ParamSpec("P")
KINDS = {"source": "labelled", "target": "unlabelled"}


def cosine(progress: float) -> float:
    """The factor of the learning rate: from 1 at the start of a stage to 0 at its end, along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def train(
    model: Model, stream: Stream, method: Method | None = None, *, epochs: int | None = None,
    steps: int | Sequence[int] | None = None, batch_size: int = 64, lr: float | None = None,
    optimizer: Callable[..., Optimizer] = Adam, schedule: Callable[[float], float] = cosine,
    increment: str = "domain", task: Task | None = None,
    evaluate: Sequence[Domain] | None = None, learned: int = 0, precision: str | None = None, seed: int = 0,
    may_remember: str = "samples", checkpoint: str | Path | None = None, every: int = 100,
    checkpoint_id: str | None = None, strict: bool = False, scenario: str = "", progress: bool | None = None,
) -> Iterator[Report]:  # fmt: skip
    """Learn a stream stage by stage; yields the report so far after each stage.

    Parameters
    ----------
    model : Model
        Trained in place, on the device it is on; left in evaluation mode. If it only numbers its classes, it takes the
        names that the domains have.
    stream : list of Domain or tuple of Domain
        The stages; see `adaptation` and `scenarios.by_class`. Classes are matched by name where their names are known,
        and inputs of several types are brought to one; see `tladapt.matching`.
    method : Method, optional
        What is added to the loss of the task; by default nothing, which is fine-tuning. A new one for every fit.
    epochs : int, optional
        The length of a stage in passes over its largest domain; see `tladapt.lengths` for the default.
    steps : int or sequence of int, optional
        The length of a stage in steps of the optimiser: one number for all stages, or one for each.
    batch_size : int
        Rows per step from the labelled, and from the unlabelled, part of every domain of the stage.
    lr : float, optional
        The learning rate at the start of a stage; by default what suits the network, `model.lr`.
    optimizer, schedule
        `optimizer(parameters, lr=lr)` is built anew for every stage; `schedule` maps progress in [0, 1) to a
        factor of lr.
    increment : {"domain", "class", "task"}
        Which classes may be predicted; see `live_classes`.
    task : Task, optional
        Classification by default.
    evaluate : list of Domain, optional
        The columns of the report; by default the domains of the stream.
    learned : int
        So many first stages are the past of a model that comes trained: methods look at them, nothing is trained.
    precision : {"float32", "bfloat16"}, optional
        What the layers compute in from now on (`model.precision`); losses, gradients and weights stay in single
        precision. By default as the model has it, which is "float32" for a new one.
    seed : int
        Of the batches, of dropout and of every term's own random numbers; not of the model, which is yours.
    may_remember : {"nothing", "statistics", "outputs", "samples"}
        The most of the data that a method may keep after a stage; one that keeps more is refused.
    checkpoint : path, optional
        A folder to keep the run in. The same call resumes the run in it, bit for bit; a finished run returns its last
        report without training. One process at a time may use the folder.
    every : int
        Steps of the optimiser from one checkpoint to the next; there is one before the first step of every stage, too.
    checkpoint_id : str, optional
        What stands for arguments that cannot be compared after a restart, such as an object with `__slots__`: change
        it whenever one of them changes.
    strict : bool
        Whether a checkpoint made with other versions of Python, torch, numpy or tladapt raises ValueError; by default
        it is resumed with a warning.
    scenario : str
        A name for the report.
    progress : bool, optional
        Progress on standard error: bars on a terminal, else a line now and then; False: none.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, no stage of the stream can serve a term of the method, or `checkpoint` holds
        another run.
    DivergedError
        If a loss is no longer finite.
    """
    check_fit(
        model, stream, method, optimizer=optimizer, schedule=schedule, task=task, progress=progress,
        checkpoint=checkpoint, scenario=scenario,
    )  # fmt: skip
    check_numbers(epochs=epochs, batch_size=batch_size, lr=lr, every=every, seed=seed, learned=learned)
    check_learned(learned, len(stream))
    seed, method, task = int(seed), method or Method(), task or Classification()
    lr = model.lr if lr is None else lr
    precision = check_choice("precision", precision, PRECISIONS, default=model.precision)
    check_choice("may_remember", may_remember, REMEMBERED)
    _check_memory(method, may_remember)
    found = matched(model, stream, evaluate, task)
    stream = found.stream
    evaluator = Evaluator(found.domains, task, increment, min(512, 8 * batch_size))
    for domain in evaluator.domains:
        task.check(domain, len(model.classes))
    odd = without_effect(model, model.batchnorm)
    planned = lengths(stream, epochs=epochs, steps=steps, batch_size=batch_size)
    teachable = _teachable(stream, method)
    learned_from = {domain.name for stage in stream for domain in members(stage)}
    try_out(model, evaluator.domains, learned_from, method, precision)

    run = Run(checkpoint, every, model, stream, evaluator.domains, {
        "scenario": scenario, "method": method, "seed": seed, "increment": increment, "steps": planned, "task": task,
        "batch_size": batch_size, "lr": float(lr), "optimizer": optimizer, "learned": learned, "schedule": schedule,
        "stream": _names(stream), "precision": precision, "classes": list(found.classes),
    }, checkpoint_id=checkpoint_id, strict=strict)  # fmt: skip

    def reports() -> Iterator[Report]:
        numbers, past = {domain.name: i for i, domain in enumerate(evaluator.domains)}, run.begin()
        first = _first(stream, numbers)
        method.seed(seed)
        with seeded(seed):
            past.scores = past.scores or [evaluator.scores(model, set())]

        about: dict[str, Any] = facts(
            model, stream, evaluator.domains, epochs=epochs, batch_size=batch_size, lr=lr, optimizer=optimizer,
            schedule=schedule, task=task, learned=learned,
        )  # fmt: skip

        def report() -> Report:
            return Report(
                scenario=scenario, method=repr(method), seed=seed, metric=task.metric, share=task.share,
                higher_is_better=task.higher_is_better, increment=increment, batchnorm=model.batchnorm,
                tested=evaluator.rows,
                remembers=method.remembers, precision=model.precision, domains=list(numbers),
                environment=environment(model.device.type), stages=_names(stream[: past.stage]),
                first=[i if i < past.stage else len(stream) for i in first],
                scores=list(past.scores), notes=found.notes + odd + past.notes, warnings=alarms(past.shifts),
                label_shift=stored(past.shifts), unlabelled=known(past.unlabelled), seconds=run.seconds,
                history=copy.deepcopy(past.history),
                training={**about, "steps": [taken(record) for record in past.history]},
            )  # fmt: skip

        def stage_at(index: int) -> Stage:
            domains = members(stream[index])
            seen = {i for i, stage in enumerate(first) if stage <= index}
            return Stage(
                domains, [numbers[domain.name] for domain in domains], index, evaluator.live(model, seen), task,
                seed=seed, batch_size=batch_size, device=model.device,
            )  # fmt: skip

        if run.over(model.eval(), method, partial(stage_at, len(stream) - 1)):
            yield report()
        with bars(progress, f"{scenario}, seed {seed}" if scenario else "") as bar:
            teach = partial(learn, model, method, lr=lr, optimizer=optimizer, schedule=schedule, run=run, bar=bar,
                            stages=len(stream))  # fmt: skip
            for index in range(past.stage, len(stream)):
                seen, domains = {i for i, stage in enumerate(first) if stage <= index}, members(stream[index])
                stage = stage_at(index)
                _estimated(model, stage, run)
                past.record(index, stage.name)
                with seeded(generator(seed, index, "stage").initial_seed()):
                    if index < learned or not teachable[index]:
                        past.notes += _looked_at(model, method, stage, index < learned)
                    elif idle := teach(stage, steps=planned[index]):
                        past.notes += _inactive(method, stage, idle, len(stream))
                    past.scores.append(evaluator.scores(model, seen))
                past.unlabelled |= after_stage(model, stage, task, past.unlabelled, domains)
                past.stage = index + 1
                if past.stage == len(stream):
                    run.end(model, method)
                yield report()

    names = [domain.name for domain in evaluator.domains]
    settings = {"precision": precision, "task": task, "classes": found.classes}
    return _begun(run.closing(reports()), model, settings, names, method, run)


def _begun(
    reports: Iterator[Report], model: Model, settings: dict[str, Any], names: list[str], method: Method, run: Run
) -> Iterator[Report]:
    """The reports; only once the first is asked for, the model is changed."""
    for name, value in settings.items():
        setattr(model, name, value)
    with model.numbering(names), forgotten_on_failure(method, lambda: run.past.stage > 0):
        yield from reports


def _estimated(model: Model, stage: Stage, run: Run) -> None:
    """Estimate label shift and distance before a stage, unless it was done before an interruption."""
    if not run.inside(stage.index):
        run.past.unlabelled |= before_stage(model, stage)
        run.past.shifts |= label_shifts(model, stage)
        run.past.notes += too_many_classes(model, stage)


def _looked_at(model: Model, method: Method, stage: Stage, past: bool) -> list[str]:
    """What a stage is in which nothing is trained: the `past` of the model, or one without anything to learn from."""
    method.consolidate(model.eval(), stage)
    if past:
        model.meet(stage.ids)
        return []
    return [
        f"stage {stage.index + 1} ({stage.name}): nothing was learned, as it has no labels and the method needs them"
    ]


def _inactive(method: Method, stage: Stage, idle: Sequence[str], stages: int) -> list[str]:
    """The terms that were inactive where one would not expect it.

    In the first of several stages that is expected of a term that needs what is missing there, or earlier stages.
    """
    present = {"source" if pool.labelled else "target" for pool in stage.pools}
    lines = []
    for name in idle:
        needs = method.terms[name].needs
        if stage.index == 0 and stages > 1 and not (needs and needs <= present):
            continue
        missing = [KINDS[kind] for kind in sorted(needs - present)]
        reason = f": no {' and no '.join(missing)} samples in this stage" if missing else ""
        lines.append(f"stage {stage.index + 1} ({stage.name}): {name} was inactive{reason}")
    return lines


def _first(stream: Stream, domains: Iterable[str]) -> list[int]:
    """The stage in which each domain comes first; the number of stages for one that is only scored."""
    stages = [[domain.name for domain in members(stage)] for stage in stream]
    return [next((i for i, names in enumerate(stages) if name in names), len(stages)) for name in domains]


def _names(stream: Stream) -> list[str]:
    return [" + ".join(domain.name for domain in members(stage)) for stage in stream]


def last(function: Callable[P, Iterator[Report]], name: str) -> Callable[P, Report]:
    """A function of this name that takes the same arguments, and returns the last report."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Report:
        check_arguments(name, function, kwargs)
        *_, report = function(*args, **kwargs)
        return report

    run.__name__ = name
    run.__qualname__ = function.__qualname__.replace(function.__name__, name)
    run.__doc__ = (function.__doc__ or "").replace("yields the report so far after each stage", "returns the report")
    return run


fit = last(train, "fit")  # the same arguments, in one place


def _check_memory(method: Method, most: str) -> None:
    """Refuse terms that remember more than `most` of the data."""
    allowed = REMEMBERED[: REMEMBERED.index(most) + 1]
    for term in method.terms.values():
        if term.remembers not in allowed:
            raise ValueError(
                f"method: {term!r} remembers {term.remembers}, which is more than may_remember={most!r}; leave it out, "
                "or allow it"
            )


def _teachable(stream: Stream, method: Method) -> list[bool]:
    """For each stage, whether anything can be learned in it: from labels, or by a term that needs none.

    Raises
    ------
    ValueError
        If no stage holds, or a memory brings back, the samples that a term needs.
    """
    kinds, past, terms = list[set[str]](), set[str](), method.terms.values()
    for stage in stream:
        data = [domain.train for domain in members(stage)]
        now = {"source" for d in data if len(d.y)} | {"target" for d in data if len(d.y) < len(d)}
        kinds.append(now | past)
        past |= now if method.remembers == "samples" else set()
    for term in terms:
        if not any(term.needs <= kind for kind in kinds):
            raise ValueError(
                f"method: no stage of the stream serves {term!r}: it needs {' and '.join(sorted(term.needs))} samples "
                "at once (source: labelled, target: unlabelled), as in adaptation(source, target)"
            )
    return ["source" in kind or any(term.needs and term.needs <= kind for term in terms) for kind in kinds]
