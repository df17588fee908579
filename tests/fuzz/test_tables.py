"""CSV files: any one is read, or refused in one line that names it, as a source, as a target and to predict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.mutating import spoilt
from tests.fuzz.watching import LONG, QUICK, command, library
from tladapt.backbones import mlp
from tladapt.cli import main
from tladapt.readers.files import read_domains

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # notes on odd tables are not refusals
GOOD = b"size,colour,label\n1.5,red,yes\n2.5,blue,no\n3.5,red,yes\n0.5,,no\n,blue,yes\n"
CELLS = [
    "", "?", "NA", "nan", "-inf", "1e39", "1e400", "1_000", "0x1f", "١٢", "²", "9" * 30, "9" * 5000, "-0", "1.5",
    "red", "yes", '"', '""', "'",
    '"a\nb"', '"a,b"', " x ", "\t", "\r", "\0", "\ufeff", "\u2028", "\x1b[2J", "=1+1", "@SUM(A1)", "ö", "💥",
    "label", "size", "__class__", "a" * 200,
    "x" * 140_000, "None", "True", "\ud800",
]  # fmt: skip
SHAPES = [
    b",".join([b"a"] * 3000),
    b"a,b\n" + b"1,2\n" * 5000,
    b"a\n" + b'"\n' * 2000,
    b"a,label\n" + b",\n" * 100,
    b"\n" * 5000,
    b'"',
]


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    kind = draw(st.integers(0, 9))
    if kind < 4:
        return draw(spoilt(GOOD))
    if kind == 4:
        return draw(st.one_of(st.sampled_from(SHAPES), st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
    if kind == 5:
        return GOOD.decode().encode(draw(st.sampled_from(["utf-16", "utf-8-sig", "utf-32", "cp500"])))
    cell = st.sampled_from(CELLS)
    width = draw(st.integers(1, 5))
    header = draw(
        st.sampled_from(
            [["size", "colour", "label"], ["size", "label"], ["label"], draw(st.lists(cell, max_size=width))]
        )
    )
    rows = draw(st.lists(st.lists(cell, min_size=len(header), max_size=len(header) + (kind == 6)), max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    return end.join(",".join(row) for row in [header, *rows]).encode(errors="surrogatepass")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "good.csv").write_bytes(GOOD)
    (source, _), reader = _both(folder, "good.csv", "good.csv")
    model = mlp(source.train.shape[0], (4,), classes=source.classes)
    model.inputs = reader.spec()
    model.save(folder / "model")
    main(["predict", str(folder / "model"), str(folder / "good.csv")])  # imports what is imported at first
    return folder


def _both(folder, source: str, target: str):
    return read_domains([folder / source, folder / target], names=[source, "target"])


def check(folder, content: bytes) -> None:
    (folder / "bad.csv").write_bytes(content)
    for way in (("bad.csv", "good.csv"), ("good.csv", "bad.csv")):
        line = library(folder, lambda way=way: _both(folder, *way))
        assert line == "" or "bad.csv" in line or "good.csv" in line or "target" in line, line
        assert "memory" not in line
    line = command(folder, "predict", str(folder / "model"), str(folder / "bad.csv"))
    assert line == "" or "bad.csv" in line, line


def test_what_is_changed_was_whole(folder):
    check(folder, GOOD)
    assert command(folder, "predict", str(folder / "model"), str(folder / "bad.csv")) == ""


@QUICK
@given(content=tables())
def test_any_table_is_read_or_refused(folder, content):
    check(folder, content)


@pytest.mark.slow
@LONG
@given(content=tables())
def test_any_table_is_read_or_refused_long(folder, content):
    check(folder, content)
