"""A domain: data from one place."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from tladapt.data import Data
from tladapt.readers.arrays import as_data
from tladapt.readers.splitting import HELD_OUT, hold_out, without_labels


class Domain:
    """Data from one place: one hospital, one camera, one speaker.

    Parameters
    ----------
    name : str
        What the columns of the report call it.
    train : (x, y), x, torch.utils.data.Dataset or Data
        The data to learn from. x: tensor, array or dict of tensors, one row per sample; y: whole numbers from 0, or no
        y for a domain without labels; masks and texts have -1 where there is nothing to answer. uint8 images count from
        0 to 255, and the model sees them divided by 255.
    test : the same, or float, default 0.2
        The data that only the evaluator sees; or the share of the labelled rows of `train` to hold out for it. Which
        rows are held out depends on `seed` and on their inputs, never on their labels, so that the labels of a target
        have no part in what is learned (for tensors and arrays; a Dataset needs a test set of its own).
    validation : the same, or float, optional
        Data to choose with, such as the moment to stop; or the share of the labelled rest of `train` to hold out.
    classes : int or sequence of str, optional
        How many classes there are, or their names; by default what the labels show.
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
        if type(workers) is not int or workers < 0:
            raise ValueError(f"Domain({name!r}, workers={workers!r}): expected a whole number from 0")
        self.name, self._workers = str(name), workers
        self.train = as_data(train, f"Domain({name!r}): train", workers)
        self.test = self._apart("test", test, seed)
        self.validation = self._apart("validation", validation, seed)
        self._named = classes is not None
        self.classes = self._class_names(classes)
        self.origin = object()  # the same in all views of this domain
        y = self.train.y
        complete = len(y) == len(self.train) and not y.is_floating_point()
        self.labels = y[y >= 0].unique().tolist() if complete else None
        self._check()

    def _apart(self, part: str, given: Any, seed: int) -> Data | None:
        """Data of its own, or a share of `train`, which is then without it."""
        if not isinstance(given, int | float):
            return None if given is None else as_data(given, f"Domain({self.name!r}): {part}", self._workers)
        if not 0 <= given < 1:
            raise ValueError(f"Domain({self.name!r}, {part}={given}): a share to hold out is from 0 to below 1")
        if given and not self.train.fixed and len(self.train.y):
            raise ValueError(
                f"Domain({self.name!r}): a data set may be augmented at random, so nothing is held out of it; give "
                f"{part}= a data set without augmentation, or None"
            )
        what = HELD_OUT if part == "test" else "hold out for validation"
        self.train, held = hold_out(self.train, given, seed, what)
        return held

    def _class_names(self, classes: int | Sequence[str] | None) -> tuple[str, ...]:
        if classes is None:
            given = [part.y for part in (self.train, self.test) if part is not None and len(part.y)]
            classes = 1 + max((int(y.max()) for y in given if not y.is_floating_point()), default=-1)
        return tuple(str(c) for c in (range(classes) if isinstance(classes, int) else classes))

    def _check(self) -> None:
        for part, data in (("train", self.train), ("test", self.test), ("validation", self.validation)):
            if data is None:
                continue
            if data.shape != self.train.shape:
                raise ValueError(
                    f"Domain({self.name!r}): {part} has rows of shape {data.shape}, not {self.train.shape}"
                )
            lowest = 0 if data.y.ndim == 1 else -1  # nothing to answer
            outside = data.y[(data.y < lowest) | (data.y >= len(self.classes))]
            if len(outside) and not data.y.is_floating_point():
                raise ValueError(
                    f"Domain({self.name!r}): {part} has the label {int(outside[0])}, but there are {len(self.classes)} "
                    "classes, counted from 0; correct the label or classes="
                )

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
        if not self._named:
            changed.classes = changed._class_names(None)  # the largest label is one, too
        return changed

    def for_training(self, device: torch.device) -> "Domain":
        """What a method may see of the domain: all but its test data; on `device`."""
        changed = copy.copy(self)
        changed.train, changed.test = self.train.to(device), None
        changed.validation = self.validation and self.validation.to(device)
        return changed

    def __repr__(self) -> str:
        labelled, rest = len(self.train.y), len(self.train) - len(self.train.y)
        counts = [f"{labelled} labelled"] * (labelled > 0) + [f"{rest} unlabelled"] * (rest > 0)
        return f"Domain({', '.join([repr(self.name), *counts])}, test {len(self.test or ())})"
