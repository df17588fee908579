"""Tables, pictures and progress bars."""

import io
import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from tladapt import DANN, Domain, Replay, Report, adaptation, fit
from tladapt.backbones import mlp
from tladapt.display.plots import forgetting_curves, heat_map
from tladapt.display.progress import Lines
from tladapt.display.table import percent, shown, unit

REPORT = Report(
    domains=["web", "phone", "wild"],
    stages=["web", "phone", "web + wild"],
    first=[0, 1, 2],
    scores=[[0.1, 0.2, None], [0.9, 0.25, None], [0.7, 0.8, None], [0.6, 0.85, None]],
    method="Method()",
)


@pytest.mark.parametrize("plot", [heat_map, forgetting_curves])
def test_a_picture_can_be_saved(plot, tmp_path):
    figure = plot(REPORT)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_heat_map_has_one_text_per_cell():
    (axes,) = heat_map(REPORT).axes
    assert [text.get_text() for text in axes.texts] == [
        "10.0", "20.0", "no labels", "90.0", "25.0", "no labels", "70.0", "80.0", "no labels", "60.0", "85.0",
        "no labels",
    ]  # fmt: skip


def test_the_heat_map_names_stages_and_domains():
    (axes,) = heat_map(REPORT).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == REPORT.domains
    assert [label.get_text() for label in axes.get_yticklabels()] == ["before training", *REPORT.stages]


def test_the_heat_map_frames_where_each_domain_came_first():
    (axes,) = heat_map(REPORT).axes
    centres = [patch.get_center().tolist() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [[round(x), round(y)] for x, y in centres] == [[0, 1], [1, 2], [2, 3]]


def test_the_curves_follow_the_scores_of_every_domain():
    (axes,) = forgetting_curves(REPORT).axes
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
    assert lines["web"] == pytest.approx([10, 90, 70, 60])
    assert lines["phone"] == pytest.approx([20, 25, 80, 85])
    assert np.isnan(lines["wild (no labels)"]).all()


def many(stages: int, names: str = "task {}") -> Report:
    domains = [names.format(i) for i in range(stages)]
    scores: list[list[float | None]] = [[(i + j) / (2 * stages) for j in range(stages)] for i in range(stages + 1)]
    return Report(
        domains=domains, stages=domains, first=list(range(stages)), scores=scores, method="EWC(weight=0.1)",
        scenario="a scenario", spread={"scores": [[0.01] * stages] * (stages + 1)},
    )  # fmt: skip


def boxes(figure: Figure, texts: list[Text]) -> list[Bbox]:
    FigureCanvasAgg(figure).draw()
    return [text.get_window_extent() for text in texts if text.get_text()]


@pytest.mark.parametrize("plot", [heat_map, forgetting_curves])
@pytest.mark.parametrize("names", ["task {}", "limit from {0}00 000 to {0}50 000"])
@pytest.mark.parametrize("stages", [1, 5, 20])
def test_pictures_of_many_stages_and_long_names_stay_within_and_do_not_overlap(plot, names, stages):
    figure = plot(many(stages, names))  # a layout that cannot be made is a warning, which is an error here
    (axes,) = figure.axes
    labels = [label for label in axes.get_xticklabels() if label.get_text()]
    extents = boxes(figure, labels)
    straight = [label.get_rotation() == 0 for label in labels]
    if all(straight):
        assert not any(a.overlaps(b) for a, b in pairwise(extents))
    else:  # at an angle, their right ends tell them apart
        assert all(b.x1 - a.x1 >= 8 for a, b in pairwise(extents))
    page = figure.bbox
    inside = [*extents, *boxes(figure, [figure._suptitle, axes.xaxis.label, axes.yaxis.label])]  # type: ignore
    if (legend := axes.get_legend()) is not None:
        inside.append(legend.get_window_extent())
        assert legend.get_window_extent().x0 >= axes.get_window_extent().x1 - 1  # not on the curves
    assert all(b.x0 >= -1 and b.y0 >= -1 and b.x1 <= page.x1 + 1 and b.y1 <= page.y1 + 1 for b in inside)
    if plot is forgetting_curves:
        assert axes.get_window_extent().width > 250


def test_curves_are_told_apart_by_colour_and_style():
    (axes,) = forgetting_curves(many(20)).axes
    lines = [line for line in axes.lines if line.get_label() in many(20).domains]
    assert len({(str(line.get_color()), line.get_linestyle()) for line in lines}) == 20


def test_of_very_many_domains_the_mean_is_drawn():
    (axes,) = forgetting_curves(many(40)).axes
    mean = next(line for line in axes.lines if line.get_label() == "mean")
    scores = np.array(many(40).scores, dtype=float)
    assert np.allclose(np.asarray(mean.get_ydata(), dtype=float), 100 * scores.mean(1))


def test_a_score_of_zero_is_drawn_as_zero():
    nothing = Report(domains=["a"], stages=["a"], first=[0], scores=[[0.0], [0.0]], method="Method()")
    (axes,) = forgetting_curves(nothing).axes
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [0, 0]
    assert [text.get_text() for text in heat_map(nothing).axes[0].texts] == ["0.0", "0.0"]


def test_a_share_is_shown_in_percent():
    assert (percent(0.5), percent(0.5, signed=True), percent(-0.5), percent(0.5, 0.01)) == (
        "50.0", "+50.0", "-50.0", "50.0 ± 1.0",
    )  # fmt: skip
    assert percent(None, 0.1) == "-"


ERRORS = Report(
    domains=["web", "phone"], stages=["web", "phone"], first=[0, 1], method="Method()",
    scores=[[2000.0, 90.0], [1.25, 45.0], [2.5, 11.26]], metric="RMSE", higher_is_better=False, share=False,
    spread={"new": 0.5, "transfer": 0.25, "scores": [[None, None], [0.5, 2.0], [None, 0.5]]},
)  # fmt: skip


def test_what_is_no_share_is_shown_with_four_digits():
    values = [0.0, 0.012344, 1.25, 45.0, 999.94, 123456.7, math.inf]
    assert [shown(v, share=False) for v in values] == [
        "0.000", "0.01234", "1.250", "45.00", "999.9", "123457", "inf"
    ]  # fmt: skip
    assert shown(45.0, 2.0, share=False) == "45.00 ± 2.00"
    assert shown(-0.3, share=False, signed=True, like=45.0) == "-0.30"
    assert shown(None, share=False) == "-"
    assert shown(0.5, 0.01, share=True, signed=True, like=3.0) == percent(0.5, 0.01, signed=True)


def test_the_unit_is_that_of_the_last_digit():
    assert [unit(v, share=False) for v in (-45.0, 0.02, 99999.0)] == pytest.approx([0.01, 0.00001, 1.0])
    assert unit(0.9, share=True) == unit(None, share=True) == 0.001


def test_the_table_of_errors_says_once_that_lower_is_better():
    text = str(ERRORS)
    assert "RMSE after" in text
    assert "%" not in text
    assert text.count("lower is better") == 1
    assert "│ web             │ 1.250 ± 0.500 │ 45.00 ± 2.00 │" in text
    for name, value in {"old domains": "2.500", "new domains": "11.26 ± 0.50", "transfer": "+33.74 ± 0.25"}.items():
        assert re.search(rf"^{name} +{re.escape(value)} ", text, re.MULTILINE)
    assert re.search(r"^forgetting +\+1.25 +RMSE lost", text, re.MULTILINE)
    assert "NEGATIVE TRANSFER" not in text
    assert "lower is better" not in str(REPORT)


def test_pictures_of_errors_are_darkest_where_least_and_have_no_percent():
    (axes,) = heat_map(ERRORS).axes
    assert [text.get_text() for text in axes.texts] == ["2000", "90.00", "1.250", "45.00", "2.500", "11.26"]
    shades = np.asarray(axes.images[0].get_array())
    assert shades.argmax() == 2  # 1.25
    assert (shades.min(), shades.max()) == (0, 1)
    assert heat_map(ERRORS).get_suptitle().splitlines()[0] == "RMSE, lower is better"
    (curves,) = forgetting_curves(ERRORS).axes
    assert np.asarray(curves.lines[0].get_ydata()).tolist() == [2000.0, 1.25, 2.5]
    assert curves.get_ylim()[1] > 2000
    assert curves.get_ylabel() == "RMSE, lower is better"


def test_an_infinite_error_can_be_drawn(tmp_path):
    endless = replace(ERRORS, scores=[[math.inf, None], [2.0, None], [2.0, None]])
    heat_map(endless).savefig(tmp_path / "map.png")
    forgetting_curves(endless).savefig(tmp_path / "curves.png")


def run(name: str = "web", **options) -> None:
    torch.manual_seed(0)
    y = torch.arange(40) % 2
    source, target = (Domain(each, (torch.randn(40, 4) + y[:, None], y)) for each in (name, "phone"))
    fit(mlp(4, (8,), classes=2), adaptation(source, target), DANN() + Replay(9), steps=3, **options)


def test_nothing_is_printed_without_progress(capsys):
    run(progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{}, {"progress": None}, {"progress": True}], ids=str)
