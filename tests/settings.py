"""Settings of runs, alike and different, that every interpreter can make again."""

import collections
import dataclasses
import datetime
import enum
import functools
import io
import logging
import math
import operator
import random
import re
import threading
import types
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam

from tladapt import DANN, EWC, Classification, Method

SCALE = 1.0
TABLE = [1.0, 0.5]
CONFIG = types.SimpleNamespace(rate=1.0, folder="here")
LOSSES = list[float]()
LOG = logging.getLogger("settings")
NAMES = {"soon", "early", "first", "begin"}


def by_global(progress: float) -> float:
    return SCALE * progress


def by_table(progress: float) -> float:
    return TABLE[0] * progress


def by_config(progress: float) -> float:
    return CONFIG.rate * progress


def recording(progress: float) -> float:
    LOSSES.append(progress)
    LOG.info("progress %s", progress)
    return progress


def by_set(progress: float) -> bool:
    return ("late" if progress > 0.5 else "soon") in {"soon", "early", "first", "begin"}


def by_helper(progress: float) -> float:
    return by_global(progress) / 2


def documented(progress: float) -> float:
    """Return the progress."""
    return progress  # as it is


def by_generator(scale: float) -> Any:
    return (
        (lambda p: max(q * 1.0 for q in (1 - p, 0.5))) if scale == 1 else lambda p: max(q * 0.1 for q in (1 - p, 0.5))
    )


def closure(value: Any) -> Any:
    return lambda p: value(p) if callable(value) else value


def in_loop() -> list[Any]:
    return [lambda p, k=k: k * p for k in range(3)]


def nested(scale: float) -> Any:
    def outer(p: float) -> float:
        def inner(q: float) -> float:
            return scale * q

        return inner(p)

    return outer


