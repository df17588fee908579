"""Pre-trained encoders of sound: the checkpoint's own states, its frames, its head, and a life with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tladapt import Classification, Domain, Model, SpeechToText
from tladapt.backbones import speech

transformers = pytest.importorskip("transformers")
TASK = SpeechToText("abc")
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [8, 8],
    "conv_kernel": [10, 8], "conv_stride": [5, 4], "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2, "vocab_size": 4,
}  # fmt: skip
KINDS = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}


def checkpoint(folder: Path, kind: str = "wav2vec2", whole: str = "Model", **changed: Any) -> Any:
    """A network of transformers with random weights, written to the folder."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{KINDS[kind]}Config")(**SMALL | changed)
    network = getattr(transformers, KINDS[kind] + whole)(config).eval()
    network.save_pretrained(folder)
    return network


def extractor(folder: Path, **wants: bool) -> Any:
    found = transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, **wants)
    found.save_pretrained(folder)
    return found


def sounds(texts: list[str], pitch: float = 1.0) -> dict[str, Tensor]:
    """A tone of its own for every character."""
    x, length = 0.2 * torch.randn(len(texts), 600, generator=torch.Generator().manual_seed(0)), []
    for row, text in zip(x, texts, strict=True):
        tones = [torch.sin(pitch * 2.0 ** "abc".index(c) * 0.1 * torch.arange(200)) for c in text]
        row[: 200 * len(tones)] += torch.cat(tones)
        length.append(200 * len(tones))
        row[length[-1] :] = 0
    return {"sound": x, "length": torch.tensor(length)}


def domain(name: str, pitch: float, y: Callable[[list[str]], Tensor], classes: int) -> Domain:
    train, test = ["ab", "c", "cab", "b", "a"], ["ba", "cb", "a"]
    return Domain(name, *((sounds(t, pitch), y(t)) for t in (train, test)), classes=classes)


@pytest.mark.filterwarnings("ignore:Support for mismatched")  # within transformers' WavLM
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_states_are_those_of_transformers(tmp_path, kind, norm):
    network = checkpoint(tmp_path, kind, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer")
    wants = extractor(tmp_path, do_normalize=True, return_attention_mask=norm == "layer")
    x = sounds(["ab", "c", "cab"])
    raw = [row[:size].numpy() for row, size in zip(x["sound"], x["length"].tolist(), strict=True)]
    read = wants(raw, sampling_rate=8000, return_tensors="pt", padding=True, return_attention_mask=True)
    if norm == "group":  # the mask is for the extractor alone: without one, it takes the silence for sound
        del read["attention_mask"]
    output = speech(tmp_path, classes=4).eval()(x)
    with torch.no_grad():
        expected = network(**read).last_hidden_state
    assert output.mask is not None
    torch.testing.assert_close(output.features[output.mask], expected[output.mask], atol=1e-5, rtol=1e-4)
    assert output.mask.sum(1).tolist() == network._get_feat_extract_output_lengths(x["length"]).tolist()


def test_what_the_feature_extractor_says_is_done(tmp_path):
    network = checkpoint(tmp_path, feat_extract_norm="layer")
    extractor(tmp_path, do_normalize=False)
    x = sounds(["abc", "cab"])
    model = speech(tmp_path, classes=4).eval()
    torch.testing.assert_close(model(x).features, network(x["sound"]).last_hidden_state)
    assert model.inputs == {"kind": "sounds", "rate": 8000, "seconds": 5.0}
    told = speech(tmp_path, normalise=True, classes=4).eval()
    assert (told(x).features - model(x).features).abs().max() > 1e-3


@pytest.mark.parametrize("length", [600, 390, 200, 45, 44, 3, 1])
def test_where_the_network_is_told_what_is_sound_padding_changes_nothing(tmp_path, length):
    checkpoint(tmp_path, feat_extract_norm="layer", do_stable_layer_norm=True)
    model, x = speech(tmp_path, classes=4).eval(), sounds(["abc", "b"])
    x["length"] = torch.tensor([length, 200])
    noisy = {**x, "sound": torch.where(torch.arange(600) < x["length"][:, None], x["sound"], 9.0)}
    alone = {"sound": x["sound"][:1, :length], "length": x["length"][:1]}
    output, own = model(x), model(alone)
    assert output.mask is not None
    frames = int(output.mask[0].sum())
    assert frames == own.logits.shape[1] == max(1, ((length - 10) // 5 + 1 - 8) // 4 + 1)
    assert torch.equal(output.logits, model(noisy).logits)
    torch.testing.assert_close(output.logits[0, :frames], own.logits[0], atol=1e-5, rtol=1e-4)


def test_the_mean_is_over_the_frames_that_are_sound(tmp_path):
    checkpoint(tmp_path)
    x = sounds(["abc", "b"])
    frames, one = (speech(tmp_path, pooling, classes=4).eval()(x) for pooling in (None, "mean"))
    assert frames.mask is not None
    assert one.mask is None
    for i in range(2):
        torch.testing.assert_close(one.features[i], frames.features[i][frames.mask[i]].mean(0))


def test_the_head_of_a_checkpoint_that_transcribes_is_kept(tmp_path):
    network, x = checkpoint(tmp_path, whole="ForCTC", pad_token_id=2), sounds(["abc", "cab"])
    extractor(tmp_path, do_normalize=False)
    model = speech(tmp_path, classes=TASK.classes).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(x).logits, network(x["sound"]).logits[..., [2, 0, 1, 3]])
    base = network.wav2vec2(x["sound"]).last_hidden_state
    for other in (speech(tmp_path, classes=7), speech(tmp_path, "mean", classes=4)):
        assert isinstance(other.head, nn.Linear)
        assert not torch.equal(other.head.weight[:4], network.lm_head.weight)
        features = other.eval()(x).features
        torch.testing.assert_close(features, base if features.ndim == 3 else base.mean(1))


def test_a_checkpoint_without_what_only_its_training_needed_is_whole(tmp_path):
    checkpoint(tmp_path, mask_time_prob=0.0)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"mask_time_prob": 0.05}))
    model = speech(tmp_path, classes=4).train()
    output = model(sounds(["a", "b"]))  # far shorter than what SpecAugment would blank out
    output.logits.sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None and ".layers." not in name] == []


