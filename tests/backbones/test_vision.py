"""VGG16, ResNet50, InceptionV3 and others from checkpoints that their libraries saved; scaling, reading, refusals."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from tladapt import Domain, Model
from tladapt.backbones import vision
from tladapt.readers.files import read_domains, reader_from
from tladapt.readers.folders import Images

timm = pytest.importorskip("timm")

MEAN, STD = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
NARROW = {"width_per_group": 8}  # of a ResNet: a tenth of the weights


def changed(network: nn.Module, seed: int = 0) -> Any:
    """With statistics and a head that are not those of a new network."""
    random = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if "running" in name or name.startswith(("fc", "head", "classifier", "pre_logits")):
            value += 0.05 * torch.rand(value.shape, generator=random)
    return network.eval()


def saved(path: Path, network: nn.Module) -> Path:
    torch.save(network.state_dict(), path)
    return path


def images(count: int = 4, size: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def domain(name: str, size: int, seed: int, shade: float) -> Domain:
    x, y = images(10, size, seed), torch.arange(10) % 2
    return Domain(name, ((255 * shade * (x + y[:, None, None, None]) / 2).byte(), y), test=0.4)


def resnet(**options: Any) -> Any:
    torch.manual_seed(0)
    return changed(models.resnet50(**NARROW, **options))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet50 of seven classes."""
    return saved(tmp_path_factory.mktemp("narrow") / "resnet50.pth", resnet(num_classes=7))


def vgg16(classes: int) -> nn.Module:
    return timm.create_model("vgg16", num_classes=classes, mlp_ratio=1 / 64)


def inception_v3(classes: int) -> nn.Module:
    return models.inception_v3(num_classes=classes, init_weights=False)  # with auxiliary logits, as torchvision's


SYSTEMS: dict[str, tuple[Callable[[int], nn.Module], dict[str, Any], int]] = {
    "timm/vgg16": (vgg16, {"mlp_ratio": 1 / 64}, 32),
    "resnet50": (lambda classes: models.resnet50(num_classes=classes, **NARROW), NARROW, 32),
    "inception_v3": (inception_v3, {}, 75),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_checkpoint_is_fine_tuned_aligned_trained_in_sequence_and_saved(name, tmp_path, life):
    build, options, size = SYSTEMS[name]
    torch.manual_seed(0)
    network = changed(build(7))
    file = saved(tmp_path / "weights.pth", network)
    same = vision(name, file, options=options, classes=7).eval()
    x = images(2, size)
    scaled = 2 * x - 1 if name == "inception_v3" else (x - MEAN) / STD
    with torch.no_grad():
        assert torch.allclose(same(x).logits, network(scaled), atol=1e-4)
    del network, same
    old, new = domain("old", size, 0, 1.0), domain("new", size, 1, 0.7)
    life(lambda: vision(name, file, options=options, classes=2), old, new, steps=1)


@pytest.mark.parametrize(
    ("name", "head", "width"),
    [
        ("vgg16", "1.classifier.6", 4096), ("resnet50", "1.fc", 2048), ("inception_v3", "1.fc", 2048),
        ("vit_b_16", "1.heads.head", 768), ("densenet121", "1.classifier", 1024), ("swin_t", "1.head", 768),
        ("squeezenet1_1", "1.classifier.3", 512), ("timm/resnetv2_18", "1.1", 512), ("timm/resnet50_clip", "1.1", 2048),
        ("timm/deit_tiny_distilled_patch16_224", "1.1", 192), ("convnextv2_atto", "1.head.fc", 320),
    ],
)  # fmt: skip
def test_the_whole_network_is_cut_at_its_classifier(name, head, width):
    with torch.device("meta"):
        model = vision(name, classes=5).train()
        output = model(torch.empty(2, 3, *[model.inputs["size"]] * 2))
    assert (model.encoder.head, model.width) == (head, width)
    assert (output.features.shape, output.logits.shape) == ((2, width), (2, 5))


@pytest.mark.parametrize("name", ["resnetv2_18", "dla46_c", "convnextv2_atto"])  # two of them answer by a convolution
def test_a_network_of_timm_keeps_its_head(name, tmp_path):
    torch.manual_seed(0)
    network = changed(timm.create_model(name, num_classes=3))
    file = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), file)
    model = vision(f"timm/{name}", file, classes=["a", "b", "c"]).eval()
    with torch.no_grad():
        scale = [torch.tensor(network.pretrained_cfg[part])[:, None, None] for part in ("mean", "std")]
        expected = network((images() - scale[0]) / scale[1])
        assert torch.allclose(model(images()).logits, expected, atol=1e-4)


