"""Pictures of a report: the scores of every domain after every stage, as a map and as curves."""

import math
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from tladapt.display.harmless import harmless
from tladapt.display.table import shown, titled
from tladapt.display.words import stage_names
from tladapt.report import Report

FRAME = "tab:orange"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")  # for the colour-blind, too
STYLES = ("-", "--", ":", "-.")
MANY = len(COLOURS) * len(STYLES)  # domains; of more, only the mean has a colour
TICKS = 10  # labels on the axis of stages
PER_COLUMN = 14  # of the legend
LETTERS = 11  # that fit in one inch of a title


def heat_map(report: Report) -> Figure:
    """Scores, stages x domains; a frame marks the stage in which a domain came first."""
    rows, columns = len(report.scores), len(report.domains)
    cell, size = (0.9, 9) if columns <= 8 else (0.55, 7)
    figure = Figure(figsize=(max(4.5, 2.2 + cell * columns), 1.9 + 0.45 * rows), layout="constrained")
    axes = figure.subplots()
    shades = _shades(report)
    axes.imshow(shades, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for i, row in enumerate(report.scores):
        for j, value in enumerate(row):
            text = "no labels" if value is None else shown(value, share=report.share)
            colour = "white" if shades[i][j] > 0.6 else "black"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
            if i == report.first[j] + 1:
                axes.add_patch(_frame(j, i))
    _label(axes, "x", [*map(_short, report.domains)], tilted=_tilted(report.domains, cell))
    axes.set_yticks(range(rows), [*map(_short, stage_names(report))])
    axes.set_ylabel("after")
    _entitle(figure, report)
    first = Patch(fill=False, edgecolor=FRAME, linewidth=2, label="first trained on")
    figure.legend(handles=[first], loc="outside lower left", frameon=False, fontsize=8)
    return figure


def _tilted(names: list[str], cell: float) -> bool:
    """Whether names side by side, in cells of so many inches, would touch."""
    return max(len(_short(name)) for name in names) > LETTERS * cell


def _label(axes: Axes, axis: str, names: list[str], *, tilted: bool, places: list[int] | None = None) -> None:
    """Names at the ticks of an axis, at an angle where there is too little room."""
    angle = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if tilted else {}
    set_ticks = axes.set_xticks if axis == "x" else axes.set_yticks
    set_ticks(range(len(names)) if places is None else places, names, **angle)


def _entitle(figure: Figure, report: Report) -> None:
    """What is drawn and which run it is of, in lines that fit."""
    width = int(LETTERS * figure.get_figwidth())
    run = ", ".join(_short(part, 80) for part in (report.scenario, report.method) if part)
    lines = [_title(report), *textwrap.wrap(run, width)[:3]]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=9)


def _title(report: Report) -> str:
    """What is drawn, and its direction where that is not the usual one."""
    return titled(_short(report.metric), report.share) + ("" if report.higher_is_better else ", lower is better")


def _shades(report: Report) -> list[list[float]]:
    """Every score from 0 to 1, the better the darker: a share as it is, else from the worst to the best."""
    if report.share:
        worst, best = (0.0, 1.0) if report.higher_is_better else (1.0, 0.0)
    else:
        known = sorted(v for row in report.scores for v in row if v is not None and math.isfinite(v)) or [0.0]
        worst, best = (known[0], known[-1]) if report.higher_is_better else (known[-1], known[0])
    return [[math.nan if v is None else (v - worst) / (best - worst or 1.0) for v in row] for row in report.scores]


def _short(name: str, most: int = 24) -> str:
    """A name that leaves room for the picture, on one line; never read as mathematics."""
    name = harmless(name[: most + 1])  # no more of a long one, for that could take minutes
    return (name if len(name) <= most else f"{name[: most - 1]}…").replace("$", r"\$")


def _frame(x: int, y: int) -> Rectangle:
    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fill=False, edgecolor=FRAME, linewidth=2)


def forgetting_curves(report: Report) -> Figure:
    """The score of every domain from stage to stage; a dot marks where it came first, a band the spread over seeds."""
    entries = len(report.domains) if len(report.domains) <= MANY else 2
    legend_columns = math.ceil(entries / PER_COLUMN)
    size = (6 + 1.8 * legend_columns, max(3.8, 1.6 + 0.2 * min(entries, PER_COLUMN)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    curves = _curves(report)
    handles = _draw_each(axes, report, curves) if len(report.domains) <= MANY else _draw_mean(axes, curves)
    _label_stages(axes, stage_names(report))
    axes.set_ylabel(_title(report))
    if report.share:
        axes.set_ylim(-2, 102)
    axes.grid(alpha=0.3)
    axes.legend(
        handles.values(),
        handles,  # given, as matplotlib leaves out names that begin with "_"
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        ncols=legend_columns,
        frameon=False,
        fontsize=8,
        handlelength=3,
    )
    axes.spines[["top", "right"]].set_visible(False)
    _entitle(figure, report)
    return figure


def _curves(report: Report) -> np.ndarray:
    """The scores as they are drawn, one row per stage; NaN where there is none."""
    unit = 100 if report.share else 1
    return unit * np.array([[math.nan if v is None else v for v in row] for row in report.scores], dtype=float)


def _draw_each(axes: Axes, report: Report, curves: np.ndarray) -> dict[str, Line2D]:
    """A curve per domain; returns the entries of the legend."""
    entries: dict[str, Line2D] = {}
    spread = report.spread.get("scores")
    unit = 100 if report.share else 1
    for j, name in enumerate(report.domains):
        colour, style = COLOURS[j % len(COLOURS)], STYLES[j // len(COLOURS)]
        curve = curves[:, j]
        label = _short(name) if np.isfinite(curve).any() else f"{_short(name)} (no labels)"
        (line,) = axes.plot(range(len(curve)), curve, style, color=colour, label=label)
        entries[label if label not in entries else f"{label} ({j + 1})"] = line
        if spread is not None:
            half = unit * np.array([row[j] or 0.0 for row in spread], dtype=float)
            axes.fill_between(range(len(curve)), curve - half, curve + half, color=colour, alpha=0.15, linewidth=0)
        if (start := report.first[j] + 1) < len(curve):
            axes.plot(start, curve[start], "o", color=colour)
    return entries


def _draw_mean(axes: Axes, curves: np.ndarray) -> dict[str, Line2D]:
    """Many curves: all in grey, and their mean."""
    lines = axes.plot(curves, color="0.8", linewidth=0.6)
    known = np.isfinite(curves)
    total = np.where(known, curves, 0.0).sum(1)
    (mean,) = axes.plot(total / np.maximum(known.sum(1), 1), color=COLOURS[0], linewidth=2, label="mean")
    return {"each domain": lines[0], "mean": mean}


def _label_stages(axes: Axes, names: list[str]) -> None:
    """The stages, or every second, third ... of many."""
    gap = math.ceil(len(names) / TICKS)
    places = list(range(0, len(names), gap))
    chosen = [_short(names[place]) for place in places]
    _label(axes, "x", chosen, tilted=_tilted(chosen, 5 / len(chosen)), places=places)
    axes.set_xlabel("after")
