"""Deep Speech 2: it hears a sound and not its padding, learns, and lives on."""

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor, nn

from tladapt import Domain, Model, SpeechToText, Stage, fit
from tladapt.backbones import deepspeech2
from tladapt.layers.log_mel import LogMel, mel_bank
from tladapt.layers.recurrent import BothWays
from tladapt.methods.fisher import fisher
from tladapt.methods.weights import weights

TASK = SpeechToText("abc")
RATE = 4000


def small(
    bands: int = 12, channels: int = 2, width: int = 8, layers: int = 2, batchnorm: str = "joint", seed: int = 0
) -> Model:
    torch.manual_seed(seed)
    return deepspeech2(bands, channels, width, layers, rate=RATE, classes=TASK.classes, batchnorm=batchnorm)


def spoken(text: str, pitch: float = 1.0) -> Tensor:
    """A tone of its own for every character, 0.15 s each."""
    time = torch.arange(int(0.15 * RATE)) / RATE
    return torch.cat([torch.sin(2 * torch.pi * pitch * 300 * 2.0 ** "abc".index(c) * time) for c in text])


def sounds(texts: list[str], pitch: float = 1.0, seconds: float = 0.7) -> dict[str, Tensor]:
    x, length = torch.zeros(len(texts), int(seconds * RATE)), torch.zeros(len(texts), dtype=torch.long)
    for i, text in enumerate(texts):
        sound = spoken(text, pitch)
        x[i, : len(sound)], length[i] = 0.5 * sound, len(sound)
    x += 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(len(texts)))
    return {"sound": x, "length": length}


def domain(name: str, pitch: float = 1.0) -> Domain:
    test = ["ba", "cb", "ac", "bac"]
    train = [text for n in (1, 2, 3) for text in map("".join, permutations("abc", n)) if text not in test]
    parts = ((sounds(texts, pitch), TASK.encode(texts, length=3)) for texts in (train, test))
    return Domain(name, *parts, classes=TASK.classes)