def scaled(scale: float) -> Any:
    def decorator(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(p: float) -> float:
            return scale * function(p)

        return wrapper

    return decorator


def generated(text: str) -> Any:
    names: dict[str, Any] = {}
    exec(f"def f(p):\n    return {text}", names)
    return names["f"]


class Curve:
    power = 1.0

    def __init__(self, k: Any = 1.0) -> None:
        self.k = k

    def __call__(self, p: float) -> float:
        return self.k * p**self.power

    def at(self, p: float) -> float:
        return self.k * p

    @functools.cached_property
    def half(self) -> float:
        return self.k / 2

    @property
    def twice(self) -> float:
        return 2 * self.k

    @staticmethod
    def plain(p: float) -> float:
        return p

    @classmethod
    def of(cls, p: float) -> float:
        return cls.power * p


class Steeper(Curve):
    power = 2.0


class Slots:
    __slots__ = ("k",)

    def __init__(self, k: float) -> None:
        self.k = k


@dataclasses.dataclass
class Settings:
    rate: float = 0.1
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    rate: float = 0.1


class Pair(NamedTuple):
    one: int = 1
    two: int = 2


class Kind(enum.Enum):
    SLOW = 1
    FAST = 2


class Task(Classification):
    factor = 1.0

    def loss(self, output: Any, batch: Any) -> Any:
        return self.factor * super().loss(output, batch)


class Tens(Classification):
    factor = 1.0

    def loss(self, output: Any, batch: Any) -> Any:
        return 10 * super().loss(output, batch)


Tens.__qualname__ = Tens.__name__ = "Task"


class Term(Method):
    counted = 0  # in the class, as some methods do

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.critic = nn.Linear(2, 1)  # whose start weights differ from run to run

    def loss(self, model: Any, batch: Any, output: Any) -> Any:
        Term.counted += 1
        return self.weight * SCALE * output.logits.sum()


@functools.lru_cache
def cached(p: float) -> float:
    return p


def seeded(kind: Any, seed: int) -> Any:
    return kind.manual_seed(seed) if isinstance(kind, torch.Generator) else kind(seed)


def cyclic(k: float) -> Curve:
    curve = Curve(k)
    curve.itself = [curve]  # type: ignore[attr-defined]
    return curve


def power(of: type, value: float) -> Any:
    return type(of.__name__, (of,), {"power": value, "__module__": __name__, "__qualname__": of.__qualname__})()


# What makes a setting, and what makes another one that differs in a single thing.
OTHER: dict[str, tuple[Any, Any]] = {
    "number": (lambda: 1.0, lambda: 2.0),
    "kind of number": (lambda: 1, lambda: 1.0),
    "truth and number": (lambda: True, lambda: 1),
    "sign of zero": (lambda: 0.0, lambda: -0.0),
    "list and tuple": (lambda: [1], lambda: (1,)),
    "order of a list": (lambda: [1, 2], lambda: [2, 1]),
    "key": (lambda: {"a": 1}, lambda: {"b": 1}),
    "kind of key": (lambda: {1: 1}, lambda: {"1": 1}),
    "element of a set": (lambda: {"a", "b"}, lambda: {"a", "c"}),
    "dtype": (lambda: torch.zeros(2), lambda: torch.zeros(2, dtype=torch.int32)),
    "shape": (lambda: torch.zeros(2, 3), lambda: torch.zeros(3, 2)),
    "value": (lambda: torch.tensor([1.0, 2.0]), lambda: torch.tensor([1.0, 3.0])),
    "array": (lambda: np.arange(3.0), lambda: np.arange(1.0, 4.0)),
    "dtype of an array": (lambda: np.zeros(2), lambda: np.zeros(2, np.int64)),
    "byte order": (lambda: np.arange(3, dtype="<i4"), lambda: np.arange(3, dtype=">i4")),
    "array of objects": (lambda: np.array([1, "a"], dtype=object), lambda: np.array([1, "b"], dtype=object)),
    "mask": (lambda: np.ma.masked_equal([1, 2], 2), lambda: np.ma.masked_equal([1, 2], 1)),
    "scalar of numpy": (lambda: np.float32(0.5), lambda: np.float64(0.5)),
    "builtin": (lambda: math.cos, lambda: math.exp),
    "builtin of an object": (lambda: {"a": 1}.get, lambda: {"a": 2}.get),
    "function of numpy": (lambda: np.exp, lambda: np.cos),
    "function of torch": (lambda: torch.relu, lambda: torch.sigmoid),
    "optimiser": (lambda: SGD, lambda: Adam),
    "argument of a partial": (lambda: partial(SGD, momentum=0.9), lambda: partial(SGD, momentum=0.1)),
    "lambda in a partial": (lambda: partial(lambda k, p: k * p, 1), lambda: partial(lambda k, p: k + p, 1)),
    "lambdas of one line": (lambda: lambda p: 1.0 - p, lambda: lambda p: 1.0 - 0.5 * p),
    "generator expression": (lambda: by_generator(1), lambda: by_generator(2)),
    "default of a lambda in a loop": (lambda: in_loop()[1], lambda: in_loop()[2]),
    "number in a closure": (lambda: closure(1.0), lambda: closure(2.0)),
    "array in a closure": (lambda: closure(np.array([1.0, 0.5])), lambda: closure(np.array([0.1, 0.01]))),
    "function in a closure": (lambda: closure(lambda p: p), lambda: closure(lambda p: p * p)),
    "inner function": (lambda: nested(1.0), lambda: nested(2.0)),
    "decorator": (lambda: scaled(1.0)(documented), lambda: scaled(2.0)(documented)),
    "decorated": (lambda: scaled(1.0)(documented), lambda: scaled(1.0)(by_global)),
    "without a source": (lambda: generated("p * 1.0"), lambda: generated("p * 2.0")),
    "attribute": (lambda: Curve(1.0), lambda: Curve(2.0)),
    "object of a method": (lambda: Curve(1.0).at, lambda: Curve(2.0).at),
    "method": (lambda: Curve(1.0).at, lambda: Curve(1.0).__call__),
    "class of a class method": (lambda: Curve.of, lambda: Steeper.of),
    "class": (lambda: Curve(1.0), lambda: Steeper(1.0)),
    "attribute of a class": (lambda: power(Curve, 3.0), lambda: power(Curve, 4.0)),
    "slots": (lambda: Slots(1.0), lambda: Slots(2.0)),
    "field": (lambda: Settings(0.1), lambda: Settings(0.2)),
    "list in a data class": (lambda: Settings(names=["a"]), lambda: Settings(names=["b"])),
    "frozen data class": (lambda: Frozen(0.1), lambda: Frozen(0.2)),
    "named tuple": (lambda: Pair(1), lambda: Pair(3)),
    "member of an enum": (lambda: Kind.SLOW, lambda: Kind.FAST),
    "code of a task": (lambda: Task(), lambda: Tens()),
    "argument of a task": (lambda: Classification(), lambda: Classification(balanced=True)),
    "method's argument": (lambda: EWC(0.5), lambda: EWC(0.25)),
    "term": (lambda: EWC() + DANN(), lambda: EWC()),
    "own method's argument": (lambda: Term(1.0), lambda: Term(2.0)),
    "generator of numpy": (lambda: np.random.default_rng(0), lambda: np.random.default_rng(1)),
    "generator of Python": (lambda: random.Random(0), lambda: random.Random(1)),
    "generator of torch": (lambda: seeded(torch.Generator(), 0), lambda: seeded(torch.Generator(), 1)),
    "pattern": (lambda: re.compile("a"), lambda: re.compile("a", re.IGNORECASE)),
    "item getter": (lambda: operator.itemgetter(1), lambda: operator.itemgetter(2)),
    "default of a dict": (lambda: collections.defaultdict(int), lambda: collections.defaultdict(list)),
    "length of a deque": (lambda: collections.deque([1], 3), lambda: collections.deque([1], 4)),
    "circle": (lambda: cyclic(1.0), lambda: cyclic(2.0)),
    "date": (lambda: datetime.date(2020, 1, 1), lambda: datetime.date(2020, 1, 2)),
    "fraction": (lambda: Fraction(1, 2), lambda: Fraction(1, 3)),
    "path": (lambda: Path("a"), lambda: Path("b")),
}  # fmt: skip

# Further settings that are the same whenever they are made, in any process.
SAME: dict[str, Any] = {
    "set of a name": by_set, "recording": recording, "helper": by_helper, "cached": cached, "documented": documented,
    "global set": lambda p: p in NAMES, "not a number": float("nan"), "large": 10**30, "complex": 1j, "bytes": b"ab",
    "slice": slice(1, None), "dtype": torch.bfloat16, "vector": np.vectorize(abs), "polynomial": np.poly1d([1, 2]),
    "static": Curve.plain, "text method": "a".join, "counter": collections.Counter("aab"), "type": int | None,
    "names": types.SimpleNamespace(a=1), "no gradient": torch.no_grad()(documented), "functional": nn.functional.relu,
    "curve": Curve(by_global), "classes": [Curve, Steeper, Pair, Settings, Kind, Slots, Task], "module": math,
    "bits": torch.zeros(2, dtype=torch.bfloat16), "logger": LOG,
}  # fmt: skip

UNKNOWN: dict[str, Any] = {
    "iterator": lambda: iter([1]), "generator": lambda: (i for i in [1]), "lock": threading.Lock,
    "text file": io.StringIO, "thread": threading.local, "meta tensor": lambda: torch.empty(2, device="meta"),
    "sparse tensor": lambda: torch.eye(2).to_sparse(), "error": lambda: ValueError("a"),
}  # fmt: skip
