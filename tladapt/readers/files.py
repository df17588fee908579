"""A user's own folders, CSV files and data frames as domains."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tladapt.domains import Domain
from tladapt.readers.arrays import as_data
from tladapt.readers.class_folders import files_in
from tladapt.readers.classes import are_known, classes_of, in_order, numbers_of, require_known, require_one_spelling
from tladapt.readers.dialects import SUFFIXES, suffix
from tladapt.readers.folders import Images
from tladapt.readers.headers import looks_like_data, no_header, some
from tladapt.readers.sounds import Sounds
from tladapt.readers.splitting import HELD_OUT, held_out
from tladapt.readers.tables import Table
from tladapt.readers.texts import Texts

Reader = Images | Sounds | Table | Texts


UNKNOWN_LABELS = ("raise", "drop", "add")


def read_domains(
    sources: Sequence[Any], *, names: Sequence[str] | None = None, label: str = "label", size: int = 32,
    reader: Reader | None = None, test: float = 0.2, seed: int = 0, workers: int = 0,
    classes: Sequence[str] | None = None, unknown_labels: str = "raise", regression: bool = False,
) -> tuple[list[Domain], Reader]:  # fmt: skip
    """Read domains of one kind: folders of images, CSV files, or data frames.

    Parameters
    ----------
    sources : sequence of path or data frame
        A folder with a folder of images per class (or only images: no labels); a CSV file with a header; a data
        frame. The columns of the first table are the inputs.
    names : sequence of str, optional
        Of the domains; by default the names of the files or folders, with as much of the path as tells them apart.
    label : str
        The column that contains the label.
    size : int
        The side in pixels that images are resized to.
    reader : Texts, Sounds, Images or Table, optional
        How to read the sources, such as `Texts(tokenizer("bert-base-uncased"))` for a column of texts,
        `Table(label, drop=["id"], standardize="per-domain")`, or `reader_from(model.inputs)`; by default folders are
        images, and tables are numbers and words.
    test, seed
        The share of labelled rows that is held out; see `Domain`.
    workers : int
        Processes that read images ahead, where they are more than 2 GB and so stay in their files.
    classes : sequence of str, optional
        The names of all classes, such as `model.classes`; by default those of the first domain, which then must have
        labels.
    unknown_labels : {"raise", "drop", "add"}
        What becomes of a class that is not among these: an error; rows without a label, which are not scored; or one
        more class.
    regression : bool
        Whether labels are numbers, such as prices, for `Regression`.

    Returns
    -------
    domains : list of Domain
    reader : Images, Table or the one given
        How they were read; `model.inputs = reader.spec()` lets a saved model read the same.

    Raises
    ------
    ValueError, TypeError
        If `sources` is not a list of them, a source cannot be read or is of another kind than the first, the first has
        no labels, or another has a class that is not known.
    """
    if unknown_labels not in UNKNOWN_LABELS:
        raise ValueError(f"unknown_labels={unknown_labels!r}: expected one of {', '.join(UNKNOWN_LABELS)}")
    names = _checked(sources, names)
    given, reader = reader, reader or reader_for(sources[0], label, size)
    new = isinstance(reader, Table) and not reader.fitted
    reader = copy.deepcopy(reader) if isinstance(reader, Table) else reader  # it learns from these tables
    parts = list[_Part]()
    for source, name in zip(sources, names, strict=True):
        if given is None and type(reader_for(source)) is not type(reader):
            raise ValueError(f"{name}: one of {names[0]} and {name} is a folder of images, the other a table")
        source = Path(source) if isinstance(source, str) else source
        first = new and not parts
        if isinstance(reader, Table) and (first or reader.standardize == "per-domain"):
            parts.append(_read_twice(reader, source, name, first, test, seed))
        else:
            if isinstance(reader, Images) and reader.bits is None:
                reader = _fitted(reader, source, test, seed)
            x, labels, ids = reader.read(source)
            is_table = isinstance(reader, Table | Texts)
            parts.append(_Part(name, x, labels, ids=range(1, len(ids) + 1) if is_table else ids))
    if parts[0].labels is None and classes is None:
        raise ValueError(f"{names[0]}: the first domain has no labels to learn from; {_hint(reader)}")
    known = None if regression else _classes(parts, classes, unknown_labels)
    domains = [_domain(part, *_targets(part, known, names[0]), known, test, seed, workers) for part in parts]
    for domain, part in zip(domains, parts, strict=True):
        domain.row_ids = part.ids
    return domains, reader


@dataclass
class _Part:
    """What was read of a source; which rows are held out, if that is decided already."""

    name: str
    x: Any
    labels: list[str] | None
    rest: Tensor | None = None
    held: Tensor | None = None
    ids: Sequence[str | int] | None = None


def _checked(sources: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    """Return the names of the domains, each once."""
    if isinstance(sources, str | Path) or hasattr(sources, "columns") or not len(sources):
        raise TypeError("sources: give a list of folders, CSV files or data frames, such as ['old.csv', 'new.csv']")
    names = list(names) if names is not None else _names(sources)
    if len(names) != len(sources):
        raise ValueError(f"names: {len(names)} of them for {len(sources)} sources")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"{twice[0]}: comes twice; give every domain once, by a name of its own")
    return names


def _read_twice(reader: Table, source: Any, name: str, first: bool, test: float, seed: int) -> _Part:
    """Read a table whose training rows alone decide means and spreads, and the words of the first one.

    The rows to hold out are chosen by the inputs that all rows give; then the table is read again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come again
        x, labels, rows = reader.read(source)
    if labels is None:
        rest, held = torch.arange(len(rows)), None
    else:
        placeholders = torch.zeros(len(labels), dtype=torch.long)
        rest, held = held_out(as_data((x, placeholders), name), test, seed, HELD_OUT)
    if first:
        reader.forget()
    x, labels, _ = reader.read(source, rest.tolist())
    return _Part(name, x, labels, None if labels is None else rest, held, range(1, len(rows) + 1))


