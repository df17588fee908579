"""JSON that anybody may have written: read within bounds, and checked against what it should be."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, ValidationError

from tladapt.display.harmless import harmless

DEPTH = 50  # of the nest; far below what Python's stack bears, whatever is done with it later
STRICT = ConfigDict(strict=True, allow_inf_nan=False)
Kind = TypeVar("Kind")


def read_document(path: Path, size: int, parts: int, *, finite: bool = True) -> dict[str, Any]:
    """The JSON object in the file at `path`, nested at most 50 deep.

    Parameters
    ----------
    path
        Of a regular file: a pipe would be waited for.
    size, parts : int
        The most bytes, and the most commas, that it may have; each comma is an object in memory, of 60 bytes or more.
    finite : bool
        Whether NaN and infinity, which JSON itself does not have, are refused.

    Raises
    ------
    ValueError, OSError
        If there is no such file, or it holds anything else.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no file")
    with path.open("rb") as file:
        held = file.read(size + 1)
    if len(held) > size or held.count(b",") > parts:
        raise ValueError(f"{path.name} is larger than {size} bytes, or holds more than {parts} values")
    try:
        found = json.loads(held.decode())
        json.dumps(found, allow_nan=not finite)
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no object")
    _require_flat(found, path.name)
    return found


def read_text(path: Path, size: int) -> str:
    """Return the text of a regular file of at most `size` bytes.

    Raises
    ------
    ValueError
        If the file is missing, larger, or not UTF-8.
    """
    try:
        if not path.is_file():
            raise ValueError("not a regular file")
        with path.open("rb") as file:
            content = file.read(size + 1)
        if len(content) > size:
            raise ValueError(f"larger than {size} bytes")
        return content.decode()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({one_line(error)})") from error


def _require_flat(found: dict[str, Any], name: str) -> None:
    level: list[Any] = [found]
    for _ in range(DEPTH):
        inner = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
    if level:
        raise ValueError(f"{name} is nested more than {DEPTH} deep")


def checked(kind: type[Kind], found: dict[str, Any]) -> Kind:
    """A `kind`, a dataclass of pydantic, of what was found; the message says in one line what is first wrong.

    Raises
    ------
    ValueError
        If a value is missing, or of another type.
    """
    try:
        return kind(**found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:4])
        raise ValueError(f"{where or 'it'}: {first['msg']}"[:200]) from None


def one_line(error: BaseException) -> str:
    """What an error says, in one line of at most 300 characters that no terminal obeys."""
    said = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    text = harmless(" ".join(said.split()))
    return text if len(text) <= 300 else f"{text[:300]} ..."