@pytest.mark.parametrize("length", [2800, 1800, 1799, 130, 60, 1])
def test_padding_never_changes_an_answer(length: int):
    model, whole = small().eval(), sounds(["abca", "b"])
    whole["length"] = torch.tensor([length, 600])
    noisy = {**whole, "sound": torch.where(torch.arange(2800) < whole["length"][:, None], whole["sound"], 9.0)}
    alone = {"sound": whole["sound"][:1, :length], "length": whole["length"][:1]}
    output, other, own = model(whole), model(noisy), model(alone)
    assert output.mask is not None
    frames = int(output.mask[0].sum())
    assert frames == own.logits.shape[1]
    assert torch.equal(output.logits, other.logits)
    torch.testing.assert_close(output.logits[0, :frames], own.logits[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.features[0, :frames], own.features[0], atol=1e-5, rtol=1e-4)


def test_loudness_does_not_matter_and_words_do():
    model, x = small().eval(), sounds(["abc", "cab"])
    quiet = {**x, "sound": x["sound"] / 2}
    said = model(x).logits
    louder = (said - model(quiet).logits).abs().max()
    assert (said[0] - said[1]).abs().max() > 10 * louder


def test_it_learns_to_transcribe():
    model = small(channels=4, width=16, layers=1)
    report = fit(model, [domain("voice")], steps=60, batch_size=11, lr=0.04, task=TASK)
    (before,), (after,) = report.scores
    assert before is not None
    assert after is not None
    assert before > 0.6
    assert after < 0.35  # of texts that it never heard


def test_it_lives_from_its_file(life: Callable, tmp_path):
    small().save(tmp_path / "pretrained")

    def load() -> Model:
        return deepspeech2(12, 2, 8, 2, tmp_path / "pretrained", rate=RATE, classes=TASK.classes)

    x = sounds(["abc", "cab"])
    assert torch.equal(load().eval()(x).logits, small().eval()(x).logits)
    life(load, domain("low"), domain("high", 1.5), TASK)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_plain_weights_are_read_and_other_characters_get_a_head(tmp_path, suffix):
    path, model = tmp_path / f"weights.{suffix}", small()
    if suffix == "pt":
        torch.save(model.state_dict(), path)
    else:
        model.save(tmp_path)
        (tmp_path / "model.safetensors").rename(path)
    other = deepspeech2(12, 2, 8, 2, path, rate=RATE, classes=7).eval()
    x = sounds(["abc", "cab"])
    assert torch.equal(other(x).features, model.eval()(x).features)
    assert other(x).logits.shape[-1] == 7
    with pytest.raises(ValueError, match=r"deepspeech2\(weights=.*has shape"):
        deepspeech2(12, 2, 9, 2, path, rate=RATE, classes=7)


def test_its_fisher_information_is_that_of_single_rows():
    """Recurrent layers cannot be batched by vmap: each row's gradient by autograd, squared, must come out."""
    model, data = small(), domain("voice")
    stage = Stage([data], [0], 0, None, TASK, batch_size=4)
    found = fisher(model, stage, 4, torch.Generator().manual_seed(0))
    again, drawn = torch.Generator().manual_seed(0), torch.zeros(0)
    rows = torch.randperm(len(data.train), generator=again)[:4].sort().values
    x = {key: value[rows] for key, value in data.train.rows(torch.arange(len(data.train))).items()}  # type: ignore[union-attr]
    model.eval()
    y = TASK.sample(lambda _: model(x), again)
    named = list(weights(model).values())
    total = torch.zeros_like(found)
    for i in range(4):
        one = {key: value[i : i + 1] for key, value in x.items()}
        gradients = torch.autograd.grad(TASK.surprise(model(one), y[i : i + 1]), named)
        drawn = torch.cat([gradient.flatten() for gradient in gradients])
        total += drawn.square()
    assert total.max() > 0
    torch.testing.assert_close(found, total / 4, rtol=1e-3, atol=1e-6)


def test_gradients_flow_in_evaluation_mode():
    """cuDNN refuses it of a recurrent layer in evaluation mode; ours never is."""
    model = small().eval()
    recurrent = [part for part in model.modules() if isinstance(part, nn.GRU)]
    assert len(recurrent) == 4
    assert all(part.training for part in recurrent)
    assert not any(part.training for part in model.modules() if not isinstance(part, nn.GRU))
    model.freeze(model.encoder)
    assert all(part.training and not part.weight_ih_l0.requires_grad for part in recurrent)


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_every_batchnorm_policy_has_its_say(batchnorm):
    model, x = small(batchnorm=batchnorm).train(), sounds(["abc", "cab"])
    before = {name: value.clone() for name, value in model.named_buffers() if "running" in name}
    model.reserve(2)
    output = model(x, torch.tensor([0, 1]))
    output.logits.sum().backward()
    moved = any(not torch.equal(value[: len(old)], old) for (name, old) in before.items()
                for value in [dict(model.named_buffers())[name]])  # fmt: skip
    assert moved == (batchnorm != "frozen")


@pytest.mark.parametrize("arguments", [{"bands": 0}, {"width": -1}, {"layers": 0}, {"rate": 0}, {"channels": 1.5}])
def test_sizes_that_are_none_are_refused(arguments):
    with pytest.raises(ValueError, match=rf"deepspeech2\({next(iter(arguments))}=.*positive whole number"):
        deepspeech2(**arguments, classes=3)


def test_bands_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="bands=128: too many for windows of 128 samples at 4000 a second"):
        small(bands=128)


# Its layers


def test_both_ways_is_torchs_bidirectional_layer_on_packed_sequences():
    torch.manual_seed(0)
    ours, theirs = BothWays(3, 4), nn.GRU(3, 4, batch_first=True, bidirectional=True)
    for suffix, part in (("", ours.there), ("_reverse", ours.back)):
        for name, weight in part.named_parameters():
            getattr(theirs, name + suffix).data.copy_(weight)
    x, count = torch.randn(3, 6, 3), torch.tensor([6, 4, 1])
    packed = nn.utils.rnn.pack_padded_sequence(x, count, batch_first=True, enforce_sorted=False)
    both, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    held = torch.arange(6) < count[:, None]
    torch.testing.assert_close(ours(x, count)[held], both.unflatten(2, (2, 4)).sum(2)[held])


def test_a_tone_is_heard_in_its_band_and_frames_are_counted():
    layer = LogMel(8000, 32, 256, 80)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(4000) / 8000)
    mel, count = layer(tone.expand(3, -1), torch.tensor([4000, 335, 10]))
    assert mel.shape == (3, 47, 32)
    assert count.tolist() == [47, 1, 1]
    assert mel[1, 1:].abs().max() == 0
    centre = 8000 * mel_bank(8000, 32, 256)[int(mel[0].mean(0).argmax())].argmax() / 256
    assert abs(float(centre) - 1000) < 80
