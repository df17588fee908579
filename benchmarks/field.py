"""The methods on the field's data, old and new domain, and where they hurt: the tables of the README and the pages.

    TLADAPT_DATA=DIR python benchmarks/field.py [TABLE ...] [--seeds 3] [--jobs N] [--out benchmarks/results]

Writes one `TABLE.md` each. Every finished run is kept in `runs/`, so that the same command goes on where it was.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

from tladapt import CORAL, DANN, EWC, MMD, LwF, Method, Replay, VICReg, WiSEFT
from tladapt.comparison import Comparison, compare
from tladapt.comparison.result import WORSE
from tladapt.display.table import percent
from tladapt.scenarios import Scenario, named
from tladapt.scenarios.credit import APPLICANTS, CUSTOMERS
from tladapt.scenarios.features import CAMERAS, PRODUCTS, pairs
from tladapt.scenarios.records import HOSPITALS
from tladapt.scenarios.sentences import SITES
from tladapt.scenarios.speech import OTHERS

SIX = [DANN(), CORAL(), MMD(), EWC(), LwF(), Replay()]
PHOTOGRAPHS = ("webcam-dslr", "dslr-webcam")
THREE = ("george", "nicolas", "theo")
SPEAKERS = ["jackson-theo", "theo-jackson", "george-lucas", "lucas-george", "nicolas-yweweler", "yweweler-nicolas"]


def of_pairs(scenario: str, names: tuple[str, ...]) -> list[str]:
    """A scenario for every ordered pair."""
    return [f"{scenario}:{a}-{b}" for a, b in pairs(names)]


PAIRS = {
    "amazon-reviews": of_pairs("amazon-reviews", PRODUCTS),
    "office-caltech": of_pairs("office-caltech", CAMERAS),
    "spoken-digits": [f"spoken-digits:{pair}" for pair in SPEAKERS],
    "tables": [*of_pairs("heart", HOSPITALS), "bank-marketing", "adult"],
    "reviews": of_pairs("reviews", tuple(SITES)),
    "reviews-bert": ["reviews-bert:amazon-imdb", "reviews-bert:amazon-yelp"],
    "spoken-words": [f"spoken-words:{name}" for name in THREE],
    "spoken-wav2vec2": [f"spoken-wav2vec2:{name}" for name in THREE],
    "five-clips": [f"five-clips:{name}" for name in OTHERS],
}
ALIGNED = [DANN(), CORAL(), MMD()]
METHODS: dict[str, list[Method]] = {  # by default the six
    "reviews": [*ALIGNED, EWC(), LwF(), WiSEFT(), MMD() + WiSEFT()],
    "reviews-bert": [*ALIGNED, VICReg()],
    "spoken-words": ALIGNED,
    "spoken-wav2vec2": ALIGNED,
    "five-clips": [Replay(100), Replay(100) + EWC(), Replay(100) + LwF(), EWC(), LwF(), WiSEFT()],
}
BASELINES = {  # source-only, where every domain has labels, is no row by itself
    "five-clips": ["source-only", "ceiling"],
    **{
        table: ["ceiling"]
        for table in ("reviews", "reviews-bert", "photographs", "x-rays", "vessels", "credit", "bank")
    },
}
SINGLE: dict[str, list[tuple[str, list[Method]]]] = {
    "digit-pairs": [
        ("mnist-usps", ALIGNED),
        ("usps-mnist", ALIGNED),
    ],
    "digit-stream": [("digit-stream", [Replay(500), DANN() + Replay(500)])],
    "digit-sequences": [
        ("split-mnist:task", [EWC(), LwF()]),
        ("split-mnist:class", [Replay(1000), EWC(), LwF()]),
        ("permuted-mnist", [EWC(), LwF()]),
    ],
    "photographs": [(f"office-images:{pair}", ALIGNED) for pair in PHOTOGRAPHS],
    "x-rays": [("chest-x-rays", ALIGNED)],
    "vessels": [("vessels:drive-chase", ALIGNED)],
    "credit": [
        *((f"credit-default:{by}", ALIGNED) for by in CUSTOMERS),
        *((f"german-credit:{by}", ALIGNED) for by in APPLICANTS),
    ],
    "bank": [("bank-marketing", ALIGNED)],
}  # fmt: skip


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"by default all: {', '.join([*PAIRS, *SINGLE])}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    if unknown := set(options.tables) - PAIRS.keys() - SINGLE.keys():
        parser.error(f"no table {min(unknown)!r}; there are {', '.join([*PAIRS, *SINGLE])}")
    for table in options.tables or [*PAIRS, *SINGLE]:
        rows = SINGLE.get(table) or [(name, METHODS.get(table, SIX)) for name in PAIRS[table]]
        found = list[Comparison]()
        for name, methods in rows:
            make: Callable[[], Scenario] = partial(named, name)
            one = compare(
                make, methods, seeds=options.seeds, baselines=BASELINES.get(table, ()), jobs=options.jobs,
                out=Path("runs") / name,
            )  # fmt: skip
            one.scenario = name
            found.append(one)
            print(one.markdown(), flush=True)
        body = "\n".join(one.markdown() for one in found) if table in SINGLE else by_pair(found)
        command = f"`python benchmarks/field.py {table} --seeds {options.seeds}`"
        (options.out / f"{table}.md").write_text(f"{command}\n\n{body}")


def by_pair(found: list[Comparison]) -> str:
    """Two tables, the new domain and the old: a line per pair, a column per method."""
    text = list[str]()
    for what in ("new", "old"):
        names = list(found[0].scores)
        lines = [["", *(f"`{name}`" for name in names)], ["---"] * (len(names) + 1)]
        lines += [[one.scenario.partition(":")[2] or one.scenario, *(cell(one, name, what) for name in names)]
                  for one in found]  # fmt: skip
        means = [mean([one.figure(name, what)[0] or 0.0 for one in found]) for name in names]
        lines.append(["**mean**", *(f"**{percent(value)}**" for value in means)])
        hurts = [sum(one.hurts(name, what) for one in found) for name in names]
        lines.append([f"worse than {found[0].reference} in, of {len(found)}", "", *map(str, hurts[1:])])
        text += [f"**the {what} domain**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join([*text, *found[0].notes, *(note for one in found[1:] for note in one.notes[1:])]) + "\n"


def cell(one: Comparison, name: str, what: str) -> str:
    """Mean and spread, marked where worse than the reference."""
    return percent(*one.figure(name, what)) + (f" {WORSE}" if one.hurts(name, what) else "")


if __name__ == "__main__":
    main()
