"""What the weights of a layer are with the adapter that the library peft has put around it."""

from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd


def is_adapter(module: nn.Module) -> bool:
    """Whether it is a layer of peft, which is not imported for that."""
    return hasattr(type(module), "get_base_layer")


def adapted(adapter: nn.Module) -> dict[str, Tensor]:
    """The weights that a plain layer would need to answer as this one does, by name; differentiable.

    The answers to unit vectors tell, of whatever kind the adapter is.

    Raises
    ------
    ValueError
        If the layer within is no linear map, nor a convolution, nor rows that are looked up.
    """
    base: nn.Module = adapter.get_base_layer()  # type: ignore[operator]
    modes = [(part, part.training) for part in adapter.modules()]
    adapter.eval()  # no dropout
    try:
        weight, bias = probed(adapter, base)
    finally:
        for part, training in modes:
            part.training = training
    return {"weight": weight} if getattr(base, "bias", None) is None else {"weight": weight, "bias": bias}


def probed(adapter: nn.Module, base: nn.Module) -> tuple[Tensor, Tensor]:
    """The weight and the bias."""
    if not isinstance(weight := getattr(base, "weight", None), Tensor):
        raise ValueError(f"{type(base).__name__}: no layer whose weights under an adapter can be told")
    if isinstance(base, nn.Embedding):
        return adapter(torch.arange(len(weight), device=weight.device)), weight[0]
    if isinstance(base, _ConvNd):
        return _convolution(adapter, base)
    inputs = weight.shape[1] if isinstance(base, nn.Linear) else weight.shape[0]  # the others hold it transposed
    unit = torch.eye(inputs, device=weight.device, dtype=weight.dtype)
    bias = adapter(torch.zeros_like(unit[:1]))[0]
    answers = adapter(unit) - bias
    return answers.T if isinstance(base, nn.Linear) else answers, bias


def _convolution(adapter: nn.Module, base: _ConvNd) -> tuple[Tensor, Tensor]:
    """Of a convolution: the answers to impulses, at the first place that no padding reaches."""
    sizes, groups = base.kernel_size, base.groups
    before = base._reversed_padding_repeated_twice[::2][::-1]
    place = [-(-padding // stride) for padding, stride in zip(before, base.stride, strict=True)]
    starts = [p * stride - padding for p, stride, padding in zip(place, base.stride, before, strict=True)]
    ends = [start + step * (size - 1) + 1 for start, step, size in zip(starts, base.dilation, sizes, strict=True)]
    window = [slice(*bounds) for bounds in zip(starts, ends, base.dilation, strict=True)]
    count = base.in_channels * prod(sizes)
    x = base.weight.new_zeros(count, base.in_channels, *ends)
    x[:, :, *window] = torch.eye(count, device=x.device, dtype=x.dtype).view(count, base.in_channels, *sizes)
    nothing = torch.zeros_like(x[:1])
    if (silent := adapter(nothing)).shape != base(nothing).shape:
        raise ValueError(f"the adapter has not the geometry of {base}")  # peft's LoRA forgets dilation
    bias = silent[0, :, *place]
    answers = (adapter(x)[:, :, *place] - bias).T.reshape(groups, -1, groups, base.in_channels // groups, *sizes)
    return torch.cat([answers[group, :, group] for group in range(groups)]), bias
