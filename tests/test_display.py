"""Pictures and progress bars."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tladapt import DANN, Domain, Replay, Report, adaptation, fit
from tladapt.backbones import mlp
from tladapt.display.plots import forgetting_curves, heat_map
from tladapt.display.table import percent

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
    assert [label.get_text() for label in axes.get_yticklabels()] == ["nothing yet", *REPORT.stages]


def test_the_heat_map_frames_where_each_domain_came_first():
    (axes,) = heat_map(REPORT).axes
    centres = [patch.get_center().tolist() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [[round(x), round(y)] for x, y in centres] == [[0, 1], [1, 2], [2, 3]]


def test_the_curves_follow_the_scores_of_every_domain():
    (axes,) = forgetting_curves(REPORT).axes
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
    assert lines["web"] == pytest.approx([10, 90, 70, 60])
    assert lines["phone"] == pytest.approx([20, 25, 80, 85])
    assert np.isnan(lines["wild"]).all()


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


def run(name: str = "web", **options) -> None:
    torch.manual_seed(0)
    y = torch.arange(40) % 2
    source, target = (Domain(each, (torch.randn(40, 4) + y[:, None], y)) for each in (name, "phone"))
    fit(mlp(4, (8,), classes=2), adaptation(source, target), DANN() + Replay(9), steps=3, **options)


@pytest.mark.parametrize("options", [{}, {"progress": False}, {"progress": None}], ids=str)
def test_nothing_is_printed_where_there_is_no_terminal(options, capsys):
    run(**options)
    assert capsys.readouterr() == ("", "")


def test_the_bars_name_stage_steps_and_loss_terms(capsys):
    run(progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("web", "web + phone", "3/3", "task", "DANN", "Replay"):
        assert part in err


def test_the_bars_take_names_in_brackets_as_they_are(capsys):
    run("web [/old]", progress=True)
    assert "web [/old]" in capsys.readouterr().err
