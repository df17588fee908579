"""Sentences: reviews on three sites, and what people ask an assistant for, in ten fields one after another."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from tladapt.backbones import text, word2vec
from tladapt.backbones.extras import needed
from tladapt.data import Data
from tladapt.domains import Domain
from tladapt.methods import DANN, Replay
from tladapt.readers.splitting import HELD_OUT, hold_out
from tladapt.readers.texts import Texts, train_tokenizer, word_tokenizer
from tladapt.readers.vectors import Vectors
from tladapt.scenarios.files import find
from tladapt.scenarios.scenario import Scenario, known
from tladapt.scenarios.splits import by_class
from tladapt.streams import adaptation

SITES = {"amazon": "amazon_cells_labelled.txt", "imdb": "imdb_labelled.txt", "yelp": "yelp_labelled.txt"}
OPINIONS = ("bad", "good")
SMALL = {  # a BERT that learns in seconds
    "model_type": "bert", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 128, "max_position_embeddings": 64,
}  # fmt: skip
Sentences = tuple[list[str], Tensor]  # and the class of each


def reviews(source: str = "amazon", target: str = "yelp") -> Scenario:
    """Opinions on one site, by word vectors of that site, then on another without labels: amazon, imdb, yelp."""
    sites = [(name, *_site(known("reviews", name, tuple(SITES)))) for name in (source, target)]
    vectors = word_vectors(sites[0][1][0], epochs=30)
    reader = Texts(word_tokenizer(vectors.words), length=40)
    return _pair("reviews", sites, reader, partial(word2vec, vectors, 64), steps=100, lr=0.01)


def reviews_bert(source: str = "amazon", target: str = "yelp") -> Scenario:
    """The same by a small BERT; its pieces of words are those of both sites' training sentences."""
    sites = [(name, *_site(known("reviews-bert", name, tuple(SITES)))) for name in (source, target)]
    reader = Texts(train_tokenizer([*sites[0][1][0], *sites[1][1][0]], 2000), length=40)
    return _pair("reviews-bert", sites, reader, partial(text, {**SMALL, "vocab_size": reader.size}), steps=150)


def intents(increment: str = "task") -> Scenario:
    """What people ask for, 15 intents in each of ten fields (CLINC150); task- or class-incremental."""
    folder = "clinc150"
    file, fields = (find(f"{folder}/{name}.json", "the files of CLINC150") for name in ("data_full", "domains"))
    by_field = json.loads(fields.read_text())
    classes = [intent for intents in by_field.values() for intent in intents]
    stored = json.loads(file.read_text())
    train, test = (_numbered(stored[part], classes) for part in ("train", "test"))
    vectors = word_vectors(train[0], epochs=3, least=2)
    reader = Texts(word_tokenizer(vectors.words), length=20)
    stream = by_class(Domain(folder, _encoded(reader, train), _encoded(reader, test), classes=classes), len(by_field))
    for stage, name in zip(stream, by_field, strict=True):
        stage.name = name.replace("_", " ")
    return Scenario(
        name="intents", about="what people ask an assistant for, another field in every stage", stream=stream,
        method=partial(Replay, 3000, balanced=True), increment=increment, inputs=reader.spec(), steps=100, lr=0.01,
        network=partial(word2vec, vectors, 128, classes=classes),
    )  # fmt: skip


def word_vectors(sentences: Sequence[str], epochs: int, least: int = 1, width: int = 64) -> Vectors:
    r"""Word2Vec of these sentences, the rarer words the longer: the mean over a sentence is then about its topic.

    .. math:: v_w = \frac{a}{a + p_w} \left( u_w - \sum_{w'} p_{w'} u_{w'} \right), \qquad a = 0.001

    for the vectors u of the skip-gram model and the share p of a word, then all of standard deviation 0.3.

    Parameters
    ----------
    sentences : sequence of str
        What to learn from.
    epochs : int
        Passes over them.
    least : int
        How often a word must occur.
    width : int
        The size of a vector.

    Raises
    ------
    ValueError
        If gensim is missing.

    References
    ----------
    :cite:`Mikolov2013`, :cite:`Arora2017`
    """
    models = needed("gensim.models", extra="embeddings")
    split = [re.findall(r"\w+|[^\w\s]+", sentence.lower()) for sentence in sentences]
    trained = models.Word2Vec(
        split, vector_size=width, window=5, min_count=least, sg=1, epochs=epochs, workers=1, seed=0
    )
    words, counts = list(trained.wv.index_to_key), Counter(word for words in split for word in words)
    share = torch.tensor([counts[word] for word in words], dtype=torch.float32)[:, None]
    share = share / share.sum()
    values = torch.tensor(trained.wv.vectors)
    values = (values - (share * values).sum(0)) * 1e-3 / (1e-3 + share)
    return Vectors(words, 0.3 * values / values.std())


def _site(name: str) -> tuple[Sentences, Sentences]:
    """The sentences of a site, 0 for a bad and 1 for a good opinion; 30 % of each held out to test on."""
    path = find(f"sentiment_labelled_sentences/{SITES[name]}", "the Sentiment Labelled Sentences of UCI")
    lines = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").split("\n") if line]
    rows = Data(torch.arange(len(lines)), torch.tensor([int(label) for _, label in lines]))
    parts = hold_out(rows, 0.3, 0, HELD_OUT)
    train, test = (([lines[i][0].strip() for i in part.x.tolist()], part.y) for part in parts if part is not None)
    return train, test


def _numbered(rows: Sequence[Sequence[str]], classes: Sequence[str]) -> Sentences:
    """Sentences, and the numbers of their classes."""
    number = {name: i for i, name in enumerate(classes)}
    return [sentence for sentence, _ in rows], torch.tensor([number[name] for _, name in rows])


def _encoded(reader: Texts, sentences: Sentences) -> tuple[dict[str, Tensor], Tensor]:
    return reader.encode(sentences[0]), sentences[1]


def _pair(name: str, sites: list, reader: Texts, network: partial, *, steps: int, lr: float = 1e-3) -> Scenario:
    source, target = (
        Domain(site, *(_encoded(reader, part) for part in parts), classes=OPINIONS) for site, *parts in sites
    )
    return Scenario(
        name=name, about=f"opinions on {source.name}, then on {target.name} without labels", method=DANN,
        stream=adaptation(source, target), ceiling=[source, (source, target)], inputs=reader.spec(),
        network=partial(network, classes=OPINIONS), steps=steps, lr=lr,
    )  # fmt: skip
