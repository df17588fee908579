"""A method: one term of the objective and what it remembers. Methods add up."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tladapt.choices import REMEMBERED
from tladapt.model import Model, Output
from tladapt.seeding import generator, seeded
from tladapt.stage import Batch, Stage

ROLES = ("trainable", "weights", "guard", None, "gradient", "predictor")


class Method(nn.Module):
    """One term of the objective and what it remembers; `Method()` itself does nothing, which is fine-tuning.

    A subclass overrides the verbs that it needs. It never owns the loop, the step, the data or the optimiser, so any
    two can be added. Modules that it trains are submodules, what it remembers are buffers; each has a default for every
    argument of its constructor, and keeps it under the argument's name.

    Attributes
    ----------
    role : str or None
        What it takes hold of beyond its own term: one of `ROLES`. A sum keeps its terms in this order and refuses two
        of one role (None has no limit).
    needs : frozenset of {"source", "target"}
        The samples without which its term is 0: labelled ones, unlabelled ones.
    remembers : {"nothing", "statistics", "outputs", "samples"}
        What of the data outlives a stage.
    random : torch.Generator
        Its own random numbers, seeded by `fit`.

    Examples
    --------
    >>> from tladapt import DANN, EWC
    >>> EWC() + DANN() + Method()
    DANN(weight=0.1, hidden=256) + EWC(weight=0.01, samples=1024)
    """

    role: str | None = None
    needs: frozenset[str] = frozenset()
    remembers: str = "nothing"
    reads_features = False  # whether its loss needs one feature vector per row, or position
    used = False  # by a fit, whose memory it then has
    done = False  # set to end the stage after this step

    def __init__(self) -> None:
        super().__init__()
        self.random = torch.Generator()
        self.register_load_state_dict_pre_hook(make_room)

    def prepare(self, model: Model, stage: Stage) -> None:
        """Before a stage: choose what trains, build a critic, keep the old model's outputs."""

    def extend(self, model: Model, batch: Batch) -> Batch | None:
        """Before the forward pass: extra samples only, labelled ones first; the sum joins them to the batch."""

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """After the forward pass: this term, shape (); 0 where it has nothing to act on."""
        return output.logits.new_zeros(())

    def adjust(self, model: Model, batch: Batch) -> None:
        """Between backward and step: change gradients."""

    def consolidate(self, model: Model, stage: Stage) -> None:
        """After a stage: keep what must outlive it."""

    @property
    def terms(self) -> dict[str, "Method"]:
        """The terms by name, in the order in which they act; empty for `Method()` itself."""
        return {} if type(self) is Method else {type(self).__name__: self}

    def losses(self, model: Model, batch: Batch, output: Output) -> dict[str, Tensor]:
        """The loss of every term by its name."""
        return {name: term.loss(model, batch, output) for name, term in self.terms.items()}

    def seed(self, seed: int) -> None:
        """Give every term random numbers of its own, by its name: another term or weight moves nothing."""
        for name, term in self.terms.items():
            term.random, term.used = generator(seed, name), True

    @contextmanager
    def own_randomness(self) -> Iterator[None]:
        """Within: torch's global random numbers are this term's, so that a critic's start depends on nothing else."""
        with seeded(int(torch.randint(2**62, (), generator=self.random))):
            yield

    def __add__(self, other: "Method") -> "Method":
        if not isinstance(other, Method):
            return NotImplemented
        terms = [*self.terms.values(), *other.terms.values()]
        return Sum(terms) if len(terms) > 1 else terms[0] if terms else Method()

    def __repr__(self) -> str:
        names = inspect.signature(type(self)).parameters
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def get_extra_state(self) -> Tensor:
        """The state of the random numbers, so that `state_dict` misses nothing."""
        return self.random.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the random numbers where they were."""
        self.random.set_state(state.cpu())


def make_room(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: buffers that a fresh object does not have yet, or has in another size."""
    for name, buffer in module._buffers.items():
        value = state_dict.get(prefix + name)
        if value is not None and (buffer is None or buffer.shape != value.shape):
            module._buffers[name] = torch.empty_like(value)


def added_rows(method: Method, rows: Any) -> Batch | None:
    """Return the rows that `extend` of a method gave; raise TypeError if they are not a batch."""
    if rows is None or isinstance(rows, Batch):
        return rows
    name = type(method).__name__
    raise TypeError(
        f"{name}.extend returned a {type(rows).__name__}; expected a Batch, as batch.remembered(...), or None"
    )


class Sum(Method):
    """Several terms; made by `+`, equal in any order."""

    def __init__(self, terms: list[Method]) -> None:
        super().__init__()
        self._refuse_conflict(terms)
        self._terms = nn.ModuleDict()
        for term in sorted(terms, key=lambda t: (ROLES.index(t.role), type(t).__name__, repr(t))):
            name = type(term).__name__
            count = sum(type(t).__name__ == name for t in self._terms.values())
            self._terms[name if not count else f"{name}-{count + 1}"] = term

    @staticmethod
    def _refuse_conflict(terms: list[Method]) -> None:
        for i, term in enumerate(terms):
            for other in terms[:i]:
                if term is other:
                    raise ValueError(f"{term!r} + itself: build a second one, each keeps its own memory")
                if term.role is not None and term.role == other.role:
                    raise ValueError(f"{other!r} + {term!r}: both take hold of the {term.role}; leave one out")

    @property
    def terms(self) -> dict[str, Method]:
        """The terms by name, in the order in which they act."""
        return dict(self._terms.items())  # type: ignore[arg-type]

    @property
    def remembers(self) -> str:  # type: ignore[override]
        """The most that any term remembers."""
        return max((term.remembers for term in self.terms.values()), key=REMEMBERED.index)

    def prepare(self, model: Model, stage: Stage) -> None:
        """Every term's."""
        for term in self.terms.values():
            term.prepare(model, stage)

    def extend(self, model: Model, batch: Batch) -> Batch | None:
        """The samples of all terms, each of which saw `batch` alone."""
        extra = None
        for term in self.terms.values():
            more = added_rows(term, term.extend(model, batch))
            if more is not None:
                extra = more.join(extra)
        return extra

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        """The sum of the terms."""
        return sum(self.losses(model, batch, output).values(), output.logits.new_zeros(()))

    def adjust(self, model: Model, batch: Batch) -> None:
        """Every term's, in order."""
        for term in self.terms.values():
            term.adjust(model, batch)

    def consolidate(self, model: Model, stage: Stage) -> None:
        """Every term's."""
        for term in self.terms.values():
            term.consolidate(model, stage)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms.values()))
