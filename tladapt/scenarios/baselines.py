"""Streams to compare a method with: what is reached without it.

`Scenario.lengths` gives them as many steps as the method beside them.
"""

from tladapt.domains import Domain
from tladapt.streams import Stream, members


def source_only(stream: Stream) -> list[tuple[Domain, ...]]:
    """As many stages, all on the domains of the first: nothing is ever seen of the others."""
    return [members(stream[0])] * len(stream)


def from_scratch(stream: Stream) -> list[tuple[Domain, ...]]:
    """The last stage alone: what it gives without anything learned before."""
    return [members(stream[-1])]


def joint(stream: Stream) -> list[tuple[Domain, ...]]:
    """All domains at once, each as it last comes: no order, so nothing to forget."""
    last = {domain.name: domain for stage in stream for domain in members(stage)}
    return [tuple(last.values())]


BASELINES = {"source-only": source_only, "from-scratch": from_scratch, "joint": joint}
