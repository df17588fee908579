"""A report on disk, as JSON."""

from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, FailFast, Field
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from tladapt.report import SCHEMA, Report
from tladapt.storage.documents import STRICT, checked, one_line, read_document
from tladapt.storage.files import write_json

SIZE, PARTS = 2**22, 300_000  # bytes and values of the largest report
CELLS = 100_000  # of its table; more take minutes to show
LATEST = 2**31  # stage
LARGEST = 1e100  # of a score: means and differences of such are finite


def _bounded(value: float) -> float:
    if abs(value) > LARGEST:
        raise ValueError(f"{value} is out of range")
    return value


Finite = Annotated[float, AfterValidator(_bounded)]
Score = Finite | None
Scores = Annotated[list[Annotated[list[Score], FailFast()]], FailFast()]
Texts = Annotated[list[str], FailFast()]
Empty = Annotated[dict[str, str], Field(max_length=0)]
Argument = bool | int | float | str | list[str] | None


class _Shift(TypedDict):
    source: list[float]
    estimate: list[float]
    distance: float
    doubt: float


class _Uncertain(TypedDict):
    row: str
    prediction: str
    confidence: Finite


class _Unlabelled(TypedDict, total=False):
    stage: str
    rows: int
    predicted_rows: int
    classes: Texts
    proportions: Annotated[list[Finite], FailFast()]
    confidence: Finite
    entropy: Finite
    distance_before: Score
    distance_after: Score
    least_certain: Annotated[list[_Uncertain], FailFast()]


class _Spread(TypedDict, total=False):
    old: Score
    new: Score
    unseen: Score
    average: Score
    transfer: Score
    against_source_only: Score
    forgetting: Score
    backward_transfer: Score
    forward_transfer: Score
    scores: Scores


class _Rows(TypedDict):
    domain: str
    labelled: int
    unlabelled: int
    validation: int
    test: int


class _Training(TypedDict):
    network: str
    parameters: int
    trainable: int
    batchnorm_layers: int
    classes: int
    data: Annotated[list[_Rows], FailFast()]
    steps: Annotated[list[int], FailFast()]
    epochs: int | None
    batch_size: int
    lr: Finite
    optimizer: str
    schedule: str
    task: str
    learned: int


class _Losses(TypedDict):
    stage: str
    steps: Annotated[list[int], FailFast()]
    losses: dict[str, Annotated[list[Finite], FailFast()]]


class _Ceiling(TypedDict):
    old: Score
    new: Score
    average: Score
    seed: int


@dataclass(config=STRICT, kw_only=True)
class _Stored(Report):
    """A report whose values are of the types that they should be."""

    domains: Texts
    stages: Texts
    first: Annotated[list[int], FailFast()]
    scores: Scores
    tested: Annotated[list[int], FailFast()] = field(default_factory=list)
    source_only: Annotated[list[Score], FailFast()] = field(default_factory=list)
    training: _Training | Empty = field(default_factory=dict)  # type: ignore[assignment]
    history: Annotated[list[_Losses], FailFast()] = field(default_factory=list)  # type: ignore[assignment]
    ceiling: _Ceiling | Empty = field(default_factory=dict)  # type: ignore[assignment]
    arguments: dict[str, Argument] = field(default_factory=dict)  # type: ignore[assignment]
    label_shift: dict[str, _Shift] = field(default_factory=dict)  # type: ignore[assignment]
    unlabelled: dict[str, _Unlabelled] = field(default_factory=dict)  # type: ignore[assignment]
    spread: _Spread = field(default_factory=_Spread)  # type: ignore[assignment]


def save_report(report: Report, folder: str | Path) -> Path:
    """Write `report.json` into `folder`; returns its path."""
    path = Path(folder) / "report.json"
    write_json(path, report.to_dict())
    return path


def load_report(folder: str | Path) -> Report:
    """The report in `folder`; see `read_report`."""
    return read_report(Path(folder) / "report.json")


def read_report(path: Path) -> Report:
    """The report in a file, which can be shown, whoever wrote it.

    Raises
    ------
    ValueError
        If there is none, or the file is no report of this schema.
    """
    try:
        return report_of(read_document(path, SIZE, PARTS))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no report of tladapt ({one_line(error)})") from error


def report_of(found: dict[str, Any]) -> Report:
    """The report that `to_dict` made `found` of.

    Raises
    ------
    ValueError
        If it is none of this schema: a value is of another type, or the scores are not one row per stage, and one
        before, of one column per domain.
    """
    if (schema := found.get("schema")) != SCHEMA:
        raise ValueError(f"schema {repr(schema)[:40]}, expected {SCHEMA}")
    fields = {name: found[name] for name in Report.__dataclass_fields__ if name in found}
    report = Report(**vars(checked(_Stored, fields)))
    stages, columns = len(report.stages), len(report.domains)
    if not 0 < stages * columns <= CELLS:
        raise ValueError(f"{stages} stages of {columns} domains, expected 1 to {CELLS} of both together")
    for name, rows in (("scores", report.scores), ("spread", report.spread.get("scores", report.scores))):
        if len(rows) != stages + 1 or any(len(row) != columns for row in rows):
            raise ValueError(f"{name}: expected {stages + 1} rows of {columns} columns")
    for name, values in (("tested", report.tested), ("source_only", report.source_only)):
        if values and len(values) != columns:
            raise ValueError(f"{name}: expected {columns} values, one per domain, got {len(values)}")
    if not all(0 <= rows < LATEST for rows in report.tested):
        raise ValueError("tested: expected numbers of rows")
    if len(report.first) != columns or not all(0 <= stage < LATEST for stage in report.first):  # of stages to come, too
        raise ValueError(f"first: expected a stage, counted from 0, for each of {columns} domains")
    return report
