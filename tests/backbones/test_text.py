"""BERT, RoBERTa and GPT-2 from small checkpoints that transformers has saved; what a saved model needs; refusals."""

import json
import logging
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from tladapt import Classification, Domain, Model
from tladapt.backbones import build, text
from tladapt.backbones.huggingface import attended
from tladapt.readers.texts import Texts, tokenizer, train_tokenizer

transformers = pytest.importorskip("transformers")

TEXT = "the camera works well but its battery broke after one long day and they did not send another"
WORDS = TEXT.split()
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
         "vocab_size": 120, "max_position_embeddings": 20}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": SIZES | {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 120, "n_positions": 20, "bos_token_id": 2,
             "eos_token_id": 3},
}  # fmt: skip
POOLING = {"bert": "mean", "roberta": "cls", "gpt2": "last"}
LENGTH = 10


def sentences(count: int, seed: int, negated: bool = False) -> list[str]:
    random = torch.Generator().manual_seed(seed)
    drawn = [torch.randint(len(WORDS), (4,), generator=random).tolist() for _ in range(count)]
    return [" ".join(["not"] * negated + [WORDS[i] for i in row]) for row in drawn]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with its tokenizer, as transformers writes them."""
    path, kind = tmp_path_factory.mktemp("checkpoints") / request.param, request.param
    torch.manual_seed(0)
    network = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **KINDS[kind]))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)  # as drawn, all tokens have nearly one vector
    network.save_pretrained(path)
    fast = Tokenizer.from_str(train_tokenizer(sentences(50, 0), size=120))
    padding = {} if kind == "gpt2" else {"pad_token": "[PAD]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **padding).save_pretrained(path)
    return path


def kind_of(folder: Path) -> str:
    return folder.name


@pytest.fixture
def domains(folder: Path) -> tuple[Domain, Domain]:
    reader = Texts(tokenizer(str(folder)), length=LENGTH)

    def domain(name: str, seed: int) -> Domain:
        x, y = reader.encode(sentences(6, seed) + sentences(6, seed + 1, negated=True)), torch.arange(12) // 6
        return Domain(name, (x, y), test=0.3)

    return domain("cameras", 1), domain("phones", 5)


def rows(domain: Domain) -> dict[str, Tensor]:
    x = domain.train.rows(torch.arange(len(domain.train)))
    assert isinstance(x, dict)
    return x


def by_hand(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One text after the other."""
    picked = {"mean": lambda s, m: s[m].mean(0), "cls": lambda s, m: s[0], "last": lambda s, m: s[m][-1]}[pooling]
    return torch.stack([picked(s, m) for s, m in zip(states, mask.bool(), strict=True)])


def test_it_lives_through_every_family_of_methods(folder: Path, domains: tuple[Domain, Domain], life: Callable):
    life(lambda: text(folder, POOLING[kind_of(folder)], classes=2), *domains)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_the_features_are_those_of_transformers(pooling: str, folder: Path, domains: tuple[Domain, Domain]):
    x, network = rows(domains[0]), transformers.AutoModel.from_pretrained(folder).eval()
    model = text(str(folder), pooling, classes=("bad", "good")).eval()
    assert (model.width, model.classes) == (16, ("bad", "good"))
    with torch.no_grad():
        states = network(**x).last_hidden_state
        output = model(x)
    torch.testing.assert_close(output.features, by_hand(states, x["attention_mask"], pooling))
    assert output.mask is None
    torch.testing.assert_close(output.logits, model.head(output.features))


def test_without_pooling_there_is_one_vector_per_token(folder: Path, domains: tuple[Domain, Domain]):
    x, model = rows(domains[0]), text(folder, None, classes=3).eval()
    output = model(x)
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(folder).eval()(**x).last_hidden_state
    torch.testing.assert_close(output.features, states)
    assert output.logits.shape == (len(states), LENGTH, 3)
    assert output.mask is not None
    assert torch.equal(output.mask, x["attention_mask"].bool())
    torch.testing.assert_close(output.pooled.features, by_hand(states, x["attention_mask"], "mean"))


