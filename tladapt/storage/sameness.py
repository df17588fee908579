"""Whether a run is the one that a checkpoint was made by: the same settings, network and data; its versions apart."""

import json
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tladapt.domains import Domain
from tladapt.model import Model
from tladapt.report import environment
from tladapt.storage.describing import Describer, UnknownKindError
from tladapt.storage.digests import data_identity, digest_of
from tladapt.storage.identity import describer
from tladapt.storage.objects import structure
from tladapt.storage.words import change, equal, words_of
from tladapt.streams import Stream

LONGEST, DEEPEST = 2**16, 60  # characters and levels of a description that is kept in full
ADVICE = "give checkpoint_id=, a text that stands for what cannot be compared; change it whenever that changes"


class OtherRunError(ValueError):
    """The checkpoint is of a run with other settings, data or, under `strict`, versions.

    Parameters
    ----------
    where, reason, mend : str
        What was given, what differs, and what to do instead of choosing another folder.
    """

    def __init__(self, where: str, reason: str, mend: str) -> None:
        super().__init__(f"{where}: {reason}; {mend}, or choose another folder")
        self.reason, self.mend = reason, mend


def about(
    model: Model, stream: Stream, scored: Sequence[Domain], settings: dict[str, Any], checkpoint_id: str | None
) -> dict[str, Any]:
    """Describe a run, in JSON.

    Parameters
    ----------
    model, stream, scored, settings
        What the run depends on: the network, the data that is learned from and scored on, and the rest by name.
    checkpoint_id : str, optional
        What stands for settings that cannot be compared.

    Raises
    ------
    ValueError
        If a setting cannot be compared, and there is no `checkpoint_id`.
    """
    if checkpoint_id is not None and not isinstance(checkpoint_id, str):
        raise TypeError(f"checkpoint_id={checkpoint_id!r}: expected a text, got {type(checkpoint_id).__name__}")
    inside = describer(lenient=checkpoint_id is not None)
    described = {name: setting(inside, name, value) for name, value in settings.items()}
    described["network"] = network(inside, model)
    described["data"] = data_identity(stream, scored)
    described["batchnorm"] = model.batchnorm
    described |= {"evaluate": [domain.name for domain in scored], "checkpoint_id": checkpoint_id}
    if model.device.type == "cpu":
        described["threads"] = torch.get_num_threads()  # which decides the order of sums
    words = {name: words_of(_plain(settings[name])) if name in settings else "" for name in described}
    words |= {name: words_of(described[name]) for name in ("precision", "batchnorm", "checkpoint_id", "threads")
              if name in described}  # fmt: skip
    known = {**environment(model.device.type), **_versions(inside.packages)}
    versions = {name: str(version) for name, version in known.items()}
    bounded = {name: _bounded(value) for name, value in described.items()}
    return {"settings": bounded, "words": words, "versions": versions}


def require_same(before: dict[str, Any], now: dict[str, Any], where: str, *, strict: bool) -> None:
    """Refuse another run; warn of other versions, which may change the last bits.

    Raises
    ------
    OtherRunError
        If a setting, the network or the data differs; or a version, if `strict`. The message says what.
    """
    old, new = before["settings"], now["settings"]
    names = [name for name in {**new, **old} if not equal(old.get(name), new.get(name))]
    if names:
        both = {name: (str(before["words"].get(name, "")), now["words"].get(name, "")) for name in names}
        changes = "; ".join(change(name, old.get(name), new.get(name), both[name]) for name in names)
        raise OtherRunError(where, f"another run is stored there ({changes})", "repeat its arguments")
    versions = changed_versions(before["versions"], now["versions"])
    if not versions:
        return
    if strict:
        raise OtherRunError(where, f"strict=True, and the versions differ ({versions})", "use the versions from before")
    warnings.warn(
        f"{where}: resumed with other versions ({versions}); the last bits may differ, and strict=True refuses this",
        stacklevel=2,
    )


def setting(inside: Describer, name: str, value: Any) -> Any:
    """Describe one setting.

    Raises
    ------
    ValueError
        If it cannot be compared; the message names it.
    """
    try:
        return inside.of(_plain(value))
    except (UnknownKindError, RecursionError) as error:
        raise ValueError(f"{name}: {_reason(error)}; {ADVICE}") from None


def network(inside: Describer, model: Model) -> dict[str, Any]:
    """Describe a network by its recipe, its layers, and the names and shapes of its weights, not by their values.

    Raises
    ------
    ValueError
        If a layer has an attribute that cannot be compared.
    """
    try:
        return {"recipe": inside.of(model.recipe, "its recipe"), **structure(inside, model)}
    except (UnknownKindError, RecursionError) as error:
        raise ValueError(f"network: {_reason(error)}; {ADVICE}") from None


def changed_versions(before: dict[str, str], now: dict[str, str]) -> str:
    """Say which versions differ; the empty text if none does."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name)} before, {now.get(name)} now" for name in names)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnknownKindError) else "it is nested too deeply to be compared"


def _plain(value: Any) -> Any:
    """A number of numpy as Python's own, which a setting means by it."""
    return value.item() if isinstance(value, np.number | np.bool_) else value


def _bounded(described: Any) -> Any:
    """A description, or its digest where it is long or deep."""
    text = json.dumps(described, sort_keys=True)
    if len(text) <= LONGEST and _depth(described) <= DEEPEST:
        return described
    return {"digest": digest_of(text.encode())}


def _depth(described: Any) -> int:
    level, depth = [described], 0
    while level and depth <= DEEPEST:
        inner = [list(part.values()) if isinstance(part, dict) else part for part in level]
        level, depth = [part for parts in inner if isinstance(parts, list) for part in parts], depth + 1
    return depth


def _versions(packages: set[str]) -> dict[str, Any]:
    """The versions of the other packages that settings and network come from."""
    names = sorted(packages - {"python", "tladapt", "torch", "numpy"})
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in names}
    return {name: version for name, version in found.items() if version is not None}
