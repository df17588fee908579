"""The parts of a network in the order of their depth."""

from collections.abc import Iterator

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

CHAINS = (nn.Sequential, nn.ModuleList)


def layers_of(network: nn.Module) -> list[list[nn.Module]]:
    """The parts of a network from its input to its output, each a list of modules; every parameter lies in one of them.

    The children of a module, in the order in which they were registered, are its parts. A child is itself taken apart
    if it is the only one with weights, or a chain (`Sequential`, `ModuleList`) of plain layers, or holds a chain and no
    other child of its class stands beside it. So chains side by side are one part each.

    What has no weight matrix (a norm, an activation, dropout, pooling) belongs to the part before it; at the start, to
    the one after it. So do the parameters that a module holds itself, as a `ParameterList`. Embeddings side by side are
    one part. What a module that is taken apart does by itself, such as a dropout that is no layer, belongs to none.

    >>> layers = nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4)
    >>> [[type(module).__name__ for module in part] for part in layers_of(nn.Sequential(*layers))]
    [['Linear', 'BatchNorm1d', 'ReLU'], ['Linear']]
    """
    parts, seen = list[list[nn.Module]](), set[nn.Module]()
    for module in _taken_apart(network):
        if module in seen:
            continue
        seen.add(module)
        if parts and _belong(parts[-1], module):
            parts[-1].append(module)
        else:
            parts.append([module])
    return parts


def _taken_apart(network: nn.Module) -> Iterator[nn.Module]:
    if _is_layer(network):
        yield network
        return
    own = list(network.parameters(recurse=False))
    children = [nn.ParameterList(own)] * bool(own) + list(network.children())
    heavy = [child for child in children if _weighs(child)]
    for child in children:
        yield from _taken_apart(child) if _opens(child, heavy) else [child]


def _is_layer(module: nn.Module) -> bool:
    return is_parametrized(module) or not any(True for _ in module.children())


def _weighs(module: nn.Module) -> bool:
    """Whether there is a weight matrix in it."""
    return not isinstance(module, nn.ParameterList) and any(p.ndim > 1 for p in module.parameters())


def _opens(child: nn.Module, heavy: list[nn.Module]) -> bool:
    """Whether a child is taken apart; `heavy` are the children with weights."""
    if child not in heavy or _is_layer(child):
        return False
    if heavy == [child] or _is_plain(child):
        return True
    alike = any(type(other) is type(child) and other is not child and not _is_plain(other) for other in heavy)
    return not alike and any(_is_chain(module) for module in child.modules())


def _is_plain(module: nn.Module) -> bool:
    return isinstance(module, CHAINS) and all(map(_is_layer, module))


def _is_chain(module: nn.Module) -> bool:
    return isinstance(module, CHAINS) and sum(map(_weighs, module)) > 1


def _belong(before: list[nn.Module], module: nn.Module) -> bool:
    """Whether the module is one part with those before it."""
    heavy = [other for other in before if _weighs(other)]
    return not heavy or not _weighs(module) or all(isinstance(m, nn.Embedding) for m in (*heavy, module))
