"""What is printed is whole: at 80 columns, in files, and in encodings that lack the symbols."""

import io
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tladapt import Report
from tladapt.cli import main
from tladapt.comparison import Comparison
from tladapt.display.console import Page, lossless, printable

ENCODINGS = ["utf-8", "cp1252", "cp437", "latin-1", "ascii"]


def report(stages: int, spread: bool = False, names: str = "task {}") -> Report:
    """A report whose scores are all different."""
    domains = [names.format(i) for i in range(stages)]
    scores = [[(i * stages + j) / (stages * (stages + 1)) for j in range(stages)] for i in range(stages + 1)]
    spreads = {"scores": [[0.0123] * stages] * (stages + 1)} if spread else {}
    return Report(
        domains=domains, stages=domains, first=list(range(stages)), scores=scores, method="EWC(weight=0.1)",  # type: ignore[arg-type]
        scenario="made", spread=spreads, seeds=[0, 1] if spread else [],
    )  # fmt: skip


COMPARISON = Comparison(
    scenario="made", reference="source-only", domains=["web", "phone"], new=["phone"], seeds=2,
    scores={
        "source-only": [[0.9, 0.5], [0.9, 0.6]],
        "DANN(weight=0.1, hidden=256) + Replay(capacity=200) + EWC()": [[0.2, 0.7], [0.9, 0.1]],
        "MMD()": [[0.9, 0.9], None],
    },
    failed={"MMD(), seed 1": "MMD: the loss became nan"},
)  # fmt: skip


def shown(thing: object, width: int = 80, encoding: str = "utf-8") -> str:
    """What a stream of this encoding gets, strictly."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    Console(file=stream, width=width).print(thing)
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("stages", [1, 3, 20])
def test_a_report_is_whole_and_within_its_width(stages, spread, width, encoding):
    whole = report(stages, spread)
    text = shown(whole, width, encoding)
    sign = "±" if encoding != "ascii" else "+/-"
    for score in (score for row in whole.scores for score in row):
        assert f"{100 * (score or 0):.1f}{f' {sign} 1.2' if spread else ''}" in text
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_comparison_is_whole_and_within_its_width(width, encoding):
    text = shown(COMPARISON, width, encoding)
    for _, *cells in COMPARISON.table:
        assert all(printable(cell, encoding) in text for cell in cells)
    words = " ".join(re.sub(r"[│|]", " ", text).split())
    assert all(part in words for part in ("Replay(capacity=200)", "EWC()", "source-only", "the loss became nan"))
    assert max(map(len, text.splitlines())) <= width


@given(st.text(max_size=30), st.sampled_from(ENCODINGS))
def test_any_name_can_be_shown_in_any_encoding_and_keeps_the_table_in_line(name, encoding):
    whole = replace(report(1), domains=[name], stages=[name])
    lines = shown(whole, 80, encoding).splitlines()
    frame = "│" if encoding == "utf-8" else "|"
    assert len({line.rindex(frame) for line in lines if line.startswith(frame)}) <= 2 or encoding == "utf-8"
    printable(name, encoding).encode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("thing", [report(3, spread=True), COMPARISON], ids=["report", "comparison"])
def test_str_can_be_printed_to_standard_output(thing, encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    sys.stdout.write(str(thing))
    assert max(map(len, str(thing).splitlines())) <= 80


def test_str_is_the_table():
    assert "source-only" in str(COMPARISON)
    assert "scores={" not in str(COMPARISON)
    assert str(COMPARISON).count("┏") == 2  # one table of scores, one of differences


@pytest.mark.parametrize("thing", [report(3), COMPARISON], ids=["report", "comparison"])
def test_a_notebook_shows_a_table(thing):
    html = thing._repr_html_()
    assert html.count("<table>") >= 1
    assert html.count("<tr>") >= 3


def test_html_of_hostile_names_is_text():
    html = replace(report(1), domains=["<script>x</script>"], method="<b>", notes=["<i>\x1b[2J"])._repr_html_()
    assert not re.search(r"<(script|b|i)>", html)
    assert "\x1b" not in html


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize(
    "arguments", ["compare digits --steps 1 --seeds 1 --jobs 1", "methods", "scenarios", "methods EWC"]
)
def test_a_command_ends_well_whatever_its_output_can_encode(arguments, encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    main(arguments.split())
    assert len(stream.buffer.getvalue()) > 100  # type: ignore[attr-defined]
    assert stream.errors == "strict"


def test_markdown_of_a_comparison_goes_to_an_ascii_stream(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    main(["compare", "digits", "--steps", "1", "--seeds", "1", "--jobs", "1", "--markdown"])
    assert b"| change old | change new |" in stream.buffer.getvalue()  # type: ignore[attr-defined]


def test_lossless_leaves_other_streams_alone(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with lossless():
        sys.stdout.write("猫")
    assert stream.getvalue() == "猫"


def test_a_whole_process_prints_its_report_in_ascii():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code = "from tests.test_printing import report; print(report(3, spread=True))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    assert b"+/- 1.2" in ran.stdout


def test_files_are_utf_8_whatever_the_output(tmp_path):
    COMPARISON.save(tmp_path)
    assert "▼" in (tmp_path / "comparison.md").read_text(encoding="utf-8")


def test_stages_of_one_name_are_told_apart():
    again = replace(report(2), stages=["task 0", "task 0"], first=[0, 2])
    assert "task 0 (stage 1)" in str(again)
    assert "task 0 (stage 2)" in str(again)
    assert re.search(r"^not learned +83.3 +never trained on: task 1", str(again), re.MULTILINE)


def test_a_page_wraps_names_and_never_numbers():
    (grid,) = Page(30).grids(["", "a very long header indeed"], [["a row with a long name", "100.0 ± 10.0"]])
    assert "100.0 ± 10.0" in shown(grid, 30)


def test_methods_are_documented_one_by_one(capsys):
    main(["methods", "DANN"])
    text = capsys.readouterr().out
    assert text.startswith("DANN(weight=")
    assert "Parameters" in text
    with pytest.raises(SystemExit):
        main(["methods", "DAN"])
    assert "did you mean DANN" in capsys.readouterr().err


def test_reports_are_looked_for_below_a_folder(tmp_path, capsys):
    for name in ("b", "a/deep"):
        replace(report(1), scenario=name).save(tmp_path / name)
    main(["report", str(tmp_path)])
    text = capsys.readouterr().out
    assert text.index("a/deep · EWC") < text.index("b · EWC")


def test_a_finished_comparison_is_shown_again(tmp_path, capsys):
    COMPARISON.save(tmp_path / "table")
    main(["report", str(tmp_path)])
    text = capsys.readouterr().out
    assert "| `source-only` | 90.0" in text
    assert "the loss became nan" in text


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (2**20 + 1)], ids=["no text", "too large"])
def test_a_comparison_that_cannot_be_read_is_refused_in_one_line(content, tmp_path, capsys):
    (tmp_path / "comparison.md").write_bytes(content)
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path)])
    assert capsys.readouterr().err.count("\n") == 1
