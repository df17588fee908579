"""Causal language models: GPT-2 and every other that transformers' AutoModelForCausalLM knows."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tladapt.backbones.huggingface import Encoder, Source, network, recipe_of
from tladapt.model import Model


def language(name: Source, *, classes: int | Sequence[str] | None = None, batchnorm: str = "joint") -> Model:
    """A pre-trained causal language model: the transformer is the encoder, its own last layer the head.

    The classes are the ids of the vocabulary. Where the head's weights are those of the embedding (GPT-2), they stay
    one, through training and through save and load. x is {"input_ids", "attention_mask"}, each (n, L); for the task
    see `tladapt.tasks.language.LanguageModelling`.

    Parameters
    ----------
    name : str, Path or dict
        "gpt2" or any other name on the Hugging Face hub; a folder written by `save_pretrained`; or the configuration
        of an untrained network, such as {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2}.
    classes : int or sequence of str, optional
        The size of the vocabulary, which the checkpoint says.
    batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If there is no such network (see `tladapt.backbones.huggingface.network`), it looks ahead (BERT), its logits
        are no linear layer of its states, or `classes` is another number than it has.
    """
    found = network("AutoModelForCausalLM", name, "language")
    said = f"language({found.config.model_type!r})"
    head = found.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise ValueError(f"{said}: its head is no linear layer but a {type(head).__name__}")
    _check(found, head, said)
    asked = classes if isinstance(classes, int | None) else len(classes)
    if asked not in (None, head.out_features):
        raise ValueError(f"language(classes={asked}): the vocabulary has {head.out_features} ids; leave classes out")
    recipe = {"backbone": "language", "arguments": {"name": recipe_of(found)}}
    encoder = Encoder(found.base_model, None)
    return Model(encoder, head, classes=classes or head.out_features, batchnorm=batchnorm, recipe=recipe)


@torch.no_grad()
def _check(found: Any, head: nn.Linear, said: str) -> None:
    """Refuse a network that is no causal encoder with a linear head, by what it answers to two texts of two tokens."""
    ids = torch.tensor([[0, 1], [0, 2]])
    states = found.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    if not torch.allclose(states[0, 0], states[1, 0], atol=1e-4):
        raise ValueError(f"{said}: it looks ahead, at the tokens that it is to tell; take a causal language model")
    logits = found(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    if not torch.allclose(head(states), logits, rtol=1e-3, atol=1e-3):
        raise ValueError(f"{said}: its logits are more than a linear layer of its states")
