"""How a setting, and what differs between two descriptions of it, is put into words."""

import functools
import inspect
import json
import re
from typing import Any

from tladapt.method import Method

LONGEST = 120  # characters of one setting
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
DIGEST = re.compile(r"[0-9a-f]{32}")
# What the parts of a description are called; the other keys of a description are left out.
PLACES = {
    "default": "default", "keyword default": "default", "closure": "closure value", "attribute": "attribute",
    "global": "global", "attributes": "attribute", "slots": "attribute", "arguments": "argument",
    "keywords": "argument", "own": "member", "domains": "domain", "layers": "layer", "shapes": "weight",
    "inputs": "input",
}  # fmt: skip
NAMED = {"train", "test", "validation", "labels", "classes", "rows", "stages"}


def words_of(value: Any) -> str:
    """Return a setting as a user would write it, in one short line."""
    if isinstance(value, Method):
        text = method_words(value)
    elif isinstance(value, functools.partial):
        arguments = [words_of(part) for part in value.args]
        arguments += [f"{name}={words_of(part)}" for name, part in value.keywords.items()]
        text = f"partial({', '.join([words_of(value.func), *arguments])})"
    elif inspect.isroutine(value) or isinstance(value, type):
        text = str(getattr(value, "__qualname__", value))
    else:
        shown = repr(value)
        text = f"{type(value).__qualname__} object" if ADDRESS.search(shown) else shown
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def method_words(method: Method) -> str:
    """Return a method with the arguments that differ from the defaults.

    >>> from tladapt import EWC, Replay
    >>> method_words(Replay(200) + EWC())
    'EWC() + Replay(capacity=200)'
    """
    texts = []
    for term in method.terms.values():
        changed = list[str]()
        for name, parameter in inspect.signature(type(term)).parameters.items():
            text = repr(getattr(term, name, None))
            if text != repr(parameter.default):
                changed.append(f"{name}={text}")
        texts.append(f"{type(term).__name__}({', '.join(changed)})")
    return " + ".join(texts) or "Method()"


def change(name: str, before: Any, now: Any, words: tuple[str, str]) -> str:
    """Say in words how a setting differs.

    Parameters
    ----------
    before, now
        The two descriptions (see `identity`).
    words : tuple of str
        The setting in words, before and now.
    """
    if words[0] != words[1]:
        return f"{name}: {words[0]} before, {words[1]} now"
    where, first, second = _first_difference(before, now, [], "")
    what = f"{name} ({words[0]})" if words[0] else name
    place = " of ".join([*reversed(where[-3:]), what])
    if _is_short(first) and _is_short(second):
        return f"{place}: {first!r} before, {second!r} now"
    return f"{place}: changed"


def _first_difference(before: Any, now: Any, where: list[str], within: str) -> tuple[list[str], Any, Any]:
    """The way to the first part that differs, in words, and what it was and is."""
    if isinstance(before, dict) and isinstance(now, dict):
        key = next(key for key in {**before, **now} if not equal(before.get(key), now.get(key)))
        return _first_difference(before.get(key), now.get(key), [*where, *_step(within, key)], key)
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = zip(before, now, strict=True)
        one, other = next((one, other) for one, other in pairs if not equal(one, other))
        return _first_difference(one, other, where, "")
    return where, before, now


def _step(within: str, key: str) -> list[str]:
    if within in PLACES:
        return [f"{PLACES[within]} {key}"]
    if key in ("source", "bytecode"):
        return ["code"]
    return [key] if key in NAMED else []


def _is_short(value: Any) -> bool:
    plain = value is None or isinstance(value, bool | int | float | str)
    return plain and not DIGEST.fullmatch(str(value)) and len(str(value)) <= LONGEST


def equal(before: Any, now: Any) -> bool:
    """Whether two descriptions are the same; 1, 1.0 and True are not."""
    return json.dumps(before, sort_keys=True) == json.dumps(now, sort_keys=True)
