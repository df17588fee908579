"""What a report says in words: the meaning of its figures, what was trained, warnings and notes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tladapt.display.console import cut
from tladapt.report import Report

LEVELS = ("old", "new", "unseen", "average")  # figures that are scores; the others are gains
WARNING = "bold yellow"
NAMED = 3  # domains that are listed by name
ROUND = 0.0005  # of a share: less is shown as 0.0 percent
INCREMENTS = {
    "domain": "all classes may be predicted (domain-incremental)",
    "class": "the classes seen so far may be predicted (class-incremental)",
    "task": "the domain is known when predicting (task-incremental)",
}
KEEPS = {
    "nothing": "no data is kept after a stage",
    "statistics": "statistics of the data are kept after a stage",
    "outputs": "model outputs are kept after a stage",
    "samples": "samples are kept after a stage",
}


@dataclass(frozen=True)
class Line:
    """A line below the table, and how it is highlighted on a terminal."""

    text: str
    style: str = ""


def stage_names(report: Report) -> list[str]:
    """The label of every row; stages of one name are numbered."""
    several = {name for name, count in Counter(report.stages).items() if count > 1}
    names = [
        f"{name} (stage {number})" if name in several else name for number, name in enumerate(report.stages, start=1)
    ]
    return ["before training", *names]


def some(names: Sequence[str]) -> str:
    """The names, or the first and the last of many."""
    short = [cut(name) for name in names]
    return ", ".join(short) if len(short) <= NAMED else f"{short[0]} ... {short[-1]}"


def figure_words(report: Report) -> list[tuple[str, str, str]]:
    """Key, name and meaning of the figures, in the order in which they are shown."""
    rows = [
        ("old", "old domains", f"learned before the last stage: {some(report.old_domains)}"),
        ("new", "new domains", f"learned first in the last stage: {some(report.new_domains)}"),
        ("unseen", "not learned", f"never trained on: {some(report.unseen_domains)}"),
        ("average", f"average {report.metric}", _average(report)),
        ("transfer", "transfer", _transfer(report)),
        ("against_source_only", "vs source-only", _against(report)),
        ("forgetting", "forgetting", _forgetting(report)),
        ("forward_transfer", "forward transfer", "gained on domains before they were learned"),
    ]
    hidden = {"transfer", "forward_transfer"} if report.increment == "class" else set()
    return [row for row in rows if row[0] not in hidden]


def _average(report: Report) -> str:
    scored = "all" if None not in report.scores[-1] else "the scored"
    return f"mean over {scored} domains after the last stage"


def _points(report: Report) -> str:
    return "points" if report.share else report.metric


def _transfer(report: Report) -> str:
    value = report.transfer or 0.0
    if _nothing(report, value):
        return "the new domains neither gained nor lost in the last stage"
    if value > 0:
        return f"{_points(report)} gained on the new domains in the last stage"
    return f"{_points(report)} lost on the new domains in the last stage"


def _against(report: Report) -> str:
    """What the difference to source-only means, and how sure it is."""
    value, interval = report.against_source_only or 0.0, report.interval
    unit = 100 if report.share else 1
    bounds = "" if interval is None else f" (95 %: {unit * interval[0]:+.3g} to {unit * interval[1]:+.3g})"
    if report.negative_transfer:
        return f"worse than without adaptation{bounds}"
    if interval is not None and interval[0] <= 0 <= interval[1]:
        return f"no clear difference{bounds}"
    side = "gained" if value > 0 else "lost"
    return f"{_points(report)} {side} by adaptation{bounds}"


def _forgetting(report: Report) -> str:
    value = report.forgetting or 0.0
    if _nothing(report, value):
        return "nothing was lost on the old domains"
    if value > 0:
        return f"{_points(report)} lost on the old domains since learned"
    return "below 0: the old domains improved since learned"


def _nothing(report: Report, value: float) -> bool:
    return abs(value) < ROUND if report.share else value == 0


def lines_of(report: Report) -> list[Line]:
    """All lines below the figures: cautions, what was trained, notes and a summary."""
    lines = [Line(text) for text in _cautions(report)]
    lines += [Line(text, "dim") for text in trained(report)]
    lines += [Line(f"Note: {note}") for note in report.notes]
    lines += [Line(f"Warning: {warning}", WARNING) for warning in _warnings(report)]
    lines += [Line(sentence, "bold") for sentence in sentences(report)]
    return lines


def _warnings(report: Report) -> list[str]:
    if not report.negative_transfer:
        return report.warnings
    worse = "the new domains score worse than with source-only, by more than noise"
    return [f"negative transfer: {worse}; leave the adaptation out, or give it less weight", *report.warnings]


def _cautions(report: Report) -> list[str]:
    """What is needed to read the figures right."""
    lines = []
    if not report.higher_is_better:
        lines.append(f"{report.metric}: lower is better; gains are positive all the same")
    unscored = [name for name, score in zip(report.domains, report.scores[-1], strict=True) if score is None]
    lines += [f"{name}: no labels to score" for name in unscored]
    if report.increment == "class" and report.transfer is not None:
        lines.append("transfer: not shown, as classes of a later stage cannot be predicted before it")
    return lines


def trained(report: Report) -> list[str]:
    """Which network was trained, on what, for how long; and the protocol."""
    about = report.training
    lines = []
    if about:
        network = f"{about['network']}, {about['parameters']:,} parameters, {about['classes']} classes"
        lines.append(f"Trained: {network}; {_rows(about['data'])}")
        lines.append(f"{_length(about)}; {_seconds(report.seconds)}")
    batchnorm = about.get("batchnorm_layers", 1) > 0
    protocol = [INCREMENTS.get(report.increment, f"{report.increment}-incremental")]
    protocol.append(KEEPS.get(report.remembers, f"keeps {report.remembers}"))
    protocol += [f"BatchNorm {report.batchnorm}"] if batchnorm else []
    protocol += [f"mean ± standard deviation over {len(report.seeds)} seeds"] if report.seeds else []
    lines.append("; ".join(protocol))
    return [line[0].upper() + line[1:] for line in lines]


def _rows(data: Sequence[dict[str, Any]]) -> str:
    """The rows to train on, by domain."""
    parts = []
    used = [domain for domain in data if domain["labelled"] or domain["unlabelled"]]
    for domain in used[:NAMED]:
        kinds = [f"{domain[kind]} {kind}" for kind in ("labelled", "unlabelled") if domain[kind]]
        parts.append(f"{cut(domain['domain'])} {' + '.join(kinds)} rows")
    more = len(used) - NAMED
    return ", ".join(parts) + (f" and {more} more domains" if more > 0 else "")


def _length(about: dict[str, Any]) -> str:
    """Steps, batch size and rate."""
    steps = about["steps"]
    each = f"{steps[0]} steps in each of {len(steps)} stages" if len(set(steps)) == 1 and len(steps) > 1 else ""
    steps = each or " + ".join(map(str, steps)) + " steps"
    return f"{steps}, batch size {about['batch_size']}, learning rate {about['lr']:g} ({about['optimizer']})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def sentences(report: Report) -> list[str]:
    """A plain summary, where the score is a share of rows that are classified correctly."""
    if report.metric != "accuracy" or not report.share or not report.higher_is_better:
        return []
    return [text for text in (_new_sentence(report), _old_sentence(report)) if text]


def _new_sentence(report: Report) -> str:
    if report.new is None or len(report.stages) < 2:
        return ""
    text = f"{some(report.new_domains)}: {_of_100(report.new)} of 100 are classified correctly"
    if report.increment == "class" or report.transfer is None:
        return f"{text}."
    return f"{text} ({_of_100(report.new - report.transfer)} before the last stage)."


def _old_sentence(report: Report) -> str:
    if report.old is None or report.forgetting is None:
        return ""
    text = f"{some(report.old_domains)}: {_of_100(report.old)} of 100 are classified correctly"
    if abs(report.forgetting) < ROUND:
        return f"{text}; nothing was forgotten."
    if report.forgetting < 0:
        return f"{text}; nothing was forgotten ({-100 * report.forgetting:.1f} better than when first learned)."
    return f"{text}, {100 * report.forgetting:.1f} fewer than when first learned."


def _of_100(share: float) -> str:
    """The share as a number out of 100, which is 0 or 100 only if it is exactly that.

    >>> _of_100(0.937), _of_100(0.999), _of_100(1.0)
    ('94', 'more than 99', '100')
    """
    rounded = round(100 * share)
    if rounded == 100 and share < 1:
        return "more than 99"
    if rounded == 0 and share > 0:
        return "fewer than 1"
    return str(rounded)
