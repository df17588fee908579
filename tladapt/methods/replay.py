"""Rehearsal of samples from a fixed-size memory."""

import os

from tladapt.method import Method
from tladapt.methods.checks import switch, whole
from tladapt.methods.memory import Memory
from tladapt.model import Model
from tladapt.stage import Batch, Stage


class Replay(Method):
    r"""Rehearse samples of earlier domains, each of which counts alike.

    .. math:: \mathcal{L} = \frac{b}{b + r}\,\mathbb{E}_B\,\ell + \frac{1}{b + r} \sum_{i=1}^{r} \mathbb{E}_{M_i}\,\ell,
       \qquad P(x \in M) = \min(1, \text{capacity} / n)

    for the batch B of b labelled domains, the rows M_i in the memory M of each of r earlier ones, and the n rows seen
    before. Every earlier domain has the same weight, whatever its number of rows. Where labelled and unlabelled rows
    were seen, the labelled ones have at least half of the memory (or all stay, if they are fewer).

    Parameters
    ----------
    capacity : int, default 500
        How many samples are stored, labelled and unlabelled together; >= 1.
    batch_size : int, optional
        Labelled, and unlabelled, samples rehearsed per step; by default as many as the larger of the stage's own parts.
    balanced : bool, default False
        Whether each class (and the unlabelled rows of each domain) has an equal share of the memory.
    folder : str, optional
        Where the inputs are kept, as files that are gone when the process ends, with room for two memories (a new one
        is made beside the old); by default in the memory of the model's device.

    Raises
    ------
    ValueError
        If `capacity` or `batch_size` is below 1, or there is no such folder.

    Notes
    -----
    Differences from the paper: the memory changes at the end of a stage, not at every step; a domain that the stage
    itself holds is not rehearsed on top; unlabelled domains are remembered too, for an alignment to go on with; domains
    count alike, as in :cite:`vandeVen2022`. Page: methods/replay.py.

    References
    ----------
    :cite:`Vitter1985`, :cite:`Chaudhry2019`
    """

    remembers = "samples"

    def __init__(
        self, capacity: int = 500, batch_size: int | None = None, balanced: bool = False, folder: str | None = None
    ) -> None:
        super().__init__()
        whole("Replay", capacity=capacity, **({} if batch_size is None else {"batch_size": batch_size}))
        switch("Replay", balanced=balanced)
        folder = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
        if folder is not None and not (isinstance(folder, str) and os.path.isdir(folder)):
            raise ValueError(f"Replay(folder={folder!r}): no such folder; make it first")
        self.capacity, self.batch_size, self.balanced, self.folder = capacity, batch_size, balanced, folder
        self.memory = Memory(capacity, balanced, folder)

    def prepare(self, model: Model, stage: Stage) -> None:
        """Make room."""
        self.memory.reserve(stage)

    def extend(self, model: Model, batch: Batch) -> Batch | None:
        """Remembered samples; none before the end of the first stage."""
        size = self.batch_size or max(len(batch.y), len(batch) - len(batch.y))
        return self.memory.draw(batch, size, self.random, owner=self)

    def consolidate(self, model: Model, stage: Stage) -> None:
        """Let the stage's samples compete with the remembered ones for a place."""
        self.memory.remember(stage, self.random)
