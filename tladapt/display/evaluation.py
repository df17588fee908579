"""The score of a model on labelled rows, as text."""

import numpy as np

from tladapt.display.harmless import harmless
from tladapt.display.table import shown
from tladapt.predicting.scoring import Evaluation

WIDTH = 24  # characters of a class name, at most
CONFUSED = 3  # predicted classes that are listed for each class
CLASSES = 30  # that are listed, at most


def text(found: Evaluation) -> str:
    """Return the score in a line, then a line per class."""
    return "\n".join([headline(found), *_by_class(found)])


def headline(found: Evaluation) -> str:
    """Return the score in one line, with the number of rows and the interval if there is one."""
    unit = " %" if found.share else ""
    rows = f"{found.rows} rows"
    if found.interval is not None and found.confusion is not None:
        low, high = (shown(end, share=True) for end in found.interval)
        rows = f"{int(found.confusion.trace())} of {rows}; 95 % interval {low} to {high} %"
    better = "" if found.higher_is_better else "; lower is better"
    return f"{found.metric} {shown(found.score, share=found.share)}{unit} ({rows}{better})"


def _by_class(found: Evaluation) -> list[str]:
    if found.confusion is None:
        return []
    counts = found.confusion.sum(1)
    occurring = np.flatnonzero(counts).tolist()
    lines = [["class", "rows", "accuracy in %", "predicted as"]]
    for number in occurring[:CLASSES]:
        name = _short(found.classes[number])
        share = found.confusion[number, number] / counts[number]
        lines.append([name, str(counts[number]), shown(float(share), share=True), _predicted(found, number)])
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    padded = [
        f"{name.ljust(widths[0])}  {rows.rjust(widths[1])}  {share.rjust(widths[2])}  {predicted}"
        for name, rows, share, predicted in lines
    ]
    left = len(occurring) - CLASSES
    return padded + ([f"... and {left} more classes"] if left > 0 else [])


def _predicted(found: Evaluation, number: int) -> str:
    """Return the classes that the rows of a class were predicted as, the most frequent first."""
    assert found.confusion is not None
    row = found.confusion[number]
    order = sorted(np.flatnonzero(row).tolist(), key=lambda other: (-row[other], other))
    listed = [f"{_short(found.classes[other])} {row[other]}" for other in order[:CONFUSED]]
    return ", ".join(listed + ["..."] * (len(order) > CONFUSED))


def _short(name: str) -> str:
    name = harmless(name)
    return name if len(name) <= WIDTH else f"{name[: WIDTH - 3]}..."
