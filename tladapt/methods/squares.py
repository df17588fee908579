"""Squared gradients of single samples, summed: layer by layer where there is a formula, else sample by sample."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.func import functional_call, grad, vmap

from tladapt.data import Tensors, each
from tladapt.methods.layer_squares import CHUNK, FORMULAS
from tladapt.methods.weights import weights
from tladapt.model import Model, Output

TRIAL = 3  # rows on which a formula must prove right before it is trusted

Loss = Callable[[Output, Tensor | None, Tensor], Tensor]


class Squares:
    """The sum over rows of the squared gradients of `loss`, by the name of the weight.

    One backward pass gives every layer the gradient of each sample's output; with the layer's input, that is all that a
    linear layer or a convolution needs (:cite:`Dangel2020`). A formula is trusted with a layer if it gives what
    single gradients do on the first rows: then the layer sees samples first, is called once, and shares no weight.

    Parameters
    ----------
    model : Model
        In evaluation mode.
    loss : callable
        loss(output, live, y) is the sum of the losses of the rows, each of which depends on its own row alone.
    """

    def __init__(self, model: Model, loss: Loss) -> None:
        self.model, self.loss = model, loss
        self.layers: dict[str, nn.Module] | None = None

    @torch.no_grad()
    def __call__(self, x: Tensors, domain: Tensor, live: Tensor | None, y: Tensor) -> dict[str, Tensor]:
        """The sums over these rows."""
        if self.layers is None:
            self.layers = self._trusted(x, domain, live, y)
        by_layer = self._by_layer(self.layers, x, domain, live, y)
        rest = {name: w.detach() for name, w in weights(self.model).items() if name not in by_layer}
        size = max(1, CHUNK // max(1, sum(w.numel() for w in rest.values())))
        found = dict(by_layer)
        for rows in torch.arange(len(domain), device=domain.device).split(size) if rest else ():
            part = self._by_sample(rest, *taken(rows, x, domain, live, y))
            found |= {name: found[name] + part[name] if name in found else part[name] for name in rest}
        return found

    def _trusted(self, *rows: Any) -> dict[str, nn.Module]:
        """The layers whose formula gives what single gradients do."""
        shared = Counter(id(p) for part in self.model.modules() for p in part._parameters.values())
        layers = {name: part for name, part in self.model.named_modules() if _has_formula(part, shared)}
        first = taken(torch.arange(min(TRIAL, len(rows[1])), device=rows[1].device), *rows)
        by_layer = self._by_layer(layers, *first)
        right = self._one_by_one({name: w.detach() for name, w in weights(self.model).items()}, *first)
        wrong = {name.rpartition(".")[0] for name in by_layer if not _equal(by_layer[name], right[name])}
        seen = {name.rpartition(".")[0] for name in by_layer}
        return {name: part for name, part in layers.items() if name in seen - wrong}

    def _by_layer(self, layers: Mapping[str, nn.Module], *rows: Any) -> dict[str, Tensor]:
        calls: dict[str, list[tuple[Tensor, GradientEdge]]] = {name: [] for name in layers}

        def note(name: str) -> Callable[..., Tensor | None]:
            def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
                free = None if output.requires_grad else output.requires_grad_().clone()  # it may be changed in place
                calls[name].append((inputs[0].detach(), get_gradient_edge(output)))
                return free

            return hook

        handles = [layer.register_forward_hook(note(name)) for name, layer in layers.items()]
        try:
            with torch.enable_grad():
                x, domain, live, y = rows
                loss = self.loss(self.model(x, domain, y), live, y)
        finally:
            for handle in handles:
                handle.remove()
        once = {name: call[0] for name, call in calls.items() if len(call) == 1 and len(call[0][0]) == len(rows[1])}
        if not once:
            return {}
        gradients = torch.autograd.grad(loss, [edge for _, edge in once.values()], allow_unused=True)
        found: dict[str, Tensor] = {}
        for (name, (x, _)), gradient in zip(once.items(), gradients, strict=True):
            if gradient is not None:
                sums = FORMULAS[type(layers[name])](layers[name], x, gradient)
                found |= {f"{name}.{own}" if name else own: value for own, value in sums.items()}
        return found

    def _by_sample(self, parameters: dict[str, Tensor], *rows: Any) -> dict[str, Tensor]:
        x, domain, live, y = rows
        every = vmap(grad(self._single), in_dims=(None, 0, 0, None if live is None else 0, 0))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "error", UserWarning
                )  # torch warns of layers that it batches by a loop of its own
                return {name: g.square().sum(0) for name, g in every(parameters, x, domain, live, y).items()}
        except (RuntimeError, UserWarning):  # layers that cannot be batched, such as recurrent ones
            return self._one_by_one(parameters, *rows)

    def _one_by_one(self, parameters: dict[str, Tensor], *rows: Any) -> dict[str, Tensor]:
        leaves = {name: w.detach().requires_grad_() for name, w in parameters.items()}
        total = {name: torch.zeros_like(w) for name, w in parameters.items()}
        for i in range(len(rows[1])):
            with torch.enable_grad():
                loss = self._single(leaves, *taken(i, *rows))
            found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            for part, gradient in zip(total.values(), found, strict=True):
                part += gradient.square()
        return total

    def _single(
        self, parameters: dict[str, Tensor], x: Tensors, domain: Tensor, live: Tensor | None, y: Tensor
    ) -> Tensor:
        """The loss of one row."""
        row = (each(lambda part: part[None], x), domain[None], y[None])
        return self.loss(functional_call(self.model, parameters, row), None if live is None else live[None], y[None])


def _has_formula(layer: nn.Module, shared: Counter[int]) -> bool:
    """Whether a formula exists for the layer, whose weights are its own and are computed from nothing else."""
    own = dict(layer._parameters)
    plain = own.keys() <= {"weight", "bias"} and "weight" in own
    return type(layer) in FORMULAS and plain and all(p is None or shared[id(p)] == 1 for p in own.values())


def taken(rows: Any, x: Tensors, domain: Tensor, live: Tensor | None, y: Tensor) -> tuple[Any, ...]:
    """These rows of all."""
    return each(lambda part: part[rows], x), domain[rows], None if live is None else live[rows], y[rows]


def _equal(found: Tensor, right: Tensor) -> bool:
    return torch.allclose(found, right, rtol=1e-3, atol=1e-5 * float(right.max()))
