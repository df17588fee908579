"""`tladapt run`."""

import argparse
import json
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from tladapt.cli.describing import described, writable
from tladapt.cli.expression import parse_method
from tladapt.cli.resuming import begun, given, naming_the_folder, prepare, refuse_other_form
from tladapt.cli.threads import restoring_threads, use_threads
from tladapt.display.console import show
from tladapt.display.table import ceiling
from tladapt.method import Method
from tladapt.model import Model
from tladapt.report import Report
from tladapt.scenarios import Scenario
from tladapt.storage.files import replacing
from tladapt.streams import domains_of


def run(options: argparse.Namespace) -> None:
    """Learn, print the report, and keep what was asked for."""
    with restoring_threads(), naming_the_folder(options):
        _learn(options)


def _learn(options: argparse.Namespace) -> None:
    writable(options.out)
    refuse_other_form(options)
    scenario = described(options)
    method = _method(options, scenario)
    method()  # a misspelled one fails here, before anything is learned
    prepare(options)
    seeds = [options.seed] if options.seeds is None else list(range(options.seeds))
    reports = [_run(options, scenario, method(), seed) for seed in seeds]
    report = reports[0] if options.seeds is None else Report.mean(reports)
    if options.out is not None and options.seeds is not None:
        report.save(options.out)  # before what follows, which takes a while
        _draw(report, options.out)
    if options.json:
        print(json.dumps(report.to_dict(), allow_nan=False))
        return
    show(report)
    if scenario.ceiling is not None and options.baseline is None:
        model = _network(options, scenario, seeds[0])
        best = scenario.run(
            Method(), seed=seeds[0], model=model, baseline="ceiling", every=options.every,
            checkpoint=options.out and options.out / "ceiling", progress=progress_of(options), strict=options.strict,
        )  # fmt: skip
        report.ceiling = {"old": best.old, "new": best.new, "average": best.average, "seed": seeds[0]}
        show(*ceiling(report))
    if options.out is not None:
        report.save(options.out)
        show(f"Saved to {options.out}")


def _run(options: argparse.Namespace, scenario: Scenario, method: Method, seed: int) -> Report:
    """One run; with `--out`, what there is so far is kept after every stage, and where the losses diverge."""
    folder = options.out if options.seeds is None or options.out is None else options.out / f"seed-{seed}"
    model = _network(options, scenario, seed)
    reports = scenario.train(
        method, seed=seed, model=model, baseline=options.baseline, may_remember=options.may_remember,
        checkpoint=folder, every=options.every, progress=progress_of(options), strict=options.strict,
    )  # fmt: skip
    with closing(cast("Generator[Report]", reports)):  # the folder is unlocked even if nothing was learned yet
        begun(options)  # not before what is there has been seen to be the same run
        try:
            *_, report = map(partial(_keep, folder, given(options)), reports)
        except FloatingPointError:
            if folder is not None:
                model.save(folder / "model")
            raise
    if report.new is not None and scenario.unlabelled and options.baseline is None:
        report = _keep(folder, given(options), report.beside(_source_only(options, scenario, seed, folder)))
    if folder is not None:
        model.save(folder / "model")
        _draw(report, folder)
    return report


def _source_only(options: argparse.Namespace, scenario: Scenario, seed: int, folder: Path | None) -> Report:
    """Run the baseline that the gain on the new domains is measured against."""
    return scenario.run(
        Method(), seed=seed, model=_network(options, scenario, seed), baseline="source-only", every=options.every,
        checkpoint=folder and folder / "source-only", progress=progress_of(options), strict=options.strict,
    )  # fmt: skip


def progress_of(options: argparse.Namespace) -> bool | None:
    """Whether progress is shown: never with --quiet, else as standard error allows."""
    return False if options.quiet else None


def _keep(folder: Path | None, arguments: dict[str, Any], report: Report) -> Report:
    report.arguments = arguments
    if folder is not None:
        report.save(folder)
    return report


def _method(options: argparse.Namespace, scenario: Scenario) -> Callable[[], Method]:
    """What makes a new method for every run."""
    if options.method is not None:
        return partial(parse_method, options.method)
    return scenario.method if options.baseline is None else Method


def _network(options: argparse.Namespace, scenario: Scenario, seed: int) -> Model:
    """A new network, where and as it is to be computed."""
    model = scenario.model(seed, options.batchnorm).to(options.device)
    use_threads(options.threads, model, domains_of(scenario.stream)[0].train.shape, scenario.batch_size)
    model.precision = options.precision or model.precision
    if options.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.compile:
        model.compile()
    return model


def _draw(report: Report, folder: Path) -> None:
    from tladapt.display.plots import forgetting_curves, heat_map  # matplotlib is for pictures alone

    for figure in (heat_map, forgetting_curves):
        with replacing(folder / f"{figure.__name__}.png") as temporary:
            figure(report).savefig(temporary, dpi=150, format="png")
