"""Speech to text."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tladapt.domains import Domain
from tladapt.model import Output
from tladapt.stage import Batch
from tladapt.task import masked
from tladapt.tasks.edits import edits

METRICS = ("character error rate", "word error rate")


class SpeechToText:
    r"""The characters that are spoken, in order: logits (n, frames, classes), y (n, L), -1 behind the last character.

    Class 0 is the blank, class i the i-th of the characters. By connectionist temporal classification (CTC) a text y is
    as likely as all paths (a class per frame) together that are y once repeated classes are one and blanks are gone:

    .. math:: p(y | x) = \sum_{\pi \to y} \prod_t p(\pi_t | x)

    Frames that the model's mask leaves out do not count. A text that needs more frames than its sound has (one per
    character, one more between two equal ones) has no path; it adds nothing to the loss.

    Parameters
    ----------
    characters : str or sequence of str
        The characters that there are, such as "abcdefghijklmnopqrstuvwxyz' ". With those of a saved model:
        ``SpeechToText(model.classes[1:])``.
    metric : {"character error rate", "word error rate"}
        The score: how many characters, or words between spaces, must be inserted, deleted or replaced in the texts
        that the model gives, by the number of those in y. It is 0 at best, and may be above 1.

    Raises
    ------
    ValueError
        If there are no characters, one comes twice or is not a single one, or there is no such metric.

    Notes
    -----
    The answer is the text of the most likely path, not the most likely text.

    References
    ----------
    :cite:`Graves2006`

    Examples
    --------
    >>> task = SpeechToText("abc")
    >>> task.encode(["cab", "a"]), task.decode(task.encode(["cab", "a"])), task.classes
    (tensor([[ 3,  1,  2], [ 1, -1, -1]]), ['cab', 'a'], ('<blank>', 'a', 'b', 'c'))
    """

    higher_is_better, share = False, True
    answers = None  # labels are texts

    def __init__(self, characters: str | Sequence[str], metric: str = "character error rate") -> None:
        self.characters, self.metric = tuple(characters), metric
        if metric not in METRICS:
            raise ValueError(f"SpeechToText(metric={metric!r}): expected one of {', '.join(map(repr, METRICS))}")
        if not self.characters or len(set(self.characters)) < len(self.characters):
            raise ValueError(f"SpeechToText(characters={characters!r}): give at least one, and every one once")
        if wrong := [c for c in self.characters if not isinstance(c, str) or len(c) != 1]:
            raise ValueError(f"SpeechToText(characters=...): {wrong[0]!r} is no single character")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that a model needs: the blank and the characters."""
        return ("<blank>", *self.characters)

    def encode(self, texts: Sequence[str], length: int | None = None) -> Tensor:
        """Texts as labels (n, length), by default as long as the longest; domains of one stream need one length.

        Raises
        ------
        ValueError
            If a text has a character that is none of those that there are, or is too long.
        """
        number = {character: i for i, character in enumerate(self.characters, 1)}
        if unknown := sorted(set().union(*texts) - number.keys()):
            raise ValueError(f"encode: {unknown[0]!r} is none of the characters {''.join(self.characters)!r}")
        longest = max(map(len, texts), default=0)
        if length is not None and longest > length:
            raise ValueError(f"encode(length={length}): a text has {longest} characters")
        y = torch.full((len(texts), max(1, length or longest)), -1)
        for row, text in zip(y, texts, strict=True):
            row[: len(text)] = torch.tensor([number[character] for character in text])
        return y

    def decode(self, y: Tensor) -> list[str]:
        """Labels or answers (n, L) as texts."""
        return ["".join(self.characters[i - 1] for i in row if i > 0) for row in y.tolist()]

    def check(self, domain: Domain, classes: int) -> None:
        """Refuse labels that are no such texts, or a model with another number of classes."""
        where, most = f"stream: domain {domain.name!r}", len(self.characters)
        if classes != most + 1:
            raise ValueError(
                f"stream: {most} characters and the blank need a model of {most + 1} classes, but it has {classes}; "
                "build it with classes=task.classes"
            )
        for part in (domain.train, domain.test, domain.validation):
            if part is None or not len(part.y):
                continue
            if part.y.ndim != 2 or part.y.is_floating_point():
                raise ValueError(f"{where} has labels that are no texts; give task.encode(texts)")
            if ((part.y[:, :-1] < 0) & (part.y[:, 1:] >= 0)).any():
                raise ValueError(f"{where} has a text with a gap; -1 stands only behind its last character")
            if (part.y == 0).any() or (part.y > most).any():
                wrong = int(part.y[(part.y == 0) | (part.y > most)][0])
                raise ValueError(f"{where} has the label {wrong}; characters are 1 to {most}, and 0 is the blank")

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """Minus the log-likelihood in nats per character, the mean over labelled rows, which may weigh differently."""
        if not len(batch.y):
            return output.logits.new_zeros(())
        live = None if batch.live is None else batch.live[batch.domain[batch.source]]
        losses = _surprises(output.at(batch.source), batch.y, live) / (batch.y >= 0).sum(1).clamp(min=1)
        if batch.weights is None:
            return losses.mean()
        return torch.dot(batch.weights, losses) / batch.weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)

    def predict(self, output: Output, live: Tensor | None) -> Tensor:
        """The text of the most likely path, (n, frames), -1 behind its last character."""
        return _collapsed(masked(output.logits, _with_blank(live)).argmax(-1), output.mask)

    def marks(self, output: Output, y: Tensor, live: Tensor | None) -> Tensor:
        """By sample: how far the answer is from y, how long y is, and whether the frames suffice for it."""
        given, wanted = self.predict(output, live), y
        fits = _frames(output) >= _least(y)
        if self.metric == "word error rate":
            given, wanted = self._words(given, wanted)
        return torch.stack([edits(given, wanted).to(fits.device), (wanted >= 0).sum(1).to(fits.device), fits], 1)

    def _words(self, *texts: Tensor) -> list[Tensor]:
        """The words of each text, numbered alike in all of them."""
        numbers = dict[str, int]()
        rows = [[[numbers.setdefault(w, len(numbers)) for w in t.split()] for t in self.decode(y)] for y in texts]
        return [
            torch.tensor([row + [-1] * (max(map(len, part)) - len(row)) for row in part]).reshape(len(part), -1).long()
            for part in rows
        ]

    def score(self, marks: Tensor) -> float:
        """The share of characters, or words, that are wrong.

        Raises
        ------
        ValueError
            If none of the texts fits into the frames of its sound: the model makes too few of them.

        >>> task = SpeechToText("abc")
        >>> logits = torch.eye(4)[torch.tensor([[3, 3, 0, 1, 2]])]
        >>> round(task.score(task.marks(Output(logits, logits), task.encode(["cat".replace("t", "c")]), None)), 3)
        0.333
        """
        if not marks[:, 2].any():
            raise ValueError(
                "task: no text fits into the frames that the model makes of its sound (one per character, one more "
                "between two equal ones); check that the sounds are whole, and have the rate that the model expects"
            )
        return float(marks[:, 0].sum() / marks[:, 1].sum().clamp(min=1))

    def sample(self, ask: Callable[[Tensor | None], Output], random: torch.Generator | None) -> Tensor:
        """Texts (n, frames) drawn from p(y | x): a class is drawn for every frame, and the path made a text.

        That is an exact draw: a text comes as often as one of its paths does, which is what p(y | x) sums.
        """
        output = ask(None)
        chances = output.logits.detach().softmax(-1).cpu()
        drawn = torch.multinomial(chances.flatten(0, 1), 1, generator=random).reshape(chances.shape[:2])
        return _collapsed(drawn.to(output.logits.device), output.mask)

    def surprise(self, output: Output, y: Tensor) -> Tensor:
        """Minus the log-likelihood of the texts in nats, summed; a text that has no path adds 0."""
        return _surprises(output, y, None).sum()

    def divergence(self, new: Tensor, old: Tensor, temperature: float) -> Tensor:
        r"""The divergence :math:`T^2\,\mathrm{KL}(p^T \,\|\, q^T)` in nats of the classes, the mean over frames.

        Times the frames, it is the divergence of the paths; p by `old`, q by `new`.
        """
        q, p = ((logits / temperature).log_softmax(-1).flatten(0, -2) for logits in (new, old))
        return temperature**2 * F.kl_div(q, p, reduction="batchmean", log_target=True)


