"""The task of a model as JSON."""

import inspect
from typing import Any

import numpy as np
from torch import Tensor

from tladapt import tasks


def task_spec(task: Any) -> dict[str, Any] | None:
    """Return the name of a task, and its arguments if it is one of tladapt's; None for None."""
    if task is None:
        return None
    if isinstance(task, str):  # the name of a task that a model came with when it was loaded
        return {"name": task, "arguments": None}
    kind = type(task)
    if getattr(tasks, kind.__name__, None) is not kind:
        return {"name": kind.__name__, "arguments": None}
    names = inspect.signature(kind).parameters
    return {"name": kind.__name__, "arguments": {name: _plain(getattr(task, name)) for name in names}}


def _plain(value: Any) -> Any:
    """Return a number of numpy or torch as one of Python, which JSON has."""
    return value.item() if isinstance(value, np.generic | Tensor) else value


def task_from(spec: dict[str, Any] | None) -> Any:
    """Return the task that `task_spec` described; only its name, if it is not one of tladapt's.

    Raises
    ------
    ValueError, TypeError
        If it describes none; the description may come from an untrusted file.
    """
    if spec is None:
        return None
    name, arguments = spec.get("name"), spec.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict | None):
        raise ValueError(f"task: expected a name and arguments, got {repr(spec)[:100]}")
    if arguments is None:
        return name[:100]
    if name not in tasks.__all__:
        raise ValueError(f"task: {name[:40]!r} is not one of {', '.join(tasks.__all__)}")
    return getattr(tasks, name)(**arguments)
