"""Pictures of a report: who knows what after which stage, and how it was lost."""

import math

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tladapt.display.harmless import harmless
from tladapt.display.table import shown, titled
from tladapt.report import Report


def heat_map(report: Report) -> Figure:
    """Scores, stages x domains; a frame marks the stage in which a domain came first."""
    rows, columns = len(report.scores), len(report.domains)
    figure = Figure(figsize=(1.8 + 0.9 * columns, 1.2 + 0.5 * rows), layout="constrained")
    axes = figure.subplots()
    shades = _shades(report)
    axes.imshow(shades, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for i, row in enumerate(report.scores):
        for j, value in enumerate(row):
            text = "no labels" if value is None else shown(value, share=report.share)
            colour = "white" if shades[i][j] > 0.6 else "black"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=9)
            if i == report.first[j] + 1:
                axes.add_patch(_frame(j, i))
    axes.set_xticks(range(columns), list(map(_short, report.domains)), rotation=20 if columns > 4 else 0)
    axes.set_yticks(range(rows), ["before training", *map(_short, report.stages)])
    axes.set_ylabel("after")
    axes.set_title(_title(report), loc="left", fontsize=10)
    return figure


def _title(report: Report) -> str:
    """What is drawn, and its direction where that is not the usual one."""
    return titled(_short(report.metric), report.share) + ("" if report.higher_is_better else ", lower is better")


def _shades(report: Report) -> list[list[float]]:
    """Every score from 0 to 1, the better the darker: a share as it is, else from the worst to the best there is."""
    if report.share:
        worst, best = (0.0, 1.0) if report.higher_is_better else (1.0, 0.0)
    else:
        known = sorted(v for row in report.scores for v in row if v is not None and math.isfinite(v)) or [0.0]
        worst, best = (known[0], known[-1]) if report.higher_is_better else (known[-1], known[0])
    return [[math.nan if v is None else (v - worst) / (best - worst or 1.0) for v in row] for row in report.scores]


def _short(name: str) -> str:
    """A name that leaves room for the picture, on one line; never read as mathematics."""
    name = harmless(name[:25])  # no more of a long one, for that could take minutes
    return (name if len(name) <= 24 else name[:23] + "…").replace("$", r"\$")


def _frame(x: int, y: int) -> Rectangle:
    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fill=False, edgecolor="tab:orange", linewidth=2)


def forgetting_curves(report: Report) -> Figure:
    """The score of every domain from stage to stage; a dot marks where it came first."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    lines, names = [], list(map(_short, report.domains))
    for j in range(len(names)):
        unit = 100 if report.share else 1
        curve = [math.nan if row[j] is None else unit * (row[j] or 0) for row in report.scores]
        (line,) = axes.plot(range(len(curve)), curve, label=names[j])
        lines.append(line)
        if (start := report.first[j] + 1) < len(curve):
            axes.plot(start, curve[start], "o", color=line.get_color())
    axes.set_xticks(range(len(report.scores)), ["before training", *map(_short, report.stages)], rotation=15)
    axes.set_xlabel("after")
    axes.set_ylabel(_title(report))
    if report.share:
        axes.set_ylim(0, 102)
    axes.grid(alpha=0.3)
    axes.legend(lines, names, frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
