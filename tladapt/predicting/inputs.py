"""The rows to predict: files, tables, arrays and data sets, with an id for each row."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset

from tladapt.data import Data, each
from tladapt.domains import Domain
from tladapt.model import Model
from tladapt.predicting.records import columns_in
from tladapt.readers.arrays import as_data
from tladapt.readers.files import Reader, reader_from
from tladapt.readers.folders import Images
from tladapt.readers.sounds import Sounds
from tladapt.readers.tables import columns_of
from tladapt.readers.texts import Texts

NO_LABEL = "\0"  # the name of a column that no table has


class Rows(NamedTuple):
    """The rows to predict.

    Attributes
    ----------
    data : Data
        The inputs; its labels are class numbers, or other labels that are not names.
    ids : list
        One per row: a file name, a row number, or the cell of an id column.
    id_name : str
        What an id is: "file", "row", or the name of the id column.
    labels : list of str, optional
        The label of every row by name, where files or a column have them.
    classes : sequence of str, optional
        The class names that the numbers in `data.y` stand for, if they are known.
    domain : str, optional
        The name of the domain that the rows come from, if they are those of a `Domain`.
    index : optional
        The index of the pandas data frame that was given.
    """

    data: Data
    ids: list[Any]
    id_name: str
    labels: list[str] | None = None
    classes: Sequence[str] | None = None
    domain: str | None = None
    index: Any = None


def rows_of(
    model: Model,
    source: Any,
    *,
    part: str = "train",
    id_column: str | None = None,
    label: str | None = None,
    labelled: bool = True,
) -> Rows:
    """Return the rows of a source of any kind; files and data frames are read as `model.inputs` specifies.

    Parameters
    ----------
    source : path, list of paths, list of texts, data frame, array, tensor, dict, (x, y), Dataset, Data or Domain
        See `Model.predict`.
    part : {"train", "test"}
        The part of a `Domain`.
    id_column, label : str, optional
        The columns of a table that hold the ids and the labels; by default row numbers, and the label column that the
        model was trained with.
    labelled : bool
        Whether labels in files and tables are read; if not, it does not matter whether they can be.

    Raises
    ------
    ValueError, TypeError
        If the source cannot be read, or the model has no reader for it.
    """
    labels = None
    if isinstance(source, tuple) and len(source) == 2 and (_is_frame(source[0]) or isinstance(source[0], Domain)):
        source, labels = source
        label = NO_LABEL
    if model.inputs.get("kind") in ("table", "texts"):
        source = columns_in(source) or source
    if isinstance(source, Domain):
        if labels is not None:
            raise ValueError(f"y: the domain {source.name!r} has labels of its own; leave out y")
        rows = _of_domain(source, part)
    elif _is_path(source) or _are_files(source):
        rows = _of_files(reader_of(model, label if labelled else NO_LABEL), source, id_column)
        return rows if labels is None else rows._replace(labels=_named(labels, len(rows.data)))
    elif _are_texts(source):
        rows = _of_texts(reader_of(model), source)
    else:
        rows = _of_arrays(source)
    if id_column is not None:
        raise ValueError(f"ids={id_column!r}: expected a CSV file or a data frame, which have columns")
    return rows


def reader_of(model: Model, label: str | None = None) -> Reader:
    """Return the reader that `model.inputs` describes, with `label` as the label column of a table.

    Raises
    ------
    ValueError
        If the model has none, or its description is damaged.
    """
    if not model.inputs:
        raise ValueError(
            "model.inputs is empty, so the model cannot read files or data frames; set it from the reader of the "
            "training data (model.inputs = reader.spec()), or pass arrays"
        )
    reader = reader_from(model.inputs)
    if label is None or (label == NO_LABEL and not hasattr(reader, "label")):
        return reader
    if not hasattr(reader, "label"):
        raise ValueError(f"label={label!r}: the model reads files, whose labels are the names of their folders")
    return replace(reader, label=label)


def _is_path(source: Any) -> bool:
    return isinstance(source, str | Path)


def _is_frame(source: Any) -> bool:
    return hasattr(source, "columns")


def _are_files(source: Any) -> bool:
    """Whether it is a data frame, or a list of paths or of frames; for strings see `_are_texts`."""
    if _is_frame(source):
        return True
    is_list = isinstance(source, list | tuple) and bool(source)
    return is_list and all(isinstance(part, Path) or _is_frame(part) for part in source)


def _named(labels: Any, rows: int) -> list[str]:
    """Return labels beside a table as the table would have them."""
    named = [str(label) for label in labels]
    if len(named) != rows:
        raise ValueError(f"data has {rows} rows and {len(named)} labels; give one label per row")
    return named


def _are_texts(source: Any) -> bool:
    """Whether it is a list, or a column, of strings."""
    kinds = list | tuple | np.ndarray
    is_list = isinstance(source, kinds) or hasattr(source, "to_list")
    return is_list and len(source) > 0 and all(isinstance(part, str | Path) for part in source)


def _of_domain(domain: Domain, part: str) -> Rows:
    data = domain.train if part == "train" else domain.test
    if data is None:
        raise ValueError(
            f"{domain.name}: no test data to score; pass labelled rows as (x, y), or give the domain test="
        )
    given = data.given_rows(torch.arange(len(data))).tolist()
    ids = given if domain.row_ids is None else [domain.row_ids[row] for row in given]
    return Rows(data, ids, "row", classes=domain.classes, domain=domain.name)


def _of_texts(reader: Reader, source: Any) -> Rows:
    """Strings are texts for a model that reads texts, and file names for any other."""
    if not isinstance(reader, Texts):
        return _of_files(reader, [*source], None)
    texts = [str(text) for text in source]
    return Rows(as_data(reader.encode(texts), "texts"), list(range(len(texts))), "row")


def _of_arrays(source: Any) -> Rows:
    """Rows of numbers; a label beside them may be a name."""
    labels = None
    if isinstance(source, tuple) and len(source) == 2 and _are_texts(source[1]):
        source, labels = source[0], [str(label) for label in source[1]]
    data = as_data(source, "data")
    labels = None if labels is None else _named(labels, len(data))
    return Rows(data, list(range(len(data))), "row", labels, data.names)


def _of_files(reader: Reader, source: Any, id_column: str | None) -> Rows:
    sources = [source] if _is_path(source) or hasattr(source, "columns") else list(source)
    sources = [Path(one) if isinstance(one, str) else one for one in sources]
    for one in sources:
        if isinstance(one, Path) and not one.exists():
            raise ValueError(f"{one}: no such file or folder{_hint_at_texts(reader)}")
    parts = [reader.read(one) for one in sources]
    named = [label for _, labels, _ in parts for label in labels or ()]
    is_labelled = all(labels is not None for _, labels, _ in parts)
    data = as_data(_together([x for x, _, _ in parts]), str(sources[0]) if len(sources) == 1 else "files")
    ids: list[Any] = [name for _, _, names in parts for name in names]
    id_name = "file" if isinstance(reader, Images | Sounds) else "row"
    index = getattr(source, "index", None)
    if index is not None and hasattr(index, "tolist"):
        ids = index.tolist()
    elif id_name == "row" and len(sources) > 1:
        ids = [f"{one}:{name}" for one, (_, _, names) in zip(sources, parts, strict=True) for name in names]
    if id_column is not None:
        id_name, ids = id_column, [cell for one in sources for cell in _cells(reader, one, id_column)]
    return Rows(data, ids, id_name, named if is_labelled else None, index=index)


def _hint_at_texts(reader: Reader) -> str:
    return "; pass texts as a list of strings" if isinstance(reader, Texts) else ""


def _together(parts: list[Any]) -> Any:
    """Return the inputs of several files as one."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Dataset) for part in parts):
        return ConcatDataset(parts)
    return each(lambda *some: torch.cat(some), *parts)


def _cells(reader: Reader, source: Any, column: str) -> list[str]:
    """Return the cells of the id column."""
    if isinstance(reader, Images | Sounds):
        raise ValueError(f"the id column {column!r}: files have no columns; their ids are their paths")
    columns, name = columns_of(source)
    if column not in columns:
        known = ", ".join(found[:60] for found in list(columns)[:10])
        raise ValueError(f"{name}: no column {column!r} for the ids; expected one of {known}")
    return columns[column]