def test_squeezenet_answers_without_the_relu_at_its_end(tmp_path):
    network = changed(models.squeezenet1_1(num_classes=3))
    model = vision("squeezenet1_1", saved(tmp_path / "s.pth", network), classes=3).eval()
    network.classifier[2] = nn.Identity()
    with torch.no_grad():
        assert torch.allclose(model(images()).logits, network((images() - MEAN) / STD), atol=1e-5)


# Weights


def nested(state: dict) -> dict:
    kept = {key: value for key, value in state.items() if "num_batches" not in key}  # as those of old
    return {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in kept.items()}}


@pytest.mark.parametrize("shape", [dict, nested, lambda state: {"model": state}])
def test_a_head_of_other_classes_is_left_out_and_the_rest_is_loaded(shape, narrow, tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(shape(torch.load(narrow)), file)
    x, network = images(), resnet(num_classes=7)
    network.fc = nn.Identity()
    for classes in (7, 2):
        model = vision("resnet50", file, options=NARROW, classes=classes).eval()
        with torch.no_grad():
            assert torch.allclose(model(x).features, network((x - MEAN) / STD), atol=1e-5)
        assert torch.equal(model.state_dict()["head.weight"], resnet(num_classes=7).fc.weight) is (classes == 7)


def test_weights_without_a_head_are_those_of_a_body(tmp_path):
    state = {key: value for key, value in resnet().state_dict().items() if not key.startswith("fc.")}
    torch.save(state, tmp_path / "body.pth")
    model = vision("resnet50", tmp_path / "body.pth", options=NARROW, classes=3)
    assert torch.equal(model.state_dict()["encoder.module.1.conv1.weight"], state["conv1.weight"])


def test_a_transformer_of_timm_takes_weights_for_images_of_another_size(tmp_path):
    network = timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=64)
    file = saved(tmp_path / "vit.pth", network)
    same = vision("vit_tiny_patch16_224", file, options={"img_size": 64}, classes=3).eval()
    other = vision("vit_tiny_patch16_224", file, options={"img_size": 32}, classes=3).eval()
    with torch.no_grad():
        assert torch.equal(same(images(2, 64)).logits, network.eval()((images(2, 64) - 0.5) / 0.5))
        assert other(images(2, 32)).logits.isfinite().all()
    assert (same.inputs["size"], other.inputs["size"]) == (64, 32)


def test_weights_by_name_come_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    torch.manual_seed(0)
    network = changed(models.squeezenet1_1())
    weights = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    (tmp_path / "checkpoints").mkdir()
    digest = hashlib.sha256(saved(tmp_path / "made.pth", network).read_bytes()).hexdigest()
    (tmp_path / "made.pth").rename(tmp_path / "checkpoints" / f"made-{digest[:8]}.pth")
    url = f"https://nowhere.invalid/made-{digest[:8]}.pth"
    monkeypatch.setattr(type(weights), "url", property(lambda _: url))
    for name in ("DEFAULT", "IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"):
        model = vision("squeezenet1_1", name, classes=1000)
        assert torch.equal(model.state_dict()["head.weight"], network.classifier[1].weight.flatten(1))
        assert model.recipe is not None
        assert model.recipe["arguments"]["weights"] is None
    model = vision("squeezenet1_1", "DEFAULT", classes=2)
    assert model.head.weight.shape == (2, 512)
    assert torch.equal(model.state_dict()["encoder.module.1.features.0.weight"], network.features[0].weight)


@pytest.mark.parametrize(("name", "weights"), [("timm/test_resnet", "r160_in1k"), ("test_resnet.r160_in1k", "DEFAULT")])
def test_weights_of_timm_by_tag_are_named_in_the_recipe(name, weights, tmp_path, monkeypatch):
    network = changed(timm.create_model("test_resnet"))
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", lambda *_, **__: network.state_dict())
    model = vision(name, weights, classes=1000)
    assert torch.equal(model.state_dict()["head.weight"], network.fc.weight)
    assert model.recipe is not None
    built = {"name": "timm/test_resnet.r160_in1k", "weights": None, "options": {}}
    assert model.recipe["arguments"] == built
    model.save(tmp_path)
    monkeypatch.undo()
    with torch.no_grad():
        assert torch.equal(Model.load(tmp_path)(images()).logits, model.eval()(images()).logits)
    assert model.inputs["size"] == 160


