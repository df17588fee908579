"""Networks of the transformers library: from a name, a folder or a configuration; their code is never fetched."""

import difflib
import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tladapt.backbones.extras import AlteredError, from_hub, needed, repository

Source = str | Path | dict[str, Any]
KNOWN = (
    "bert-base-uncased", "bert-base-cased", "bert-large-uncased", "bert-base-multilingual-cased", "roberta-base",
    "roberta-large", "xlm-roberta-base", "distilbert-base-uncased", "distilroberta-base", "albert-base-v2",
    "google/electra-small-discriminator", "microsoft/deberta-v3-base", "gpt2", "gpt2-medium", "distilgpt2",
    "t5-small", "t5-base", "google/flan-t5-small", "facebook/bart-base", "Helsinki-NLP/opus-mt-en-de",
    "facebook/wav2vec2-base", "facebook/wav2vec2-large-xlsr-53", "facebook/hubert-base-ls960", "microsoft/wavlm-base",
)  # fmt: skip
SPARE = ("pooler", "masked_spec_embed")  # weights that no features come from
POOLINGS = ("mean", "cls", "last", None)


def network(kind: str, source: Source, builder: str, extra: str = "text") -> Any:
    """The network of `source` in single precision, by the class `kind` of transformers, such as "AutoModel".

    Parameters
    ----------
    source : str, Path or dict
        A name on the Hugging Face hub, a folder written by `save_pretrained`, or the configuration of an untrained
        network, such as {"model_type": "bert", "hidden_size": 32}.
    builder : str
        Who asks, for the messages.

    Raises
    ------
    ValueError, TypeError
        If the library is missing, the name unknown or out of reach, the folder or the configuration none, or weights
        are missing from it.
    """
    library = needed("transformers", extra)
    auto = getattr(library, kind)
    to_dict = getattr(source, "to_dict", None)
    if hasattr(source, "model_type") and to_dict is not None:  # a configuration of the library itself
        source = to_dict()
    if isinstance(source, dict):
        said = f"{builder}({{'model_type': {source.get('model_type')!r}, ...}})"
        config = _configuration(library, source, said)
        try:
            found = from_hub(None, lambda: auto.from_config(config, dtype=torch.float32, trust_remote_code=False), said)
        except Exception as error:  # of whatever kind the network raises on a size that it cannot have
            raise ValueError(f"{said}: builds no network of this kind ({_line(error)})") from error
    elif isinstance(source, str | Path):
        found = _trained(auto, str(source), f"{builder}({str(source)!r})")
    else:
        raise TypeError(
            f"{builder}: expected a name, a folder, or a configuration (a dict), got a {type(source).__name__}"
        )
    found.config.use_cache, found.config.return_dict = False, True  # a cache would be filled and thrown away
    return found.eval()


def recipe_of(found: Any) -> dict[str, Any]:
    """The configuration of a network as plain JSON, without the place that it came from or code that it names."""
    config = json.loads(found.config.to_json_string(use_diff=False))
    return {key: value for key, value in config.items() if key not in ("_name_or_path", "auto_map", "dtype")}


def _configuration(library: Any, given: dict[str, Any], said: str) -> Any:
    kinds = library.CONFIG_MAPPING
    if (kind := given.get("model_type")) not in kinds:
        raise ValueError(f"{said}: no such model_type{_nearest(str(kind), list(kinds.keys()))}")
    try:
        config, plain = from_hub(None, lambda: (kinds[kind].from_dict(dict(given)), kinds[kind]()), said)
        known = {*plain.to_dict(), *config.attribute_map, *library.GenerationConfig().to_dict()}
    except Exception as error:  # the checks of the library have exceptions of their own
        raise ValueError(f"{said}: no configuration that can be used ({_line(error)})") from error
    unknown = sorted(given.keys() - known)
    if unknown and "transformers_version" not in given:  # which one that was saved has, maybe with old keys
        raise ValueError(f"{said}: a {kind} has no {unknown[0]!r}{_nearest(unknown[0], sorted(known))}")
    return config


def _trained(auto: Any, source: str, said: str) -> Any:
    repo = repository(source, said)
    if repo is None and not (Path(source) / "config.json").is_file():
        raise ValueError(f"{said}: no config.json in this folder; give one that save_pretrained has written")

    def load() -> Any:
        return auto.from_pretrained(
            source, output_loading_info=True, dtype=torch.float32, trust_remote_code=False, weights_only=True,
            local_files_only=repo is None,
        )  # fmt: skip

    try:
        found, about = from_hub(repo, load, said)
    except AlteredError:
        raise
    except Exception as error:  # those of the hub, of the archive and of the network, of many kinds
        if repo is None:
            raise ValueError(f"{said}: this folder cannot be loaded ({_line(error)})") from error
        raise ValueError(
            f"{said}: neither in the cache nor to be fetched{_nearest(source, KNOWN)}; give a local folder: where "
            "there is a network, AutoModel and AutoTokenizer .from_pretrained(name).save_pretrained(folder), and bring "
            f"it here ({_line(error)})"
        ) from error
    missing = sorted(name for name in about["missing_keys"] if not any(part in name for part in SPARE))
    if missing:  # they would be left as they were drawn
        raise ValueError(f"{said}: {len(missing)} weights are missing from it, first {missing[0]!r}")
    return found


def _nearest(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, names, 1, 0.7)
    return f"; did you mean {near[0]!r}?" if near and near[0] != name else ""


def _line(error: Exception) -> str:
    """What an error says, in one line of at most 200 letters."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split()) or type(error).__name__  # without colours
    return text if len(text) <= 200 else f"{text[:200]} ..."


def attended(mask: Tensor) -> Tensor:
    """The mask (n, L) to attend by: a row that holds nothing looks at its first position, for softmax would be NaN."""
    empty = ~mask.any(1, keepdim=True)
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return (mask | (empty & first)).long()


class Encoder(nn.Module):
    """The hidden states of a network: one vector per text, or with `pooling=None` one per token and the mask."""

    def __init__(self, network: Any, pooling: str | None) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling!r}: expected one of {', '.join(map(repr, POOLINGS))}")
        self.network, self.pooling = network, pooling

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """From ids and mask (n, L) to features (n, d); or (n, L, d), and the mask."""
        mask = attention_mask.bool()
        kinds = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        try:
            states = self.network(input_ids=input_ids, attention_mask=attended(mask), **kinds).last_hidden_state
        except (IndexError, RuntimeError) as error:
            config = self.network.config
            longest = getattr(config, "max_position_embeddings", None)
            if isinstance(error, RuntimeError) and input_ids.shape[1] <= (longest or input_ids.shape[1]):
                raise
            raise ValueError(
                f"input_ids: {input_ids.shape[1]} positions, ids up to {int(input_ids.max())}; the network has "
                f"{longest or 'any number of'} positions and {config.vocab_size} ids"
            ) from error
        if self.pooling is None:
            return states, mask
        return torch.einsum("nl,nld->nd", self._shares(mask).to(states.dtype), states)

    def _shares(self, mask: Tensor) -> Tensor:
        """How much each position counts in the vector of its text."""
        place = torch.arange(mask.shape[1], device=mask.device)
        if self.pooling == "mean":
            return mask / mask.sum(1, keepdim=True).clamp(min=1)
        chosen = (mask * place).amax(1, keepdim=True)  # the last one that holds something
        return place == (chosen if self.pooling == "last" else 0 * chosen)
