"""Tables as people have them: each kind of column and file gives the right numbers, or a line that names the fault."""

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tladapt import Domain, Model, Regression, adaptation, fit
from tladapt.backbones import mlp
from tladapt.cli import _short_warnings, main
from tladapt.readers.dates import days, order_of
from tladapt.readers.files import read_domains, reader_from
from tladapt.readers.numerals import parse
from tladapt.readers.tables import Table
from tladapt.readers.texts import Texts, word_tokenizer

ROWS = 60


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def table(path: Path, columns: dict[str, Any], mark: str = ",", encoding: str = "utf-8") -> Path:
    """A table of ROWS rows; a column is a list, or what makes the cell of a row."""
    cells = [[str(cell(i) if callable(cell) else cell[i]) for cell in columns.values()] for i in range(ROWS)]
    return write(path, "\n".join(mark.join(row) for row in [[*columns], *cells]) + "\n", encoding)


def label(i: int) -> str:
    return "ab"[i % 2]


def read(path: Any, reader: Table | None = None) -> torch.Tensor:
    return (reader or Table()).read(path)[0]


def quiet(path: Any, reader: Table | None = None) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read(path, reader)


# Constant columns


@pytest.mark.parametrize("constant", ["0.1", "7", "1e9", "-0.3", "20230101", "1e-30", "3.3333333333333335"])
@pytest.mark.parametrize("other", ["0.11", "8", "2e9", "-1e30"])
@pytest.mark.parametrize("standardize", ["first", "per-domain"])
def test_a_column_that_is_constant_in_the_first_table_is_0_in_all(tmp_path, constant, other, standardize):
    reader = Table(standardize=standardize)
    read(table(tmp_path / "old.csv", {"x": lambda i: i % 7, "site": lambda i: constant, "label": label}), reader)
    new = table(tmp_path / "new.csv", {"x": lambda i: i % 7, "site": lambda i: other if i % 2 else constant})
    with pytest.warns(UserWarning, match="column 'site': one value in the first table, another here"):
        assert read(new, reader)[:, 1].tolist() == [0.0] * ROWS


def test_rounding_is_no_spread(tmp_path):
    x = read(
        table(tmp_path / "t.csv", {"a": lambda i: 0.1 + (i % 2) * 1e-17, "b": lambda i: 0.3 if i % 2 else 0.1 + 0.2})
    )
    assert x.tolist() == [[0.0, 0.0]] * ROWS


@pytest.mark.parametrize("far", ["5.001", "6", "1e6", "-1e30"])
def test_a_column_that_is_nearly_constant_stays_harmless(tmp_path, far):
    reader = Table()
    read(table(tmp_path / "old.csv", {"x": lambda i: i % 7, "c": lambda i: 5 + 1e-6 * (i == 3)}), reader)
    new = quiet(table(tmp_path / "new.csv", {"x": lambda i: i % 7, "c": lambda i: far}), reader)
    assert new.abs().max() <= 100


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=30), st.lists(st.floats(-1e38, 1e38), min_size=1, max_size=9)
)
def test_numbers_are_finite_and_bounded_whatever_the_tables_have(tmp_path_factory, old, new):
    folder, reader = tmp_path_factory.mktemp("t"), Table()
    quiet(write(folder / "old.csv", "a\n" + "\n".join(map(repr, old)) + "\n"), reader)
    x = quiet(write(folder / "new.csv", "a\n" + "\n".join(map(repr, new)) + "\n"), reader)
    assert x.isfinite().all()
    assert x.abs().max() <= 100


# Missing values

MARKS = ["", "-", "--", "n/a", "N/A", "NA", "na", "#N/A", "NaN", "nan", "NULL", "null", "None", "none", "?", ".",
         "<NA>", "unknown", "missing", "#DIV/0!", "n.a.", "\\N", "(blank)"]  # fmt: skip


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_of_a_missing_number_leaves_a_column_of_numbers(tmp_path, mark):
    reader = Table()
    x = read(table(tmp_path / "t.csv", {"age": lambda i: mark if i % 20 == 0 else i % 13, "label": label}), reader)
    assert reader.words == {}
    assert x[:, 1].tolist() == [float(i % 20 == 0) for i in range(ROWS)]
    assert (x[::20, 0] == 0).all()


