"""CSV files and data frames as columns of text, and the labels among them."""

from pathlib import Path
from typing import Any

from tladapt.readers.cells import cells_of
from tladapt.readers.frames import columns_of_frame
from tladapt.readers.headers import did_you_mean, folded, some

NO_LABEL = frozenset({"?", "nan", "<na>", "n/a", "#n/a", "null"})  # in lower case


def columns_of(source: Any) -> tuple[dict[str, list[str]], str]:
    """Return the columns of a CSV file or data frame as text, and what messages call it."""
    if isinstance(source, str | Path):
        return cells_of(Path(source)), str(source)
    return columns_of_frame(source), "data frame"


def labels_of(columns: dict[str, list[str]], label: str, name: str) -> list[str] | None:
    """Take the labels out of the columns; None if there is no such column, or it is empty.

    Raises
    ------
    ValueError
        If a row has no label, or a column has nearly the name of the label.
    """
    labels = columns.pop(label, None)
    if labels is None:
        if any(folded(column) == folded(label) for column in columns):
            raise ValueError(
                f"{name}: no column {label!r}{did_you_mean(label, columns)} Name the label column with label= or "
                f"--label; there are {some(columns)}"
            )
        return None
    if labels and not any(labels):
        return None
    wrong = {cell for cell in {*labels} if not cell or cell.casefold() in NO_LABEL}
    if wrong:
        row = next(row for row, cell in enumerate(labels) if cell in wrong)
        shown = f" ({labels[row]!r} stands for a missing one)" if labels[row] else ""
        raise ValueError(f"{name}, row {row + 1}: no {label!r}{shown}; drop the row or the whole column")
    return labels
