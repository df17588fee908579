"""Encoders of texts: BERT, RoBERTa, GPT-2 and every other that transformers' AutoModel knows."""

from collections.abc import Sequence

from torch import nn

from tladapt.backbones.huggingface import Encoder, Source, network, recipe_of
from tladapt.model import Model


def text(
    name: Source, pooling: str | None = "mean", *, classes: int | Sequence[str], batchnorm: str = "joint"
) -> Model:
    """A pre-trained encoder of texts and a new linear head; x is {"input_ids", "attention_mask"}, each (n, L).

    Parameters
    ----------
    name : str, Path or dict
        "bert-base-uncased", "roberta-base", "gpt2" or any other name on the Hugging Face hub; a folder written by
        `save_pretrained`; or the configuration of an untrained network, such as {"model_type": "bert",
        "hidden_size": 32, "num_hidden_layers": 2}. Of an encoder-decoder (T5) it is the encoder. Code that a
        checkpoint brings along is never run.
    pooling : {"mean", "cls", "last", None}
        The features of a text: the mean over the tokens that the mask holds, those of the first token, those of the
        last one held (for GPT-2, which reads from left to right), or one vector per token, (n, L, d) with the mask,
        to be classified token by token.
    classes : int or sequence of str
        How many classes, or their names.
    batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If transformers is missing, or there is no such network; see `tladapt.backbones.huggingface.network`.

    Notes
    -----
    A network without a padding token (GPT-2) needs none: what the mask leaves out is not looked at, whatever its id.
    The tokenizer is part of how files are read: `tladapt.readers.texts.Texts`.
    """
    found = network("AutoModel", name, "text")
    recipe = {"backbone": "text", "arguments": {"name": recipe_of(found), "pooling": pooling}}
    body = found.get_encoder() if found.config.is_encoder_decoder else found
    if getattr(body, "pooler", None) is not None:
        body.pooler = None  # its weights would never train
    head = nn.Linear(found.config.hidden_size, classes if isinstance(classes, int) else len(classes))
    return Model(Encoder(body, pooling), head, classes=classes, batchnorm=batchnorm, recipe=recipe)
