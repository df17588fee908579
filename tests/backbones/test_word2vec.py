"""The mean of word vectors that gensim has trained: its text and binary files; unknown words; what is saved."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tladapt import Domain, Model
from tladapt.backbones import build, word2vec
from tladapt.readers.files import reader_from
from tladapt.readers.texts import Texts, word_tokenizer
from tladapt.readers.vectors import read_vectors

models = pytest.importorskip("gensim.models")

SENTENCES = ["a good phone", "a good good screen", "a bad phone", "a bad bad screen", "the phone broke", "the screen"]


@pytest.fixture(scope="module")
def trained() -> Any:
    split = [sentence.split() for sentence in SENTENCES * 5]
    return models.Word2Vec(split, vector_size=8, min_count=1, seed=1, workers=1, epochs=2)


@pytest.fixture(scope="module")
def files(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("vectors")
    paths = {name: folder / f"vectors.{name}" for name in ("txt", "bin", "bin.gz", "kv", "model")}
    trained.wv.save_word2vec_format(str(paths["txt"]), binary=False)
    for name in ("bin", "bin.gz"):
        trained.wv.save_word2vec_format(str(paths[name]), binary=True)
    trained.wv.save(str(paths["kv"]))
    trained.save(str(paths["model"]))
    return paths


def reader(source: Any, length: int = 6) -> Texts:
    return Texts(word_tokenizer(read_vectors(source).words), length)


def domain(name: str, texts: Texts, seed: int) -> Domain:
    random = torch.Generator().manual_seed(seed)
    words = ["phone", "screen", "the", "a", "unheard"]
    drawn = [[words[i] for i in torch.randint(5, (3,), generator=random).tolist()] for _ in range(12)]
    y = torch.arange(12) % 2
    strings = [" ".join([("bad", "good")[label], *row]) for label, row in zip(y.tolist(), drawn, strict=True)]
    return Domain(name, (texts.encode(strings), y), test=0.3)


@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_it_lives_through_every_family_of_methods(kind: str, files: dict[str, Path], life: Callable):
    texts = reader(files[kind])
    life(lambda: word2vec(files[kind], hidden=8, classes=2), domain("a", texts, 1), domain("b", texts, 2))


@pytest.mark.parametrize("kind", ["txt", "bin", "bin.gz", "keyed", "word2vec"])
def test_features_are_of_the_mean_of_gensims_vectors(kind: str, files: dict[str, Path], trained: Any):
    source = {"keyed": trained.wv, "word2vec": trained}.get(kind) or files[kind]
    model, texts = word2vec(source, hidden=8, classes=("bad", "good")).eval(), reader(source)
    with torch.no_grad():
        output = model(texts.encode(["Good unheard phone", "the"]))
    means = torch.stack([torch.tensor(trained.wv[words]).mean(0) for words in (["good", "phone"], ["the"])])
    expected = (means @ model.encoder.hidden.weight.T + model.encoder.hidden.bias).relu()  # type: ignore[union-attr]
    torch.testing.assert_close(output.features, expected)
    assert model.width == 8


def test_unknown_words_count_as_little_as_padding_and_do_not_learn(files: dict[str, Path]):
    model, texts = word2vec(files["txt"], hidden=4, classes=2), reader(files["txt"])
    x = texts.encode(["good", "good unheard", "unheard", ""])
    output = model(x)
    torch.testing.assert_close(output.features[0], output.features[1])
    torch.testing.assert_close(output.features[2], output.features[3])
    output.logits.sum().backward()
    gradient = model.encoder.words.weight.grad  # type: ignore[union-attr]
    assert isinstance(gradient, Tensor)
    assert gradient.isfinite().all()
    assert (gradient[0] == 0).all()
    assert gradient[1:].abs().max() > 0


def test_a_saved_model_has_the_vectors_and_reads_words(files: dict[str, Path], tmp_path: Path):
    model, texts = word2vec(files["txt"], hidden=4, classes=2).eval(), reader(files["txt"])
    model.inputs = texts.spec()
    model.save(tmp_path / "saved")
    again = Model.load(tmp_path / "saved")
    recipe = {"backbone": "word2vec", "arguments": {"vectors": [len(read_vectors(files["txt"]).words), 8], "hidden": 4}}
    assert again.recipe == model.recipe == recipe
    x = reader_from(again.inputs).encode(["a good phone"])  # type: ignore[union-attr]
    assert torch.equal(again(x).logits, model(x).logits)


def test_a_pickle_named_by_a_saved_model_is_not_opened(files: dict[str, Path]):
    with pytest.raises(ValueError, match="vectors is a place to load from"):
        build({"backbone": "word2vec", "arguments": {"vectors": str(files["kv"])}}, 2, "joint")


def test_damaged_files_are_refused_in_one_line(files: dict[str, Path], tmp_path: Path):
    path = tmp_path / "damaged.bin"
    path.write_bytes(files["bin"].read_bytes()[:60])
    with pytest.raises(ValueError, match=r"damaged\.bin, word 2 of 7: cannot be read") as error:
        word2vec(path, classes=2)
    assert "\n" not in str(error.value)
    lines = files["txt"].read_text().splitlines()
    path = tmp_path / "damaged.txt"
    path.write_text("\n".join([*lines[:3], lines[3][:-30], *lines[4:]]))
    with pytest.raises(ValueError, match=r"damaged\.txt, line 4: \d numbers after the word, expected 8"):
        word2vec(path, classes=2)


def test_what_gensim_has_pickled_is_refused_and_its_objects_are_not(files: dict[str, Path]):
    for kind, name in (("kv", "KeyedVectors"), ("model", "Word2Vec")):
        with pytest.raises(ValueError, match=rf"vectors\.{kind}: a pickle of gensim.*{name}\.load\(path\)"):
            word2vec(files[kind], classes=2)
        assert word2vec(getattr(models, name).load(str(files[kind])), classes=2).width == 128


def test_files_need_no_gensim(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    for kind in ("txt", "bin"):
        assert word2vec(files[kind], classes=2).width == 128


def test_binary_files_with_ends_of_lines_are_read_as_gensim_reads_them(files: dict[str, Path], tmp_path: Path):
    vectors = read_vectors(files["bin"])
    records = [w.encode() + b" " + v.numpy().tobytes() for w, v in zip(vectors.words, vectors.values, strict=True)]
    path = tmp_path / "lines.bin"  # as word2vec's own program writes them
    path.write_bytes(b"7 8\n" + b"".join(record + b"\n" for record in records))
    expected = models.KeyedVectors.load_word2vec_format(str(path), binary=True)
    again = read_vectors(path)
    assert again.words == expected.index_to_key == vectors.words
    assert torch.equal(again.values, torch.tensor(expected.vectors))
    assert read_vectors(path, limit=2).words == vectors.words[:2]
