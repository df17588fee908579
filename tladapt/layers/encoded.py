"""What an encoder may return."""

from typing import Any

import torch
from torch import Tensor


def features_and_mask(answer: Any) -> tuple[Tensor, Tensor | None]:
    """Return the features (n, ..., d) and the mask (n, ...) of an encoder's answer; no mask is None.

    Raises
    ------
    TypeError
        If the answer is neither a tensor nor a pair of features and their boolean mask.
    """
    if isinstance(answer, Tensor):
        return answer, None
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Tensor):
        features, mask = answer
        if mask is None or _is_mask(mask, features):
            return features, mask
    raise TypeError(
        f"Model(encoder=...): the encoder returned {_described(answer)}; expected features (n, ..., d), or a pair of "
        "features and their boolean mask (n, ...); wrap the encoder so that it returns one of them"
    )


def _is_mask(mask: Any, features: Tensor) -> bool:
    return isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape == features.shape[:-1]


def _described(answer: Any) -> str:
    if isinstance(answer, Tensor):
        return f"{str(answer.dtype).removeprefix('torch.')} {tuple(answer.shape)}"
    if isinstance(answer, tuple | list) and type(answer) in (tuple, list):
        inner = ", ".join(_described(part) for part in answer[:4])
        more = ", ..." if len(answer) > 4 else ""
        return f"a {type(answer).__name__} of {inner}{more}"
    if isinstance(answer, dict):
        return f"a {type(answer).__name__} with {', '.join(repr(str(key)) for key in list(answer)[:4])}"
    return f"a {type(answer).__name__}"
