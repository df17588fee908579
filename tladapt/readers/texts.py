"""Texts as ids of one length, by a tokenizer that is saved with the model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tladapt.backbones.extras import AlteredError, from_hub, needed, repository
from tladapt.readers.limits import is_whole
from tladapt.readers.sources import columns_of, labels_of

PADDING, UNKNOWN = ("[PAD]", "<pad>"), "[UNK]"
SPECIAL = ["[PAD]", UNKNOWN, "[CLS]", "[SEP]"]
KINDS = ("wordpiece", "words")
LONGEST = 100_000  # ids of a text
AT_ONCE = 2**20  # ids that the library makes before they become a tensor, which takes a tenth of the memory
FILES = ("config.json", "tokenizer_config.json", "tokenizer.json")  # without one of which a cached tokenizer is a part


@dataclass(frozen=True)
class Texts:
    """Texts as {"input_ids", "attention_mask"}, each (n, length); what is longer is cut, what is shorter is padded.

    Parameters
    ----------
    tokenizer : str
        The JSON of a fast tokenizer: from `tokenizer(name)`, `train_tokenizer(strings)` or `word_tokenizer(words)`.
    length : int
        Ids per text, 1 to 100 000, with those that the tokenizer adds, such as [CLS].
    text, label : str
        The columns that hold the text and the label.

    Raises
    ------
    ValueError
        If `length` is out of range or no more than the tokenizer adds, a name is none, the library is missing, or
        `tokenizer` is none.

    Examples
    --------
    >>> reader = Texts(word_tokenizer(["good", "bad"]), length=4)
    >>> reader.encode(["Not bad", ""])["input_ids"]
    tensor([[0, 2, 0, 0], [0, 0, 0, 0]])
    >>> reader.encode(["Not bad", ""])["attention_mask"]
    tensor([[1, 1, 0, 0], [0, 0, 0, 0]])
    """

    tokenizer: str = field(repr=False)
    length: int = 64
    text: str = "text"
    label: str = "label"

    def __post_init__(self) -> None:
        if not is_whole(self.length, 1, LONGEST):
            raise ValueError(f"Texts(length={self.length!r}): expected a whole number of ids from 1 to {LONGEST}")
        if not (isinstance(self.text, str) and isinstance(self.label, str)):
            raise ValueError(f"Texts(text={self.text!r}, label={self.label!r}): expected the names of two columns")
        self._fast  # noqa: B018 (so that it is refused here, and not when the first text is read)

    @cached_property
    def _fast(self) -> Any:
        library = needed("tokenizers", extra="text")
        with _refused("the JSON of no fast tokenizer"):
            fast = library.Tokenizer.from_str(self.tokenizer)
            fast.enable_truncation(self.length)
            known = fast.get_vocab()
            token = next((token for token in PADDING if token in known), None)
            given = fast.padding or {"pad_id": known.get(token, 0), "pad_token": token or ""}
            fast.enable_padding(length=self.length, pad_id=given["pad_id"], pad_token=given["pad_token"])
            found = len(fast.encode("").ids)
        if found != self.length:
            raise ValueError(f"Texts(length={self.length}): the tokenizer adds {found} ids to every text; give more")
        return fast

    @property
    def size(self) -> int:
        """How many ids there are."""
        return self._fast.get_vocab_size()

    def encode(self, strings: Sequence[str]) -> dict[str, Tensor]:
        """The ids of every string and the mask of those that are no padding, int64."""
        if isinstance(strings, str):
            raise TypeError(f"encode({strings!r}): give a list of strings")
        strings, step = list(strings), max(1, AT_ONCE // self.length)
        parts = [self._coded(strings[i : i + step]) for i in range(0, max(1, len(strings)), step)]
        ids, mask = (torch.cat(part) for part in zip(*parts, strict=True))
        return {"input_ids": ids, "attention_mask": mask}

    def _coded(self, strings: list[str]) -> tuple[Tensor, Tensor]:
        with _refused("no fast tokenizer for these texts"):
            coded = self._fast.encode_batch(strings)
            ids = torch.tensor([one.ids for one in coded], dtype=torch.long).reshape(len(coded), self.length)
            mask = torch.tensor([one.attention_mask for one in coded], dtype=torch.long).reshape(ids.shape)
        return ids, mask

    def answers(self, strings: Sequence[str]) -> Tensor:
        """The ids of every string as labels (n, length), -1 for padding."""
        coded = self.encode(strings)
        return coded["input_ids"].masked_fill(coded["attention_mask"] == 0, -1)

    def decode(self, ids: Tensor) -> list[str]:
        """The text of each row of ids (n, L), without special tokens; -1 is nothing."""
        with _refused("no fast tokenizer for these ids"):
            return self._fast.decode_batch([[i for i in row if i >= 0] for row in ids.tolist()])

    def read(self, source: Any) -> tuple[dict[str, Tensor], list[str] | None, list[str]]:
        """The texts of a CSV file or data frame, the label of each (None without that column), and their row numbers.

        Raises
        ------
        ValueError
            If the table cannot be read or is empty, has no column of texts, or a row has no label.
        """
        columns, name = columns_of(source)
        if self.text not in columns:
            raise ValueError(
                f"{name}: no column {self.text!r}; name the one that holds the text with Texts(text=...); there are "
                f"{', '.join(column[:60] for column in [*columns][:10])}"
            )
        texts = columns.pop(self.text)
        labels = labels_of(columns, self.label, name)
        if not (count := len(texts)):
            raise ValueError(f"{name}: no rows of data in it")
        return self.encode(texts), labels, [str(row + 1) for row in range(count)]

    def spec(self) -> dict[str, Any]:
        """What `reader_from` builds this again from: the whole tokenizer is in it."""
        return {"kind": "texts", **asdict(self)}


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Within, whatever the library raises becomes a ValueError: it has no kind of its own, and its panics are none."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(
            f"Texts(tokenizer=...): {what} ({error}); give tokenizer(name), train_tokenizer(strings) or "
            "word_tokenizer(words)"
        ) from error


def tokenizer(name: str) -> str:
    """The JSON of the fast tokenizer of a name on the Hugging Face hub, or of a folder written by `save_pretrained`.

    Raises
    ------
    ValueError
        If transformers is missing, there is no such tokenizer within reach, or it is no fast one.
    """
    library, said = needed("transformers", extra="text"), f"tokenizer({str(name)!r})"
    repo = repository(str(name), said)

    def load() -> Any:
        return library.AutoTokenizer.from_pretrained(str(name), trust_remote_code=False, local_files_only=repo is None)

    try:
        found = from_hub(repo, load, said, wanted=FILES)
    except AlteredError:
        raise
    except Exception as error:  # those of the hub and of the file, of many kinds
        raise ValueError(
            f"{said}: not to be loaded; give a local folder: where there is a network, "
            f"AutoTokenizer.from_pretrained(name).save_pretrained(folder), and bring it here "
            f"({' '.join(str(error).split())[:200]})"
        ) from error
    if (fast := getattr(found, "backend_tokenizer", None)) is None:
        raise ValueError(
            f"{said}: {type(found).__name__} is no fast one, which could be saved as JSON; turn texts into ids by it "
            "yourself"
        )
    if fast.get_vocab().keys() <= {*found.all_special_tokens}:  # as the library makes one where its files are missing
        raise ValueError(f"{said}: it knows no words, for the files of its vocabulary are missing")
    if found.pad_token_id is not None:
        fast.enable_padding(pad_id=found.pad_token_id, pad_token=found.pad_token)
    return fast.to_str()


def train_tokenizer(strings: Sequence[str], size: int = 1000, kind: str = "wordpiece") -> str:
    """The JSON of a lower-case tokenizer of about `size` ids, learned from strings; the same from the same strings.

    "wordpiece" is BERT's: parts of words, with [CLS] before and [SEP] after a text. "words" are the most frequent ones,
    and the others unknown.
    """
    library = needed("tokenizers", extra="text")
    if kind not in KINDS:
        raise ValueError(f"train_tokenizer(kind={kind!r}): expected one of {', '.join(map(repr, KINDS))}")
    model, trainer = (library.models.WordPiece, library.trainers.WordPieceTrainer) if kind == "wordpiece" else (
        library.models.WordLevel, library.trainers.WordLevelTrainer)  # fmt: skip
    fast = library.Tokenizer(model(unk_token=UNKNOWN))
    fast.normalizer = library.normalizers.BertNormalizer(lowercase=True)
    fast.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    first = [*SPECIAL, *(_letters(fast, strings) if kind == "wordpiece" else ())]
    fast.train_from_iterator(strings, trainer(vocab_size=size, special_tokens=first, show_progress=False))
    learned = fast
    fast = library.Tokenizer(model(learned.get_vocab(), unk_token=UNKNOWN))  # where the letters are no special tokens
    fast.normalizer, fast.pre_tokenizer = learned.normalizer, learned.pre_tokenizer
    fast.add_special_tokens(SPECIAL)
    if kind == "wordpiece":
        fast.decoder = library.decoders.WordPiece()
        marks = [(token, fast.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        fast.post_processor = library.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
        )
    return fast.to_str()


def _letters(fast: Any, strings: Sequence[str]) -> list[str]:
    """The letters that words begin with, and go on with, in order: else the trainer counts them as its hashes fall."""
    split = (fast.pre_tokenizer.pre_tokenize_str(fast.normalizer.normalize_str(string)) for string in strings)
    return sorted({f"##{c}" if i else c for words in split for word, _ in words for i, c in enumerate(word)})


def word_tokenizer(words: Sequence[str]) -> str:
    """The JSON of a tokenizer that knows these words, counted from 1; id 0 stands for any other.

    Texts are split at spaces and around punctuation; in lower case, if all words are.
    """
    library = needed("tokenizers", extra="text")
    vocabulary = {UNKNOWN: 0} | {word: i for i, word in enumerate(words, start=1)}
    fast = library.Tokenizer(library.models.WordLevel(vocabulary, unk_token=UNKNOWN))
    if all(word == word.lower() for word in words):
        fast.normalizer = library.normalizers.Lowercase()
    fast.pre_tokenizer = library.pre_tokenizers.Whitespace()
    fast.enable_padding(pad_id=0, pad_token=UNKNOWN)
    return fast.to_str()
