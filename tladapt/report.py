"""What a run found: every domain after every stage, and what the old and the new gained or lost."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tladapt import labelfree
from tladapt.evaluation import backward_transfer, forgetting, forward_transfer, mean, spread
from tladapt.history import Losses
from tladapt.intervals import Interval, newcombe, student
from tladapt.labelshift import mean_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

SCHEMA = 1
FIGURES = (
    "old", "new", "unseen", "average", "transfer", "against_source_only", "forgetting", "backward_transfer",
    "forward_transfer",
)  # fmt: skip

OPTIONAL = ("seeds", "unlabelled", "spread", "training", "history", "ceiling", "arguments")  # not written where empty


def environment(device: str = "cpu") -> dict[str, str]:
    """The versions and the machine that the figures come from."""
    from tladapt import __version__  # which imports this module

    device = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return {"tladapt": __version__, **versions, "device": device}


@dataclass(kw_only=True)
class Report:
    """The scores of one run, or the mean of several.

    Attributes
    ----------
    metric, higher_is_better, share : str, bool, bool
        What a score is, its direction, and whether it is a share, shown in percent.
    scores : list of list of float
        Row 0 before any training, row i + 1 after stage i; one column per domain; None: no labels to score.
    first : list of int
        The stage in which each domain came first.
    tested : list of int
        How many labelled test rows each domain was scored on; empty where that is not known.
    source_only : list of float
        The final scores of a model that learned from the first stage's domains alone, in as many steps; empty where
        none was run. See `beside`.
    notes : list of str
        What a reader would not expect: methods that were inactive, stages in which nothing was learned.
    warnings : list of str
        What makes the figures doubtful, such as label shift.
    training : dict
        What was trained: network, parameters, rows of every domain, steps of every stage, learning rate, batch size,
        optimizer, schedule and task by name.
    history : list of dict
        The losses by name at some steps of every stage: {"stage", "steps", "losses"}.
    ceiling : dict
        The figures "old", "new" and "average" of a run with the labels of the new domains, and its "seed".
    arguments : dict
        The options of the command line that differ from the defaults, except where the run is saved.
    label_shift : dict
        For every domain without labels that came beside labelled ones, the proportions of the classes in the "source",
        their "estimate" in this domain, the "distance" of the two and the "doubt"; see `tladapt.labelshift.LabelShift`.
    unlabelled : dict
        For every domain with unlabelled training rows, what can be known without labels: see `tladapt.labelfree`. The
        "proportions" of the predicted "classes", the mean "confidence" (the largest probability) and "entropy" (nats)
        of "predicted_rows" rows; "distance_before" and "distance_after" the "stage", of the mean features from those of
        the labelled rows, in standard deviations; the "least_certain" rows.
    spread : dict
        With several seeds, the sample standard deviation of every figure and of the scores.

    Examples
    --------
    >>> report = Report(domains=["web", "phone"], stages=["web", "phone"], first=[0, 1],
    ...                 scores=[[0.1, 0.1], [0.9, 0.5], [0.8, 0.7]], method="Method()")
    >>> report.old, report.new, round(report.transfer, 12), report.negative_transfer
    (0.8, 0.7, 0.2, None)
    """

    domains: list[str]
    stages: list[str]
    first: list[int]
    scores: list[list[float | None]]
    method: str
    tested: list[int] = field(default_factory=list)
    source_only: list[float | None] = field(default_factory=list)
    scenario: str = ""
    seed: int | None = 0
    seeds: list[int] = field(default_factory=list)
    metric: str = "accuracy"
    higher_is_better: bool = True
    share: bool = True
    increment: str = "domain"
    batchnorm: str = "joint"
    remembers: str = "nothing"
    precision: str = "float32"
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    history: list[Losses] = field(default_factory=list)
    ceiling: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    label_shift: dict[str, dict[str, Any]] = field(default_factory=dict)
    unlabelled: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    environment: dict[str, str] = field(default_factory=environment)
    spread: dict[str, Any] = field(default_factory=dict)

    def _columns(self, old: bool) -> list[int]:
        last = len(self.stages) - 1
        return [j for j, stage in enumerate(self.first) if (stage < last if old else stage == last)]

    @property
    def _never(self) -> list[int]:
        return [j for j, stage in enumerate(self.first) if stage >= len(self.stages)]

    @property
    def _sign(self) -> int:
        return 1 if self.higher_is_better else -1

    @property
    def _gains(self) -> list[list[float | None]]:
        """The scores, higher being better."""
        return [[None if v is None else self._sign * v for v in row] for row in self.scores]

    @property
    def old(self) -> float | None:
        """The mean final score of the domains that came before the last stage."""
        return mean([self.scores[-1][j] for j in self._columns(old=True)])

    @property
    def new(self) -> float | None:
        """The mean final score of the domains that came first in the last stage."""
        return mean([self.scores[-1][j] for j in self._columns(old=False)])

    @property
    def unseen(self) -> float | None:
        """The mean final score of the domains that were never trained on, as those of a baseline."""
        return mean([self.scores[-1][j] for j in self._never])

    @property
    def average(self) -> float | None:
        """The mean final score of all domains: with accuracy, the average accuracy of continual learning."""
        return mean(self.scores[-1])

    @property
    def average_accuracy(self) -> float | None:
        """Another name of `average`."""
        return self.average

    @property
    def old_domains(self) -> list[str]:
        """The names of the domains that came before the last stage."""
        return [self.domains[j] for j in self._columns(old=True)]

    @property
    def new_domains(self) -> list[str]:
        """The names of the domains that came first in the last stage."""
        return [self.domains[j] for j in self._columns(old=False)]

    @property
    def unseen_domains(self) -> list[str]:
        """The names of the domains that were never trained on."""
        return [self.domains[j] for j in self._never]

    @property
    def transfer(self) -> float | None:
        """What the last stage gained on the new domains, `new` minus the score of the model before that stage.

        Like all gains, the other way round where lower is better: above 0 is an improvement.
        """
        before = mean([self.scores[-2][j] for j in self._columns(old=False)])
        return None if before is None or self.new is None else self._sign * (self.new - before)

    @property
    def against_source_only(self) -> float | None:
        """What the new domains gained over source-only, which trained as long without them; None where none was run.

        Unlike `transfer`, no part of it comes from more steps on the source.
        """
        if self.new is None or not self.source_only:
            return None
        alone = mean([self.source_only[j] for j in self._columns(old=False)])
        return None if alone is None else self._sign * (self.new - alone)

    @property
    def interval(self) -> Interval | None:
        """A 95 % interval of `against_source_only`; None where nothing is known of the noise.

        Of a share it is Newcombe's, over the test rows. Over several seeds Student's is made too, and the wider counts.
        """
        if self.against_source_only is None:
            return None
        found = [interval for interval in (self._over_rows(), self._over_seeds()) if interval is not None]
        if not found:
            return None
        return min(low for low, _ in found), max(high for _, high in found)

    def _over_rows(self) -> Interval | None:
        """The interval over test rows, taking the two models' answers as independent."""
        columns = [j for j in self._columns(old=False) if self.scores[-1][j] is not None]
        after = [self.scores[-1][j] for j in columns]
        before = [self.source_only[j] for j in columns]
        shares = [value for value in (*after, *before) if value is not None and 0 <= value <= 1]
        rows = [self.tested[j] for j in columns] if self.tested else []
        if not self.share or not rows or not all(rows) or len(shares) < 2 * len(columns):
            return None
        low, high = newcombe(after, before, rows)  # type: ignore[arg-type]
        return (low, high) if self.higher_is_better else (-high, -low)

    def _over_seeds(self) -> Interval | None:
        deviation = self.spread.get("against_source_only")
        if deviation is None or self.against_source_only is None:
            return None
        return student(self.against_source_only, deviation, len(self.seeds))

    @property
    def negative_transfer(self) -> bool | None:
        """Whether the new domains lost against source-only by more than noise; None if that is not known."""
        return None if self.interval is None else self.interval[1] < 0

    def beside(self, source_only: "Report") -> "Report":
        """Return the report with the final scores of source-only, of the same seed, beside its own.

        Raises
        ------
        ValueError
            If the other report is of other domains or another seed.

        Examples
        --------
        >>> from tladapt import MMD, Method
        >>> from tladapt.scenarios import digits
        >>> short = digits().but(steps=2)
        >>> report = short.run(MMD()).beside(short.run(Method(), baseline="source-only"))
        >>> report.against_source_only == report.new - report.source_only[1]
        True
        """
        for name in ("domains", "seed", "seeds", "metric"):
            if (own := getattr(self, name)) != (other := getattr(source_only, name)):
                raise ValueError(f"Report.beside: expected a report with {name}={own!r}, got {name}={other!r}")
        return replace(self, source_only=list(source_only.scores[-1]))

    @property
    def forgetting(self) -> float | None:
        """See `tladapt.evaluation.forgetting`."""
        return forgetting(self._gains, self.first)

    @property
    def backward_transfer(self) -> float | None:
        """See `tladapt.evaluation.backward_transfer`."""
        return backward_transfer(self._gains, self.first)

    @property
    def forward_transfer(self) -> float | None:
        """See `tladapt.evaluation.forward_transfer`."""
        return forward_transfer(self._gains, self.first)

    @property
    def figures(self) -> dict[str, float | None]:
        """The figures by name."""
        return {name: getattr(self, name) for name in FIGURES}

    @classmethod
    def mean(cls, reports: Sequence["Report"]) -> "Report":
        """The mean of runs that differ in their seed, with their spread."""
        first = reports[0]
        for name in ("domains", "stages", "scenario", "method", "metric", "increment", "batchnorm"):
            if any(getattr(report, name) != getattr(first, name) for report in reports):
                raise ValueError(f"Report.mean: the runs differ in {name}; take the mean over seeds only")
        scores = np.array([report.scores for report in reports], dtype=float)  # None becomes NaN
        return replace(
            first, seed=None, seeds=[r.seed for r in reports if r.seed is not None],
            scores=[[None if value != value else value for value in row] for row in scores.mean(0).tolist()],
            source_only=_mean_source_only(reports), history=[],
            notes=_joined(reports, "notes"), warnings=_joined(reports, "warnings"),
            seconds=float(np.mean([r.seconds for r in reports])), label_shift=mean_of([r.label_shift for r in reports]),
            unlabelled=labelfree.mean_of([r.unlabelled for r in reports]),
            spread={name: spread([r.figures[name] for r in reports]) for name in FIGURES}
            | {"scores": [[spread(column) for column in zip(*rows, strict=True)]
                          for rows in zip(*(r.scores for r in reports), strict=True)]},
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """What `report.json` holds."""
        stored = {name: value for name, value in vars(self).items() if value or name not in OPTIONAL}
        history = {"history": stored.pop("history")} if "history" in stored else {}  # long, so it comes last
        return {"schema": SCHEMA, **stored, **self.figures, "negative_transfer": self.negative_transfer, **history}

    def save(self, folder: str | Path) -> Path:
        """Write `report.json` into `folder`; returns its path."""
        from tladapt.storage.reports import save_report  # which is made of this

        return save_report(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Report":
        """The report in `folder`; see `tladapt.storage.reports`."""
        from tladapt.storage.reports import load_report

        return load_report(folder)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from tladapt.display.console import Page
        from tladapt.display.table import table

        yield table(self, Page(options.max_width, options.encoding))

    def __str__(self) -> str:
        from tladapt.display.table import text

        return text(self)

    def _repr_html_(self) -> str:
        from tladapt.display.html import report_as_html

        return report_as_html(self)


def _joined(reports: Sequence[Report], kind: str) -> list[str]:
    """The notes or warnings of several runs; one that not all have is said of its seed."""
    found = list[str]()
    for report in reports:
        for line in getattr(report, kind):
            common = all(line in getattr(other, kind) for other in reports)
            text = line if common else f"seed {report.seed}: {line}"
            if text not in found:
                found.append(text)
    return found


def _mean_source_only(reports: Sequence[Report]) -> list[float | None]:
    """The mean final scores of source-only; empty where it was not run on every seed."""
    known = [report.source_only for report in reports]
    if not all(known):
        return []
    return [mean(column) for column in zip(*known, strict=True)]
