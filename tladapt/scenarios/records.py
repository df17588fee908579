"""Tables: hospitals, bank customers over time, and a census without a shift."""

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tladapt.backbones import mlp
from tladapt.methods import MMD
from tladapt.readers.files import read_domains
from tladapt.readers.tables import Table
from tladapt.scenarios.files import find, without_warnings
from tladapt.scenarios.scenario import Scenario, known
from tladapt.streams import adaptation
from tladapt.tasks import Classification

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
CENSUS = (
    "age", "workclass", "fnlwgt", "education", "years", "marital", "occupation", "relationship", "race", "sex",
    "gain", "loss", "hours", "country", "label",
)  # fmt: skip


@dataclass
class Columns:
    """Rows of text under named columns: as much of a data frame as `Table` reads."""

    columns: Sequence[str]
    rows: list[list[str]]

    def __getitem__(self, name: str) -> list[str]:
        place = list(self.columns).index(name)
        return [row[place] for row in self.rows]


def heart(source: str = "cleveland", target: str = "va") -> Scenario:
    """Heart disease in one hospital, then in another without diagnoses: cleveland, hungarian, switzerland, va."""
    tables = []
    for name in [known("heart", name, HOSPITALS) for name in (source, target)]:
        header, rows = cells(find(f"tabular/heart_disease/processed.{name}.data", "the UCI heart disease files"), ",")
        rows = [[*row[:-1], str(int(float(row[-1]) > 0))] for row in rows]
        tables.append((name, Columns([*header[:-1], "label"], rows)))
    return _scenario("heart", f"heart disease in {source}, then {target} without diagnoses", tables, steps=200)


def bank_marketing() -> Scenario:
    """Calls of a bank in the first half of 2008-2010 with their outcome, then in the last quarter without."""
    header, rows = cells(find("tabular/bank_marketing/bank-additional-full.csv.gz", "the UCI bank marketing file"), ";")
    keep = [i for i, name in enumerate(header) if name != "duration"]  # known only once the outcome is
    columns = [*(header[i] for i in keep[:-1]), "label"]
    rows = [[row[i] for i in keep] for row in rows]
    parts = {"first half": rows[: len(rows) // 2], "last quarter": rows[-(len(rows) // 4) :]}
    tables = [(name, Columns(columns, part)) for name, part in parts.items()]
    return _scenario("bank-marketing", "a bank's calls in time order: the first half, then the last quarter", tables)


def adult() -> Scenario:
    """Incomes of men, then of women without them: close to no shift, the control."""
    _, rows = cells(find("tabular/adult/adult.data.gz", "the UCI adult file"), ",", header=False)
    rows = [row for row in rows if len(row) == len(CENSUS)]
    sex = CENSUS.index("sex")
    parts = {"men": "Male", "women": "Female"}
    tables = [(name, Columns(CENSUS, [row for row in rows if row[sex] == word])) for name, word in parts.items()]
    return _scenario("adult", "incomes of men, then of women: hardly a shift, the control", tables)


def _scenario(name: str, about: str, tables: list[tuple[str, Columns]], steps: int = 1000) -> Scenario:
    names, parts = [part for part, _ in tables], [columns for _, columns in tables]
    with without_warnings():
        (source, target), reader = read_domains(parts, names=names, test=0.3, reader=Table("label"))
    return Scenario(
        name=name, about=about, stream=adaptation(source, target), ceiling=[source, (source, target)], method=MMD,
        network=partial(mlp, source.train.shape[0], (64, 64), classes=source.classes), inputs=reader.spec(),
        steps=steps, task=Classification(balanced=True),
    )  # fmt: skip


def cells(path: Path, delimiter: str, header: bool = True) -> tuple[list[str], list[list[str]]]:
    """The names of the columns and the rows; "?" and empty cells are missing."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        rows = [[cell.strip().replace("?", "") for cell in row] for row in csv.reader(file, delimiter=delimiter) if row]
    return (rows[0], rows[1:]) if header else ([], rows)
