"""Encoders of raw sound: wav2vec 2.0, HuBERT, WavLM and their kin, of transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from tladapt.backbones.extras import AlteredError, from_hub, needed, repository
from tladapt.backbones.huggingface import network, recipe_of
from tladapt.layers.positions import within
from tladapt.model import Model
from tladapt.readers.sounds import Sounds


def speech(
    name: str | Path | dict[str, Any], pooling: str | None = None, normalise: bool | None = None,
    masked: bool | None = None, *, classes: int | Sequence[str], batchnorm: str = "joint",
) -> Model:  # fmt: skip
    """A pre-trained encoder of sound and a linear head; x is {"sound": (n, samples), "length": (n,)}, as of `Sounds`.

    Parameters
    ----------
    name : str, Path or dict
        "facebook/wav2vec2-base", "facebook/hubert-base-ls960", "microsoft/wavlm-base" or any other such network on the
        Hugging Face hub; a folder written by `save_pretrained`; or the configuration of an untrained network, such as
        {"model_type": "wav2vec2", "hidden_size": 32, ...}.
    pooling : {None, "mean"}
        None: a vector per frame (of 20 ms, mostly), and the mask of the frames that are sound: for `SpeechToText`.
        "mean": their mean, one vector per sound: for `Classification`.
    normalise : bool, optional
        Whether each sound gets mean 0 and variance 1; by default as the checkpoint's feature extractor says, else yes.
    masked : bool, optional
        Whether the network is told what is sound and what is silence behind it; by default as the feature extractor
        says, else where it normalises layers and not groups of channels. If not, it hears the silence too, and by group
        normalisation (wav2vec2-base) it hears how long that is in any case: give it sounds of like lengths.
    classes : int or sequence of str
        How many classes, or their names; `task.classes` of a `SpeechToText`. Without pooling, the head of a checkpoint
        that transcribes (`...ForCTC`) is kept where it has as many outputs, its blank first, then its other characters
        in their order; else the head is a new one.
    batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If transformers is missing, there is no such network, or it is none of raw sound.

    Notes
    -----
    Differences from transformers: no frames are blanked out in training (SpecAugment), for sounds may be shorter than
    what is blanked; mean and variance are never those of sound and silence together; the convolution that tells
    positions has a plain weight, not one taken apart into length and direction; no dropout before the head of a
    `...ForCTC`.

    References
    ----------
    :cite:`Baevski2020`
    """
    if pooling not in (None, "mean"):
        raise ValueError(f"speech(pooling={pooling!r}): expected None or 'mean'")
    number = classes if isinstance(classes, int) else len(classes)
    found, head = network("AutoModel", name, "speech", "speech"), None
    if not _of_sound(found):
        raise ValueError(f"speech(...): {type(found).__name__} reads no raw sound; give a network such as wav2vec2")
    if pooling is None and _transcribes(found, name) and found.config.vocab_size == number:
        whole = network("AutoModelForCTC", name, "speech", "speech")
        found, head = whole.base_model, _blank_first(whole.lm_head, whole.config.pad_token_id)
    extractor, layered = _extractor(name), found.config.feat_extract_norm == "layer"
    wants = {
        "normalise": getattr(extractor, "do_normalize", True) if normalise is None else normalise,
        "masked": getattr(extractor, "return_attention_mask", layered) if masked is None else masked,
    }
    encoder = SpeechEncoder(_plain(found), pooling, **wants)
    recipe = {"backbone": "speech", "arguments": {"name": recipe_of(found), "pooling": pooling, **wants}}
    head = head or nn.Linear(encoder.width, number)
    model = Model(encoder, head, classes=classes, batchnorm=batchnorm, recipe=recipe)
    model.inputs = Sounds(getattr(extractor, "sampling_rate", 16000)).spec()
    return model


class SpeechEncoder(nn.Module):
    """The hidden states of a network of sound: one vector per frame and the mask, or their mean."""

    def __init__(self, network: Any, pooling: str | None, normalise: bool, masked: bool) -> None:
        super().__init__()
        self.network, self.pooling, self.normalise, self.masked = network, pooling, normalise, masked
        config = network.config
        self.width = int(config.output_hidden_size if getattr(config, "add_adapter", False) else config.hidden_size)
        self.shortest = 1  # what the convolutions make one frame of
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
            self.shortest = (self.shortest - 1) * stride + kernel

    def forward(self, sound: Tensor, length: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """From sounds (n, samples) of these lengths (n,) to (n, frames, width) and mask (n, frames), or (n, width)."""
        held = within(length, sound.shape[1])
        sound = _standardised(sound, held) if self.normalise else sound * held
        sound = nn.functional.pad(sound, (0, max(0, self.shortest - sound.shape[1])))
        length = length.clamp(min=self.shortest)
        told = {"attention_mask": within(length, sound.shape[1]).long()} if self.masked else {}
        states = self.network(sound, **told).last_hidden_state
        mask = within(self.network._get_feat_extract_output_lengths(length), states.shape[1])
        if self.pooling is None:
            return states, mask
        return torch.einsum("nt,ntd->nd", mask / mask.sum(1, keepdim=True), states)


def _standardised(sound: Tensor, held: Tensor) -> Tensor:
    """Each sound, of which the held samples have mean 0 and variance 1, 0 behind them; as transformers does it."""
    count = held.sum(1, keepdim=True).clamp(min=1)
    centred = (sound - (sound * held).sum(1, keepdim=True) / count) * held
    return centred / (centred.square().sum(1, keepdim=True) / count + 1e-7).sqrt()


def _of_sound(found: Any) -> bool:
    config = found.config
    return (
        found.main_input_name == "input_values"
        and hasattr(found, "_get_feat_extract_output_lengths")
        and hasattr(config, "conv_kernel")
        and not config.is_encoder_decoder
    )


def _transcribes(found: Any, name: str | Path | dict[str, Any]) -> bool:
    """Whether the checkpoint has a head for characters."""
    return not isinstance(name, dict) and any("ForCTC" in kind for kind in found.config.architectures or ())


def _blank_first(head: nn.Linear, blank: int) -> nn.Linear:
    """The head with its blank as class 0."""
    order = [blank, *(i for i in range(head.out_features) if i != blank)]
    with torch.no_grad():
        head.weight.copy_(head.weight[order])
        head.bias.copy_(head.bias[order])
    return head


def _extractor(name: str | Path | dict[str, Any]) -> Any:
    """How the checkpoint wants its sounds; None where it does not say."""
    if isinstance(name, dict):
        return None
    said = f"speech({str(name)!r})"
    kind = needed("transformers", "speech").Wav2Vec2FeatureExtractor
    try:
        return from_hub(repository(str(name), said), lambda: kind.from_pretrained(str(name)), said)
    except AlteredError:
        raise
    except (OSError, ValueError):
        return None


def _plain(found: Any) -> Any:
    """The network without what only its own pre-training needs."""
    found.config.mask_time_prob = found.config.mask_feature_prob = 0.0
    if hasattr(found, "masked_spec_embed"):  # it would never train
        del found.masked_spec_embed
    for part in list(found.modules()):
        if is_parametrized(part, "weight"):
            remove_parametrizations(part, "weight")
    return found
