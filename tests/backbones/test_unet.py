"""U-Nets from checkpoints that segmentation_models_pytorch saved: the same answers, any size, refusals."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from tladapt import Classification, Domain, Model
from tladapt.backbones import unet

smp: Any = pytest.importorskip("segmentation_models_pytorch")

MEAN, STD = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
SMALL: dict[str, Any] = {"decoder_channels": [32, 32, 16, 16, 16]}
ENCODER = "mobilenet_v2"  # 2 million weights


def build(classes: int = 3, encoder: str = ENCODER, **arguments: Any) -> Any:
    """A U-Net with statistics that are not those of a new one."""
    torch.manual_seed(0)
    network = smp.Unet(encoder, encoder_weights=None, classes=classes, **SMALL, **arguments)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if "running" in name:
                value += 0.1 * torch.rand(value.shape)
    return network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "unet"
    build().save_pretrained(path)
    return path


def images(count: int = 2, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def domain(name: str, seed: int, shade: float, size: tuple[int, int]) -> Domain:
    """Bright and dark halves; the border has no label."""
    random = torch.Generator().manual_seed(seed)
    y = torch.zeros(8, *size, dtype=torch.long)
    y[:, :, size[1] // 2 :] = 1
    x = shade * (0.5 * y[:, None] + 0.5 * torch.rand(8, 3, *size, generator=random))
    y[:, 0] = -1
    return Domain(name, ((255 * x).byte(), y), test=0.5, classes=2)


def test_a_checkpoint_is_fine_tuned_aligned_trained_in_sequence_and_saved(folder: Path, life: Callable):
    old, new = domain("old", 0, 1.0, (32, 40)), domain("new", 1, 0.7, (32, 40))
    life(lambda: unet(ENCODER, folder, classes=2), old, new, Classification(), steps=1)


@pytest.mark.parametrize("named", [lambda folder: folder, lambda folder: folder / "model.safetensors"])
def test_the_answers_are_those_of_the_library_with_the_classes_last(named: Callable, folder: Path):
    options = None if named(folder) == folder else SMALL
    model = unet(ENCODER, named(folder), options=options, classes=["sky", "road", "tree"]).eval()
    x = images()
    with torch.no_grad():
        output, expected = model(x), build()((x - MEAN) / STD)
    assert (output.features.shape, model.width) == ((2, 32, 32, 16), 16)
    assert torch.allclose(output.logits, expected.movedim(1, -1), atol=1e-5)


def test_other_classes_get_a_new_last_layer_on_the_same_features(folder: Path):
    same, other = (unet(ENCODER, folder, classes=classes).eval() for classes in (3, 5))
    with torch.no_grad():
        assert torch.equal(other(images()).features, same(images()).features)
        assert other(images()).logits.shape == (2, 32, 32, 5)


@pytest.mark.parametrize(("height", "width"), [(50, 37), (1, 33), (64, 31)])
def test_any_size_will_do(height: int, width: int, folder: Path):
    model = unet(ENCODER, folder, classes=3).eval()
    x = images(2, height, width)
    with torch.no_grad():
        output = model(x)
        assert output.logits.shape == (2, height, width, 3)
        continued = torch.cat([x, x[..., -1:].expand(-1, -1, -1, -width % 32)], -1)
        continued = torch.cat([continued, continued[:, :, -1:].expand(-1, -1, -height % 32, -1)], 2)
        assert torch.allclose(output.features, model(continued).features[:, :height, :width], atol=1e-5)


def test_an_encoder_alone_can_be_loaded(tmp_path: Path):
    torch.manual_seed(1)
    network = resnet18()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "resnet18.pth")
    model = unet("resnet18", tmp_path / "resnet18.pth", options=SMALL, classes=2).eval()
    body = nn.Sequential(*list(network.eval().children())[:-2])
    encoder: Any = model.encoder.get_submodule("network.encoder")
    with torch.no_grad():
        assert torch.equal(encoder(images())[-1], body(images()))


def test_the_architecture_and_the_scale_are_saved_with_the_model(folder: Path, tmp_path: Path):
    model = unet(ENCODER, folder, classes=2, batchnorm="per-domain").eval()
    model.state_dict()["encoder.normalise.mean"] += 0.1
    model.save(tmp_path / "saved")
    about = json.loads((tmp_path / "saved" / "model.json").read_text())["recipe"]["arguments"]
    assert about["weights"] is None
    assert about["options"]["decoder_channels"] == SMALL["decoder_channels"]
    again = Model.load(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(again(images()).logits, model(images()).logits)


def test_there_may_be_other_channels_and_grey_images():
    assert unet(ENCODER, channels=1, options=SMALL, classes=2)(images()[:, :1]).logits.shape == (2, 32, 32, 2)
    assert unet(ENCODER, channels=4, options=SMALL, classes=2)(torch.rand(2, 4, 32, 32)).logits.shape[-1] == 2
    model = unet(ENCODER, options=SMALL, classes=2).eval()
    with torch.no_grad():
        grey = images()[:, :1]
        assert torch.equal(model(grey).logits, model(grey.repeat(1, 3, 1, 1)).logits)


def test_an_encoder_of_timm_is_scaled_as_its_weights_want_it():
    model = unet("tu-tf_efficientnet_lite0", options=SMALL, classes=2)
    assert model.state_dict()["encoder.normalise.mean"].flatten().tolist() == [0.5] * 3
    assert model(images()).logits.shape == (2, 32, 32, 2)


# Refusals


def refused(message: str, encoder: str = ENCODER, weights: Any = None, channels: int = 3, **options: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        unet(encoder, weights, channels, options=options, classes=2)
    assert "\n" not in str(caught.value)


def test_an_unknown_encoder_is_met_with_near_ones():
    refused(r"unet\('resnet1'\): no such encoder; near to it: .*resnet18", "resnet1")
    refused("no such encoder; near to it: .*tu-resnet18", "tu-resnet1")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    refused(r'pip install "tladapt\[segmentation\]"')


def test_weights_out_of_reach_ask_for_a_local_file(monkeypatch: pytest.MonkeyPatch):
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", offline)
    refused(
        r"not in the cache and not to be fetched \(no network\); give weights= a local file", "resnet18", "imagenet"
    )
    refused("neither a file that is there nor one of imagenet, ssl, swsl", "resnet18", "imagenot")


def test_a_checkpoint_that_does_not_fit_names_what_does_not(folder: Path, tmp_path: Path):
    refused("no such file", weights=tmp_path / "nowhere.pth")
    refused("no folder that save_pretrained has written", weights=tmp_path)
    refused(f"holds another network, unet\\('{ENCODER}', channels=3\\)", "resnet18", folder)
    refused(f"holds another network, unet\\('{ENCODER}', channels=3\\)", weights=folder, channels=1)
    refused(
        "'encoder.features.0.0.weight' has shape .* there", weights=folder / "model.safetensors", channels=1, **SMALL
    )
    about = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(about | {"_model_class": "FPN"}))
    refused("holds a FPN, not a Unet", weights=tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(about))
    refused("model.safetensors is damaged, or holds more", weights=tmp_path)


def test_options_that_the_library_does_not_take_are_refused():
    refused("builds no network with options=", encoder_depth=9)
    refused("options= has 'activation'", activation="sigmoid")