def test_a_word_among_numbers_is_missing_and_said(tmp_path):
    reader = Table()
    path = table(tmp_path / "t.csv", {"age": lambda i: "refused" if i % 20 == 0 else i + 0.5, "label": label})
    with pytest.warns(UserWarning, match="column 'age': numbers, so 'refused' is read as missing"):
        assert read(path, reader).shape == (ROWS, 2)
    later = table(tmp_path / "u.csv", {"age": lambda i: "refused" if i == 1 else "7"})
    again: Any = reader_from(reader.spec())
    assert read(later, again)[1].tolist() == [0, 1]
    with pytest.raises(ValueError, match="row 1, column 'age': 'old' is not a number, but the first table has numbers"):
        read(table(tmp_path / "v.csv", {"age": lambda i: "old"}), reader)


@pytest.mark.parametrize("value", ["-999", "-99", "9999"])
def test_a_number_that_may_stand_for_a_missing_one_is_named(tmp_path, value):
    path = table(tmp_path / "t.csv", {"age": lambda i: value if i % 20 == 0 else i % 13, "label": label})
    with pytest.warns(UserWarning, match=f"column 'age': {value} lies far from all other numbers"):
        read(path)
    assert read(path, Table(marks=[value]))[:, 1].sum() == 3


# Numbers


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["40.12 €", "7"], [40.12, 7]), (["$1,200.50", "$3"], [1200.5, 3]), (["12 %", "3.5%"], [12, 3.5]),
        (["1,5", "2,25"], [1.5, 2.25]), (["1.234,50", "7,0"], [1234.5, 7]), (["1,234,567", "8"], [1234567, 8]),
        (["1 234", "5"], [1234, 5]), (["1'234.5", "5"], [1234.5, 5]), (["5 kg", "6kg"], [5, 6]),
        (["(12.50)", "3"], [-12.5, 3]), (["EUR 5", "EUR -6"], [5, -6]), (["1e3", "2E-3"], [1000, 0.002]),
        (["\u22125", "+3"], [-5, 3]), ([".5", "5."], [0.5, 5]),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(cells, values):
    found = parse(cells)
    assert found.values.tolist() == values
    assert not found.words


@pytest.mark.parametrize(
    "cell", ["1_2", "\u0663", "\uff11\uff12", "\u00b2", "0x1f", "1.2.3", "192.168.0.1", "+49 170 1234567", "12:30",
             "1/2", "\u00bd", "3 1/2", "1,23,4", "--5", "5-", "e5", "(5", "A1"]
)  # fmt: skip
def test_what_is_no_number_is_a_word(cell):
    assert parse(["5", cell]).words == {cell: 1}


@pytest.mark.parametrize(
    ("one", "two"), [("1_2", "12"), ("\u0663", "3"), ("\uff11", "1"), ("012", "12"), ("1_0", "10")]
)
def test_codes_that_differ_stay_apart(tmp_path, one, two):
    x = read(write(tmp_path / "t.csv", f"code,label\n{one},a\n{two},b\n"))
    assert not torch.equal(x[0], x[1])


def test_a_decimal_comma_in_one_column_decides_for_the_others(tmp_path):
    reader = Table()
    read(write(tmp_path / "t.csv", "a;b\n1,5;1,234\n2,5;2,345\n"), reader)
    assert reader.numbers["b"][0] == pytest.approx((1.234 + 2.345) / 2)


def test_thousands_that_may_be_decimals_are_said(tmp_path):
    reader = Table()
    with pytest.warns(UserWarning, match="column 'b': 1,234 is read as thousands"):
        read(write(tmp_path / "t.csv", 'b,c\n"1,234",x\n"2,345",y\n'), reader)
    assert reader.numbers["b"][0] == pytest.approx((1234 + 2345) / 2)


@pytest.mark.parametrize(("old", "new"), [("%", ""), ("", "%"), ("kg", "lb"), ("$", "€")])
def test_another_unit_is_said(tmp_path, old, new):
    reader = Table()
    read(table(tmp_path / "old.csv", {"a": lambda i: f"{i % 9} {old}"}), reader)
    with pytest.warns(UserWarning, match="column 'a': numbers with .*, in the first table with .*read alike"):
        read(table(tmp_path / "new.csv", {"a": lambda i: f"{i % 9} {new}"}), reader)