def _fitted(reader: Images, source: Path, test: float, seed: int) -> Images:
    """Return the reader with the bits a pixel that the training images of a domain use, if any has more than 8."""
    files, labels = files_in(source, "images")
    if labels is None or reader.fitted(files) == reader:
        return reader.fitted(files)
    x, *_ = reader.read(source)
    rest, _ = held_out(as_data((x, torch.zeros(len(labels), dtype=torch.long)), "images"), test, seed, HELD_OUT)
    return reader.fitted([files[row] for row in rest.tolist()])


def _classes(parts: Sequence[_Part], classes: Sequence[str] | None, unknown_labels: str) -> list[str]:
    """Return all classes; refuse labels that are none of them."""
    first = parts[0]
    known = list(map(str, classes)) if classes is not None else classes_of(first.labels or [], first.name)
    for part in parts:
        labels = part.labels or []
        if unknown_labels == "raise":
            require_known(labels, known, part.name, first.name)
        else:
            require_one_spelling(labels, known, part.name, first.name)
            added = {*labels} - {*known} if unknown_labels == "add" else ()
            known = in_order([*known, *added]) if added else known
    return known


def _targets(part: _Part, classes: Sequence[str] | None, first: str) -> tuple[Tensor | None, Tensor | None]:
    """Return the class of every row, and whether it is known; without classes, the number."""
    if part.labels is None:
        return None, None
    if classes is None:
        return numbers_of(part.labels, part.name), None
    place = {name: i for i, name in enumerate(classes)}
    is_known = are_known(part.labels, classes, part.name, first)
    return torch.tensor([place.get(label, 0) for label in part.labels]), is_known


def _domain(
    part: _Part, y: Tensor | None, is_known: Tensor | None, classes: Sequence[str] | None, test: float, seed: int,
    workers: int,
) -> Domain:  # fmt: skip
    """Return the domain; rows whose label is not known have none."""
    if y is None or (part.rest is None and (is_known is None or is_known.all())):
        return Domain(part.name, (part.x, y), test, classes=classes, seed=seed, workers=workers)
    whole = Domain(part.name, (part.x, y), None, classes=classes, workers=workers).train
    is_known = torch.ones(len(y), dtype=torch.bool) if is_known is None else is_known
    unlabelled = (~is_known).nonzero()[:, 0]
    if part.rest is None:
        rows = is_known.nonzero()[:, 0]
        return Domain(part.name, whole.take(rows, unlabelled), test, classes=classes, seed=seed, workers=workers)
    rest = part.rest[is_known[part.rest]]
    held = part.rest[:0] if part.held is None else part.held[is_known[part.held]]
    scored = whole.take(held) if len(held) else None
    return Domain(part.name, whole.take(rest, unlabelled), scored, classes=classes, workers=workers)


def reader_for(source: Any, label: str = "label", size: int = 32) -> Reader:
    """The reader for a folder of images, a CSV file or a data frame."""
    if not isinstance(source, str | Path):
        return Table(label)
    path = Path(source)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    if path.is_dir():
        return Images(size)
    if not suffix(path):
        raise ValueError(
            f"{path}: neither a folder of images nor a table ({', '.join(SUFFIXES)}); save it as a CSV file, or "
            "read it with pandas and pass the data frame"
        )
    return Table(label)


def reader_from(spec: dict[str, Any]) -> Reader:
    """The reader that `spec()` describes; the description may come from a file that nobody has checked.

    Raises
    ------
    ValueError
        If it describes none, or an argument is of another type, or out of its range.
    """
    kinds: dict[Any, type[Reader]] = {"images": Images, "sounds": Sounds, "table": Table, "texts": Texts}
    try:
        kind = kinds[spec["kind"]]
        return kind(**{name: value for name, value in spec.items() if name != "kind"})
    except (KeyError, TypeError) as error:
        raise ValueError(f"inputs: {repr(spec)[:300]} describes no reader of files") from error


def _hint(reader: Reader) -> str:
    if isinstance(reader, Texts):
        return f"name the column that holds it with Texts(label=...) (now {reader.label!r})"
    if not isinstance(reader, Table):
        return f"give one folder of {'sounds' if isinstance(reader, Sounds) else 'images'} per class"
    if looks_like_data([*reader.numbers, *reader.words]):
        return no_header([*reader.numbers, *reader.words])
    columns = some([*reader.numbers, *reader.words])
    return f"name the column that holds it with label= (now {reader.label!r}; there are {columns})"


def _names(sources: Sequence[Any]) -> list[str]:
    """The last parts of paths, as few as tell them apart; numbers for data frames."""
    paths = [Path(s).absolute() if isinstance(s, str | Path) else Path(f"table {i + 1}") for i, s in enumerate(sources)]
    paths = [path.with_name(path.name[: len(path.name) - len(suffix(path))] or path.name) for path in paths]
    names = [path.name for path in paths]
    for parts in range(2, max(len(path.parts) for path in paths)):
        if len(set(names)) < len(names):
            names = ["/".join(path.parts[-parts:]) for path in paths]
    return names if len(set(names)) == len(names) else list(map(str, sources))