def _surprises(output: Output, y: Tensor, live: Tensor | None) -> Tensor:
    """Minus the log-likelihood of each text in nats, (n,); 0 where it has no path."""
    chances = masked(output.logits, _with_blank(live)).log_softmax(-1).transpose(0, 1)
    lengths = (_frames(output), (y >= 0).sum(1))
    return F.ctc_loss(chances, y.clamp(min=0), *lengths, reduction="none", zero_infinity=True)


def _frames(output: Output) -> Tensor:
    """How many frames each sample has, (n,)."""
    n, frames = output.logits.shape[:2]
    if output.mask is not None:
        return output.mask.sum(1)
    return torch.full((n,), frames, device=output.logits.device)


def _least(y: Tensor) -> Tensor:
    """The fewest frames that the texts need, (n,): one per character, and a blank between equal ones."""
    return (y >= 0).sum(1) + ((y[:, 1:] == y[:, :-1]) & (y[:, 1:] >= 0)).sum(1)


def _with_blank(live: Tensor | None) -> Tensor | None:
    """The blank is no character that a domain could lack."""
    return None if live is None else torch.cat([torch.ones_like(live[:, :1]), live[:, 1:]], 1)


def _collapsed(path: Tensor, mask: Tensor | None) -> Tensor:
    """Paths (n, frames) as texts of the same shape: repeats are one, blanks are gone, and -1 follows."""
    path = path if mask is None else path.masked_fill(~mask, 0)
    before = F.pad(path[:, :-1], (1, 0))
    kept = (path > 0) & (path != before)
    place = torch.where(kept, kept.cumsum(1) - 1, path.shape[1])  # what is not kept goes to a column that is cut off
    text = torch.full((len(path), path.shape[1] + 1), -1, device=path.device)
    return text.scatter(1, place, path)[:, :-1]
