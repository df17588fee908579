"""`tladapt compare`."""

import argparse
import json
import sys
import warnings
from functools import partial

from tladapt import comparison
from tladapt.cli.describing import described, writable
from tladapt.cli.expression import parse_method
from tladapt.cli.resuming import begun, naming_the_folder, prepare, refuse_other_form
from tladapt.display.console import show, write
from tladapt.scenarios import Scenario


def compare(options: argparse.Namespace) -> None:
    """Run what is not there yet, and print the table; exit code 1 if a run failed."""
    writable(options.out)
    refuse_other_form(options)
    methods = [parse_method(text) for text in options.methods]
    described(options)  # a mistake in it fails here, before it is kept
    prepare(options)
    begun(options)
    with naming_the_folder(options):
        found = comparison.compare(
            partial(_again, options), methods, seeds=options.seeds, baselines=options.baselines,
            batchnorm=options.batchnorm, jobs=options.jobs, out=options.out, strict=options.strict,
            progress=False if options.quiet else None,
        )  # fmt: skip
    if options.json:
        print(json.dumps(found.to_dict(), allow_nan=False))
    elif options.markdown:
        write(found.markdown())
    else:
        show(found, *([] if options.out is None else [f"Saved to {options.out}"]))
    if found.failed:
        print(f"tladapt compare: {len(found.failed)} runs failed; see the table", file=sys.stderr)
        sys.exit(1)


def _again(options: argparse.Namespace) -> Scenario:
    """Return the scenario for one of the runs, without the warnings that came when it was checked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return described(options)
