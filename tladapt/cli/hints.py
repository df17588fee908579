"""What a user may have meant, for errors of the command line."""

import difflib
import keyword
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence

ALIKE = 0.75  # how alike a name must be to be suggested, from 0 to 1
OPTIONS = {  # of other tools, and the option here
    "--alpha": "--lr", "--batch": "--batch-size", "--bs": "--batch-size", "--columns": "--label", "--cuda": "--device",
    "--data": "--domains", "--dir": "--out", "--folder": "--out", "--gpu": "--device", "--gpus": "--device",
    "--image-size": "--size", "--img-size": "--size", "--input-size": "--size", "--iterations": "--steps",
    "--iters": "--steps", "--labels": "--label", "--learning-rate": "--lr", "--learn-rate": "--lr",
    "--max-epochs": "--epochs", "--max-steps": "--steps", "--network": "--model", "--arch": "--model",
    "--n-epochs": "--epochs", "--num-epochs": "--epochs", "--num-steps": "--steps", "--num-threads": "--threads",
    "--num-workers": "--workers", "--output": "--out", "--output-dir": "--out", "--save-dir": "--out",
    "--random-seed": "--seed", "--random-state": "--seed", "--src": "--source", "--train": "--source",
    "--tgt": "--target", "--target-column": "--label", "--y": "--label", "-b": "--batch-size", "-e": "--epochs",
    "-j": "--jobs", "-m": "--method", "-o": "--out", "-s": "--source", "-t": "--target", "-v": "--version",
    "-V": "--version",
}  # fmt: skip
ARGUMENTS = {  # of methods in papers and other libraries, and the argument here
    **dict.fromkeys(
        ("lambda", "lambda_", "lam", "lamb", "lambd", "lmbda", "alpha", "beta", "gamma", "coef", "coefficient", "c",
         "strength", "factor", "scale", "reg", "regularization", "trade_off", "tradeoff", "ewc_lambda", "loss_weight"),
        ("weight", "alpha", "decay"),
    ),
    **dict.fromkeys(("mem_size", "memory", "memory_size", "buffer", "buffer_size", "max_size"), ("capacity",)),
    **dict.fromkeys(("T", "tau", "temp"), ("temperature",)),
    **dict.fromkeys(("bandwidth", "bandwidths", "sigma", "sigmas", "kernels"), ("scales",)),
    **dict.fromkeys(("r", "lora_r", "dim"), ("rank",)),
    **dict.fromkeys(("width", "hidden_size", "hidden_dim", "units"), ("hidden",)),
    **dict.fromkeys(("n_samples", "fisher_samples"), ("samples",)),
    **dict.fromkeys(("lora_alpha",), ("alpha",)),
    **dict.fromkeys(("batch", "bs", "mem_batch_size"), ("batch_size",)),
}  # fmt: skip


def near(word: str, words: Iterable[str]) -> str | None:
    """Return the most similar of the words, in any case; None if none is similar."""
    by_lower = {other.lower(): other for other in words}
    found = difflib.get_close_matches(word.lower().replace("_", "-"), by_lower, n=1, cutoff=ALIKE)
    return by_lower[found[0]] if found else None


def unknown_option(name: str, known: Collection[str], elsewhere: Mapping[str, Collection[str]]) -> str:
    """Return the error for an option that a command lacks.

    Parameters
    ----------
    name : str
        As it was typed, such as "--epoch".
    known : collection of str
        The options of the command.
    elsewhere : mapping
        Those of the other commands, by command.
    """
    suggestion = OPTIONS.get(name.replace("_", "-"))
    if suggestion not in known:
        suggestion = near(name, known)
    if suggestion is not None:
        return f"unknown option {name}; did you mean {suggestion}?"
    others = [command for command, options in elsewhere.items() if name in options]
    return f"unknown option {name}" + (f"; it belongs to: tladapt {' | '.join(others)}" if others else "")


def left_over(words: Sequence[str], command: str, scenario: str | None, is_known: bool) -> str:
    """Return the error for words after the last one that a command takes.

    Parameters
    ----------
    words : sequence of str
    command : str
        "run", "compare" ...
    scenario : str, optional
        What was taken for the scenario.
    is_known : bool
        Whether it is one.
    """
    shown = " ".join(map(shlex.quote, words))
    if scenario is None:
        return f"unexpected {shown}; remove it"
    if is_known:
        option = "--method" if command == "run" else "--methods"
        return f"unexpected {shown} after SCENARIO; methods follow {option}"
    paths = " ".join(map(shlex.quote, [scenario, *words]))
    if len(words) == 1:
        first, second = map(shlex.quote, [scenario, *words])
        return f"unexpected {shown}; for your own data: tladapt {command} --source {first} --target {second}"
    return f"unexpected {shown}; for your own data, one domain after another: tladapt {command} --domains {paths}"


def argument(method: str, name: str, known: Sequence[str]) -> str:
    """Return the error for an argument that a method lacks.

    >>> argument("DANN", "lambda", ["weight", "hidden"])
    "DANN has no argument 'lambda'; did you mean weight? DANN takes weight, hidden"
    """
    suggestions = [other for other in ARGUMENTS.get(name, ()) if other in known]
    if not suggestions and (similar := near(name, known)) is not None:
        suggestions = [similar]
    meant = f"did you mean {suggestions[0]}? " if suggestions else ""
    return f"{method} has no argument {name!r}; {meant}{method} takes {', '.join(known) or 'none'}"


def without_keywords(text: str) -> str:
    """Return the expression with an underscore after each Python keyword that is used as the name of an argument.

    >>> without_keywords("DANN(lambda=1)")
    'DANN(lambda_=1)'
    """
    return re.sub(rf"\b({'|'.join(keyword.kwlist)})(\s*=(?!=))", r"\1_\2", text)
