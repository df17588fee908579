"""A small T5 and a small Marian: losses and greedy answers as transformers', shared weights, masks, the Fisher."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tladapt import DANN, EWC, Domain, LwF, Model, Output, Replay, SequenceToSequence, Stage, adaptation, fit
from tladapt.backbones import translation
from tladapt.methods.fisher import fisher, some
from tladapt.methods.weights import weights

transformers = pytest.importorskip("transformers")

IDS, LENGTH, PLACES = 30, 6, 8
KINDS: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "vocab_size": IDS,
           "decoder_start_token_id": 0},
    "marian": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
               "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "vocab_size": IDS,
               "pad_token_id": IDS - 1, "decoder_start_token_id": IDS - 1, "max_position_embeddings": 12,
               "forced_eos_token_id": None, "init_std": 0.3},
}  # fmt: skip
END = {"t5": 1, "marian": 0}


def task(folder: Path, metric: str = "BLEU") -> SequenceToSequence:
    return SequenceToSequence(metric, end=END[folder.name])


def mirrored(folder: Path, name: str, low: int, rows: int = 12, places: int = PLACES) -> Domain:
    """Texts of 2 to 5 ids from `low` on; the answer is the text from its end, then what ends it."""
    random = torch.Generator().manual_seed(low)
    ids, size = (torch.randint(*ends, shape, generator=random) for ends, shape in
                 (((low, low + 10), (rows, places)), ((2, LENGTH), (rows, 1))))  # fmt: skip
    mask = torch.arange(places) < size
    y = torch.full((rows, LENGTH), -1)
    for row, count in enumerate(size[:, 0].tolist()):
        y[row, :count] = ids[row, :count].flip(0)
        y[row, count] = END[folder.name]
    return Domain(name, ({"input_ids": ids * mask, "attention_mask": mask.long()}, y), test=0.3)


def rows(domain: Domain) -> dict[str, Tensor]:
    x = domain.train.rows(torch.arange(len(domain.train)))
    assert isinstance(x, dict)
    return x


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that transformers has trained a little, to turn texts around."""
    path, kind = tmp_path_factory.mktemp("checkpoints") / request.param, request.param
    torch.manual_seed(4)
    network = transformers.AutoModelForSeq2SeqLM.from_config(transformers.AutoConfig.for_model(kind, **KINDS[kind]))
    optimizer, domain = torch.optim.Adam(network.parameters(), lr=0.01), mirrored(path, "low", 2, rows=100)
    y = domain.train.y.masked_fill(domain.train.y < 0, -100)
    for _ in range(40):
        optimizer.zero_grad()
        network(**rows(domain), labels=y).loss.backward()
        optimizer.step()
    if kind == "marian":
        network.final_logits_bias[0, IDS - 1] = 9.0  # its padding is likely, but never said
        network.generation_config.bad_words_ids = [[IDS - 1]]
    network.save_pretrained(path)
    return path


@pytest.fixture
def network(folder: Path) -> Any:
    return transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()


def test_it_lives_through_every_family_of_methods(folder: Path, life: Callable):
    old, new = mirrored(folder, "low", 2), mirrored(folder, "high", 15)
    life(lambda: translation(folder, LENGTH), old, new, task(folder))


@pytest.mark.parametrize("places", [LENGTH, PLACES])  # as many places as answers have: no mask is taken for another
def test_logits_and_loss_are_those_of_transformers(places: int, folder: Path, network: Any):
    domain, model = mirrored(folder, "a", 2, places=places), translation(folder, LENGTH).eval()
    x, y = rows(domain), domain.train.y
    with torch.no_grad():
        theirs = network(**x, labels=y.masked_fill(y < 0, -100))
        output = model(x, None, y)
    torch.testing.assert_close(output.logits[y >= 0], theirs.logits[y >= 0], rtol=1e-4, atol=1e-5)
    seen = x["attention_mask"].bool()
    assert output.mask is not None
    torch.testing.assert_close(output.features[output.mask], theirs.encoder_last_hidden_state[seen])
    assert (len(model.classes), model.width) == (IDS, 16)
    batch = Stage((domain,), (0,), 0, None, task(folder), batch_size=len(y)).batch(0)
    ours = task(folder).loss(model(batch.x, batch.domain, batch.y), batch)
    reference = torch.nn.functional.cross_entropy(theirs.logits.flatten(0, 1), y.flatten(), ignore_index=-1)
    torch.testing.assert_close(ours, reference)
    if folder.name == "t5":  # Marian of transformers counts padding, but for labels of -100
        torch.testing.assert_close(ours, theirs.loss)


