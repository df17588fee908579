"""The model that old and new domains share."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tladapt.class_names import class_names
from tladapt.data import Tensors, each, length
from tladapt.layers.batchnorm import DomainNorm, lone_row, with_policy
from tladapt.layers.calling import call
from tladapt.layers.copying import copy_of
from tladapt.layers.encoded import features_and_mask
from tladapt.layers.head import UpToHead
from tladapt.layers.whole_numbers import has_whole_numbers, reads_whole_numbers
from tladapt.layers.wrappers import unwrapped

if TYPE_CHECKING:  # which are made of this
    import numpy as np

    from tladapt.predicting.predictions import Predictions
    from tladapt.predicting.scoring import Evaluation


@dataclass(frozen=True)
class Output:
    """What the model says: features (n, ..., d) and logits (n, ..., classes).

    `mask` (n, ...) tells at which positions of the features there is something; None: everywhere.
    """

    features: Tensor
    logits: Tensor
    mask: Tensor | None = None

    def at(self, rows: slice | Tensor) -> "Output":
        """The output for these rows."""
        return Output(self.features[rows], self.logits[rows], None if self.mask is None else self.mask[rows])

    @property
    def pooled(self) -> "Output":
        """One row per sample: features (n, d) and logits (n, classes), the means over the positions."""
        if self.features.ndim == 2:
            return self
        logits = self.logits if self.logits.ndim == 2 else self._mean(self.logits)
        return Output(self._mean(self.features), logits)

    def _mean(self, values: Tensor) -> Tensor:
        """The mean of values (n, ..., k) over their positions, without those that the mask leaves out."""
        masked = self.mask is not None and self.mask.shape == values.shape[:-1]
        values = values.flatten(1, -2)
        if self.mask is None or not masked:
            return values.mean(1)
        held = self.mask.flatten(1).to(values.dtype)
        share = held / held.sum(1, keepdim=True).clamp(min=1)
        return torch.einsum("npd,np->nd", values, share)


torch.export.register_dataclass(Output)


class Model(nn.Module):
    """An encoder and a head; `model(x)` is always an `Output`.

    Parameters
    ----------
    encoder : Module
        From inputs (those of a dict by keyword) to features (n, ..., d); or to a pair of features and the mask (n, ...)
        of the positions that hold something.
    head : Module
        From features to logits (n, ..., classes). One with `autoregressive = True` is called with (features, mask, y)
        instead, y the answers that the labelled rows are to get, one part of which it may read to give the next; or
        None, where it goes by its own.
    classes : int or sequence of str, optional
        How many classes, or their names; by default as many as the head has outputs.
    batchnorm : {"joint", "per-domain", "frozen"}
        Whose statistics the BatchNorm layers use. joint: of all rows in the batch together. per-domain: of each domain
        apart (see `DomainNorm`). frozen: those that the model came with, never moved.
    recipe : dict, optional
        How to build the architecture again: {"backbone": a name in tladapt.backbones, "arguments": {...}}.

    Attributes
    ----------
    inputs : dict
        How files are turned into x (see `tladapt.readers`); saved with the model.
    task : Task, optional
        The task that the model was trained on last, set by `fit` and saved with the model; None before any training.
    domains : tuple of str
        The names of the domains that it was trained on or scored on, in the order of their numbers; set by `fit`.
    lr : float
        The learning rate that `fit` takes where none is given: 0.001, unless the builder of the network knows better.
    precision : {"float32", "bfloat16"}
        What the layers compute in, by torch's autocast where it is not "float32"; weights and outputs stay in single
        precision. Set by `fit(precision=...)`, and saved with the model.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module, *, classes: int | Sequence[str] | None = None,
        batchnorm: str = "joint", recipe: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, part in (("encoder", encoder), ("head", head)):
            if not isinstance(part, nn.Module):
                raise TypeError(f"Model({name}=...): expected a torch module, got a {type(part).__name__}")
        self.batchnorm, self.recipe = batchnorm, recipe
        self.encoder, self.head = with_policy(encoder, batchnorm), with_policy(head, batchnorm)
        names = _outputs(head) if classes is None else classes
        self.classes = class_names(names, "Model")
        if isinstance(head, nn.Linear) and head.out_features != len(self.classes):
            raise ValueError(
                f"Model(classes=...): {len(self.classes)} classes, but the head has {head.out_features} outputs"
            )
        self.inputs: dict[str, Any] = {}
        self.task: Any = None
        self.domains: tuple[str, ...] = ()
        self.precision = "float32"
        self.lr = 1e-3
        self.rates: dict[nn.Parameter, float] = {}  # factors of the learning rate; 1 for the others
        self._held: dict[nn.Module, list[nn.Parameter]] = {}
        self._whole_numbers: bool | None = None  # whether the network reads them; None: not known yet
        self._places: Tensor | None = None  # of the domains of a fit among `domains`
        self._width: int | None = None  # of the features, once a forward pass has shown it

    @classmethod
    def of(
        cls, module: nn.Module, classes: int | Sequence[str] | None = None, *,
        batchnorm: str = "joint", recipe: dict[str, Any] | None = None,
    ) -> "Model":  # fmt: skip
        """Take any module apart at its last linear layer; the module itself is left as it is.

        The layer stays the head, with its weights, if it has as many outputs as there are classes; else a new one
        takes its place.

        Raises
        ------
        ValueError
            If there is no linear layer. (If something follows it, the first forward pass says so.)

        Examples
        --------
        >>> model = Model.of(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)))
        >>> model(torch.zeros(5, 8)).features.shape, model.head
        (torch.Size([5, 16]), Linear(in_features=16, out_features=3, bias=True))
        """
        module = copy_of(_own(module))
        linear = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
        if not linear:
            raise ValueError(
                f"Model.of({type(module).__name__}): no nn.Linear in it; build Model(encoder, head) from its two halves"
            )
        head = module.get_submodule(linear[-1])
        wanted = _outputs(head) if classes is None else len(class_names(classes, "Model.of"))
        if wanted != _outputs(head):
            head = nn.Linear(int(head.in_features), wanted)  # type: ignore[arg-type]
        encoder = UpToHead(module, linear[-1]) if linear[-1] else nn.Identity()
        return cls(encoder, head, classes=classes, batchnorm=batchnorm, recipe=recipe)

    def forward(self, x: Tensors, domain: Tensor | None = None, y: Tensor | None = None) -> Output:
        """The output for n rows.

        `domain` (n,) says whose they are (per-domain BatchNorm; by default the newest's); `y` is for an autoregressive
        head: the answers of the first rows.
        """
        norms = self.norms
        if self._places is not None and domain is not None and norms:
            domain = self._places[domain]
        for layer in norms:
            layer.domain = domain
        try:
            return self._answer(x, y)
        finally:
            for layer in norms:
                layer.domain = None  # not to outlive this pass

    def _answer(self, x: Tensors, y: Tensor | None) -> Output:
        if self._whole_numbers is None and not self._autoregressive and has_whole_numbers(x):
            reads = reads_whole_numbers(self, lambda few: self._computed(few, None), x)
            self._whole_numbers = reads
        if length(x) == 1:
            with lone_row(self):
                features, logits, mask = self._computed(x, y)
        else:
            features, logits, mask = self._computed(x, y)
        if self.precision == "bfloat16":
            features, logits = features.float(), logits.float()
        if mask is not None and not self._autoregressive and mask.shape == logits.shape[:-1]:
            logits = logits.masked_fill(~mask[..., None], 0.0)  # nothing is said where there is nothing
        return Output(features, logits, mask)

    def _computed(self, x: Tensors, y: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        with self._casting():
            features, mask = features_and_mask(call(self.encoder, each(self._taken_in, x)))
            plain = isinstance(self.head, nn.Linear)
            seen = features if plain else features.clone()  # a head may change its input in place
            logits = self.head(seen, mask, y) if self._autoregressive else self.head(seen)
        return features, logits, mask

    @property
    def _autoregressive(self) -> bool:
        return getattr(self.head, "autoregressive", False)

    def _taken_in(self, x: Tensor) -> Tensor:
        """The input of the encoder: a copy, since a network may change its input in place, in the network's dtype.

        Whole numbers become floats too, unless the network reads whole numbers (see `layers.whole_numbers`).
        """
        x = x.float() / 255 if x.dtype == torch.uint8 else x.clone()  # images of bytes, from 0 to 1
        return x.to(self.dtype) if x.is_floating_point() or self._whole_numbers is False else x

    def freeze(self, *parts: nn.Module) -> None:
        """Hold these parts as they are until `thaw`: no gradients, and evaluation mode, so that no buffer moves."""
        for part in parts:
            self._held.setdefault(part, []).extend(p for p in part.parameters() if p.requires_grad)
            part.requires_grad_(False).eval()

    def thaw(self, *parts: nn.Module) -> None:
        """Let these frozen parts, by default all, train again, but for what did not before."""
        for part in parts or tuple(self._held):
            for parameter in self._held.pop(part):
                parameter.requires_grad_()
        self.train(self.training)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Within, parts may be frozen and rates set; afterwards all trains as before."""
        held = set(self._held)
        try:
            yield
        finally:
            for part in self._held.keys() - held:
                self.thaw(part)
            self.rates.clear()

    def trained(self) -> list[nn.Parameter]:
        """The parameters that train, now or once they are thawed."""
        held = {p for parts in self._held.values() for p in parts}
        return [p for p in self.parameters() if p.requires_grad or p in held]

    def _casting(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def norms(self) -> list[DomainNorm]:
        """The layers that keep statistics per domain."""
        if self.batchnorm != "per-domain":
            return []
        return [layer for layer in self.modules() if isinstance(layer, DomainNorm)]

    def reserve(self, domains: int) -> None:
        """Make room for the statistics of so many domains."""
        for layer in self.norms:
            layer.reserve(domains)

    def meet(self, domains: Sequence[int]) -> None:
        """Take the statistics that the model came with for those of these domains."""
        places = domains if self._places is None else self._places[list(domains)].tolist()
        for layer in self.norms:
            layer.meet(places)

    @contextmanager
    def numbering(self, names: Sequence[str]) -> Iterator[None]:
        """Context manager in which domain i of a forward pass is the one named names[i].

        `domains` gets the names that are new, at its end: statistics belong to a name, so that a later fit on other
        domains, or on the same ones in another order, leaves those of earlier domains in place. Outside, domain i is
        `domains[i]`.
        """
        used = max((int(layer.met.nonzero().max()) + 1 for layer in self.norms if layer.met.any()), default=0)
        nameless = [""] * (used - len(self.domains))  # of a model that was trained by other means than fit
        known = [*self.domains, *nameless]
        self.domains = (*known, *(name for name in names if name not in known))
        self.reserve(len(self.domains))
        places = [self.domains.index(name) for name in names]
        for layer in self.norms:
            layer.meet_again(places)
        self._places = torch.tensor(places, device=self.device)
        try:
            yield
        finally:
            self._places = None

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights."""
        floating = (p.dtype for p in self.parameters() if p.is_floating_point())
        return next(floating, torch.float32)

    def note_width(self, width: int) -> None:
        """Keep the size of a feature vector, which a head without `in_features` does not show."""
        self._width = width

    @property
    def width(self) -> int:
        """The size d of a feature vector."""
        if isinstance(width := getattr(self.head, "in_features", self._width), int):
            return width
        raise TypeError("model.width: not known before the first forward pass of a head without in_features")

    def train(self, mode: bool = True) -> "Model":
        """Training or evaluation mode; what is frozen stays in evaluation mode, else its statistics would move."""
        super().train(mode)
        norms = [part for part in self.modules() if self.batchnorm == "frozen" and isinstance(part, _BatchNorm)]
        for part in (*self._held, *norms):
            part.eval()
        return self

    def predict(
        self, data: Any, *, domain: int | str | None = None, task: Any = None, batch_size: int | None = None,
        classes: Sequence[str | int] | None = None, ids: str | None = None,
    ) -> "Predictions":  # fmt: skip
        """Predict rows of any kind, batch by batch, without gradients and in evaluation mode.

        Parameters
        ----------
        data : path, list of paths, data frame, list of texts, array, tensor, dict, Dataset, Data or Domain
            What the model reads. A file, a folder, a list of files or a data frame is read as `inputs` specifies, and a
            list of strings as texts if the model reads texts. Anything else has rows like those it was trained on. The
            rows of a `Domain` are its training rows. Labels have no effect.
        domain : int or str, optional
            The domain that the rows come from: selects the statistics of per-domain BatchNorm. By default the newest.
        task : Task, optional
            By default the one that the model was trained on, or classification.
        batch_size : int, optional
            Rows per forward pass; by default at most 512, fewer if they are large.
        classes : sequence of str, optional
            The classes that may be predicted, such as those of a task after `fit(increment="task")`; by default all.
        ids : str, optional
            The column of a table that identifies its rows; by default their number, or the index of a pandas frame.

        Raises
        ------
        ValueError, TypeError
            If the data cannot be read, or does not fit the network.

        Examples
        --------
        >>> model = Model(nn.Identity(), nn.Linear(2, 2), classes=["cup", "pen"])
        >>> _ = model.head.load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})
        >>> found = model.predict([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
        >>> found.predictions, [round(chance, 2) for chance in found.probabilities[0].tolist()]
        (['cup', 'pen', 'pen'], [0.88, 0.12])
        """
        from tladapt.predicting.answering import predict  # which is made of this

        return predict(self, data, domain=domain, task=task, batch_size=batch_size, classes=classes, id_column=ids)

    def predict_proba(
        self, data: Any, *, domain: int | str | None = None, task: Any = None, batch_size: int | None = None,
        classes: Sequence[str | int] | None = None,
    ) -> "np.ndarray":  # fmt: skip
        """Return the probabilities (n, C) of the classes, in the order of `classes`; see `predict`.

        Raises
        ------
        ValueError
            If the task has no probability per class and row.
        """
        from tladapt.predicting.answering import predict_proba

        return predict_proba(self, data, domain=domain, task=task, batch_size=batch_size, classes=classes)

    def evaluate(
        self, data: Any, y: Any = None, *, task: Any = None, domain: int | str | None = None, label: str | None = None,
        batch_size: int | None = None, classes: Sequence[str | int] | None = None,
    ) -> "Evaluation":  # fmt: skip
        """Score the model on labelled rows.

        Parameters
        ----------
        data : Domain, (x, y), path, data frame, Dataset or Data
            Rows with labels. Of a `Domain`, its test data. Of a folder, the names of its class folders are the labels;
            of a table, a column. Labels given by name are matched with `classes` by name.
        y : array, optional
            The labels, if `data` has none: class numbers or class names.
        task : Task, optional
            What the score is; by default that of the task that the model was trained on, or accuracy.
        domain : int or str, optional
            See `predict`; by default the one of this name, if `data` is a `Domain`.
        label : str, optional
            The column of a table that holds the labels; by default the one that the model was trained with.
        batch_size, classes
            See `predict`.

        Raises
        ------
        ValueError, TypeError
            If there are no labels, or one is not a class of the model.

        Examples
        --------
        >>> model = Model(nn.Identity(), nn.Linear(2, 2), classes=["cup", "pen"])
        >>> _ = model.head.load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})
        >>> print(model.evaluate([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]], ["cup", "pen", "cup"]))
        accuracy 66.7 % (2 of 3 rows; 95 % interval 20.8 to 93.9 %)
        class  rows  accuracy in %  predicted as
        cup       2           50.0  cup 1, pen 1
        pen       1          100.0  pen 1
        """
        from tladapt.predicting.scoring import evaluate

        return evaluate(self, data, y, task=task, domain=domain, label=label, batch_size=batch_size, classes=classes)

    def save(self, folder: str | Path) -> None:
        """Write the model into `folder`, without pickle; see `tladapt.storage.models`."""
        from tladapt.storage.models import save_model  # which is made of this

        save_model(self, folder)

    @classmethod
    def load(cls, folder: str | Path, module: nn.Module | None = None) -> "Model":
        """The model saved in `folder`; your own network must be passed again; see `tladapt.storage.models`."""
        from tladapt.storage.models import load_model

        return load_model(folder, module)


def _own(module: Any) -> nn.Module:
    """The network without wrappers; one that can be taken apart."""
    if isinstance(module, Model):
        raise TypeError("Model.of: expected a network, got a Model, which needs no wrapping")
    if not isinstance(module, nn.Module):
        kind = f"the class {module.__name__}" if isinstance(module, type) else f"a {type(module).__name__}"
        raise TypeError(f"Model.of: expected a torch network (nn.Module), got {kind}")
    network = unwrapped(module)
    if isinstance(network, torch.jit.ScriptModule):
        raise TypeError("Model.of: a scripted network cannot be taken apart; give the one that it was scripted from")
    return network


def _linear_layers(head: nn.Module) -> list[nn.Linear]:
    return [part for part in head.modules() if isinstance(part, nn.Linear)]


def _outputs(head: nn.Module) -> int:
    layers = _linear_layers(head)
    if not layers:
        raise ValueError(
            f"Model(head={type(head).__name__}): the head has no nn.Linear; give the number of classes with classes="
        )
    return layers[-1].out_features
