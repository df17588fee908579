"""Checks of the arguments of `fit`, of the objects that its functions return, and of methods that users write."""

import difflib
import inspect
import math
import os
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tladapt.domains import Domain
from tladapt.layers.wrappers import unwrapped
from tladapt.method import Method
from tladapt.model import Model

VERBS = {
    "prepare": ("model", "stage"),
    "extend": ("model", "batch"),
    "loss": ("model", "batch", "output"),
    "adjust": ("model", "batch"),
    "consolidate": ("model", "stage"),
}
TASK = ("metric", "higher_is_better", "share", "check", "loss", "marks", "score")  # what every fit uses
EXPECTED = {"lr": "a positive number", "seed": "a whole number", "learned": "a whole number of at least 0"}
RIGHT: dict[str, Callable[[Any], bool]] = {
    "a positive number": lambda value: is_number(value) and 0 < value < math.inf,
    "a whole number": lambda value: is_whole(value) and abs(value) < 2**63,
    "a whole number of at least 0": lambda value: is_whole(value) and value >= 0,
    "a positive whole number": lambda value: is_whole(value) and value >= 1,
}


def check_fit(model: Any, stream: Any, method: Any, **others: Any) -> None:
    """Raise an error for an argument of `fit` that is of another kind than expected."""
    check_model(model)
    check_stream(stream)
    check_method(method)
    check_functions(others["optimizer"], others["schedule"])
    check_task(others["task"])
    if not isinstance(others["progress"], bool | None):
        raise _wrong("progress", others["progress"], "True, False or None")
    if not isinstance(others["checkpoint"], str | os.PathLike | None):
        raise _wrong("checkpoint", others["checkpoint"], "the path of a folder")
    if not isinstance(others["scenario"], str):
        raise _wrong("scenario", others["scenario"], "a name")


def check_task(task: Any) -> None:
    """Raise an error for a task without the members of the protocol `Task`."""
    if task is None:
        return
    if isinstance(task, type):
        raise TypeError(f"task: expected a task, got the class {task.__name__}; write {task.__name__}()")
    missing = [name for name in TASK if not hasattr(task, name)]
    if missing:
        lacks = ", ".join(missing[:3])
        raise TypeError(f"task: expected a task such as Classification(), got {_kind(task)}, which lacks {lacks}")


def check_model(model: Any) -> None:
    """Raise an error for a model that cannot be trained."""
    if not isinstance(model, Model):
        if isinstance(model, nn.Module) and isinstance(unwrapped(model), Model):
            raise TypeError(
                f"model: expected a Model, got a {type(model).__name__} around one; pass the Model itself (to compile "
                "it, call model.compile())"
            )
        hint = "wrap it as Model.of(network, classes=...)" if isinstance(model, nn.Module) else "build one first"
        raise TypeError(f"model: expected a Model, got {_kind(model)}; {hint}")
    half = [(n, p.dtype) for n, p in model.named_parameters() if p.requires_grad and p.dtype in _HALF]
    if half:
        name, dtype = half[0]
        raise ValueError(
            f"model: {name} is {_plain(dtype)}, in which small steps are lost; call model.float() before fit "
            "(precision='bfloat16' computes in 16 bits with weights in float32)"
        )


_HALF = (torch.float16, torch.bfloat16)


def check_stream(stream: Any) -> None:
    """Raise an error for a stream that is not a list of stages."""
    if isinstance(stream, Domain):
        raise TypeError(f"stream: expected a list of stages, got a Domain; write [{stream.name}]")
    if not isinstance(stream, Sequence) or isinstance(stream, str):
        raise TypeError(
            f"stream: expected a list of Domain, got {_kind(stream)}; wrap the data as [Domain('name', (x, y))]"
        )


def check_method(method: Any) -> None:
    """Raise an error for a method that is not ready for use, or whose terms are written in a way that does nothing."""
    if method is None:
        return
    if isinstance(method, type) and issubclass(method, Method):
        raise TypeError(f"method: expected a method, got the class {method.__name__}; write {method.__name__}()")
    if not isinstance(method, Method):
        raise TypeError(f"method: expected a Method such as DANN(), got {_kind(method)}")
    if "_modules" not in vars(method):
        raise TypeError(f"method: {type(method).__name__}.__init__ must begin with super().__init__()")
    for term in method.terms.values():
        _check_term(term)
    if any(term.used for term in method.terms.values()):
        raise ValueError(f"method: {method!r} has the memory of an earlier fit; build a new one for every fit")


def _check_term(term: Method) -> None:
    kind = type(term)
    name = kind.__name__
    if "_modules" not in vars(term):
        raise TypeError(f"method: {name}.__init__ must begin with super().__init__()")
    if kind.forward is not Method.forward and kind.loss is Method.loss:
        raise TypeError(f"method: {name}.forward is never called; define loss(self, model, batch, output)")
    for argument, parameter in inspect.signature(kind).parameters.items():
        keyword = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if keyword and not hasattr(term, argument):
            raise TypeError(f"method: {name} must keep its argument; write self.{argument} = {argument} in __init__")
    for verb, arguments in VERBS.items():
        try:
            inspect.signature(getattr(term, verb)).bind(*arguments)
        except TypeError as error:
            expected = ", ".join(("self", *arguments))
            raise TypeError(f"method: {name}.{verb} must take ({expected})") from error


