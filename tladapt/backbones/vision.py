"""Networks for images, of torchvision and timm."""

import contextlib
import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tladapt.backbones.checkpoints import fetched, load_into, local, plain, read_state
from tladapt.backbones.extras import AlteredError, from_hub, needed
from tladapt.layers.normalise import Normalise
from tladapt.model import Model
from tladapt.readers.folders import INTERPOLATIONS, Images

REMAPPED = ("googlenet", "inception_v3")  # torchvision's, which scale to (-1, 1) whatever they get
OLD = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")  # how torchvision's DenseNets were once named


@dataclass
class Found:
    """A network that ends in a linear layer, the images that it wants, and the name that builds it again."""

    network: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    images: Images | None
    name: str


def vision(
    name: str, weights: str | Path | None = None, *, options: dict[str, Any] | None = None,
    classes: int | Sequence[str], batchnorm: str = "joint",
) -> Model:  # fmt: skip
    """Any classifier of images that torchvision or timm has, cut at its last layer; x (n, 3 or 1, height, width).

    x are bytes, or numbers from 0 to 1; the network scales them by itself as its weights want it. `model.inputs` says
    how to read files for it: `reader_from(model.inputs)` in `tladapt.readers.files`.

    Parameters
    ----------
    name : str
        A classifier of torchvision, such as "resnet50", "vgg16", "inception_v3" or "vit_b_16"; or one of timm,
        "timm/convnext_tiny" (the "timm/" is needed only where torchvision has the name, too).
    weights : str or Path, optional
        None: untrained. A file (.safetensors, or .pth and .pt of `torch.save(network.state_dict())`). "DEFAULT", a name
        of torchvision's, such as "IMAGENET1K_V2", or a tag of timm's, such as "a1_in1k": from the library's cache, or
        fetched. The last layer is kept if it has as many outputs as there are `classes`; else it is a new one.
    options : dict, optional
        Further arguments of the library's builder, such as {"dropout": 0.2} or, of timm, {"img_size": 64}.
    classes, batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If the name or the weights are unknown, out of reach, damaged or of another network; or timm is missing.

    Notes
    -----
    Auxiliary classifiers (inception_v3, googlenet) are off, and their weights in a file are left out, unless the
    `options` say aux_logits; so inception_v3 takes images from 75 pixels. Both scale to (-1, 1), as torchvision's own
    weights want it; with the option transform_input=False by ImageNet's mean and deviation. SqueezeNet: without the
    ReLU after its last layer, which would hold logits above 0. Networks of timm whose answer is the mean of two heads
    (distilled ones) get a new one.

    Examples
    --------
    >>> model = vision("resnet18", classes=["cat", "dog"])
    >>> model.width, model.inputs
    (512, {'kind': 'images', 'size': 224, 'channels': 3, 'crop': 0.875, 'interpolation': 'bilinear'})
    """
    from torchvision import models

    said = f"vision({name!r}{'' if weights is None else f', weights={str(weights)!r}'})"
    number = classes if isinstance(classes, int) else len(classes)
    extra = plain(options, ("features_only", "num_classes"), said)
    build = _of_torchvision if name in models.list_models(module=models) else _of_timm
    found = build(name, weights, number, extra, said)
    recipe = {"backbone": "vision", "arguments": {"name": found.name, "weights": None, "options": extra}}
    normalise = Normalise(found.mean, found.std, extra.get("in_chans", 3))
    model = Model.of(nn.Sequential(normalise, found.network), classes, batchnorm=batchnorm, recipe=recipe)
    model.inputs = found.images.spec() if found.images else {}
    return model