def test_it_lives_with_texts(life: Callable, tmp_path):
    checkpoint(tmp_path / "network", feat_extract_norm="layer", do_stable_layer_norm=True)

    def load() -> Model:
        return speech(tmp_path / "network", classes=TASK.classes)

    old, new = (domain(name, pitch, lambda t: TASK.encode(t, 3), 4) for name, pitch in (("low", 1.0), ("high", 1.5)))
    life(load, old, new, TASK)


def test_it_lives_with_classes(life: Callable, tmp_path):
    checkpoint(tmp_path / "network", whole="ForCTC")

    def first(texts: list[str]) -> Tensor:
        return torch.tensor(["abc".index(text[0]) for text in texts])

    old, new = (domain(name, pitch, first, 3) for name, pitch in (("low", 1.0), ("high", 1.5)))
    life(lambda: speech(tmp_path / "network", "mean", classes=3), old, new, Classification())


def test_it_is_built_from_a_configuration_alone(tmp_path):
    model, x = speech({"model_type": "hubert", **SMALL}, "mean", masked=True, classes=3).eval(), sounds(["abc", "b"])
    model.save(tmp_path)
    again = Model.load(tmp_path)
    assert torch.equal(again(x).logits, model(x).logits)
    assert isinstance(again.recipe, dict)
    assert (again.recipe["arguments"]["masked"], again.recipe["arguments"]["normalise"]) == (True, True)


def test_what_is_no_network_of_sound_is_refused(tmp_path):
    with pytest.raises(ValueError, match="BertModel reads no raw sound"):
        speech({"model_type": "bert", "hidden_size": 12, "num_attention_heads": 2, "num_hidden_layers": 1}, classes=2)
    with pytest.raises(ValueError, match=r"speech\(pooling='max'\): expected None or 'mean'"):
        speech({"model_type": "wav2vec2"}, "max", classes=2)
    with pytest.raises(ValueError, match=r"no config\.json in this folder"):
        speech(tmp_path, classes=2)
