"""Sequence to sequence: T5, Marian and every other that transformers' AutoModelForSeq2SeqLM knows."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tladapt.backbones.huggingface import Encoder, Source, attended, network, recipe_of
from tladapt.model import Model

NEVER = -1e4  # the logit of an id that is never said; -inf would give 0 * inf = NaN


def translation(
    name: Source, length: int, never: Sequence[int] | None = None, *,
    classes: int | Sequence[str] | None = None, batchnorm: str = "joint",
) -> Model:  # fmt: skip
    """A pre-trained translator or summariser: its encoder is the encoder, its decoder with the last layer the head.

    Weights that both share (the embedding) stay one, through training and through save and load. x is {"input_ids",
    "attention_mask"}, each (n, T); y is (n, length), the ids of the answer with the one that ends it, then -1. For the
    task see `tladapt.tasks.translation.SequenceToSequence`.

    Parameters
    ----------
    name : str, Path or dict
        "t5-small", "Helsinki-NLP/opus-mt-en-de" or any other name on the Hugging Face hub; a folder written by
        `save_pretrained`; or the configuration of an untrained network, such as {"model_type": "t5", "d_model": 32,
        "d_kv": 8, "num_layers": 2}.
    length : int
        Of the answers, >= 1: how many positions y has, and how many ids are said at most.
    never : sequence of int, optional
        Ids that are never said; by default those that the checkpoint names, such as Marian's padding.
    classes : int or sequence of str, optional
        The size of the vocabulary, which the checkpoint says.
    batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If there is no such network (see `tladapt.backbones.huggingface.network`), or `length` or `classes` is out of
        range.

    Notes
    -----
    Answers are greedy: no beams, and no ids that a checkpoint forces at the first or the last position. Where the
    configuration names no id to start with, it is that of the padding, as for T5 and Marian.
    """
    found = network("AutoModelForSeq2SeqLM", name, "translation")
    recipe: dict[str, Any] = recipe_of(found)
    _check(found, length)
    started = _told(found, "decoder_start_token_id")
    recipe["decoder_start_token_id"] = found.config.pad_token_id if started is None else started
    recipe["eos_token_id"] = _told(found, "eos_token_id")
    if never is None:
        never = [ids[0] for ids in _told(found, "bad_words_ids") or () if len(ids) == 1]
    encoder, vocabulary = found.get_encoder(), found.get_output_embeddings().weight.shape[0]
    for part in list(found.modules()):
        for key in [key for key, child in part.named_children() if child is encoder]:
            setattr(part, key, None)  # else it would be a part of the head, too
    head = Decoder(found, recipe["decoder_start_token_id"], recipe["eos_token_id"], length, vocabulary, never)
    asked = classes if isinstance(classes, int | None) else len(classes)
    if asked not in (None, vocabulary):
        raise ValueError(f"translation(classes={asked}): the vocabulary has {vocabulary} ids; leave classes out")
    arguments = {"name": recipe, "length": length, "never": list(never)}
    return Model(
        Encoder(encoder, None), head, classes=classes or vocabulary, batchnorm=batchnorm,
        recipe={"backbone": "translation", "arguments": arguments},
    )  # fmt: skip


def _check(found: Any, length: int) -> None:
    longest = getattr(found.config, "max_position_embeddings", None) or length
    if not isinstance(length, int) or not 1 <= length <= longest:
        raise ValueError(f"translation(length={length!r}): expected a whole number from 1 to {longest}")
    if found.config.pad_token_id is None:
        raise ValueError("translation(): the configuration names no pad_token_id")


def _told(found: Any, name: str) -> Any:
    """What the configuration, or else that of its generation, says."""
    value = getattr(found.config, name, None)
    return getattr(found.generation_config, name, None) if value is None else value


class Decoder(nn.Module):
    """The decoder and the last layer of a network that has lost its encoder: features and mask to logits.

    Parameters
    ----------
    network : Module
        Called with `encoder_outputs`.
    start, end : int, and int, list or None
        The id that stands before every answer, and those that end one.
    length : int
        Positions of an answer.
    vocabulary : int
        How many ids there are.
    never : sequence of int
        Ids that are not said.
    """

    autoregressive = True

    def __init__(
        self, network: Any, start: int, end: int | list[int] | None, length: int, vocabulary: int,
        never: Sequence[int],
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.start, self.length, self.never = network, start, length, list(never)
        self.end = [] if end is None else [end] if isinstance(end, int) else list(end)
        self.in_features, self.vocabulary = network.config.d_model, vocabulary

    def forward(self, features: Tensor, mask: Tensor, y: Tensor | None) -> Tensor:
        """The logits (n, length, ids), each given the answer before it; 0 where that has ended or is not known.

        The answers of the first rows are y (m, length), -1 where they say nothing; those of the other rows are not
        known, so that they have logits for the first position alone. For None all rows go by what they say themselves.
        """
        seen = attended(mask)
        if y is None:
            return self._greedy(features, seen)
        if not len(y):  # of data that never had an answer it has no second dimension
            y = y.new_empty(0, self.length)
        if y.ndim != 2 or y.shape[1] != self.length:
            raise ValueError(f"y has the shape {tuple(y.shape)}, expected (n, {self.length}), padded with -1")
        y = torch.cat([y, y.new_full((len(features) - len(y), self.length), -1)])
        before = y[:, :-1]
        start = before.new_full((len(y), 1), self.start)
        given = torch.cat([start, before.where(before >= 0, self.network.config.pad_token_id)], 1)
        logits = self.network(
            encoder_outputs=(features,), attention_mask=seen, decoder_input_ids=given, use_cache=False
        ).logits
        told = torch.cat([start == start, (before >= 0) & ~self._ends(before)], 1)
        return logits.masked_fill(~told[..., None], 0.0)

    def _greedy(self, features: Tensor, seen: Tensor) -> Tensor:
        token = torch.full((len(features), 1), self.start, device=features.device)
        known = inspect.signature(self.network.forward).parameters
        name = "cache" if "cache" in known else "past_key_values"  # before transformers 5.24
        going, cache, steps = token == token, None, list[Tensor]()
        while len(steps) < self.length and going.any():
            said = self.network(
                encoder_outputs=(features,), attention_mask=seen, decoder_input_ids=token, use_cache=True,
                **{name: cache},
            )  # fmt: skip
            logits, cache = said.logits[:, -1:], said[name]
            if self.never:
                logits = logits.index_fill(-1, torch.tensor(self.never, device=logits.device), NEVER)
            steps.append(logits.masked_fill(~going[..., None], 0.0))
            token = logits.argmax(-1)
            going = going & ~self._ends(token)
        said = torch.cat(steps, 1)
        return torch.cat([said, said.new_zeros(len(said), self.length - len(steps), self.vocabulary)], 1)

    def _ends(self, ids: Tensor) -> Tensor:
        return torch.isin(ids, ids.new_tensor(self.end))
