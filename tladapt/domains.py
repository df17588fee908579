"""A domain: data from one place."""

import copy
import numbers
import os
import uuid
from collections.abc import Sequence
from typing import Any

import torch

from tladapt.data import Data
from tladapt.readers.arrays import as_data
from tladapt.readers.naming import counted, named_alike, only_used, wrong_label
from tladapt.readers.splitting import HELD_OUT, hold_out, without_labels


class Domain:
    """Data from one place: one hospital, one camera, one speaker.

    Parameters
    ----------
    name : str
        What the columns of the report call it.
    train : (x, y), x, torch.utils.data.Dataset or Data
        The data to learn from. x: tensor, array, data frame or dict of tensors, one row per sample; y: names of
        classes, whole numbers from 0, numbers to predict, or no y for a domain without labels; masks and texts have -1
        where there is no label. uint8 images count from 0 to 255, and the model gets them divided by 255.
    test : the same, or float, default 0.2
        The data that only the evaluator sees; or the share of the labelled rows of `train` to hold out for it. Which
        rows are held out depends on `seed` and on their inputs, never on their labels, so that the labels of a target
        have no part in what is learned (for tensors and arrays; a Dataset needs a test set of its own).
    validation : the same, or float, optional
        Data to choose with, such as the moment to stop; or the share of the labelled rest of `train` to hold out.
    classes : int or sequence of str, optional
        The number of classes, or their names; by default the names that the labels or the data set have, or as many
        as the labels show. Domains and models are matched by these names where they have them; see `fit`.
    seed : int
        For the rows that a `test` share holds out.
    workers : int
        Processes that read the rows of a Dataset ahead: so many for its labelled, and for its unlabelled rows (one at
        most of an IterableDataset); 0: no other process does. Of no use to data in memory.

    Raises
    ------
    ValueError, TypeError
        If data is empty, not finite, of unequal length, or labelled outside the classes.

    Examples
    --------
    >>> web = Domain("web", (torch.randn(10, 3), torch.arange(10) % 2))
    >>> web, web.unlabelled(keep=1)
    (Domain('web', 8 labelled, test 2), Domain('web', 2 labelled, 6 unlabelled, test 2))
    """

    def __init__(
        self, name: str, train: Any, test: Any = 0.2, validation: Any = None, *,
        classes: int | Sequence[str] | None = None, seed: int = 0, workers: int = 0,
    ) -> None:  # fmt: skip
        if not isinstance(name, str | int | os.PathLike):
            raise TypeError(
                f"Domain(name=...): expected a text, got {type(name).__name__}; give the name first: "
                "Domain('web', (x, y))"
            )
        if type(workers) is not int or workers < 0:
            raise ValueError(f"Domain({name!r}, workers={workers!r}): expected a whole number from 0")
        self.name, self._workers = str(name), workers
        parts = [
            self._given(part, value) for part, value in (("train", train), ("test", test), ("validation", validation))
        ]
        parts, names = named_alike(parts, classes, f"Domain({self.name!r})")
        assert parts[0] is not None
        self.train, self.test, self.validation = parts[0], parts[1], parts[2]
        if _is_share(test):
            self.test = self._held_out("test", test, seed)
        if _is_share(validation):
            self.validation = self._held_out("validation", validation, seed)
        self.named = names is not None  # whether classes have names; else they are numbers
        self._declared = classes is not None or (self.named and not self.train.worded)
        self.classes = counted(self._parts(), classes) if names is None else names
        self.row_ids: Sequence[str | int] | None = None  # of the rows that were given: files, or rows of a table
        self.origin = uuid.uuid4().hex  # the same in all views and copies of this domain
        y = self.train.y
        complete = len(y) == len(self.train) and not y.is_floating_point() and bool(self.classes)
        self.labels = y[y >= 0].unique().tolist() if complete else None
        self._check()

    def _given(self, part: str, value: Any) -> Data | None:
        """Return the data of one part; None if there is none, or a share of `train` is to be held out for it."""
        if value is None and part != "train":
            return None
        if part != "train" and _is_share(value):
            return None
        return as_data(value, f"Domain({self.name!r}): {part}", self._workers)

    def _held_out(self, part: str, share: float, seed: int) -> Data | None:
        """Return a share of `train`, which is left without it."""
        if not 0 <= share < 1:
            raise ValueError(f"Domain({self.name!r}, {part}={share}): a share to hold out is from 0 to below 1")
        if share and not self.train.fixed and len(self.train.y):
            raise ValueError(
                f"Domain({self.name!r}): a data set may be augmented at random, so nothing is held out of it; give "
                f"{part}= a data set without augmentation, or None"
            )
        what = HELD_OUT if part == "test" else "hold out for validation"
        self.train, held = hold_out(self.train, share, seed, what)
        return held

    def _parts(self) -> list[Data | None]:
        return [self.train, self.test, self.validation]

    def _check(self) -> None:
        for part, data in zip(("train", "test", "validation"), self._parts(), strict=True):
            if data is None:
                continue
            if data.shape != self.train.shape:
                raise ValueError(
                    f"Domain({self.name!r}): {part} has rows of shape {data.shape}, not {self.train.shape}"
                )
            if self.classes or self._declared:
                problem = wrong_label(data.y, len(self.classes))
                if problem is not None:
                    raise ValueError(f"Domain({self.name!r}): {part} has {problem}")

    def unlabelled(self, keep: int = 0, seed: int = 0) -> "Domain":
        """Return the domain without the labels of its training data, except `keep` per class drawn by `seed`.

        The rows without labels come in an order that depends on their inputs only, because the order in which they
        were given may show their labels: that of a folder per class does. The test data is the same as before, and
        only the evaluator sees it. A torch data set that is read row by row still has its labels in its files: `rows`
        does not give them, but a method that looks for the data set finds them. An `IterableDataset` keeps its order.
        """
        changed = copy.copy(self)
        key = (seed, "unlabelled", self.name)
        changed.train, _ = without_labels(self.train, keep, *key)
        if self.validation is not None:
            changed.validation, _ = without_labels(self.validation, 0, *key)
        changed.labels = None  # which classes occur is a fact about the labels
        if not self._declared:  # nor are the names of the classes, or the largest number, to tell of the labels
            changed._forget_classes()
        return changed

    def _forget_classes(self) -> None:
        """Keep only the classes that the test data and the labels that are left show."""
        if not self.named:
            self.classes = counted([self.train, self.test], None)
            return
        parts, self.classes = only_used(self._parts(), self.classes)
        assert parts[0] is not None
        self.train, self.test, self.validation = parts[0], parts[1], parts[2]

    def but(self, **changes: Any) -> "Domain":
        """Return a copy with other attributes."""
        changed = copy.copy(self)
        for name, value in changes.items():
            setattr(changed, name, value)
        return changed

    def for_training(self, device: torch.device) -> "Domain":
        """What a method may see of the domain: all but its test data; on `device`."""
        changed = copy.copy(self)
        changed.train, changed.test = self.train.to(device), None
        changed.row_ids = None  # the path of a file may contain its class
        changed.validation = self.validation and self.validation.to(device)
        return changed

    def row_names(self, rows: torch.Tensor) -> list[str]:
        """Return the file name, or the number, that each of these training rows had in what was given."""
        given = self.train.given_rows(rows).tolist()
        return [str(number) if self.row_ids is None else str(self.row_ids[number]) for number in given]

    def __repr__(self) -> str:
        labelled, rest = len(self.train.y), len(self.train) - len(self.train.y)
        counts = [f"{labelled} labelled"] * (labelled > 0) + [f"{rest} unlabelled"] * (rest > 0)
        return f"Domain({', '.join([repr(self.name), *counts])}, test {len(self.test or ())})"


def _is_share(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
