"""A user's own folders, CSV files and data frames as domains."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tladapt.domains import Domain
from tladapt.readers.dialects import SUFFIXES, suffix
from tladapt.readers.folders import Images
from tladapt.readers.sounds import Sounds
from tladapt.readers.splitting import HELD_OUT, held_out
from tladapt.readers.tables import Table
from tladapt.readers.texts import Texts

Reader = Images | Sounds | Table | Texts


def read_domains(
    sources: Sequence[Any], *, names: Sequence[str] | None = None, label: str = "label", size: int = 32,
    reader: Reader | None = None, test: float = 0.2, seed: int = 0, workers: int = 0,
) -> tuple[list[Domain], Reader]:  # fmt: skip
    """Domains of one kind: folders of images, CSV files, or data frames.

    Parameters
    ----------
    sources : sequence of path or data frame
        A folder with a folder of images per class (or only images: no labels); a CSV file with a header; a data
        frame. The first one must have labels: its classes are the classes, and its columns those of a table.
    names : sequence of str, optional
        Of the domains; by default the names of the files or folders, with as much of the path as tells them apart.
    label : str
        The column that holds the label.
    size : int
        The side in pixels that images are resized to.
    reader : Texts, Sounds, Images or Table, optional
        How to read the sources, such as `Texts(tokenizer("bert-base-uncased"))` for a column of texts, or
        `reader_from(model.inputs)`; by default folders are images, and tables are numbers and words.
    test, seed
        The share of labelled rows that is held out; see `Domain`.
    workers : int
        Processes that read images ahead, where they are more than 2 GB and so stay in their files.

    Returns
    -------
    domains : list of Domain
    reader : Images, Table or the one given
        How they were read; `model.inputs = reader.spec()` lets a saved model read the same.

    Raises
    ------
    ValueError, TypeError
        If `sources` is no list of them, a source cannot be read or is of another kind than the first, the first has no
        labels, or another has a class that the first has not.
    """
    if isinstance(sources, str | Path) or hasattr(sources, "columns") or not len(sources):
        raise TypeError("sources: give a list of folders, CSV files or data frames, such as ['old.csv', 'new.csv']")
    names = list(names) if names is not None else _names(sources)
    if len(names) != len(sources):
        raise ValueError(f"names: {len(names)} of them for {len(sources)} sources")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"{twice[0]}: comes twice; give every domain once, by a name of its own")
    given, reader = reader, reader or reader_for(sources[0], label, size)
    new = isinstance(reader, Table) and not reader.fitted
    reader = copy.deepcopy(reader) if new else reader  # which is not to learn from what is read
    classes, domains = list[str](), list[Domain]()
    for source, name in zip(sources, names, strict=True):
        if given is None and type(reader_for(source)) is not type(reader):
            raise ValueError(f"{name}: one of {names[0]} and {name} is a folder of images, the other a table")
        source = Path(source) if isinstance(source, str) else source
        first = not domains and new and isinstance(reader, Table)
        with _silent() if first else nullcontext():  # the first table is read again
            x, labels, _ = reader.read(source)
        if not domains:
            if labels is None:
                raise ValueError(f"{name}: the first domain has no labels to learn from; {_hint(reader)}")
            classes = sorted(set(labels), key=_order)
        unknown = sorted(set(labels or ()) - set(classes))
        if unknown:
            raise ValueError(
                f"{name}: the label {unknown[0][:60]!r} is none of the classes of {names[0]}: {_some(classes)}"
            )
        place = {c: i for i, c in enumerate(classes)}
        y = None if labels is None else torch.tensor([place[c] for c in labels])
        if first and isinstance(reader, Table):
            domains.append(_first_table(name, source, x, y, reader, classes, test, seed))
        else:
            domains.append(Domain(name, (x, y), test, classes=classes, seed=seed, workers=workers))
    return domains, reader


def _first_table(
    name: str, source: Any, x: Any, y: Tensor | None, reader: Table, classes: list[str], test: float, seed: int
) -> Domain:
    """Return the first domain, whose training rows alone decide the means, spreads and words of `reader`.

    The rows to hold out are chosen by the inputs `x` that all rows give; then the table is read again.
    """
    split = Domain(name, (x, y), None, classes=classes)
    rest, held = held_out(split.train, test, seed, HELD_OUT)
    reader.forget()
    x, *_ = reader.read(source, rest.tolist())
    whole = Domain(name, (x, y), None, classes=classes).train
    return Domain(name, whole.take(rest), whole.take(held) if len(held) else None, classes=classes)


@contextmanager
def _silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
    columns = _some([*reader.numbers, *reader.words])
    return f"name the column that holds it with label= (now {reader.label!r}; there are {columns})"


def _order(name: str) -> tuple[bool, int, str]:
    """Numbers by their size, then the other names."""
    number = name.isdecimal() and len(name) < 20  # Python reads none of thousands of digits
    return not number, int(name) if number else 0, name


def _some(names: Sequence[str]) -> str:
    return ", ".join([name[:60] for name in names[:10]] + ["..."] * (len(names) > 10))


def _names(sources: Sequence[Any]) -> list[str]:
    """The last parts of paths, as few as tell them apart; numbers for data frames."""
    paths = [Path(s).absolute() if isinstance(s, str | Path) else Path(f"table {i + 1}") for i, s in enumerate(sources)]
    paths = [path.with_name(path.name[: len(path.name) - len(suffix(path))] or path.name) for path in paths]
    names = [path.name for path in paths]
    for parts in range(2, max(len(path.parts) for path in paths)):
        if len(set(names)) < len(names):
            names = ["/".join(path.parts[-parts:]) for path in paths]
    return names if len(set(names)) == len(names) else list(map(str, sources))