# Dates


@pytest.mark.parametrize(
    "cells",
    [
        ["2020-02-01", "2020-02-03"], ["2020-02-01 00:00:00", "2020-02-03T00:00"], ["2020/2/1", "2020/02/03"],
        ["01.02.2020", "03.02.2020"], ["02/01/2020", "02/03/20"], ["1 Feb 2020", "3 February 2020"],
        ["Feb 1, 2020", "February 3, 2020"], ["2020-02-01T01:00:00+01:00", "2020-02-03T00:00:00Z"],
        ["01-Feb-2020", "03-Feb-2020"],
    ],
)  # fmt: skip
def test_dates_are_days(cells):
    order = order_of([*cells, ""])
    assert order is not None
    found = days([*cells, ""], order[0])
    assert found[:2].tolist() == [18293, 18295]  # since 1 January 1970
    assert np.isnan(found[2])


@pytest.mark.parametrize("cell", ["2020-13-01", "31.02.2020", "yesterday", "2020", "1.5.2", "Smarch 3, 2020", "25:00"])
def test_what_is_no_date_is_none(cell):
    assert order_of([cell]) is None


def test_a_date_is_a_number_in_files_and_frames(tmp_path):
    pandas = pytest.importorskip("pandas")
    stamps = pandas.date_range("2020-01-01", periods=ROWS)
    path = table(tmp_path / "t.csv", {"when": [stamp.date() for stamp in stamps], "label": label})
    frame = pandas.DataFrame({"when": stamps, "label": [label(i) for i in range(ROWS)]})
    from_file, from_frame = read(path), read(frame)
    assert torch.equal(from_file, from_frame)
    assert torch.allclose(from_file[:, 0].diff(), from_file[1, 0] - from_file[0, 0], atol=1e-5)


def test_a_later_date_may_be_written_in_another_way_that_is_certain(tmp_path):
    reader = Table()
    expected = read(table(tmp_path / "old.csv", {"d": lambda i: f"{1 + i % 28}/12/2020"}), reader)
    for write_date in ("12/{}/2020", "2020-12-{}", '"Dec {}, 2020"', "{}.12.2020"):
        x = read(table(tmp_path / "new.csv", {"d": lambda i, form=write_date: form.format(1 + i % 28)}), reader)
        assert torch.equal(x, expected)
    with pytest.raises(ValueError, match="row 1, column 'd': 'soon' is not a date, or not certain to be one"):
        read(table(tmp_path / "soon.csv", {"d": lambda i: "soon"}), reader)


@pytest.mark.parametrize("words", [("False", "True"), ("false", "true"), ("FALSE", "TRUE"), ("0", "1"), ("0.0", "1.0")])
@pytest.mark.parametrize("first", [("False", "True"), ("0", "1")])
def test_truth_values_are_0_and_1(tmp_path, first, words):
    reader = Table()
    expected = read(table(tmp_path / "old.csv", {"b": lambda i: first[i % 2]}), reader)
    assert torch.equal(read(table(tmp_path / "new.csv", {"b": lambda i: words[i % 2]}), reader), expected)


def test_a_column_that_the_second_table_leaves_empty_is_said(tmp_path):
    reader = Table()
    read(table(tmp_path / "old.csv", {"a": lambda i: i % 9, "c": lambda i: "pq"[i % 2]}), reader)
    with pytest.warns(UserWarning, match="column 'a', 'c': every cell is empty, unlike in the first table"):
        read(table(tmp_path / "new.csv", {"a": lambda i: "", "c": lambda i: ""}), reader)


# Ids, texts and lists

NEW_IN_EVERY_ROW = {
    "an id": lambda i: f"u{i:04}", "a text": lambda i: f"it was a good day {i}", "a list": lambda i: f'"[{i}, 1]"',
}  # fmt: skip


@pytest.mark.parametrize("kind", NEW_IN_EVERY_ROW)
def test_a_column_with_a_value_for_every_row_is_named_and_left_out(tmp_path, kind):
    columns = {"x": lambda i: i % 7, "c": NEW_IN_EVERY_ROW[kind], "label": label}
    reader = Table()
    with pytest.warns(UserWarning, match=rf"t\.csv: left out 'c' \({kind}"):
        assert read(table(tmp_path / "t.csv", columns), reader).shape == (ROWS, 1)
    assert read(table(tmp_path / "u.csv", columns), reader).shape == (ROWS, 1)
    assert read(table(tmp_path / "v.csv", columns), Table(drop=["c"])).shape == (ROWS, 1)
    assert read(table(tmp_path / "w.csv", columns), Table(columns=["x"])).shape == (ROWS, 1)


