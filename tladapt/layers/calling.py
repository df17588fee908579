"""A network called with inputs that may be a dict."""

import functools
import inspect
from typing import Any

import torch
from torch import nn

from tladapt.data import Tensors
from tladapt.layers.head import UpToHead
from tladapt.layers.wrappers import unwrapped


def call(network: nn.Module, x: Tensors) -> Any:
    """Return what the network computes from inputs; those of a dict are its keyword arguments.

    The only input of a dict is passed by place if the network has no argument of that name.

    Raises
    ------
    TypeError
        If the network has other arguments than the data has inputs.
    """
    if torch.compiler.is_compiling() and not (isinstance(x, dict) and len(x) == 1):  # a signature cannot be traced
        return network(**x) if isinstance(x, dict) else network(x)
    signature = _signature(network)
    named = x if isinstance(x, dict) else {}
    if len(named) == 1 and signature is not None and not _accepts(signature, (), named):
        return call(network, next(iter(named.values())))
    given = () if isinstance(x, dict) else (x,)
    if signature is not None and not _accepts(signature, given, named):
        wanted = ", ".join(str(parameter) for parameter in signature.parameters.values())[:200]
        inputs = f"the inputs {', '.join(named)}" if named else "one input without a name"
        raise TypeError(
            f"the forward of {type(_inner(network)).__name__} takes ({wanted}), but the data has {inputs}; give "
            "them as a dict, whose keys are these arguments"
        )
    return network(*given, **named)


def _inner(network: nn.Module) -> nn.Module:
    return unwrapped(network.module if isinstance(network, UpToHead) else network)


def _signature(network: nn.Module) -> inspect.Signature | None:
    """Return the arguments of the network's forward; None if they are not known."""
    inner = _inner(network)
    if "forward" in vars(inner):
        return _signature_of(inner.forward)
    return _of_class(type(inner))


@functools.cache
def _of_class(kind: type[nn.Module]) -> inspect.Signature | None:
    signature = _signature_of(kind.forward)
    if signature is None or not signature.parameters:
        return None
    return signature.replace(parameters=list(signature.parameters.values())[1:])  # without self


def _signature_of(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _accepts(signature: inspect.Signature, given: tuple[Any, ...], named: dict[str, Any]) -> bool:
    try:
        signature.bind(*given, **named)
    except TypeError:
        return False
    return True
