"""A small GPT-2 with its own head: what transformers says, weights that stay tied, the Fisher information."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tladapt import EWC, Domain, LanguageModelling, Model, Replay, Stage, fit
from tladapt.backbones import language
from tladapt.methods.fisher import fisher, some
from tladapt.methods.weights import weights
from tladapt.tasks.language import next_tokens

transformers = pytest.importorskip("transformers")

SIZES = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 40, "n_positions": 12, "bos_token_id": 0,
         "eos_token_id": 0}  # fmt: skip
TASK = LanguageModelling()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "gpt2"
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model("gpt2", **SIZES))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    network.save_pretrained(path)
    return path


def counting(name: str, step: int, rows: int = 12, length: int = 8) -> Domain:
    """Numbers that rise by `step`; texts of 3 to 8 of them."""
    random = torch.Generator().manual_seed(step)
    start, size = torch.randint(40, (rows, 1), generator=random), torch.randint(3, length + 1, (rows, 1))
    ids, mask = (start + step * torch.arange(length)) % 40, torch.arange(length) < size
    x = {"input_ids": ids * mask, "attention_mask": mask.long()}
    return Domain(name, (x, next_tokens(ids, mask)), test=0.3)


def rows(domain: Domain) -> dict[str, Tensor]:
    x = domain.train.rows(torch.arange(len(domain.train)))
    assert isinstance(x, dict)
    return x


def test_it_lives_through_every_family_of_methods(folder: Path, life: Callable):
    life(lambda: language(folder), counting("ones", 1), counting("threes", 3), TASK)


def test_logits_and_loss_are_those_of_transformers(folder: Path):
    network, model, domain = (
        transformers.AutoModelForCausalLM.from_pretrained(folder),
        language(folder),
        counting("a", 1),
    )
    x, y = rows(domain), domain.train.y
    labels = x["input_ids"].where(x["attention_mask"] == 1, -100)
    with torch.no_grad():
        output, theirs = model.eval()(x), network.eval()(**x, labels=labels)
    mask = x["attention_mask"].bool()
    torch.testing.assert_close(output.logits[mask], theirs.logits[mask])
    assert (output.logits[~mask] == 0).all()
    assert (len(model.classes), model.width) == (40, 16)
    batch = Stage((domain,), (0,), 0, None, TASK, batch_size=len(y)).batch(0)
    torch.testing.assert_close(TASK.loss(model(batch.x), batch), theirs.loss)
    score = TASK.score(TASK.marks(output, y, None))
    assert score == pytest.approx(math.exp(theirs.loss.item()), rel=1e-5)


def embedding(model: Model) -> torch.nn.Parameter:
    return model.encoder.network.wte.weight  # type: ignore[union-attr, return-value]


def test_tied_weights_stay_tied(folder: Path, tmp_path: Path):
    model = language(folder)
    fit(model, [counting("a", 1), counting("b", 2)], EWC(samples=4) + Replay(4), steps=2, batch_size=4, task=TASK)
    assert embedding(model) is model.head.weight
    assert len({id(p) for p in model.parameters()}) == len(list(model.parameters()))
    model.save(tmp_path / "saved")
    again, x = Model.load(tmp_path / "saved"), rows(counting("c", 5))
    assert embedding(again) is again.head.weight
    assert torch.equal(again(x).logits, model(x).logits)
    fit(again, [counting("a", 1)], steps=1, task=TASK)
    assert embedding(again) is again.head.weight
    assert not torch.equal(embedding(again), embedding(model))


def test_the_fisher_information_is_that_of_single_texts(folder: Path):
    model, domain = language(folder).eval(), counting("a", 1)
    stage = Stage((domain,), (0,), 0, None, TASK)
    found = fisher(model, stage, 5, torch.Generator().manual_seed(3))
    random = torch.Generator().manual_seed(3)
    batch = some(stage, 5, random)
    with torch.no_grad():
        y = TASK.sample(lambda y: model(batch.x, batch.domain, y), random)
    expected = torch.zeros_like(found)
    assert isinstance(batch.x, dict)
    for i in range(5):
        one = {key: part[i : i + 1] for key, part in batch.x.items()}
        model.zero_grad()
        TASK.surprise(model(one), y[i : i + 1]).backward()
        expected += torch.cat([w.grad.flatten().square() for w in weights(model).values() if w.grad is not None])
    torch.testing.assert_close(found, expected / 5, rtol=1e-4, atol=1e-6)
    assert found.max() > 0


def test_it_learns_to_count(folder: Path):
    domain = counting("ones", 1, rows=60)
    report = fit(language(folder), [domain], steps=60, batch_size=16, lr=0.02, task=TASK)
    before, after = (row[0] for row in report.scores)
    assert before is not None
    assert after is not None
    assert before > 30  # of 40 ids
    assert after < 3
    assert (report.metric, report.share, report.higher_is_better) == ("perplexity", False, False)
    assert "perplexity" in str(report)


# Refusals


def test_a_network_that_looks_ahead_is_refused(tmp_path: Path):
    bert = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": 20}  # fmt: skip
    with pytest.raises(ValueError, match=r"language\('bert'\): it looks ahead"):
        language(bert)


def test_a_network_that_adds_to_its_logits_is_refused():
    with pytest.raises(ValueError, match="more than a linear layer"):
        language({"model_type": "cohere", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                  "intermediate_size": 16, "vocab_size": 20, "logit_scale": 0.5, "pad_token_id": 0, "bos_token_id": 1,
                  "eos_token_id": 2})  # fmt: skip


def test_another_number_of_classes_is_refused(folder: Path):
    assert len(language(folder, classes=40).classes) == 40
    with pytest.raises(ValueError, match=r"language\(classes=3\): the vocabulary has 40 ids; leave classes out"):
        language(folder, classes=3)