def check_numbers(**values: Any) -> None:
    """Raise an error for a length of training, a rate or a seed that is not a number of the right kind."""
    for name, value in values.items():
        optional = name in ("epochs", "steps", "lr") and value is None
        expected = EXPECTED.get(name, "a positive whole number")
        if not optional and not RIGHT[expected](value):
            raise _wrong(name, value, expected)


def check_learned(learned: int, stages: int) -> None:
    """Raise an error if no stage is left to learn."""
    if learned >= max(stages, 1):
        raise ValueError(f"learned={learned}: expected fewer than the {stages} stages of the stream")


def check_functions(optimizer: Any, schedule: Any) -> None:
    """Raise an error for an optimiser that is already built, and for a schedule that is not a function."""
    if isinstance(optimizer, Optimizer):
        name = type(optimizer).__name__
        raise TypeError(
            f"optimizer: expected a class such as torch.optim.{name}, got a {name} that is already built; give lr= to "
            f"fit, and other arguments by functools.partial(torch.optim.{name}, ...)"
        )
    if not callable(optimizer):
        raise TypeError(f"optimizer: expected a class such as torch.optim.Adam, got {_kind(optimizer)}")
    if not callable(schedule):
        raise TypeError(
            f"schedule: expected a function of the progress in [0, 1), got {_kind(schedule)}; for a constant rate give "
            "lambda progress: 1.0"
        )
    try:
        inspect.signature(schedule).bind(0.0)
    except TypeError as error:
        raise TypeError(f"schedule: expected a function of one argument, the progress in [0, 1) ({error})") from error
    except ValueError:  # a builtin without a signature
        return


def check_choice(name: str, value: Any, choices: Sequence[str], default: str | None = None) -> str:
    """Return the value, or the default for None; raise an error for one that is not among `choices`."""
    value = default if value is None else value
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={_short(value)}: expected one of {', '.join(map(repr, choices))}")
    return value


def check_arguments(name: str, function: Callable[..., Any], keywords: Iterable[str]) -> None:
    """Raise an error for an argument that a function does not have."""
    known = list(inspect.signature(function).parameters)
    for keyword in keywords:
        if keyword not in known:
            near = difflib.get_close_matches(keyword, known, n=1, cutoff=0.8)
            hint = f"did you mean {near[0]}?" if near else f"see help({name})"
            raise TypeError(f"{name}: unknown argument {keyword!r}; {hint}")


def built_optimizer(optimizer: Callable[..., Any], groups: list[dict[str, Any]], lr: float) -> Optimizer:
    """Return the optimiser of these groups of parameters.

    Raises
    ------
    TypeError
        If it cannot be built as optimizer(groups, lr=lr), or its step needs a closure.
    """
    try:
        built = optimizer(groups, lr=lr)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TypeError(
            f"optimizer: could not be built as optimizer(parameters, lr={lr:g}) ({reason}); give a class of "
            "torch.optim, or functools.partial(torch.optim.SGD, momentum=0.9)"
        ) from error
    if not isinstance(built, Optimizer):
        raise TypeError(f"optimizer: expected a function that returns a torch Optimizer, got {_kind(built)}")
    try:
        inspect.signature(built.step).bind()
    except TypeError as error:
        raise TypeError(
            f"optimizer: {type(built).__name__} needs a closure, which fit does not give; use another, such as "
            "torch.optim.Adam"
        ) from error
    return built


def require_something_to_train(model: Model, method: Method) -> None:
    """Raise an error if every parameter of the model is frozen; a user's own method may train its own."""
    if model.trained():
        return
    own = [term for term in method.terms.values() if not type(term).__module__.startswith("tladapt.")]
    if not any(p.requires_grad for term in own for p in term.parameters()):
        raise ValueError(
            "model: nothing would train, since no parameter requires a gradient; call requires_grad_(True) on the "
            "parts that are to learn, such as model.head"
        )


def rate_factor(schedule: Callable[[float], Any], progress: float) -> float:
    """Return the factor of the learning rate at this progress.

    Raises
    ------
    TypeError
        If the schedule returns anything but a number.
    """
    factor = schedule(progress)
    if isinstance(factor, Tensor) and factor.ndim == 0:
        return float(factor)
    if is_number(factor):
        return factor  # type: ignore[return-value]
    raise TypeError(f"schedule: expected a function that returns a number, got {_kind(factor)} at {progress}")


def scalar(name: str, loss: Any, like: Tensor) -> Tensor:
    """Return the loss of a term as a tensor of shape ().

    Raises
    ------
    TypeError
        If it is not a number.
    """
    if isinstance(loss, Tensor) and loss.shape == ():
        return loss
    if is_number(loss):
        return like.new_tensor(float(loss))
    found = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else _kind(loss)
    raise TypeError(f"{name}.loss returned {found}; expected a tensor of shape (), such as a mean")


def is_number(value: Any) -> bool:
    """Whether it is a real number; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether it is an integer, of Python or numpy; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _wrong(name: str, value: Any, expected: str) -> Exception:
    number = is_number(value)
    return (ValueError if number else TypeError)(f"{name}={_short(value)}: expected {expected}")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else _kind(value)


def _kind(value: Any) -> str:
    """What a value is, without its content."""
    if isinstance(value, str | int | float | None):
        return _short(value) if value is None or len(repr(value)) <= 60 else f"a {type(value).__name__}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a {type(value).__name__}"


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
