"""The pages in `methods/systems/` run with and without their files, and their figures are those of the benchmarks."""

import re
import runpy
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tladapt import Report

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "methods" / "systems").glob("*.py"))
FIGURE = r"\d+\.\d ± \d+\.\d"
pytest.importorskip("gensim")
pytest.importorskip("transformers")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_in_one_line_what_is_missing(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path))
    assert runpy.run_path(str(page))["scenario"] is None
    printed = capsys.readouterr().out.splitlines()
    assert len(set(printed)) == 1
    assert printed[0].startswith(str(tmp_path))
    assert "TLADAPT_DATA" in printed[0]


@pytest.mark.slow
@pytest.mark.usefixtures("tladapt_data")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_and_shows_two_reports_and_a_figure(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = runpy.run_path(str(page))
    printed = capsys.readouterr().out
    assert isinstance(left["report"], Report)
    assert isinstance(left["figure"], Figure)
    assert left["figure"].axes
    assert f"· {left['report'].method}\n" in printed
    assert printed.count(f"{left['report'].scenario} ") >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_figure_on_a_page_is_in_a_row_of_the_benchmarks(page: Path) -> None:
    rows = [row for file in (ROOT / "benchmarks" / "results").glob("*.md") for row in file.read_text().splitlines()]
    told = [line for line in page.read_text().splitlines() if re.search(FIGURE, line)]
    assert told
    for line in told:
        words = [*re.findall(FIGURE, line), *re.findall(r"``(.+?)``", line)]
        assert any(all(word in row for word in words) for row in rows), f"no such row: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_the_command_that_makes_its_figures(page: Path) -> None:
    commands = set(re.findall(r"``python (benchmarks/\w+\.py)(?: ([\w-]+))?", page.read_text()))
    assert commands
    for script, table in commands:
        assert (ROOT / script).exists()
        assert not table or table in (ROOT / script).read_text()
