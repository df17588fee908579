"""Texts as ids: tokenizers learned, loaded and saved with the model; CSV files and data frames; word vectors."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models

from tladapt import Model, fit
from tladapt.backbones import text, word2vec
from tladapt.cli import main
from tladapt.readers.files import read_domains, reader_from
from tladapt.readers.texts import Texts, tokenizer, train_tokenizer, word_tokenizer
from tladapt.readers.vectors import Vectors, read_vectors

GOOD = ["good phone, works well", "well made and good", "works and works", "a good good thing"]
BAD = ["bad phone, broke soon", "badly made and bad", "broke and broke", "a bad bad thing"]
STRINGS = GOOD + BAD
TINY = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "vocab_size": 120, "max_position_embeddings": 16}  # fmt: skip


@pytest.fixture(scope="module")
def pieces() -> str:
    return train_tokenizer(STRINGS, size=120)


def csv(path: Path, rows: list[tuple[str, ...]]) -> Path:
    path.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in rows) + "\n")
    return path


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    rows = [(string, "good" if string in GOOD else "bad") for string in STRINGS]
    return csv(tmp_path / "reviews.csv", [("text", "label"), *rows])


# Ids


def test_every_text_is_cut_or_padded_to_one_length(pieces: str):
    reader = Texts(pieces, length=6)
    x = reader.encode(["good", "good phone, works well and well", ""])
    ids, mask = x["input_ids"], x["attention_mask"]
    known = Tokenizer.from_str(pieces).get_vocab()
    assert ids[0].tolist() == [known["[CLS]"], known["good"], known["[SEP]"], 0, 0, 0]
    assert mask.tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6, [1, 1, 0, 0, 0, 0]]
    assert ids[1, -1] == known["[SEP]"]  # which truncation keeps
    assert ids.dtype == mask.dtype == torch.long


def test_no_texts_have_no_rows_and_one_string_is_refused(pieces: str):
    assert Texts(pieces, length=6).encode([])["input_ids"].shape == (0, 6)
    with pytest.raises(TypeError, match=r"encode\('good'\): give a list"):
        Texts(pieces).encode("good")


def test_ids_turn_back_into_texts(pieces: str):
    reader = Texts(pieces, length=12)
    y = reader.answers(["Good phone", "bad"])
    assert (y[1, 3:] == -1).all()
    assert reader.decode(y) == ["good phone", "bad"]


@pytest.mark.parametrize("kind", ["wordpiece", "words"])
def test_the_same_strings_give_the_same_tokenizer(kind: str):
    found = {train_tokenizer(strings, size=60, kind=kind) for strings in [STRINGS, STRINGS, STRINGS[::-1], STRINGS]}
    assert len(found) == 1


def test_letters_of_a_learned_tokenizer_are_no_words_of_their_own(pieces: str):
    reader = Texts(pieces, length=9)
    assert reader.decode(reader.encode(["phode ad"])["input_ids"]) == ["phode ad"]  # put together from parts
    unknown = Tokenizer.from_str(pieces).token_to_id("[UNK]")
    assert reader.encode(["phoxe bad"])["input_ids"][0, 1] == unknown  # there is no x in it


def test_a_tokenizer_of_words_knows_the_most_frequent():
    reader = Texts(train_tokenizer(["a b a", "a c b"], size=6, kind="words"), length=3)
    (ids,) = reader.encode(["A b c"])["input_ids"].tolist()
    assert len(set(ids)) == 3
    assert ids[2] == 1  # unknown: there is room for two beside the four special ones
    assert reader.size == 6


def test_given_words_are_counted_from_1_and_lower_case_is_seen():
    lower, upper = (Texts(word_tokenizer(words), 4) for words in (["new", "york"], ["new", "York"]))
    assert lower.encode(["New york, new"])["input_ids"].tolist() == [[1, 2, 0, 1]]
    assert upper.encode(["New york York"])["input_ids"].tolist() == [[0, 0, 2, 0]]


def test_a_tokenizer_comes_from_a_folder_with_its_padding(tmp_path: Path, pieces: str):
    transformers = pytest.importorskip("transformers")
    fast = Tokenizer.from_str(train_tokenizer(STRINGS, size=80))
    transformers.PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="[SEP]").save_pretrained(tmp_path / "hf")
    reader = Texts(tokenizer(str(tmp_path / "hf")), length=5)
    assert reader.encode(["good"])["input_ids"].tolist()[0][2:] == [fast.token_to_id("[SEP]")] * 3


def test_what_has_no_padding_token_is_padded_with_0_and_masked():
    bare = Tokenizer(models.WordLevel({"b": 0, "a": 1}, unk_token="b"))
    x = Texts(bare.to_str(), length=3).encode(["a"])
    assert x["input_ids"].tolist() == [[1, 0, 0]]
    assert x["attention_mask"].tolist() == [[1, 0, 0]]


def test_what_is_no_tokenizer_or_no_length_is_refused(tmp_path: Path, pieces: str):
    with pytest.raises(ValueError, match=r"Texts\(tokenizer=\.\.\.\): the JSON of no fast tokenizer"):
        Texts("{}")
    with pytest.raises(ValueError, match="length=0"):
        Texts(pieces, length=0)
    with pytest.raises(ValueError, match=r"kind='letters'\): expected one of 'wordpiece', 'words'"):
        train_tokenizer(STRINGS, kind="letters")
    with pytest.raises(ValueError, match="give a local folder") as error:
        tokenizer(str(tmp_path))
    assert "\n" not in str(error.value)


# Files


def test_a_column_of_texts_is_read_with_its_labels(reviews: Path, pieces: str):
    x, labels, names = Texts(pieces, length=8).read(reviews)
    assert x["input_ids"].shape == x["attention_mask"].shape == (8, 8)
    assert labels == ["good"] * 4 + ["bad"] * 4
    assert names == list("12345678")


def test_a_data_frame_reads_like_its_file(reviews: Path, pieces: str):
    reader = Texts(pieces, length=8, text="said", label="how")
    frame = pd.read_csv(reviews).rename(columns={"text": "said", "label": "how"})
    (x, labels, _), (again, *_) = reader.read(frame), Texts(pieces, length=8).read(reviews)
    assert torch.equal(x["input_ids"], again["input_ids"])
    assert labels is not None
    assert reader.read(frame.drop(columns="how"))[1] is None


def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, pieces: str, reviews: Path):
    with pytest.raises(ValueError, match=r"no column 'body'; name the one .* there are text, label"):
        Texts(pieces, text="body").read(reviews)
    with pytest.raises(ValueError, match="row 2: no 'label'"):
        Texts(pieces).read(csv(tmp_path / "gap.csv", [("text", "label"), ("a", "1"), ("b", "")]))
    with pytest.raises(ValueError, match="no rows of data"):
        Texts(pieces).read(csv(tmp_path / "none.csv", [("text", "label")]))


def test_a_reader_is_built_again_from_its_json(pieces: str):
    reader = Texts(pieces, length=7, text="said")
    again = reader_from(json.loads(json.dumps(reader.spec())))
    assert again == reader
    assert isinstance(again, Texts)
    assert torch.equal(again.encode(STRINGS)["input_ids"], reader.encode(STRINGS)["input_ids"])
    assert len(repr(reader)) < 100  # without the tokenizer
    with pytest.raises(ValueError, match="describes no reader"):
        reader_from({"kind": "texts"})


def test_a_saved_model_reads_texts_as_it_did(
    tmp_path: Path, reviews: Path, pieces: str, capsys: pytest.CaptureFixture[str]
):
    (domain, other), reader = read_domains([reviews, reviews], names=["a", "b"], reader=Texts(pieces, length=8))
    assert domain.classes == ("bad", "good")
    torch.manual_seed(0)
    model = text(TINY, classes=domain.classes)
    fit(model, [domain, other], steps=30, batch_size=8, lr=0.01)
    model.inputs = reader.spec()
    model.save(tmp_path / "model")
    assert Model.load(tmp_path / "model").inputs == reader.spec()
    main(["predict", str(tmp_path / "model"), str(reviews), "--json"])
    said = [row["prediction"] for row in json.loads(capsys.readouterr().out)["predictions"]]
    with torch.no_grad():
        answers = model(reader.encode(STRINGS)).logits.argmax(1)  # type: ignore[union-attr]
    assert said == [domain.classes[answer] for answer in answers.tolist()]
    assert len(set(said)) == 2


def test_a_first_domain_without_labels_says_where_they_would_be(tmp_path: Path, pieces: str):
    bare = csv(tmp_path / "bare.csv", [("text",), ("good",)])
    with pytest.raises(ValueError, match=r"name the column that holds it with Texts\(label=\.\.\.\) \(now 'label'\)"):
        read_domains([bare], reader=Texts(pieces))


# Word vectors

LINES = ["3 2", "good 1 0.5", "bad -1 2e-1", "phone 0 0"]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, name: str = "vectors.txt") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.mark.parametrize("lines", [LINES, LINES[1:], [line + " " for line in LINES]])
def test_vectors_are_read_from_text(lines: list[str], written: Callable[..., Path]):
    vectors = read_vectors(written(*lines))
    assert vectors.words == ["good", "bad", "phone"]
    torch.testing.assert_close(vectors.values, torch.tensor([[1, 0.5], [-1, 0.2], [0, 0]]))
    assert repr(vectors) == "Vectors(3 words, 2 wide)"


def test_vectors_may_be_packed_and_limited(tmp_path: Path):
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress("\n".join(LINES).encode()))
    assert read_vectors(path).words == ["good", "bad", "phone"]
    assert read_vectors(path, limit=2).words == ["good", "bad"]
    assert read_vectors(read_vectors(path), limit=1).values.shape == (1, 2)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match=r"vectors.txt.gz, line \d: cannot be read"):
        read_vectors(path)


def test_of_two_vectors_for_a_word_the_first_counts(written: Callable[..., Path]):
    vectors = read_vectors(written("a 1 2", "b 3 4", "a 5 6"))
    assert (vectors.words, vectors.values.tolist()) == (["a", "b"], [[1, 2], [3, 4]])


DAMAGED = {
    "line 3: 1 numbers after the word, expected 2": ["3 2", "a 1 2", "b 1", "c 1 2"],
    "line 2: 3 numbers after the word, expected 2": ["a 1 2", "b 1 2 3"],
    "line 2: could not convert string to float: 'x'": ["a 1 2", "b 1 x"],
    "line 3: a number that is not finite": ["2 2", "a 1 2", "b 1 nan"],
    "line 3: the last one, but line 1 says that 5 words follow it": ["5 2", "a 1 2", "b 3 4"],
    "no word vectors in it": ["0 2"],
}


@pytest.mark.parametrize("message", DAMAGED)
def test_a_damaged_file_is_refused_by_its_line(message: str, written: Callable[..., Path]):
    with pytest.raises(ValueError, match=message):
        read_vectors(written(*DAMAGED[message]))


def test_bytes_that_are_no_text_are_refused_by_their_line(tmp_path: Path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"a 1 2\n\xff\xfe 1 2\n")
    with pytest.raises(ValueError, match=r"line 2: no text in UTF-8; a binary file is to be named \.bin"):
        read_vectors(path)


def test_what_is_no_source_of_vectors_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no such file of word vectors"):
        read_vectors(tmp_path / "none.txt")
    with pytest.raises(TypeError, match="dict is no file"):
        read_vectors({})
    with pytest.raises(ValueError, match="limit=0"):
        read_vectors(Vectors(["a"], torch.ones(1, 2)), limit=0)
    with pytest.raises(ValueError, match=r"word2vec\(\(3, 0\)\)"):
        word2vec((3, 0), classes=2)
