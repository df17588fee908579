"""Adapters of the library peft."""

import copy
import re
from typing import TYPE_CHECKING, Any

from torch import nn

from tladapt.layers.copying import copy_of
from tladapt.methods.adapted import adapted, is_adapter
from tladapt.methods.mergeable import Mergeable
from tladapt.model import Model

if TYPE_CHECKING:
    from peft import PeftConfig

IMPORTING = {"auto_mapping", "megatron_config", "megatron_core"}  # arguments that name a module, which peft may import


class Adapter(Mergeable):
    """Train an adapter of the library peft (LoRA, DoRA, IA3, LoHa, OFT ...) beside the frozen encoder, and the head.

    After the stage it is merged into the weights, and the model is a plain one again: it needs no peft to be saved,
    loaded or used, and the next stage begins with a new adapter.

    Parameters
    ----------
    config : str, dict or peft.PeftConfig, default "lora"
        The kind of adapter; or with its arguments, as in ``{"peft_type": "IA3", "target_modules": ["0", "2"]}``; or a
        configuration of peft. Without `target_modules`, all linear maps of the encoder, but for those of torch's own
        attention layers, which no adapter reaches (`LoRA` does).

    Raises
    ------
    ValueError
        If peft is missing or refuses the configuration, or the adapter cannot be merged, as those that lengthen the
        input cannot.

    Notes
    -----
    An adapter is built where the configuration says, even in what the user froze. Page: methods/adapter.py.

    References
    ----------
    :cite:`Mangrulkar2022`
    """

    def __init__(self, config: "str | dict[str, Any] | PeftConfig" = "lora") -> None:
        super().__init__()
        self.config = config
        self._configured()

    def _configured(self) -> Any:
        """A new configuration of peft."""
        try:
            import peft  # takes seconds
        except ImportError as error:
            raise ValueError(f'Adapter: peft is missing ({error}): pip install "tladapt[peft]"') from error
        given = {"peft_type": self.config} if isinstance(self.config, str) else self.config
        if isinstance(given, dict):
            if named := sorted(IMPORTING & given.keys()):
                raise ValueError(f"Adapter(config={self.config!r}): {named[0]} names a module to import; remove it")
            kinds: dict[str, Any] = {k.value: v for k, v in peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING.items()}
            if (kind := str(given.get("peft_type")).upper()) not in kinds:
                raise ValueError(f"Adapter(config={self.config!r}): peft_type is none of {', '.join(sorted(kinds))}")
            try:
                given = kinds[kind](**{name: value for name, value in given.items() if name != "peft_type"})
            except (TypeError, ValueError) as error:
                raise ValueError(f"Adapter(config={self.config!r}): {error}") from error
        if not isinstance(given, peft.PeftConfig):
            raise TypeError(f"Adapter(config={self.config!r}): expected a name, a dict or a configuration of peft")
        if not hasattr(given, "target_modules"):
            raise ValueError(f"Adapter(config={self.config!r}): what a {type(given).__name__} makes is no weight")
        return copy.deepcopy(given)

    def insert(self, model: Model) -> None:
        """Have peft put its layers around those of the encoder."""
        from peft import inject_adapter_in_model

        config, encoder = self._configured(), model.encoder
        if config.target_modules is None:
            maps = linear_maps(encoder)
            if not maps:
                raise ValueError(f"Adapter(config={self.config!r}): no linear map in the encoder; give target_modules")
            config.target_modules = "|".join(map(re.escape, maps))
            if hasattr(config, "fan_in_fan_out"):
                config.fan_in_fan_out = not any(isinstance(part, nn.Linear) for part in maps.values())
        if getattr(config, "feedforward_modules", ()) is None:  # IA3 scales what these take, what the others give
            config.feedforward_modules = []
        try:
            inject_adapter_in_model(config, encoder)
            for layer in [part for part in encoder.modules() if is_adapter(part)]:
                copy_of(layer).merge()  # type: ignore[operator]
                adapted(layer)
        except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
            unload(encoder, merge=False)
            reason = " ".join(str(error).split())
            raise ValueError(f"Adapter(config={self.config!r}): peft cannot build or merge it: {reason}") from error

    def inserted(self, encoder: nn.Module) -> bool:
        """Whether there is a layer of peft."""
        return any(map(is_adapter, encoder.modules()))

    def merge(self, encoder: nn.Module) -> None:
        """Put the layers back, with the weights that they have with the adapters."""
        unload(encoder, merge=True)


def unload(encoder: nn.Module, merge: bool) -> None:
    """Put the layers back that peft has put its own around."""
    for name, layer in list(encoder.named_modules()):
        if is_adapter(layer):
            if merge:
                layer.merge()  # type: ignore[operator]
            parent, _, last = name.rpartition(".")
            setattr(encoder.get_submodule(parent), last, layer.get_base_layer())  # type: ignore[operator]
    if hasattr(encoder, "peft_config"):
        del encoder.peft_config


def linear_maps(encoder: nn.Module) -> dict[str, nn.Module]:
    """All linear maps by name, but for those that torch's attention reads the weights of, past any adapter."""
    readers = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
    read = {part for layer in encoder.modules() if isinstance(layer, readers) for part in layer.children()}
    linear = {n: m for n, m in encoder.named_modules() if isinstance(m, nn.Linear) or type(m).__name__ == "Conv1D"}
    return {name: part for name, part in linear.items() if name and part not in read}
