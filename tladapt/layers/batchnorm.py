"""Batch normalisation with statistics of its own for every domain."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tladapt.choices import BATCHNORM


class DomainNorm(nn.Module):
    """A `BatchNorm` layer that normalises every domain by its own mean and variance; scale and shift are shared.

    Rows of several domains may lie in one batch in any order. A domain that was never trained on is normalised by the
    statistics of the one that was met last; before any training, by those that the layer came with.

    References
    ----------
    :cite:`Li2017`, :cite:`Chang2019`
    """

    running_mean: Tensor
    running_var: Tensor
    met: Tensor
    again: Tensor

    def __init__(self, norm: _BatchNorm, domains: int = 1) -> None:
        super().__init__()
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("Model(batchnorm='per-domain'): a BatchNorm layer without running statistics; use 'joint'")
        if norm.momentum is None:
            raise ValueError(
                "Model(batchnorm='per-domain'): a BatchNorm layer with momentum=None, a mean over all batches, which "
                "is not kept per domain; set its momentum, such as 0.1, or use 'joint'"
            )
        self.weight, self.bias = norm.weight, norm.bias
        self.eps, self.momentum = norm.eps, norm.momentum
        self.register_buffer("running_mean", norm.running_mean.repeat(domains, 1))
        self.register_buffer("running_var", norm.running_var.repeat(domains, 1))
        self.register_buffer("met", torch.zeros(domains, dtype=torch.long))  # as the how-manieth; 0: not yet
        self.register_buffer("again", torch.zeros(domains, dtype=torch.bool), persistent=False)  # to be met anew
        self.domain: Tensor | None = None  # of every row; set by the model before each forward pass

    def reserve(self, domains: int) -> None:
        """Make room for the statistics of this many domains; new ones start with those of the newest domain."""
        extra = domains - len(self.met)
        if extra > 0:
            newest = self._newest()
            start_mean, start_var = self.running_mean[newest], self.running_var[newest]
            self.running_mean = torch.cat([self.running_mean, start_mean.expand(extra, -1)])
            self.running_var = torch.cat([self.running_var, start_var.expand(extra, -1)])
            self.met = torch.cat([self.met, self.met.new_zeros(extra)])
            self.again = torch.cat([self.again, self.again.new_zeros(extra)])

    def _newest(self) -> Tensor:
        """The place of the domain that was met last, shape (); the last one of several."""
        places = torch.arange(len(self.met), device=self.met.device)
        return (self.met * len(self.met) + places).argmax()

    def meet_again(self, domains: Sequence[int]) -> None:
        """Let these domains become the newest one when they are next trained on; they keep their statistics."""
        self.again.zero_()
        self.again[list(domains)] = self.met[list(domains)] > 0

    def meet(self, domains: Sequence[int]) -> None:
        """Count these domains as met, with the statistics that they have."""
        self.met[list(domains)] = self.met.max() + 1
        self.again[list(domains)] = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x of shape (n, channels, ...); in single precision, as torch's own layer does under autocast."""
        with torch.autocast(x.device.type, enabled=False):
            return self._normalised(x.float() if x.dtype == torch.bfloat16 else x).to(x.dtype)

    def _normalised(self, x: Tensor) -> Tensor:
        newest = self._newest()
        domain = newest.expand(len(x)) if self.domain is None else self.domain
        inner = [1] * (x.ndim - 2)
        if self.training:
            mean, var = self._observe(x, domain)
        else:
            known = torch.where(self.met[domain] > 0, domain, newest)
            mean, var = self.running_mean[known], self.running_var[known]
        scaled = (x - mean.view(*mean.shape, *inner)) * (var + self.eps).rsqrt().view(*var.shape, *inner)
        if self.weight is None:
            return scaled
        return scaled * self.weight.view(1, -1, *inner) + self.bias.view(1, -1, *inner)

    def _observe(self, x: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each row's own domain in this batch; moves the running ones. Never waits for a GPU."""
        within = tuple(range(2, x.ndim))
        member = nn.functional.one_hot(domain, len(self.met)).to(x.dtype).T  # (domains, n)
        count = member.sum(1, keepdim=True)
        each = member / count.clamp(min=1)
        mean = each @ (x.mean(within) if within else x)
        centred = x - mean[domain].view(*x.shape[:2], *[1] * len(within))
        var = each @ (centred.square().mean(within) if within else centred.square())
        with torch.no_grad():
            size = count * (x[0, 0].numel() if within else 1)
            present = size > 1
            step = (self.momentum * present).to(mean.dtype)
            self.running_mean.lerp_(mean, step.expand_as(mean))
            self.running_var.lerp_(var * size / (size - 1).clamp(min=1), step.expand_as(var))
            here = present[:, 0]
            self.met = torch.where(here & ((self.met == 0) | self.again), self.met.max() + 1, self.met)
            self.again = self.again & ~here
        alone = ~present[domain]  # one value has no variance
        mean = torch.where(alone, self.running_mean[domain], mean[domain])
        return mean, torch.where(alone, self.running_var[domain], var[domain])


@contextmanager
def lone_row(network: nn.Module) -> Iterator[None]:
    """Context manager in which BatchNorm layers accept a batch of one row, for which torch raises an error.

    A single value per channel has no variance. A layer with running statistics uses these and leaves them unchanged;
    one without subtracts the value from itself.
    """
    norms = [part for part in network.modules() if isinstance(part, _BatchNorm)]
    switched, doubled = set[nn.Module](), set[nn.Module]()

    def before(layer: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        x = inputs[0]
        if x.numel() > x.shape[1]:  # several positions in the row
            return None
        if layer.running_mean is None:
            doubled.add(layer)
            return (x.expand(2, *x.shape[1:]),)  # the same row twice: its own mean, and no variance
        if layer.training:
            switched.add(layer)
            layer.training = False
        return None

    def after(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if layer in switched:
            switched.remove(layer)
            layer.training = True
        if layer in doubled:
            doubled.remove(layer)
            return output[:1]
        return output

    handles = [layer.register_forward_pre_hook(before) for layer in norms]
    handles += [layer.register_forward_hook(after) for layer in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer in switched:
            layer.training = True


@contextmanager
def shared_statistics(network: nn.Module, look: Callable[[], Any]) -> Iterator[None]:
    """Context manager in which BatchNorm layers that keep no statistics normalise by those of one forward pass.

    `look` makes that pass. A row then does not depend on the rows beside it.
    """
    layers = [part for part in network.modules() if isinstance(part, _BatchNorm) and part.running_mean is None]
    if not layers:
        yield
        return
    found = dict[nn.Module, tuple[Tensor, Tensor]]()

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach()
        others = [0, *range(2, x.ndim)]
        found[layer] = (x.mean(others), x.var(others, unbiased=False))

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        look()
    finally:
        for handle in handles:
            handle.remove()
    try:
        for layer, (mean, var) in found.items():
            layer.running_mean, layer.running_var = mean, var
        yield
    finally:
        for layer in layers:
            layer.running_mean = layer.running_var = None


def with_policy(module: nn.Module, policy: str) -> nn.Module:
    """`module` with its BatchNorm layers as the policy wants them."""
    if policy not in BATCHNORM:
        raise ValueError(f"Model(batchnorm={policy!r}): expected one of {', '.join(map(repr, BATCHNORM))}")
    if policy != "per-domain":
        return module
    if isinstance(module, _BatchNorm):
        after = list(module.children())  # timm's BatchNormAct2d has its activation inside
        return nn.Sequential(DomainNorm(module), *after) if after else DomainNorm(module)
    for name, child in module.named_children():
        setattr(module, name, with_policy(child, policy))
    return module


def without_effect(module: nn.Module, policy: str) -> list[str]:
    """Return a note if a policy other than "joint" has no layer to act on, else nothing."""
    has_layers = any(isinstance(layer, DomainNorm | _BatchNorm) for layer in module.modules())
    if policy == "joint" or has_layers:
        return []
    return [f"batchnorm={policy!r} has no effect: the network has no BatchNorm layer"]
