"""The squared gradients of single samples, summed, from a layer's input x and the gradient g of its output.

Each formula takes (layer, x, g), samples first, and gives the sums by the name of the layer's own weight.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 2**25  # numbers in the per-sample gradients held at once: 128 MB


def linear(layer: nn.Linear, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """G_n = sum over positions of g x^T; with one position, its square is g^2 (x^2)^T and G_n is never made."""
    if x.ndim == 2:
        return _named(layer, g.square().T @ x.square(), g)
    x, g = x.flatten(1, -2), g.flatten(1, -2)
    return _named(layer, _sum(g[:, None], x[:, None]).reshape(layer.weight.shape), g.sum(1))


def convolution(layer: nn.Conv1d | nn.Conv2d, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """A linear layer on patches, position by position and group by group."""
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return {}
    sizes, groups = (layer.kernel_size, layer.dilation, layer.padding, layer.stride), layer.groups
    if isinstance(layer, nn.Conv1d):  # as a plane of one row
        (kernel, dilation, padding, stride), x = (
            ((p, *v) for p, v in zip((1, 1, 0, 1), sizes, strict=True)),
            x[:, :, None],
        )
    else:
        kernel, dilation, padding, stride = sizes
    patches = F.unfold(x, kernel, dilation, padding, stride)  # (n, channels * kernel, positions)
    patches, g = (p.reshape(len(x), groups, -1, patches.shape[-1]).transpose(2, 3) for p in (patches, g))
    return _named(layer, _sum(g, patches).reshape(layer.weight.shape), g.sum(2).flatten(1))


def _sum(g: Tensor, x: Tensor) -> Tensor:
    """The sum over n of the squares of g_n^T x_n; g and x are (n, groups, positions, outputs or inputs)."""
    size = max(1, CHUNK // (g.shape[1] * g.shape[-1] * x.shape[-1]))
    parts = zip(g.split(size), x.split(size), strict=True)
    return torch.stack([(a.transpose(2, 3) @ b).square().sum(0) for a, b in parts]).sum(0)


def norm(layer: Any, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """A product with the normalised input; BatchNorm in evaluation mode, so that a sample does not see the others."""
    if layer.weight is None:
        return {}
    if isinstance(layer, nn.LayerNorm):
        z = F.layer_norm(x, layer.normalized_shape, None, None, layer.eps)
        inner = tuple(range(1, x.ndim - len(layer.normalized_shape)))
    else:
        z, inner = F.batch_norm(x, layer.running_mean, layer.running_var, eps=layer.eps), tuple(range(2, x.ndim))
    weight, bias = ((part.sum(inner) if inner else part) for part in (g * z, g))
    return _named(layer, weight.square().sum(0), bias)


def embedding(layer: nn.Embedding, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """The gradients at the places of one index add up before they are squared."""
    rows = torch.arange(len(x), device=x.device).reshape(-1, *[1] * (x.ndim - 1))
    there = (x != layer.padding_idx).flatten() if layer.padding_idx is not None else slice(None)
    keys, place = (rows * layer.num_embeddings + x).flatten()[there].unique(return_inverse=True)
    sums = g.new_zeros(len(keys), g.shape[-1]).index_add(0, place, g.flatten(0, -2)[there])
    total = torch.zeros_like(layer.weight).index_add(0, keys % layer.num_embeddings, sums.square())
    return {"weight": total.detach()}


def _named(layer: Any, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """With the square of the bias' gradients (n, outputs), if there is a bias."""
    return {"weight": weight, **({} if layer.bias is None else {"bias": bias.square().sum(0)})}


FORMULAS: dict[type, Callable[..., dict[str, Tensor]]] = {
    nn.Linear: linear, nn.Conv1d: convolution, nn.Conv2d: convolution, nn.Embedding: embedding, nn.LayerNorm: norm,
    nn.BatchNorm1d: norm, nn.BatchNorm2d: norm,
}  # fmt: skip