@pytest.mark.parametrize("name", ["id", "user_id", "userId", "Customer No.", "index", "ID"])
def test_whole_numbers_are_ids_by_their_name(tmp_path, name):
    with pytest.warns(UserWarning, match=rf"left out '{name}' \(an id; {ROWS} different values"):
        assert read(table(tmp_path / "t.csv", {"x": lambda i: i % 7, name: lambda i: 7 * i})).shape == (ROWS, 1)


def test_a_text_alone_says_how_to_learn_from_it(tmp_path):
    path = table(tmp_path / "t.csv", {"review": lambda i: f"it was a good day {i}", "label": label})
    with pytest.raises(ValueError, match=r"left out 'review' \(a text; learn from it with --text review or"):
        read_domains([path])


@pytest.mark.parametrize("names", [[""], ["", ""], ["Unnamed: 0"], ["", "Unnamed: 0"]])
def test_a_nameless_column_that_numbers_the_rows_is_left_out(tmp_path, names):
    lines = [
        ",".join([*names, "x", "label"]),
        *(",".join([str(i)] * len(names)) + f",{i % 7},{label(i)}" for i in range(40)),
    ]
    reader = Table()
    with pytest.warns(UserWarning, match="no name and numbers the rows"):
        read(write(tmp_path / "t.csv", "\n".join(lines)), reader)
    assert [*reader.numbers] == ["x"]


def test_a_nameless_column_of_words_is_called_by_its_place(tmp_path):
    reader = Table()
    read(table(tmp_path / "t.csv", {"x": lambda i: i % 7, "": lambda i: "pq"[i % 2], "label": label}), reader)
    assert reader.words == {"column 2": ["p", "q"]}


def test_a_comma_at_the_end_of_every_line_is_no_column(tmp_path):
    assert read(write(tmp_path / "t.csv", "a,b,\n1,2,\n3,4,\n")).shape == (2, 2)


@pytest.mark.parametrize("cell", [[1.0, 2.0], (1, 2), {"a": 1}, {1}, np.ones(3), np.ones((2, 2)), torch.ones(2), b"x"])
def test_a_frame_of_collections_is_refused_by_column(cell):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"embedding": pandas.Series([cell] * 4, dtype=object), "label": list("abab")})
    with pytest.raises(ValueError, match="column 'embedding': a cell is a"):
        read(frame)


# Two tables


@pytest.mark.parametrize(
    "words", [("male", "female"), ("MALE", "FEMALE"), ("Male ", " Female"), ("m", "f"), ("0", "1")]
)
def test_words_that_are_written_differently_are_matched_or_said(tmp_path, words):
    reader = Table()
    read(table(tmp_path / "old.csv", {"sex": lambda i: ("Male", "Female")[i % 2], "label": label}), reader)
    new = table(tmp_path / "new.csv", {"sex": lambda i: words[i % 2]})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        x = read(new, reader)
    expected = {"Male": [0.0, 1.0], "Female": [1.0, 0.0]}
    matched = x[0].tolist() == expected["Male"] and x[1].tolist() == expected["Female"]
    assert matched == (words[0].strip().lower() == "male")
    assert any("column 'sex'" in str(warning.message) for warning in seen) or words == ("Male ", " Female")


def test_a_column_that_the_second_table_calls_differently_is_named(tmp_path):
    reader = Table()
    read(table(tmp_path / "old.csv", {"Age": lambda i: i % 9, "label": label}), reader)
    with pytest.raises(ValueError, match="no column 'Age', which the first table has; did you mean 'age'"):
        read(table(tmp_path / "new.csv", {"age": lambda i: i % 9}), reader)
    with pytest.raises(ValueError, match="no column 'label'; did you mean 'Label'"):
        read(table(tmp_path / "n.csv", {"Age": lambda i: i % 9, "Label": label}), reader)