def test_where_there_is_no_terminal_a_line_ends_every_stage(options, capsys):
    run(**options)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["web 3/3", "web + phone 3/3"]
    assert all(re.search(r"task \d\.\d{3}  DANN \d\.\d{3}  Replay .* \(0:0\d\)$", line) for line in lines)


def test_lines_tell_the_way_at_most_ten_times(monkeypatch):
    clock = iter(range(0, 10_000, 2))
    monkeypatch.setattr("tladapt.display.progress._now", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream, "digits, seed 3")
    number = lines.add_task("web", total=200)
    for done in range(1, 201):
        lines.update(number, completed=done, losses=f"task {done}")
    written = stream.getvalue().splitlines()
    assert len(written) == 10
    assert written[0].startswith("digits, seed 3: web 20/200: task 20 (")
    assert "about" in written[0]
    assert written[-1].startswith("digits, seed 3: web 200/200: task 200 (")
    assert "left" not in written[-1]


def test_a_stage_that_ends_early_says_so():
    stream = io.StringIO()
    lines = Lines(stream)
    number = lines.add_task("web", total=200)
    lines.update(number, completed=7)
    lines.end(number)
    lines.end(number)
    assert stream.getvalue() == "web 7/200 (0:00, about 0:00 left)\n"


def test_the_lines_name_stage_steps_and_loss_terms(capsys):
    run(progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("web", "web + phone", "3/3", "task", "DANN", "Replay"):
        assert part in err


def test_the_bars_take_names_in_brackets_as_they_are(capsys):
    run("web [/old]", progress=True)
    assert "web [/old]" in capsys.readouterr().err
