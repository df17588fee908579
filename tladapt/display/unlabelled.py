"""What is known about a domain without labels, as lines of text."""

from typing import Any

from tladapt.report import Report

CLASSES = 5  # that are listed, the most frequent first
LISTED = 3  # of the least certain rows
NAME = 40  # characters of the name of a row, the last ones


def unlabelled_lines(report: Report) -> list[str]:
    """Return a block of lines for every domain that has no score but was adapted to."""
    unscored = [name for name, score in zip(report.domains, report.scores[-1], strict=True) if score is None]
    blocks = [_block(name, report.unlabelled[name]) for name in unscored if name in report.unlabelled]
    return [line for block in blocks for line in block]


def _block(name: str, facts: dict[str, Any]) -> list[str]:
    lines = [f"{name}: {facts.get('rows', 0)} rows without labels; what is known without them:"]
    if facts.get("proportions") and len(facts.get("classes", ())) == len(facts["proportions"]):
        lines.append(f"  predicted  {_proportions(facts)}")
    if facts.get("confidence") is not None:
        entropy = "" if facts.get("entropy") is None else f", entropy {facts['entropy']:.2f} nats"
        lines.append(f"  certainty  mean probability {_percent(facts['confidence'])}{entropy}")
    if facts.get("distance_after") is not None:
        lines.append(f"  distance   from the labelled domains: {_distances(facts)}")
    if facts.get("least_certain"):
        lines.append(f"  uncertain  {_uncertain(facts['least_certain'])}")
    return lines if len(lines) > 1 else []


def _proportions(facts: dict[str, Any]) -> str:
    pairs = sorted(zip(facts["classes"], facts["proportions"], strict=True), key=lambda pair: -pair[1])
    shown = [f"{_short(name)}: {_percent(share)}" for name, share in pairs[:CLASSES]]
    left = len(pairs) - CLASSES
    return ", ".join(shown) + (f" and {left} other classes" if left > 0 else "")


def _distances(facts: dict[str, Any]) -> str:
    """The distance before and after the last stage of the domain, in standard deviations."""
    after = f"{facts['distance_after']:.2f}"
    if facts.get("distance_before") is None:
        return after
    return f"{facts['distance_before']:.2f} before, {after} after the stage"


def _uncertain(rows: list[dict[str, Any]]) -> str:
    shown = list[str]()
    for row in rows[:LISTED]:
        name = f"row {row['row']}" if row["row"].isdecimal() else _short(row["row"])
        shown.append(f"{name} ({_short(row['prediction'])}: {_percent(row['confidence'])})")
    return ", ".join(shown)


def _short(name: str) -> str:
    """Return the end of a long name: that of a file is there."""
    return name if len(name) <= NAME else f"...{name[3 - NAME :]}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