def test_names_that_densenets_once_had_are_understood(tmp_path):
    state = models.densenet121(num_classes=2).state_dict()
    state["features.conv0.weight"] += 1
    old = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    model = vision("densenet121", tmp_path / "old.pth", classes=2)
    assert torch.equal(model.state_dict()["encoder.module.1.features.conv0.weight"], state["features.conv0.weight"])


# Scaling and reading


def test_the_scale_is_that_of_the_weights_and_saved_with_the_model(narrow, tmp_path):
    model = vision("resnet50", narrow, options=NARROW, classes=["cat", "dog"]).eval()
    x = images()
    with torch.no_grad():
        expected = model(x).logits
        assert torch.allclose(model((255 * x).byte()).logits, expected, atol=0.05)
        model.state_dict()["encoder.module.0.mean"] += 0.1  # as if it had come with other weights
        moved = model(x).logits
    assert not torch.allclose(moved, expected, atol=1e-3)
    model.save(tmp_path / "saved")
    again = Model.load(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(again(x).logits, moved)
    assert again.inputs == model.inputs
    assert reader_from(again.inputs).spec() == model.inputs


def test_inception_scales_as_torchvision_does_with_its_weights(tmp_path):
    torch.manual_seed(0)
    network = models.inception_v3(num_classes=3, init_weights=False, transform_input=True).eval()
    file = saved(tmp_path / "i.pth", network)
    x = images(2, 75)
    with torch.no_grad():
        expected = network((x - MEAN) / STD)
        assert torch.allclose(vision("inception_v3", file, classes=3).eval()(x).logits, expected, atol=1e-5)
        own = vision("inception_v3", file, classes=3, options={"transform_input": False}).eval()
        network.transform_input = False
        assert torch.allclose(own(x).logits, network((x - MEAN) / STD), atol=1e-5)


def test_grey_images_are_given_to_every_channel():
    model = vision("resnet50", options=NARROW, classes=2).eval()
    with torch.no_grad():
        grey = images()[:, :1]
        assert torch.equal(model(grey).logits, model(grey.repeat(1, 3, 1, 1)).logits)
    with pytest.raises(ValueError, match=r"shape \(4, 2, 32, 32\), expected \(n, 3, height, width\) or \(n, 1"):
        model(images()[:, :2])


def test_a_network_of_timm_may_be_for_one_channel():
    model = vision("timm/resnet18", options={"in_chans": 1}, classes=2).eval()
    assert model.inputs["channels"] == 1
    assert model(images()[:, :1]).logits.shape == (4, 2)


def read(inputs: dict[str, Any], path: Path) -> Tensor:
    x = reader_from(inputs).read(path)[0]
    assert isinstance(x, Tensor)
    return x[0]


@pytest.mark.parametrize(("width", "height"), [(300, 400), (397, 301), (90, 64)])
@pytest.mark.parametrize("name", ["resnet50", "swin_t"])  # by lines and by cubes
def test_files_are_read_as_the_library_reads_them(name, width, height, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((width, height))
    picture.save(tmp_path / "x.png")
    with torch.device("meta"):
        inputs = vision(name, classes=2).inputs
    x = read(inputs, tmp_path / "x.png")
    expected = models.get_model_weights(name)["DEFAULT"].transforms()(picture)
    assert torch.allclose((x / 255 - MEAN) / STD, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "convnextv2_atto", "vit_tiny_patch16_224", "tf_efficientnet_b0"])
def test_files_are_read_as_timm_reads_them(name, tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)).resize((320, 400))
    picture.save(tmp_path / "x.png")
    with torch.device("meta"):
        inputs = vision(f"timm/{name}", classes=2).inputs
        about = timm.data.resolve_model_data_config(timm.create_model(name))
    x = read(inputs, tmp_path / "x.png")
    expected = timm.data.create_transform(**about)(picture)
    mean, std = (torch.tensor(about[part])[:, None, None] for part in ("mean", "std"))
    assert torch.allclose((x / 255 - mean) / std, expected, atol=1e-5)