@pytest.mark.parametrize("folder", ["bert"], indirect=True)
def test_tokens_are_classified_one_by_one(folder: Path, domains: tuple[Domain, Domain], life: Callable):
    def tagged(domain: Domain) -> Domain:
        x = rows(domain)
        y = (x["input_ids"] % 2).masked_fill(x["attention_mask"] == 0, -1)
        return Domain(domain.name, (x, y), test=0.3)

    old, new = map(tagged, domains)
    life(lambda: text(folder, None, classes=2), old, new, Classification())


def test_what_the_mask_leaves_out_does_not_count(folder: Path, domains: tuple[Domain, Domain]):
    x, model = rows(domains[0]), text(folder, POOLING[kind_of(folder)], classes=2).eval()
    other = x["input_ids"].where(x["attention_mask"] == 1, 7)
    assert not torch.equal(other, x["input_ids"])
    if kind_of(folder) != "roberta":  # whose positions are counted by the padding id
        torch.testing.assert_close(model(x).features, model(x | {"input_ids": other}).features)
    assert not torch.allclose(model(x).features, model(x | {"input_ids": x["input_ids"].flip(1)}).features)


def test_a_text_of_nothing_is_no_nan(folder: Path):
    model = text(folder, POOLING[kind_of(folder)], classes=2)
    nothing = {"input_ids": torch.zeros(2, 6, dtype=torch.long), "attention_mask": torch.tensor([[0] * 6, [1] * 6])}
    logits = model(nothing).logits
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_every_text_attends_to_something():  # where no position is left, softmax is NaN on some devices
    mask = torch.tensor([[0, 0, 0], [0, 1, 1], [1, 0, 0]], dtype=torch.bool)
    assert attended(mask).tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]


def test_a_saved_model_needs_neither_the_folder_nor_the_network(
    folder: Path, tmp_path: Path, domains: tuple[Domain, Domain], monkeypatch: pytest.MonkeyPatch
):
    copied = shutil.copytree(folder, tmp_path / "checkpoint")
    model = text(copied, "last", classes=2).eval()
    model.save(tmp_path / "saved")
    shutil.rmtree(copied)
    monkeypatch.setattr("transformers.AutoModel.from_pretrained", None)
    again, x = Model.load(tmp_path / "saved"), rows(domains[0])
    assert torch.equal(again(x).logits, model(x).logits)
    about = (tmp_path / "saved" / "model.json").read_text()
    assert str(tmp_path) not in about  # where the checkpoint lay is nobody's business
    assert json.loads(about)["recipe"] == model.recipe == again.recipe


def test_an_untrained_network_comes_from_a_configuration(folder: Path):
    kind = kind_of(folder)
    torch.manual_seed(1)
    model = text({"model_type": kind, **KINDS[kind]}, classes=2)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in text(folder, classes=2).parameters())
    assert type(model.encoder.network) is type(transformers.AutoModel.from_pretrained(folder))


def test_weights_of_half_precision_are_trained_in_single(folder: Path, tmp_path: Path):
    transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    model = text(tmp_path / "half", classes=2)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.recipe is not None
    assert {p.dtype for p in build(model.recipe, 2, "joint").parameters()} == {torch.float32}


def test_of_an_encoder_and_decoder_it_is_the_encoder():
    model = text({"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2,
                  "vocab_size": 30}, classes=2).eval()  # fmt: skip
    x = {"input_ids": torch.ones(3, 4, dtype=torch.long), "attention_mask": torch.ones(3, 4)}
    assert model(x).logits.shape == (3, 2)
    assert not any("decoder" in name for name, _ in model.named_parameters())


# Refusals, each in one line


