"""One domain as a stream."""

import copy

from tladapt.domains import Domain


def by_class(domain: Domain, stages: int) -> list[Domain]:
    """Split a labelled domain into `stages` domains with an equal number of classes each, in their order.

    Raises
    ------
    ValueError
        If the classes cannot be dealt out equally, or the domain has unlabelled rows.
    """
    if domain.labels is None:
        raise ValueError(f"by_class(domain={domain.name!r}): every training row needs a label")
    size, rest = divmod(len(domain.classes), stages) if stages > 0 else (0, 0)
    if rest or not size:
        raise ValueError(f"by_class(stages={stages}): {len(domain.classes)} classes cannot be dealt out equally")
    parts = []
    for first in range(0, len(domain.classes), size):
        part = copy.copy(domain)
        part.labels = list(range(first, first + size))
        part.name = f"{domain.name} {domain.classes[first]}" + (
            f"-{domain.classes[first + size - 1]}" if size > 1 else ""
        )
        for name in ("train", "test", "validation"):
            if (data := getattr(domain, name)) is not None:
                setattr(part, name, data.take(((data.y >= first) & (data.y < first + size)).nonzero()[:, 0]))
        parts.append(part)
    return parts
