"""Rows of a table as a program has them: a dict of columns, a dict per row, or one row."""

from collections.abc import Sequence
from typing import Any

ENCODED = {"numbers", "missing", "words", "input_ids", "attention_mask", "token_type_ids"}  # inputs that are tensors


class Columns:
    """The columns of a table by name, as a data frame gives them.

    Examples
    --------
    >>> columns_in({"age": 31, "city": "oslo"})["city"], columns_in([{"age": 31}, {"age": 44}])["age"]
    (['oslo'], [31, 44])
    """

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


def columns_in(source: Any) -> Columns | None:
    """Return the columns of rows that are dicts, or of a dict of columns; None if the source is neither.

    Raises
    ------
    ValueError
        If the columns differ in length.
    """
    if isinstance(source, list | tuple):
        if not source or not all(isinstance(row, dict) for row in source):
            return None
        names = dict.fromkeys(name for row in source for name in row)
        return Columns({name: [row.get(name) for row in source] for name in names})
    if hasattr(source, "to_dict") and not hasattr(source, "columns"):  # a row of a pandas frame
        source = source.to_dict()
    if not isinstance(source, dict) or not source or source.keys() <= ENCODED:
        return None
    if not any(_is_column(value) for value in source.values()):
        return Columns({name: [value] for name, value in source.items()})
    lengths = {len(value) if _is_column(value) else -1 for value in source.values()}
    if len(lengths) > 1:
        raise ValueError("data: the columns differ in length; give each as many values")
    return Columns(source)


def _is_column(value: Any) -> bool:
    return (
        (isinstance(value, Sequence) or hasattr(value, "__array__"))
        and not isinstance(value, str)
        and bool(getattr(value, "shape", True))
    )
