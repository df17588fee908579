"""Language modelling."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.task import masked
from tladapt.tasks.classification import Classification


class LanguageModelling(Classification):
    r"""The next token at every position: logits (n, L, vocabulary), y (n, L), -1 where none follows.

    The loss is the mean cross-entropy per token in nats, the score

    .. math:: \mathrm{perplexity} = \exp \left( -\frac1N \sum_i \sum_t \log p(y_{it} | y_{i,<t}) \right)

    over the N tokens of all texts, >= 1, lower is better. A sample is one token per position, given the true ones
    before it.

    Examples
    --------
    >>> next_tokens(torch.tensor([[5, 6, 7, 0]]), torch.tensor([[1, 1, 1, 0]]))
    tensor([[ 6,  7, -1, -1]])
    """

    higher_is_better = share = False

    def __init__(self) -> None:
        super().__init__()
        self.metric = "perplexity"

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that are no ids, one per position, of the vocabulary."""
        parts = (domain.train, domain.test, domain.validation)
        wrong = [part.y for part in parts if part is not None and len(part.y) and part.y.ndim != 2]
        if wrong:
            raise ValueError(
                f"stream: domain {domain.name!r} has labels of shape {tuple(wrong[0].shape)}; language modelling has "
                "one per position: y = next_tokens(input_ids, attention_mask)"
            )
        super().check(domain, classes)

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """By text: minus the log-likelihood in nats, and the number of tokens."""
        logits = masked(output.logits, live).movedim(-1, 1)
        losses = F.cross_entropy(logits, y, reduction="none", ignore_index=-1)
        return torch.stack([losses.double().sum(1), (y >= 0).sum(1).double()], 1)

    def score(self, marks: Tensor) -> float:
        """The perplexity; infinite where it is too large for a number, NaN over no tokens.

        >>> round(LanguageModelling().score(torch.tensor([[math.log(8.0), 2.0], [math.log(4.0), 3.0]])), 6)
        2.0
        """
        loss, tokens = marks.double().sum(0).tolist()
        mean = loss / tokens if tokens else math.nan
        return math.inf if mean > 700 else math.exp(mean)


def next_tokens(ids: Tensor, mask: Tensor) -> Tensor:
    """The token that follows each position of ids (n, L), and -1 where the mask (n, L) holds none."""
    following = ids[:, 1:].masked_fill(~(mask[:, 1:].bool() & mask[:, :-1].bool()), -1)
    return torch.cat([following, torch.full_like(ids[:, :1], -1)], 1)
