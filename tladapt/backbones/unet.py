"""U-Nets of segmentation_models_pytorch: a class for every pixel."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tladapt.backbones.checkpoints import load_into, local, plain, read_state
from tladapt.backbones.extras import AlteredError, from_hub, needed
from tladapt.layers.normalise import IMAGENET, Normalise
from tladapt.model import Model

OWN = ("activation", "aux_params", "classes", "encoder_name", "encoder_weights", "in_channels")
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # mean and deviation of what Inception and Xception are trained on
TOPS = ("classifier", "fc", "head", "last_linear")  # what classifiers answer by; an encoder goes without


def unet(
    encoder: str = "resnet18", weights: str | Path | None = None, channels: int = 3, *,
    options: dict[str, Any] | None = None, classes: int | Sequence[str], batchnorm: str = "joint",
) -> Model:  # fmt: skip
    """A U-Net: a class for every pixel; x (n, channels, H, W), features (n, H, W, width), logits (n, H, W, classes).

    x are bytes, or numbers from 0 to 1, of any height and width (they are continued at the right and below up to a
    multiple of 32, and the answers cut back); the network scales them by itself. Labels are (n, H, W), -1 where a pixel
    has none.

    Parameters
    ----------
    encoder : str
        What leads down: an encoder of segmentation_models_pytorch, such as "resnet18", or "tu-" and a name of timm.
    weights : str or Path, optional
        None: untrained. A folder that `save_pretrained` wrote, or a file with a `state_dict` (.safetensors, .pth, .pt),
        of such a U-Net or of its encoder alone: that of torchvision's resnet18 for "resnet18". Or the name of weights
        of the encoder, "imagenet", from the cache or fetched. The last layer is kept if it has as many outputs as there
        are `classes`; else it is a new one.
    channels : int
        Of x; grey images (n, 1, H, W) are given to every channel.
    options : dict, optional
        Further arguments of `segmentation_models_pytorch.Unet`, such as {"decoder_attention_type": "scse"}; those of a
        folder need not be said again.
    classes, batchnorm
        See `Model`.

    Raises
    ------
    ValueError, TypeError
        If the encoder or the weights are unknown, out of reach, damaged or of another network; or the library is
        missing.

    Notes
    -----
    Images are scaled by the mean and deviation that the weights of the encoder come with, where these are at hand; else
    by ImageNet's.

    References
    ----------
    :cite:`Ronneberger2015`
    """
    smp: Any = needed("segmentation_models_pytorch", extra="segmentation")
    said = f"unet({encoder!r}{'' if weights is None else f', weights={str(weights)!r}'})"
    known = _known(smp, encoder, said)
    path, extra = local(weights, known, said), plain(options, OWN, said)
    if path is not None and path.is_dir():
        extra = _as_saved(path, encoder, channels, said) | extra
        path = path / "model.safetensors"
    fetched = None if path is not None or weights is None else True if encoder.startswith("tu-") else weights
    number = classes if isinstance(classes, int) else len(classes)

    def load() -> tuple[Any, tuple[Sequence[float], Sequence[float]]]:
        network = smp.Unet(encoder, encoder_weights=fetched, in_channels=channels, classes=number, **extra)
        return network, _scale(smp, encoder, fetched)

    try:
        network, (mean, std) = from_hub(_repository(smp, encoder, fetched), load, said)
    except AlteredError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        if fetched is None:
            raise ValueError(f"{said}: builds no network with options={options!r} ({reason})") from error
        raise ValueError(
            f"{said}: not in the cache and not to be fetched ({reason}); give weights= a local file of this encoder or "
            "a folder: where there is a network, segmentation_models_pytorch.Unet(...).save_pretrained(folder)"
        ) from error
    if path is not None:
        _load(network, path, said)
    head = OfPixels(network.segmentation_head[0])
    network.segmentation_head = nn.Identity()
    arguments = {"encoder": encoder, "weights": None, "channels": channels, "options": extra}
    return Model(
        ToPixels(Normalise(mean, std, channels), network), head, classes=classes, batchnorm=batchnorm,
        recipe={"backbone": "unet", "arguments": arguments},
    )  # fmt: skip


class ToPixels(nn.Module):
    """The network without its last layer: a feature vector for every pixel."""

    def __init__(self, normalise: Normalise, network: Any) -> None:
        super().__init__()
        self.normalise, self.network = normalise, network
        self.multiple = int(network.encoder.output_stride)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, H, W, width) of images (n, channels, H, W)."""
        height, width = x.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        x = self.normalise(x)
        x = F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x
        return self.network(x)[..., :height, :width].movedim(1, -1)


class OfPixels(nn.Module):
    """The last convolution, features last."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.in_features = conv, conv.in_channels

    def forward(self, features: Tensor) -> Tensor:
        """Logits (n, H, W, classes) of features (n, H, W, width)."""
        return self.conv(features.movedim(-1, 1)).movedim(1, -1)


def _known(smp: Any, encoder: str, said: str) -> list[str]:
    """The names of the weights that the encoder can be had with."""
    encoders = smp.encoders.encoders
    if encoder.startswith("tu-"):
        timm = needed("timm", extra="timm")
        if timm.is_model(encoder.removeprefix("tu-").partition(".")[0]):
            return ["imagenet"]
        near = difflib.get_close_matches(encoder, [f"tu-{name}" for name in timm.list_models()], 3)
    elif encoder in encoders:
        return list(encoders[encoder]["pretrained_settings"])
    else:
        near = difflib.get_close_matches(encoder, list(encoders), 3, 0.5)
    raise ValueError(f"{said}: no such encoder; near to it: {', '.join(near) or 'none'}")


def _as_saved(folder: Path, encoder: str, channels: int, said: str) -> dict[str, Any]:
    """The arguments of the U-Net in a folder."""
    try:
        about = json.loads((folder / "config.json").read_text())
        kind, there = about["_model_class"], (about["encoder_name"], about["in_channels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{said}: {folder} is no folder that save_pretrained has written ({error})") from error
    if kind != "Unet":
        raise ValueError(f"{said}: {folder} holds a {kind}, not a Unet")
    if there != (encoder, channels):
        raise ValueError(f"{said}: {folder} holds another network, unet({there[0]!r}, channels={there[1]!r})")
    return {key: value for key, value in about.items() if key not in OWN and not key.startswith("_")}


def _repository(smp: Any, encoder: str, fetched: Any) -> str | None:
    """Where on the hub the weights of the encoder are."""
    if fetched is None:
        return None
    if encoder.startswith("tu-"):
        return needed("timm", extra="timm").models.get_pretrained_cfg(encoder.removeprefix("tu-")).hf_hub_id
    return smp.encoders.encoders[encoder]["pretrained_settings"][fetched]["repo_id"]


def _scale(smp: Any, encoder: str, fetched: Any) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the images that the encoder is trained on."""
    if encoder.startswith("tu-"):
        about: Any = needed("timm", extra="timm").models.get_pretrained_cfg(encoder.removeprefix("tu-"))
        return (about.mean, about.std) if about else IMAGENET
    if fetched is not None:
        about = smp.encoders.get_preprocessing_params(encoder, fetched)
        return about["mean"], about["std"]
    return HALF if encoder.startswith(("inception", "xception")) else IMAGENET


def _load(network: Any, path: Path, said: str) -> None:
    state = {key: value for key, value in read_state(path, said).items() if not key.startswith("classification_head.")}
    if any(key.startswith("decoder.") for key in state):
        load_into(network, state, ["segmentation_head"], said)
    else:
        load_into(network.encoder, state, TOPS, said)