def test_other_scales_are_said_and_can_be_standardised_away(tmp_path):
    old = table(tmp_path / "old.csv", {"x": lambda i: i % 7, "label": label})
    new = table(tmp_path / "new.csv", {"x": lambda i: 1000 * (i % 7), "label": label})
    with pytest.warns(UserWarning, match="column 'x': another scale than in the first table; consider standardize="):
        read_domains([old, new])
    (_, domain), reader = read_domains([old, new], reader=Table(standardize="per-domain"))
    assert domain.train.x.mean().abs() < 1e-5  # of its own training rows
    assert domain.train.x.std(correction=0) == pytest.approx(1)
    assert isinstance(reader, Table)
    again: Any = reader_from(reader.spec())
    assert torch.equal(again.read(new)[0], reader.read(new)[0])
    assert torch.equal(again.read(new)[0][:1], again.read(write(tmp_path / "one.csv", "x\n0\n"))[0])  # row by row


def test_later_columns_may_be_more_and_in_another_order(tmp_path):
    reader = Table()
    x = read(table(tmp_path / "old.csv", {"a": lambda i: i % 9, "c": lambda i: "pq"[i % 2], "label": label}), reader)
    new = {"more": lambda i: i, "c": lambda i: "pq"[i % 2], "": lambda i: i, "a": lambda i: i % 9}
    assert torch.equal(quiet(table(tmp_path / "new.csv", new), reader), x)


@pytest.mark.parametrize("option", ["drop", "columns"])
def test_a_column_that_is_not_there_cannot_be_chosen(tmp_path, option):
    path = table(tmp_path / "t.csv", {"age": lambda i: i % 9, "label": label})
    with pytest.raises(ValueError, match=f"{option} names 'ages', not a column; did you mean 'age'"):
        read(path, Table(drop=["ages"]) if option == "drop" else Table(columns=["ages"]))


# Files


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("name", ["t.csv", "t.txt", "t.tsv", "t.csv.gz"])
def test_a_file_is_read_however_it_is_written(tmp_path, mark, encoding, name):
    path = table(
        tmp_path / name, {"größe": lambda i: f"{i % 9}.5", "c": lambda i: "pqü"[i % 3], "label": label}, mark, encoding
    )
    reader = Table()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not in UTF-8, so it is read as Windows-1252")
        (domain,), _ = read_domains([path], reader=reader)
        found = quiet(path, reader)
    assert domain.name == "t"
    assert [*reader.numbers], [*reader.words] == (["größe"], {"c": ["p", "q", "ü"]})
    assert found.shape == (ROWS, 4)


def test_what_excel_writes_first_names_the_separator(tmp_path):
    assert read(write(tmp_path / "t.csv", "sep=;\na;b\n1,5;2\n2,5;3\n")).shape == (2, 2)


@pytest.mark.parametrize("row", ["5.1,3.5,setosa", "0.5,-1,x", "1,1,y"])
def test_a_missing_header_is_named(tmp_path, row):
    path = write(tmp_path / "t.csv", f"{row}\n" + "4.9,3.0,setosa\n7.0,3.2,versicolor\n" * 3)
    with pytest.raises(ValueError, match="looks like data; add a line above it that names the columns"):
        read_domains([path])


def test_a_packed_file_that_is_endless_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tladapt.readers.cells.UNPACKED", 10_000)
    with pytest.raises(ValueError, match="more than 10000 characters when it is unpacked"):
        read(write(tmp_path / "t.csv.gz", "a,b\n" + "\n" * 20_000))


# Labels


def test_prices_are_numbers_or_refused_never_ranks(tmp_path):
    path = table(tmp_path / "t.csv", {"x": lambda i: i % 9, "price": lambda i: f"{i * 7 % 60}.5"})
    with pytest.raises(ValueError, match=r"60 different numbers .*regression=True"):
        read_domains([path], label="price")
    (domain,), _ = read_domains([path], label="price", regression=True)
    assert sorted([*domain.train.y.tolist(), *(domain.test.y.tolist() if domain.test else [])]) == [
        i + 0.5 for i in range(60)
    ]
    fit(mlp(1, classes=1), [domain], task=Regression.of(domain), steps=1)


