"""Weights from local files, and what of them a network can take."""

import hashlib
import json
import pickle
import re
from collections.abc import Collection
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tladapt.backbones.extras import AlteredError

SUFFIXES = (".bin", ".ckpt", ".pt", ".pth", ".safetensors")
NESTED = ("state_dict", "model")  # under which training scripts keep the weights
ELSEWHERE = ("cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "weights")
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, SafetensorError)


def local(weights: str | Path | None, known: Collection[str], said: str) -> Path | None:
    """The file or folder that `weights` means; None where there is nothing to read, or it is a name in `known`.

    Raises
    ------
    ValueError, TypeError
        If it is neither; `said` is the call as it was typed.
    """
    if weights is None or (isinstance(weights, str) and weights in known):
        return None
    if not isinstance(weights, str | Path):
        raise TypeError(f"{said}: weights= is {type(weights).__name__}; give None, a path, or the name of weights")
    path = Path(weights)
    if path.exists():
        return path
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise ValueError(f"{said}: no such file")
    names = f"one of {', '.join(known)}" if known else "the name of weights, of which it has none"
    raise ValueError(f"{said}: neither a file that is there nor {names}")


def fetched(url: str, said: str) -> Path:
    """The file of weights from this address: that in torch's cache, or else downloaded; its digest is as its name says.

    Raises
    ------
    ValueError
        If it cannot be downloaded, or its SHA-256 does not begin as the name ends ("resnet18-f37072fd.pth").
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    known = re.search(r"-([0-9a-f]{8,64})\.", file.name)
    begins = known.group(1) if known else None
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), begins, progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            raise ValueError(
                f"{said}: {url} is not in the cache and cannot be fetched ({error}); bring it here and give the file "
                f"as weights=, or lay it into {file.parent}"
            ) from error
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if begins and not digest.startswith(begins):  # torch compares it only while it downloads
        raise AlteredError(f"{said}: {file} is not what was published; delete it, and it is fetched anew")
    return file


def read_state(file: Path, said: str) -> dict[str, Tensor]:
    """The weights in a .safetensors file or in one of `torch.save`, by name; nothing in it is executed.

    They may lie under "state_dict" or "model", and their names may begin with "module." (of a network that was
    trained in parallel).

    Raises
    ------
    ValueError
        If it is damaged, or holds anything but tensors by name.
    """
    try:
        safe = file.suffix == ".safetensors"
        found: Any = load_file(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise ValueError(
            f"{said}: {file} is damaged, or holds more than tensors; save network.state_dict() ({reason})"
        ) from error
    while isinstance(found, dict) and (inner := [found[k] for k in NESTED if isinstance(found.get(k), dict)]):
        found = inner[0]
    state = {str(k).removeprefix("module."): v for k, v in found.items()} if isinstance(found, dict) else {}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{said}: {file} holds no weights by name; save network.state_dict()")
    return state


def load_into(network: nn.Module, state: dict[str, Tensor], heads: Collection[str], said: str) -> None:
    """Give the network these weights; a head of other classes, or none, leaves its own as it is.

    Parameters
    ----------
    heads : collection of str
        The names of the layers that answer.

    Raises
    ------
    ValueError
        If another weight is missing, of another shape, not finite, or unknown to the network; names the first.
    """
    own = network.state_dict()
    head = {key for key in (*own, *state) if any(key.startswith(f"{name}.") for name in heads)}
    if any(key not in state or key not in own or state[key].shape != own[key].shape for key in head):
        state = {key: value for key, value in state.items() if key not in head}
    else:
        head = set()
    wanted = {key: value for key, value in own.items() if key not in head}
    for key, value in wanted.items():
        if key not in state and not key.endswith("num_batches_tracked"):  # which networks of before 2018 do not have
            first = f" (it begins with {min(state)!r})" if state else ""
            raise ValueError(f"{said}: it lacks {key!r}, which the network has{first}")
        if key in state and state[key].shape != value.shape:
            found, expected = tuple(state[key].shape), tuple(value.shape)
            raise ValueError(f"{said}: {key!r} has shape {found} there, and {expected} in the network")
    for key, value in state.items():
        if key not in wanted:
            raise ValueError(f"{said}: it has {key!r}, which the network has not")
        if not value.isfinite().all():
            raise ValueError(f"{said}: {key!r} holds NaN or infinity")
    network.load_state_dict(state, strict=False)


def plain(options: dict[str, Any] | None, taken: Collection[str], said: str) -> dict[str, Any]:
    """The further arguments of a library's builder, as JSON gives them back, for they are saved with the model.

    Raises
    ------
    ValueError
        If JSON cannot hold them, one is `taken` by another argument, or names a place to load from: a saved model
        loads nothing from elsewhere.
    """
    try:
        held = json.loads(json.dumps(options or {}))
        both = sorted(held.keys() & {*taken, *ELSEWHERE})
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{said}: options= must be a dict of numbers, texts and lists of them ({error})") from error
    if both:
        raise ValueError(f"{said}: options= has {both[0]!r}, which the builder says; use its own arguments")
    return held