@pytest.mark.parametrize("places", [LENGTH, PLACES])
def test_greedy_answers_are_those_of_transformers(places: int, folder: Path, network: Any):
    x = rows(mirrored(folder, "a", 2, rows=40, places=places))
    never = [] if folder.name == "t5" else [IDS - 1]
    theirs = network.generate(**x, max_new_tokens=LENGTH, do_sample=False, num_beams=1)[:, 1:]
    model = translation(folder, LENGTH).eval()
    assert model.head.never == never
    assert model.recipe is not None
    assert model.recipe["arguments"]["never"] == never
    with torch.no_grad():
        answers = task(folder).predict(model(x), None)
    assert answers.shape == (len(theirs), LENGTH)
    ended = False
    for ours, other in zip(answers.tolist(), theirs.tolist(), strict=True):
        said = other[: other.index(END[folder.name]) + 1] if END[folder.name] in other else other
        ended = ended or len(said) < LENGTH
        assert ours == said + [-1] * (LENGTH - len(said))
    assert ended  # some of them do
    assert len(answers.unique(dim=0)) > 3
    if never:
        everything = translation(folder, LENGTH, never=[]).eval()
        assert (task(folder).predict(everything(x), None) == IDS - 1).float().mean() > 0.05


def test_an_answer_by_itself_has_the_logits_of_that_answer_given(folder: Path):
    x, model = rows(mirrored(folder, "a", 2, rows=40)), translation(folder, LENGTH, never=[]).eval()
    own = model(x).logits
    answers = task(folder).predict(Output(own, own), None)
    given = model(x, None, answers).logits
    torch.testing.assert_close(own, given, rtol=1e-4, atol=1e-5)
    assert (own.any(-1) == (answers >= 0)).all()  # after the end nothing is said


def test_rows_without_an_answer_have_logits_for_the_first_place_alone(folder: Path):
    domain, model = mirrored(folder, "a", 2), translation(folder, LENGTH).eval()
    x, y = rows(domain), domain.train.y
    some_known, all_known = model(x, None, y[:3]).logits, model(x, None, y).logits
    torch.testing.assert_close(some_known[:3], all_known[:3])
    torch.testing.assert_close(some_known[3:, 0], all_known[3:, 0])
    assert (some_known[3:, 1:] == 0).all()
    torch.testing.assert_close(model(x, None, y.new_empty(0)).logits[:, 0], all_known[:, 0])


def test_what_is_masked_does_not_count(folder: Path):
    domain, model = mirrored(folder, "a", 2), translation(folder, LENGTH).eval()
    x, y = rows(domain), domain.train.y
    other = x | {"input_ids": x["input_ids"].where(x["attention_mask"] == 1, 7)}
    torch.testing.assert_close(model(x, None, y).logits, model(other, None, y).logits)
    nothing = x | {"attention_mask": torch.zeros_like(x["attention_mask"])}
    assert model(nothing, None, y).logits.isfinite().all()