def test_folders_are_read_as_the_model_wants_them(tmp_path):
    for shade, name in enumerate(("old/cat/1", "old/dog/1", "new/cat/1", "new/dog/1")):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (40, 50), (shade, 0, 0)).save(tmp_path / f"{name}.png")
    with torch.device("meta"):
        model = vision("resnet18", classes=2)
    (old, _), reader = read_domains([tmp_path / "old", tmp_path / "new"], reader=reader_from(model.inputs))
    assert old.train.shape == (3, 224, 224)
    assert reader.spec() == model.inputs


# Refusals


def refused(message: str, name: str, weights: Any = None, **options: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        vision(name, weights, options=options, classes=2)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_met_with_near_ones():
    refused(r"vision\('resnet5O'\): neither torchvision nor timm has it; near to it: .*resnet50", "resnet5O")
    refused("near to it: .*resnet50", "timm/resnet5O")
    refused("neither torchvision nor timm", "hf-hub:timm/resnet18")
    refused("Invalid pretrained tag", "timm/resnet18.nothing")


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert vision("squeezenet1_1", classes=2).width == 512
    refused(r'no such classifier \(resnet50.*pip install "tladapt\[timm\]"', "resnet5O")
    refused(r'pip install "tladapt\[timm\]"', "timm/vgg16")


def test_weights_out_of_reach_say_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    refused(r"https://.*\.pth is not in the cache .*no network.* lay it into .*checkpoints", "resnet18", "DEFAULT")
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", offline)
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_url", offline)
    refused("not in the cache and not to be fetched .*no network.*state_dict", "timm/resnet18", "DEFAULT")
    refused("not to be fetched .*no network", "timm/resnet18", "a1_in1k")


def test_a_checkpoint_that_does_not_fit_names_what_does_not(tmp_path):
    state, file = models.squeezenet1_1(num_classes=7).state_dict(), tmp_path / "weights.pth"

    def given(changes: dict[str, Any]) -> Path:
        torch.save({key: value for key, value in (state | changes).items() if value is not None}, file)
        return file

    refused(r"weights='.*nowhere\.pth'\): no such file", "resnet50", tmp_path / "nowhere.pth")
    refused("neither a file that is there nor one of IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT", "resnet50", "imagenet")
    refused("neither a file .* nor one of DEFAULT, a1_in1k", "timm/resnet18", "imagenet")
    refused("weights= is bool; give None, a path", "resnet50", True)
    name, first, last = "squeezenet1_1", "features.0.weight", "features.12.expand3x3.bias"
    wrong = given({first: torch.zeros(3, 3)})
    refused(rf"'{first}' has shape \(3, 3\) there, and \(64, 3, 3, 3\) in the network", name, wrong)
    refused(f"it lacks '{last}', which the network has", name, given({last: None}))
    refused("it has 'more', which the network has not", name, given({"more": torch.zeros(1)}))
    refused(f"'{last}' holds NaN or infinity", name, given({last: torch.full((256,), torch.nan)}))
    refused(r"it lacks 'conv1.weight', .*\(it begins with 'classifier.1.bias'\)", "resnet18", given({}))
    torch.save(nn.Linear(2, 2), file)
    refused(r"weights\.pth is damaged, or holds more than tensors; save network.state_dict\(\)", name, file)
    torch.save([1, 2], file)
    refused("holds no weights by name", name, file)
    for damaged in ("weights.pth", "weights.safetensors"):
        (tmp_path / damaged).write_bytes(b"no weights at all")
        refused(rf"{damaged} is damaged", name, tmp_path / damaged)


def test_options_that_no_builder_takes_or_json_cannot_hold_are_refused():
    refused(r"options=\{'depth': 3\} do not fit .*unexpected keyword argument 'depth'", "resnet18", depth=3)
    refused(r"builds no network with options=\{'wings': 3\}", "timm/resnet18", wings=3)
    refused("must be a dict of numbers, texts and lists", "resnet18", norm_layer=nn.BatchNorm2d)
    refused("options= has 'num_classes', which the builder says", "resnet18", num_classes=3)
    refused("options= has 'checkpoint_path'", "timm/resnet18", checkpoint_path="x.pth")


def test_a_crop_or_an_interpolation_that_there_is_not_is_refused():
    for crop in (0, 1.5, -0.5):
        with pytest.raises(ValueError, match=r"Images\(crop=.*\): expected None, or a share in \(0, 1\]"):
            Images(crop=crop)
    with pytest.raises(ValueError, match=r"Images\(interpolation='cubic'\): expected bilinear or bicubic"):
        Images(interpolation="cubic")