@pytest.mark.parametrize("label", [lambda i: i % 5 + 1, lambda i: 10 ** (i % 3), lambda i: i % 2 / 2])
def test_classes_are_no_numbers_to_be_learned(tmp_path, label):
    (domain,), _ = read_domains([table(tmp_path / "t.csv", {"x": lambda i: i % 9, "label": label})])
    with pytest.raises(ValueError, match=r"places among the classes .*regression=True"):
        fit(mlp(1, classes=1), [domain], task=Regression(), steps=1)
    with pytest.raises(ValueError, match=r"places among the classes .*regression=True"):
        Regression.of(domain)


def test_one_class_is_said(tmp_path):
    with pytest.warns(UserWarning, match="every row has the class 'sick'"):
        read_domains([table(tmp_path / "t.csv", {"x": lambda i: i % 9, "label": lambda i: "sick"})])


@pytest.mark.parametrize(("old", "new"), [("Yes", "yes"), ("1", "1.0"), ("a b", "a_b")])
def test_a_class_that_is_written_differently_is_named(tmp_path, old, new):
    paths = [
        table(tmp_path / f"{name}.csv", {"x": lambda i: i % 9, "label": lambda i, name=name: (name, "other")[i % 2]})
        for name in (old, new)
    ]
    for unknown in ("raise", "drop", "add"):
        with pytest.raises(ValueError, match=f"the label '{new}' is none of the classes of .*did you mean '{old}'"):
            read_domains(paths, names=["old", "new"], unknown_labels=unknown)


def test_a_class_that_only_the_second_domain_has(tmp_path):
    old = table(tmp_path / "old.csv", {"x": lambda i: i % 9, "label": label})
    new = table(tmp_path / "new.csv", {"x": lambda i: i % 9, "label": lambda i: "abc"[i % 3]})
    with pytest.raises(ValueError, match="new: the label 'c' is none of the classes of old: a, b; drop these rows, or"):
        read_domains([old, new])
    with pytest.warns(UserWarning, match=r"new: 20 rows have a label that is none of the classes of old \(c\)"):
        (one, two), _ = read_domains([old, new], unknown_labels="drop")
    assert one.classes == two.classes == ("a", "b")
    assert (len(two.train), len(two.train.y), len(two.test or ())) == (52, 32, 8)
    fit(mlp(1, classes=one.classes), adaptation(one, two), steps=1)
    (one, two), _ = read_domains([old, new], unknown_labels="add")
    assert one.classes == two.classes == ("a", "b", "c")


def test_classes_of_a_model_keep_their_places(tmp_path):
    path = table(tmp_path / "t.csv", {"x": lambda i: i % 9, "label": lambda i: "bc"[i % 2]})
    (domain,), _ = read_domains([path], classes=["a", "b", "c"])
    assert (domain.classes, domain.labels) == (("a", "b", "c"), [1, 2])


@pytest.mark.parametrize("mark", ["?", "nan", "N/A"])
def test_a_missing_label_is_no_class(tmp_path, mark):
    path = table(tmp_path / "t.csv", {"x": lambda i: i % 9, "label": lambda i: mark if i == 3 else label(i)})
    with pytest.raises(ValueError, match=r"row 4: no 'label' \('.*' stands for a missing one\); drop the row"):
        read_domains([path])


def test_an_empty_column_of_labels_is_none(tmp_path):
    paths = [table(tmp_path / "a.csv", {"x": lambda i: i % 9, "label": label})]
    paths.append(table(tmp_path / "b.csv", {"x": lambda i: i % 9, "label": lambda i: ""}))
    domains, _ = read_domains(paths)
    assert domains[1] == domains[1]
    assert len(domains[1].train.y) == 0


def test_texts_have_their_labels_from_the_same_rules(tmp_path):
    path = table(tmp_path / "t.csv", {"text": lambda i: f"good {i}", "Label": label})
    with pytest.raises(ValueError, match="no column 'label'; did you mean 'Label'"):
        read_domains([path], reader=Texts(word_tokenizer(["good"]), length=4))


