"""Credit: customers of one kind, then of another whose outcome is not known yet."""

from collections.abc import Callable
from functools import partial

from tladapt.backbones import table
from tladapt.methods import MMD
from tladapt.readers.files import read_domains
from tladapt.readers.tables import Table
from tladapt.scenarios.files import find, without_warnings
from tladapt.scenarios.records import Columns, cells
from tladapt.scenarios.scenario import Scenario, known
from tladapt.streams import adaptation
from tladapt.tasks import Classification

GERMAN = (
    "account", "months", "history", "purpose", "amount", "savings", "employed since", "rate", "sex and status",
    "debtors", "resident since", "property", "age", "other plans", "housing", "credits", "job", "dependents",
    "telephone", "foreign", "label",
)  # fmt: skip
WORDS = {  # what the numbers of the columns of words stand for; others: "other"
    "SEX": {"1": "man", "2": "woman"},
    "EDUCATION": {"1": "graduate school", "2": "university", "3": "high school"},
    "MARRIAGE": {"1": "married", "2": "single"},
    "label": {"0": "paid", "1": "default"},
}
Row = dict[str, str]
Kind = tuple[str, Callable[[Row], bool]]  # a name, and who belongs to it
APPLICANTS: dict[str, tuple[Kind, Kind]] = {
    "age": (("below 30", lambda row: int(row["age"]) < 30), ("30 and older", lambda row: int(row["age"]) >= 30)),
    "housing": (("owners", lambda row: row["housing"] == "A152"), ("tenants", lambda row: row["housing"] == "A151")),
}
CUSTOMERS: dict[str, tuple[Kind, Kind]] = {  # limits in New Taiwan dollars
    "limit": (
        ("limit from 200 000", lambda row: float(row["LIMIT_BAL"]) >= 200_000),
        ("limit to 50 000", lambda row: float(row["LIMIT_BAL"]) <= 50_000),
    ),
    "age": (("below 30", lambda row: int(row["AGE"]) < 30), ("from 45", lambda row: int(row["AGE"]) >= 45)),
    "education": (
        ("university", lambda row: row["EDUCATION"] in ("university", "graduate school")),
        ("high school", lambda row: row["EDUCATION"] == "high school"),
    ),
}


def german_credit(by: str = "age") -> Scenario:
    """Good and bad loans of young applicants, then older ones without outcomes; or owners, then tenants: age, housing.

    1 000 loans of a German bank (UCI Statlog).
    """
    kinds = APPLICANTS[known("german-credit", by, tuple(APPLICANTS))]
    _, rows = cells(find("tabular/german_credit/german.csv", "the UCI German credit file"), ",", header=False)
    outcome = {"1": "good", "2": "bad"}
    table_of = Columns(GERMAN, [[*row[:-1], outcome[row[-1]]] for row in rows])
    return _scenario("german-credit", table_of, kinds, steps=100, batch_size=32)


def credit_default(by: str = "limit") -> Scenario:
    """Who pays of customers with a high limit, then with a low one, outcomes unknown; or by age, or education.

    30 000 credit cards in Taiwan in 2005 (UCI).
    """
    kinds = CUSTOMERS[known("credit-default", by, tuple(CUSTOMERS))]
    path = find(
        "tabular/credit_default_taiwan/UCI_Credit_Card.csv.gz", "the UCI file of credit card defaults in Taiwan"
    )
    header, rows = cells(path, ",")
    columns = (*header[1:-1], "label")  # without the customer's number
    spelled = [[WORDS[name].get(cell, "other") if name in WORDS else cell
                for name, cell in zip(columns, row[1:], strict=True)] for row in rows]  # fmt: skip
    return _scenario("credit-default", Columns(columns, spelled), kinds, steps=300, batch_size=64)


def _scenario(name: str, whole: Columns, kinds: tuple[Kind, Kind], *, steps: int, batch_size: int) -> Scenario:
    """Means, spreads and words are those of the source's training rows."""
    parts = [Columns(whole.columns, [row for row in whole.rows if belongs(dict(zip(whole.columns, row, strict=True)))])
             for _, belongs in kinds]  # fmt: skip
    with without_warnings():
        (source, target), reader = read_domains(
            parts, names=[kind for kind, _ in kinds], test=0.3, reader=Table(split=True)
        )
    assert isinstance(reader, Table)
    words = [len(words) for words in reader.words.values()]
    return Scenario(
        name=name, about=f"loans: {source.name}, then {target.name} without outcomes", method=MMD,
        stream=adaptation(source, target), ceiling=[source, (source, target)], inputs=reader.spec(),
        network=partial(table, len(reader.numbers), words, classes=source.classes),
        steps=steps, batch_size=batch_size, task=Classification(balanced=True),
    )  # fmt: skip
