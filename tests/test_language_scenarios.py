"""Reviews, intents, spoken words and five clips: read as they are stored, and nothing of the test data beforehand."""

import json
import math
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tladapt import Domain, Method, Replay
from tladapt.readers.files import reader_from
from tladapt.readers.texts import Texts
from tladapt.readers.vectors import Vectors
from tladapt.scenarios import Scenario, named
from tladapt.scenarios.sentences import SITES, word_vectors
from tladapt.scenarios.speech import OTHERS, SPEAKERS, WORDS
from tladapt.streams import domains_of, members
from tladapt.tasks import SpeechToText

NAMES = ("reviews", "reviews-bert", "intents", "spoken-words", "spoken-wav2vec2", "five-clips")
pytest.importorskip("gensim")
pytest.importorskip("transformers")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with 20 sentences of each site, two intents in each of two fields, and a tone for every digit."""
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path))
    (tmp_path / "sentiment_labelled_sentences").mkdir()
    for site, name in SITES.items():
        lines = [f'{site} number{i}, it\x85s "{"great" if i % 2 else "poor"}"!  \t{i % 2}' for i in range(20)]
        (tmp_path / "sentiment_labelled_sentences" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    fields = {"small_talk": ["greet", "thank"], "work": ["meet", "rest"]}
    intents = [intent for some in fields.values() for intent in some]
    stored = {part: [[f"please {intent} {i}", intent] for i in range(n) for intent in reversed(intents)]
              for part, n in (("train", 6), ("val", 3), ("test", 2))}  # fmt: skip
    (tmp_path / "clinc150").mkdir()
    (tmp_path / "clinc150" / "domains.json").write_text(json.dumps(fields))
    (tmp_path / "clinc150" / "data_full.json").write_text(json.dumps(stored))
    folder = tmp_path / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for number, speaker in enumerate(SPEAKERS):
        for digit in range(10):
            for index in (0, *range(5, 12)):
                tone(folder / f"{digit}_{speaker}_{index}.wav", 100 * (digit + 1) + index, 3000 + 2000 * number)
    return tmp_path


def tone(path: Path, hertz: int, samples: int) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes((np.sin(2 * math.pi * hertz * np.arange(samples) / 8000) * 9000).astype("<i2").tobytes())


def ids(domain: Domain, part: str = "train") -> Tensor:
    x = getattr(domain, part).x
    assert isinstance(x, dict)
    return x["input_ids"]


def reader(scenario: Scenario) -> Texts:
    found = reader_from(scenario.inputs)
    assert isinstance(found, Texts)
    return found


def words_of(scenario: Scenario) -> Tensor:
    return scenario.model().state_dict()["encoder.words.weight"]


# Sentences


def test_a_site_is_read_line_by_line_whatever_is_in_a_line(files: Path):
    for domain in domains_of(named("reviews:imdb-amazon").stream):
        assert (len(domain.train), len(domain.test or ())) == (14, 6)
    assert [len(d.train.y) for d in domains_of(named("reviews:imdb-amazon").stream)] == [14, 0]


def test_word_vectors_know_the_training_sentences_of_the_source_alone(files: Path):
    scenario = named("reviews:imdb-amazon")
    source, target = domains_of(scenario.stream)
    words = reader(scenario).encode([f"number{i}" for i in range(20)])["input_ids"][:, 0]  # one word per sentence
    assert (words > 0).sum() == 14
    assert reader(scenario).encode(["amazon"])["input_ids"][0, 0] == 0
    assert (ids(source)[ids(source) > 0]).unique().numel() == len(words_of(scenario)) - 1
    known = (ids(target) > 0).sum(1)
    assert known.min() < (ids(source) > 0).sum(1).min()


def test_rows_that_are_held_out_are_in_neither_sites_training_data(files: Path):
    for domain in domains_of(named("reviews-bert:yelp-imdb").stream):
        train, test = ({tuple(row) for row in ids(domain, part).tolist()} for part in ("train", "test"))
        assert (len(train), len(train & test)) == (14, 0)
        assert domain.test is not None
        assert len(domain.test.y) == 6


def test_rare_words_have_long_vectors_around_their_common_mean():
    sentences = ["the cat sat", "the dog sat", "the bird sang the song"] * 5
    vectors = word_vectors(sentences, epochs=2)
    split = [word for sentence in sentences for word in sentence.split()]
    share = torch.tensor([split.count(word) / len(split) for word in vectors.words])[:, None]
    assert vectors.values.std().item() == pytest.approx(0.3)
    unweighted = vectors.values * (1e-3 + share)
    assert (share * unweighted).sum(0).abs().max() < 1e-6 * unweighted.abs().max() * len(split)
    again = word_vectors(sentences, epochs=2)
    assert (again.words, again.values.tolist()) == (vectors.words, vectors.values.tolist())
    assert isinstance(vectors, Vectors)
    assert word_vectors(sentences, epochs=2, least=6).words == ["the", "sat"]


def test_a_field_is_a_stage_and_its_intents_are_classes(files: Path):
    scenario = named("intents:class")
    assert scenario.increment == "class"
    stages = domains_of(scenario.stream)
    assert [stage.name for stage in stages] == ["small talk", "work"]
    assert [stage.labels for stage in stages] == [[0, 1], [2, 3]]
    assert stages[0].classes == ("greet", "thank", "meet", "rest")
    assert [(len(stage.train), len(stage.test or ())) for stage in stages] == [(12, 4), (12, 4)]
    read = reader(scenario).encode(["please thank 3"])["input_ids"]
    row = (ids(stages[0]) == read).all(1).nonzero()[:, 0]
    assert stages[0].train.y[row].tolist() == [1]


# Speech


def test_sounds_are_padded_or_cut_and_every_word_is_spelled(files: Path):
    scenario = named("spoken-words:theo")
    others, theo = domains_of(scenario.stream)
    assert isinstance(task := scenario.task, SpeechToText)
    assert isinstance(x := theo.train.x, dict)
    assert (len(others.train), len(others.train.y), len(theo.train), len(theo.train.y)) == (350, 350, 70, 0)
    assert (others.name, x["sound"].shape, x["length"].unique().tolist()) == ("the others", (70, 8000), [8000])
    assert isinstance(rest := others.train.x, dict)
    assert sorted(set(rest["length"].tolist())) == [3000, 5000, 7000, 8000]
    assert all((row[n:] == 0).all() and row[:n].any() for row, n in zip(rest["sound"], rest["length"], strict=True))
    assert theo.test is not None
    assert task.decode(theo.test.y) == list(WORDS)
    assert scenario.model().classes == ("<blank>", *"efghinorstuvwxz")


def test_wav2vec2_hears_the_same_recordings_and_names_the_digit(files: Path):
    digits, words = (domains_of(named(f"{name}:lucas").stream) for name in ("spoken-wav2vec2", "spoken-words"))
    for one, other in zip(digits, words, strict=True):
        x, same = one.train.x, other.train.x
        assert isinstance(x, dict)
        assert isinstance(same, dict)
        sounds, lengths = same["sound"][:, :6400], same["length"].clamp(max=6400)
        expected = sorted(zip(sounds.tolist(), lengths.tolist(), strict=True))
        assert sorted(zip(x["sound"].tolist(), x["length"].tolist(), strict=True)) == expected
    assert digits[0].train.y[::7].tolist() == list(range(10)) * 5
    assert digits[0].classes == WORDS


def test_words_score_by_the_error_rate_of_characters(files: Path):
    report = named("spoken-words").but(steps=2, batch_size=4).run(Method(), progress=False)
    assert (report.metric, report.higher_is_better) == ("character error rate", False)
    assert all(score > 0 for row in report.scores for score in row if score is not None)


@pytest.mark.parametrize("name", OTHERS)
def test_of_a_new_speaker_there_are_five_labelled_clips_per_digit_and_no_more(files: Path, name: str):
    scenario = named(f"five-clips:{name}")
    first, second = map(members, scenario.stream)
    assert [domain.name for domain in (*first, *second)] == ["jackson", "theo", name]
    assert len(second[0].train) == len(second[0].train.y) == 50
    assert second[0].train.y.bincount().tolist() == [5] * 10
    assert len(second[0].test or ()) == 10
    assert scenario.ceiling is not None
    whole = members(scenario.ceiling[-1])[-1]
    assert (whole.name, len(whole.train.y)) == (name, 70)


def test_a_target_that_is_a_source_is_refused(files: Path):
    with pytest.raises(ValueError, match="five-clips: 'theo' is none of george, lucas, nicolas, yweweler"):
        named("five-clips:theo")
    for name in ("reviews", "reviews-bert"):
        with pytest.raises(ValueError, match=f"{name}: 'ebay' is none of amazon, imdb, yelp"):
            named(f"{name}:ebay")


@pytest.mark.parametrize("name", NAMES)
def test_a_short_run_scores_old_and_new(files: Path, name: str):
    report = named(name).but(steps=2, batch_size=4).run(progress=False)
    assert (report.old is not None, report.new is not None) == (True, True)


# With the files


def test_the_data_is_whole(tladapt_data):
    found = {name: [(len(d.train), len(d.test or ())) for d in domains_of(named(name).stream)] for name in NAMES}
    assert found == {
        "reviews": [(700, 300)] * 2, "reviews-bert": [(700, 300)] * 2, "intents": [(1500, 450)] * 10,
        "spoken-words": [(750, 250), (150, 50)], "spoken-wav2vec2": [(750, 250), (150, 50)],
        "five-clips": [(150, 50), (150, 50), (50, 50)],
    }  # fmt: skip


@pytest.mark.slow
def test_rehearsal_keeps_the_old_speakers_and_learns_the_new_one(tladapt_data):
    scenario = named("five-clips:lucas")
    tuned, kept = (scenario.run(method, progress=False) for method in (Method(), Replay(100)))
    before = np.array(tuned.scores[1], dtype=float)
    assert kept.new is not None
    assert kept.old is not None
    assert tuned.new is not None
    assert kept.new > before[2] + 0.2
    assert kept.new > tuned.new - 0.05
    assert kept.old > before[:2].mean() - 0.02


@pytest.mark.slow
def test_intents_are_forgotten_by_fine_tuning_and_not_with_a_memory(tladapt_data):
    scenario = named("intents")
    tuned, kept = scenario.run(Method(), progress=False), scenario.run(progress=False)
    assert tuned.forgetting is not None
    assert kept.forgetting is not None
    assert tuned.forgetting > 0.08
    assert kept.forgetting < 0.03