def test_what_was_read_is_the_same_after_json(tmp_path):
    columns = {
        "price": lambda i: f"{i % 9},5 €", "when": lambda i: f"2020-01-{1 + i % 28:02}", "c": lambda i: "pq"[i % 2],
        "gap": lambda i: "-" if i % 9 == 0 else i % 7, "same": lambda i: 3, "label": label,
    }  # fmt: skip
    path = table(tmp_path / "t.csv", columns, ";")
    for reader in (
        Table(drop=["gap"]),
        Table(standardize="per-domain"),
        Table(split=True),
        Table(columns=["price", "c"]),
    ):
        (domain,), found = read_domains([path], reader=reader)
        again: Any = reader_from(json.loads(json.dumps(found.spec())))
        assert again == found
        assert isinstance(domain, Domain)
        two: Any = found.read(path)[0]
        one = again.read(path)[0]
        assert all(torch.equal(one[key], two[key]) for key in one) if isinstance(one, dict) else torch.equal(one, two)


# Commands


def run(capsys: Any, *arguments: Any) -> str:
    main(["run", *map(str, arguments), "--steps", "2"])
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture
def pair(tmp_path: Path) -> list[Any]:
    columns = {"x": lambda i: i % 7, "size": lambda i: i % 5, "text": lambda i: ("bad day", "good day")[i % 2]}
    old = table(tmp_path / "old.csv", columns | {"label": label})
    new = table(tmp_path / "new.csv", columns | {"label": label})
    return ["--source", old, "--target", new]


def test_the_command_line_chooses_columns(capsys, pair, tmp_path):
    run(capsys, *pair, "--drop", "text", "size", "--out", tmp_path / "a")
    run(capsys, *pair, "--columns", "x", "--standardize", "per-domain", "--balanced", "--out", tmp_path / "b")
    one, two = (Model.load(tmp_path / name / "model") for name in "ab")
    assert [*one.inputs["numbers"]] == [*two.inputs["numbers"]] == ["x"]
    assert one.inputs["words"] == {}
    assert [*two.inputs["newest"]] == ["x"]
    assert two.task.metric == "balanced accuracy"
    assert any(isinstance(layer, torch.nn.BatchNorm1d) for layer in one.modules())


def test_the_command_line_learns_from_texts(capsys, pair, tmp_path):
    run(capsys, *pair, "--text", "text", "--out", tmp_path / "a")
    model = Model.load(tmp_path / "a" / "model")
    assert model.inputs["kind"] == "texts"
    main(["predict", str(tmp_path / "a" / "model"), str(pair[1])])
    assert len(capsys.readouterr().out.splitlines()) == ROWS + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "txet"], "no such column; did you mean 'text'?"),
        (["--text", "text", "--drop", "x"], "--text text: no other column is read; leave out --drop"),
        (["--text", "text", "--model", "mlp"], "--model mlp: for images and numbers, not for texts"),
        (["--drop", "xx", "--seeds", "1"], "drop names 'xx', not a column"),
    ],
)
def test_options_of_tables_that_cannot_be_used_are_refused(capsys, pair, arguments, message):
    with pytest.raises(SystemExit):
        main(["run", *map(str, pair), *arguments])
    assert message in capsys.readouterr().err


def test_options_of_tables_are_for_tables(capsys, tmp_path):
    for arguments in (["digits", "--text", "a"], ["--source", tmp_path, "--target", tmp_path, "--drop", "a"]):
        with pytest.raises(SystemExit):
            main(["run", *map(str, arguments)])
        assert "--text: for your own data" in (error := capsys.readouterr().err) or "--drop: for tables" in error


def test_a_class_that_only_the_target_has_stops_no_run(capsys, pair, tmp_path):
    target = table(tmp_path / "more.csv", {"x": lambda i: i % 7, "size": lambda i: i % 5, "text": lambda i: "bad day",
                                           "label": lambda i: "abc"[i % 3]})  # fmt: skip
    with pytest.warns(UserWarning, match=r"more: 20 rows have a label that is none of the classes of old \(c\)"):
        run(capsys, *pair[:2], "--target", target)
    run(capsys, "--domains", pair[1], target)


def test_a_warning_of_a_command_is_one_line():
    with _short_warnings("run"):
        line = warnings.formatwarning(UserWarning("t.csv: left\nout \x1b'id'"), UserWarning, "tables.py", 1)
        other = warnings.formatwarning(DeprecationWarning("old"), DeprecationWarning, "torch.py", 1)
    assert line == "tladapt run: t.csv: left out \\x1b'id'\n"
    assert "torch.py" in other