def test_weights_that_both_halves_share_stay_one(folder: Path, tmp_path: Path):
    def shared(model: Model) -> tuple[Any, Any, Any]:
        head: Any = model.head.network
        encoder: Any = model.encoder.network
        return encoder.get_input_embeddings().weight, head.get_decoder().embed_tokens.weight, head.lm_head.weight

    model, domain = translation(folder, LENGTH), mirrored(folder, "a", 2)
    assert not [name for name, _ in model.head.named_modules() if name.endswith("encoder")]
    fit(model, [domain, mirrored(folder, "b", 12)], EWC(samples=2) + Replay(4), steps=2, task=task(folder))
    assert len({id(weight) for weight in shared(model)}) == 1
    model.save(tmp_path / "saved")
    again = Model.load(tmp_path / "saved")
    assert len({id(weight) for weight in shared(again)}) == 1
    assert torch.equal(again(rows(domain)).logits, model(rows(domain)).logits)
    before = sum(p.numel() for p in transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).parameters())
    assert sum(p.numel() for p in again.parameters()) == before
    fit(again, [domain], steps=1, task=task(folder))
    assert len({id(weight) for weight in shared(again)}) == 1


def test_the_fisher_information_is_that_of_single_samples(folder: Path):
    model, domain = translation(folder, LENGTH).eval(), mirrored(folder, "a", 2)
    stage = Stage((domain,), (0,), 0, None, task(folder))
    found = fisher(model, stage, 4, torch.Generator().manual_seed(3))
    random = torch.Generator().manual_seed(3)
    batch = some(stage, 4, random)
    with torch.no_grad():
        y = task(folder).sample(lambda y: model(batch.x, batch.domain, y), random)
    assert len(y.unique(dim=0)) > 1
    assert isinstance(batch.x, dict)
    expected = torch.zeros_like(found)
    for i in range(4):
        model.zero_grad()
        output = model({key: part[i : i + 1] for key, part in batch.x.items()}, None, y[i : i + 1])
        task(folder).surprise(output, y[i : i + 1]).backward()
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights(model).values()]
        expected += torch.cat([g.flatten().square() for g in grads])
    trained = torch.cat([torch.full((w.numel(),), w.requires_grad) for w in weights(model).values()])
    torch.testing.assert_close(found[trained], expected[trained] / 4, rtol=1e-4, atol=1e-6)
    assert found.max() > 0


def test_the_old_model_is_held_to_and_source_and_target_are_aligned(folder: Path):
    old, new = mirrored(folder, "low", 2), mirrored(folder, "high", 15)
    model = translation(folder, LENGTH)
    report = fit(model, [*adaptation(old, new), mirrored(folder, "all", 5)], DANN() + LwF(), steps=2, task=task(folder))
    assert [note for note in report.notes if "stage 2" in note] == []


def test_it_learns_to_turn_other_texts_around(folder: Path):
    domain = mirrored(folder, "high", 15, rows=150)
    report = fit(translation(folder, LENGTH), [domain], epochs=20, batch_size=35, lr=0.01, task=task(folder, "ROUGE-L"))
    before, after = (row[0] for row in report.scores)
    assert before is not None
    assert after is not None
    assert after > before + 0.15


# Refusals


def test_arguments_that_do_not_fit_are_refused(folder: Path):
    for length in (0, 2.5):
        with pytest.raises(ValueError, match=rf"translation\(length={length}\): expected a whole number from 1"):
            translation(folder, length)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"translation\(classes=3\): the vocabulary has 30 ids"):
        translation(folder, LENGTH, classes=3)
    assert len(translation(folder, LENGTH, classes=IDS).classes) == IDS
    domain = mirrored(folder, "a", 2)
    with pytest.raises(ValueError, match=rf"y has the shape \(\d+, {LENGTH}\), expected \(n, 5\), padded with -1"):
        translation(folder, 5)(rows(domain), None, domain.train.y)


def test_answers_longer_than_the_networks_positions_are_refused():
    with pytest.raises(ValueError, match=r"length=13\): expected a whole number from 1 to 12"):
        translation({"model_type": "marian", **KINDS["marian"]}, 13)


def test_an_untrained_network_comes_from_a_configuration():
    model = translation({"model_type": "t5", **KINDS["t5"]}, LENGTH, never=[0])
    assert model.recipe is not None
    assert model.recipe["arguments"]["never"] == [0]
    assert (model.head.start, model.head.end) == (0, [1])
