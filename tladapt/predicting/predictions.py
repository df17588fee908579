"""What `Model.predict` returns."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tladapt.display.harmless import harmless

SHOWN = 5  # rows of a repr


class Predictions:
    """The predictions for some rows; a sequence of dicts, one per row.

    Attributes
    ----------
    ids : list
        The file name, row number or id of every row.
    id_name : str
        What an id is: "file", "row", or the name of the id column.
    predictions : list
        One per row. Classification: the name of the most likely class. Several labels: a tuple of names. Regression: a
        number, or an array of them. Speech to text: a text. Masks and tokens: an array of class numbers.
    classes : tuple of str
        The names of the C classes.
    probabilities : array (n, C), optional
        The probability of every class, in the order of `classes`; None if the task has none. With several labels per
        row, each is that of one label on its own.

    Examples
    --------
    >>> chances = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> found = Predictions(["a.jpg", "b.jpg"], ["cup", "pen"], ("cup", "pen"), chances, "file")
    >>> found
    Predictions(2 rows; classes: cup, pen)
      file   prediction  probability
      a.jpg  cup         0.9000
      b.jpg  pen         0.8000
    >>> [row["prediction"] for row in found]
    ['cup', 'pen']
    >>> found[1]
    {'file': 'b.jpg', 'prediction': 'pen', 'probability': 0.8, 'probability_cup': 0.2, 'probability_pen': 0.8}
    """

    def __init__(
        self, ids: list[Any], predictions: list[Any], classes: Sequence[str], probabilities: np.ndarray | None = None,
        id_name: str = "row", index: Any = None,
    ) -> None:  # fmt: skip
        self.ids, self.predictions, self.classes = ids, predictions, tuple(classes)
        self.probabilities, self.id_name, self._index = probabilities, id_name, index

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return one row as a dict: its id, prediction, probability, and the probability of every class."""
        found = {self.id_name: self.ids[row], "prediction": self.predictions[row]}
        if self.probabilities is None:
            return found
        chances = self.probabilities[row].tolist()
        if not isinstance(self.predictions[row], tuple):  # several labels have no single probability
            found["probability"] = max(chances)
        each = {f"probability_{name}": chance for name, chance in zip(self.classes, chances, strict=True)}
        return found | each

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    @property
    def confidence(self) -> np.ndarray:
        """The largest probability of every row, (n,)."""
        if self.probabilities is None:
            raise ValueError("confidence: the task of the model gives no probabilities")
        return self.probabilities.max(1)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as dicts."""
        return list(self)

    def to_frame(self) -> Any:
        """Return a pandas data frame with a row per row; it has the index of the data frame that was predicted.

        Raises
        ------
        ValueError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ValueError("to_frame: pandas is not installed; use to_dicts()") from error
        return pandas.DataFrame(self.to_dicts(), index=self._index)

    def __repr__(self) -> str:
        names = ", ".join([name[:20] for name in self.classes[:6]] + ["..."] * (len(self.classes) > 6))
        lines = [f"Predictions({len(self)} rows; classes: {harmless(names)})"]
        shown = [self[row] for row in range(min(SHOWN, len(self)))]
        columns = [name for name in (self.id_name, "prediction", "probability") if shown and name in shown[0]]
        cells = [columns, *([_cell(row[name]) for name in columns] for row in shown)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  " + "  ".join(padded).rstrip())
        if len(self) > SHOWN:
            lines.append(f"  ... and {len(self) - SHOWN} more")
        return "\n".join(lines)


def _cell(value: Any) -> str:
    """Return a value as text of at most 40 characters."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, np.ndarray):
        return f"array {tuple(value.shape)}"
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return harmless(text if len(text) <= 40 else f"...{text[-37:]}")