def _of_torchvision(name: str, weights: Any, number: int, options: dict[str, Any], said: str) -> Found:
    from torchvision import models

    enum = models.get_model_weights(name)
    known = [*enum.__members__, *(f"{enum.__name__}.{tag}" for tag in enum.__members__)]
    file, tag = local(weights, known, said), str(weights).rpartition(".")[2]
    named = weights is not None and file is None
    chosen = enum[tag if named else "DEFAULT"]
    if named and name.startswith("vit_"):  # built for one size; so it must be saved
        options.setdefault("image_size", chosen.meta["min_size"][0])
    defaults = {"aux_logits": False, "init_weights": False} if name in REMAPPED else {}  # that init takes minutes
    try:
        network: Any = models.get_model(name, weights=None, num_classes=number, **defaults | options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{said}: options={options!r} do not fit ({error})") from error
    if weights is not None:
        state = read_state(file or fetched(chosen.url, said), said)
        state = {OLD.sub(r"\1\2", key): value for key, value in state.items() if not _auxiliary(key, network)}
        load_into(network, state, [_last(network) or "classifier.1"], said)
    as_trained: Any = chosen.transforms()
    mean, std = as_trained.mean, as_trained.std
    if name in REMAPPED and options.get("transform_input", True):
        network.transform_input = False  # the layer in front does the same, and is saved
        mean = std = (0.5, 0.5, 0.5)
    if not any(isinstance(part, nn.Linear) for part in network.modules()):  # SqueezeNet
        drop, conv, _, pool = network.classifier
        network.classifier = nn.Sequential(drop, pool, nn.Flatten(), _linear(conv, number))
    crop = as_trained.crop_size[0] / as_trained.resize_size[0]
    size, how = getattr(network, "image_size", as_trained.crop_size[0]), as_trained.interpolation.value
    return Found(network, mean, std, Images(size, 3, crop, how), name)


def _auxiliary(key: str, network: nn.Module) -> bool:
    """Whether it is of an auxiliary classifier that the network goes without."""
    part = key.partition(".")[0]
    return part in ("AuxLogits", "aux1", "aux2") and getattr(network, part, None) is None


def _of_timm(name: str, weights: Any, number: int, options: dict[str, Any], said: str) -> Found:
    timm = _timm(name, said)
    arch, _, tag = name.removeprefix("timm/").partition(".")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{arch}.*")]
    file = local(weights, ["DEFAULT", *tags] if tags else [], said)
    fetch = weights is not None and file is None
    full = f"{arch}.{weights if fetch and weights != 'DEFAULT' else tag}".rstrip(".")
    try:
        repo = _repository(timm, full, said) if fetch else None
        network = from_hub(repo, lambda: timm.create_model(full, fetch, num_classes=number, **options), said)
    except AlteredError:
        raise
    except (OSError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        if not fetch:
            raise ValueError(f"{said}: builds no network with options={options!r} ({reason})") from error
        raise ValueError(
            f"{said}: not in the cache and not to be fetched ({reason}); where there is a network, save "
            f"timm.create_model({name.removeprefix('timm/')!r}, pretrained=True).state_dict() to a file, bring it here "
            "and give it as weights="
        ) from error
    about = network.pretrained_cfg
    heads = [about["classifier"]] if isinstance(about["classifier"], str) else list(about["classifier"])
    if file:
        state = read_state(file, said)
        adapt = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        if adapt:  # such as positions for images of another size
            with contextlib.suppress(AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
                state = adapt(dict(state), network)  # else it is of another network: the next line says where
        load_into(network, state, heads, said)
    built = f"timm/{arch}.{about['tag']}".rstrip(".") if fetch else name
    return Found(_ending_linear(network, heads, number), about["mean"], about["std"], _images(about, options), built)


def _timm(name: str, said: str) -> Any:
    """The library, if it has a network of this name."""
    from torchvision import models

    names = [] if name.startswith("timm/") else models.list_models(module=models)
    arch = name.removeprefix("timm/").partition(".")[0]
    try:
        timm = needed("timm", extra="timm")
    except ValueError as error:
        near = difflib.get_close_matches(arch, names, 3)
        hint = f" ({', '.join(near)}?)" if near else ""
        raise ValueError(f"{said}: torchvision has no such classifier{hint}, and {error}") from error
    if not timm.is_model(arch):
        near = difflib.get_close_matches(arch, [*names, *timm.list_models()], 3, 0.5)
        raise ValueError(f"{said}: neither torchvision nor timm has it; near to it: {', '.join(near) or 'none'}")
    return timm


def _repository(timm: Any, name: str, said: str) -> str | None:
    """Where on the hub its weights are; what comes from elsewhere is brought to where timm looks for it."""
    about = timm.models.get_pretrained_cfg(name)
    if about is not None and about.url and not about.hf_hub_id:
        fetched(about.url, said)
    return about.hf_hub_id if about else None


def _ending_linear(network: Any, heads: list[str], number: int) -> nn.Module:
    """The network if a linear layer is its last; else one takes the place of what it ends with."""
    last = network.get_submodule(heads[0])
    if heads == [_last(network)] and not heads[0].endswith(".proj"):  # of an attention pool, which goes on after it
        return network
    network.reset_classifier(0)
    kept = len(heads) == 1 and isinstance(last, nn.Linear | nn.Conv2d)
    return nn.Sequential(network, _linear(last, number) if kept else nn.Linear(network.head_hidden_size, number))


def _images(about: dict[str, Any], options: dict[str, Any]) -> Images | None:
    """How timm reads images for it."""
    channels, side = options.get("in_chans", 3), options.get("img_size", about["input_size"][-1])
    if channels not in (1, 3) or not isinstance(side, int):
        return None
    crop = None if about["crop_mode"] == "squash" else side / int(side / about["crop_pct"])
    how = about["interpolation"] if about["interpolation"] in INTERPOLATIONS else "bicubic"
    return Images(side, channels, crop, how)


def _last(network: nn.Module) -> str:
    """The name of the last linear layer."""
    return next((name for name, part in reversed(list(network.named_modules())) if isinstance(part, nn.Linear)), "")


def _linear(layer: nn.Linear | nn.Conv2d, number: int) -> nn.Linear:
    """A linear layer, or the 1 x 1 convolution of pooled features, as a new layer."""
    linear = nn.Linear(layer.weight.shape[1], number)
    with torch.no_grad():
        linear.weight.copy_(layer.weight.flatten(1))
        if layer.bias is not None:
            linear.bias.copy_(layer.bias)
    return linear