def refused(match: str, *arguments: Any, **named: Any) -> str:
    with pytest.raises((ValueError, TypeError), match=match) as error:
        text(*arguments, classes=2, **named)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    config = transformers.AutoConfig.for_model("bert", **SIZES)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def test_a_name_out_of_reach_says_how_to_bring_it_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message = refused(r"text\('gpt2'\): neither in the cache nor to be fetched; give a local folder", "gpt2")
    assert "save_pretrained(folder)" in message
    assert "did you mean" not in message
    refused("did you mean 'bert-base-uncased'", "bert-base-uncasd")
    refused("did you mean 'roberta-base'", "robertabase")


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, bert: Path):
    refused("no such folder", str(tmp_path / "none"))
    refused("no such folder", "./none")
    (tmp_path / "empty").mkdir()
    refused("no config.json in this folder; give one that save_pretrained has written", tmp_path / "empty")
    (bert / "model.safetensors").write_bytes(b"no weights")
    refused("this folder cannot be loaded", bert)
    (bert / "model.safetensors").unlink()
    refused("this folder cannot be loaded", bert)
    (bert / "config.json").write_text("{")
    refused("this folder cannot be loaded", bert)
    refused("text: expected a name, a folder, or a configuration", 3)


def test_missing_weights_are_not_drawn_at_random(bert: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.CRITICAL)
    weights = load_file(bert / "model.safetensors")
    gone = next(name for name in weights if "query.weight" in name)
    save_file({k: v for k, v in weights.items() if k != gone}, bert / "model.safetensors", {"format": "pt"})
    refused(f"1 weights are missing from it, first '{gone}'", bert)
    save_file({k: v for k, v in weights.items() if "pooler" not in k}, bert / "model.safetensors", {"format": "pt"})
    text(bert, classes=2)  # the pooler is not used


def test_a_configuration_is_checked(bert: Path):
    refused("no such model_type; did you mean 'roberta'", {"model_type": "robert"})
    refused("no such model_type", {"hidden_size": 16})
    refused("a bert has no 'hiden_size'; did you mean 'hidden_size'", {"model_type": "bert", "hiden_size": 16})
    refused("builds no network of this kind", {"model_type": "bert", "hidden_size": 15})
    refused("can be used|of this kind", {"model_type": "bert", "hidden_size": "wide"})
    refused("pooling='max': expected one of 'mean', 'cls', 'last', None", bert, "max")


def test_texts_too_long_and_ids_too_large_are_refused(bert: Path):
    model = text(bert, classes=2)
    for ids in (torch.ones(1, 21, dtype=torch.long), torch.full((1, 3), 120)):
        with pytest.raises(ValueError, match=rf"{ids.shape[1]} positions, ids up to {ids.max()}; .* 20 .* and 120 ids"):
            model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def test_the_library_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert 'pip install "tladapt[text]"' in refused("transformers is missing", "gpt2")


# What a checkpoint brings along is not run


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_pickled_code_is_not_run(bert: Path, tmp_path: Path):
    (bert / "model.safetensors").unlink()
    with (bert / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"weight": Payload(tmp_path / "run")}, file)
    refused("this folder cannot be loaded", bert)
    torch.save({"weight": Payload(tmp_path / "run")}, bert / "pytorch_model.bin")
    refused("this folder cannot be loaded", bert)
    assert not (tmp_path / "run").exists()


def test_code_in_the_folder_is_not_run(bert: Path, tmp_path: Path):
    (bert / "own.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'run')!r}).touch()\n")
    config = json.loads((bert / "config.json").read_text()) | {"model_type": "own"}
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModel": "own.Network"}
    (bert / "config.json").write_text(json.dumps(config))
    refused("this folder cannot be loaded", bert)
    assert not (tmp_path / "run").exists()


def test_a_saved_model_loads_nothing_from_elsewhere(bert: Path):
    for name, argument in (("text", "name"), ("language", "name"), ("word2vec", "vectors")):
        with pytest.raises(ValueError, match="a place to load from"):
            build({"backbone": name, "arguments": {argument: str(bert)}}, 2, "joint")


def test_a_configuration_of_the_library_is_taken_and_anything_else_is_named_by_its_kind():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=20
    )
    assert text(config, classes=2).width == 8
    with pytest.raises(
        TypeError, match=r"^text: expected a name, a folder, or a configuration \(a dict\), got a list$"
    ):
        text([1, 2], classes=2)  # type: ignore[arg-type]
