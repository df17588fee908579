"""Translation, summarisation and whatever else answers a sequence with a sequence."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.task import masked
from tladapt.tasks.classification import Classification

METRICS = ("BLEU", "ROUGE-L")
ORDER = 4  # the longest n-grams of BLEU


class SequenceToSequence(Classification):
    r"""A sequence of ids for every sample: logits (n, L, vocabulary), y (n, L), -1 after the end.

    The loss is the mean cross-entropy per token in nats, each given the true ones before it. The score compares the
    model's own answers, id by id up to the end, with y:

    BLEU, from n-grams counted over all samples, m_n of them matched (at most as often as in y), of t_n,

    .. math:: \min(1, e^{1 - r / c}) \prod_{n=1}^4 (m_n / t_n)^{1/4}

    with c ids answered in all and r in y; where m_n is 0, it counts 1/2, the next one 1/4 and so on. ROUGE-L, the mean
    over samples of 2 P R / (P + R), with P and R the shares of the answer and of y in their longest common
    subsequence. Both in [0, 1]; shown in percent.

    Parameters
    ----------
    metric : {"BLEU", "ROUGE-L"}
        The score.
    end : int
        The id that ends an answer (of T5 1, of Marian 0); it is learned, but no part of the score.

    Notes
    -----
    Differences from the papers: over ids, not words, so that a score compares only with others by the same tokenizer;
    BLEU with one reference and the smoothing that sacreBLEU does by default.

    References
    ----------
    :cite:`Papineni2002`, :cite:`Lin2004`, :cite:`Post2018`
    """

    def __init__(self, metric: str = "BLEU", *, end: int) -> None:
        super().__init__()
        if metric not in METRICS:
            raise ValueError(f"SequenceToSequence(metric={metric!r}): expected one of {', '.join(map(repr, METRICS))}")
        self.metric, self.end = metric, end

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that are no sequences of ids of the vocabulary."""
        parts = (domain.train, domain.test, domain.validation)
        wrong = [part.y for part in parts if part is not None and len(part.y) and part.y.ndim != 2]
        if wrong:
            raise ValueError(
                f"stream: domain {domain.name!r} has labels of shape {tuple(wrong[0].shape)}, expected (n, length): "
                "the ids of every answer, then -1"
            )
        super().check(domain, classes)

    def predict(self, output: Output, live: Tensor | None) -> Tensor:
        """The most likely ids (n, L), -1 after the end and where nothing is said."""
        answers = masked(output.logits, live).argmax(-1).masked_fill(~output.logits.any(-1), -1)
        ended = (answers == self.end).long().cumsum(1) - (answers == self.end).long()
        return answers.masked_fill(ended > 0, -1)

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """By sample: the lengths of answer and y, then matched and counted n-grams, or the common subsequence."""
        count = _ngrams if self.metric == "BLEU" else _common
        pairs = zip(self._ids(self.predict(output, live)), self._ids(y), strict=True)
        return torch.tensor([[len(answer), len(true), *count(answer, true)] for answer, true in pairs])

    def _ids(self, rows: Tensor) -> list[list[int]]:
        """The ids of each row up to its end."""
        found = [[token for token in row if token >= 0] for row in rows.tolist()]
        return [row[: row.index(self.end)] if self.end in row else row for row in found]

    def score(self, marks: Tensor) -> float:
        """BLEU of all samples together, or the mean ROUGE-L, in [0, 1].

        >>> task = SequenceToSequence("ROUGE-L", end=0)
        >>> y = torch.tensor([[5, 6, 7, 8, 0]])
        >>> logits = torch.nn.functional.one_hot(torch.tensor([[5, 7, 8, 9, 0]]), 10).float()
        >>> task.score(task.marks(Output(logits, logits), y, None))
        0.75
        """
        if self.metric == "ROUGE-L":
            answer, true, common = marks.double().unbind(1)
            return float((2 * common / (answer + true).clamp(min=1)).mean())
        answered, true, *counts = marks.sum(0).tolist()
        return bleu(counts[:ORDER], counts[ORDER:], answered, true)

    def sample(self, ask: Callable[[Tensor | None], Output], random: torch.Generator | None) -> Tensor:
        """One answer per sample, drawn id by id, each given those drawn before it; -1 after the end."""
        logits = ask(None).logits
        y = torch.full(logits.shape[:2], -1, device=logits.device)
        going = torch.ones(len(y), dtype=torch.bool, device=y.device)
        for position in range(y.shape[1]):
            chances = ask(y).logits[:, position].detach().softmax(-1).cpu()
            drawn = torch.multinomial(chances, 1, generator=random)[:, 0].to(y.device)
            y[:, position] = drawn.where(going, -1)
            going = going & (drawn != self.end)
            if not going.any():
                break
        return y


def bleu(matched: Sequence[float], counted: Sequence[float], answered: float, true: float) -> float:
    """BLEU in [0, 1], from the n-grams matched and counted for n = 1, 2, ..., and the lengths of answers and y.

    >>> round(bleu([4, 2, 1, 0], [5, 4, 3, 2], 5, 6), 4)  # (4/5 * 2/4 * 1/3 * (1/2)/2) ** (1/4) * exp(1 - 6/5)
    0.3498
    """
    if not any(matched) or 0 in counted:
        return 0.0
    logs, share = list[float](), 1.0
    for match, count in zip(matched, counted, strict=True):
        share = share if match else share / 2
        logs.append(math.log((match or share) / count))
    return math.exp(min(0.0, 1 - true / answered) + sum(logs) / len(logs))


def _ngrams(answer: list[int], true: list[int]) -> list[int]:
    """How many n-grams of the answer are matched, for n from 1 to 4, then how many there are."""
    matched, counted = list[int](), list[int]()
    for n in range(1, ORDER + 1):
        ours, theirs = (Counter(zip(*(ids[i:] for i in range(n)), strict=False)) for ids in (answer, true))
        matched.append((ours & theirs).total())
        counted.append(ours.total())
    return matched + counted


def _common(answer: list[int], true: list[int]) -> list[int]:
    """The length of the longest common subsequence."""
    best = [0] * (len(true) + 1)
    for token in answer:
        row = [0]
        for place, other in enumerate(true):
            row.append(best[place] + 1 if token == other else max(row[place], best[place + 1]))
        best = row
    return [best[-1]]
