"""The parts of a network in the order of their depth, of networks of every make."""

import pytest
import torch
from torch import nn

from tladapt import Model
from tladapt.backbones import cnn, lenet, mlp
from tladapt.methods.depth import layers_of


def named(network: nn.Module) -> list[str]:
    """The first module with weights of each part, by its name; "..." for parameters that hang in no layer."""
    names = {module: name for name, module in network.named_modules()}
    heavy = [[module for module in part if any(p.ndim > 1 for p in module.parameters())] for part in layers_of(network)]
    return [names.get(part[0], "...") if part else "-" for part in heavy]


def check_cover(network: nn.Module) -> None:
    """Every parameter and every layer lies in one part."""
    inside = [list(part.modules()) for layer in layers_of(network) for part in layer]
    parameters = [p for layer in layers_of(network) for part in layer for p in part.parameters()]
    assert set(parameters) == set(network.parameters())
    leaves = {module for module in network.modules() if not list(module.children())}
    assert leaves <= {module for modules in inside for module in modules}


def cut(network: nn.Module) -> nn.Module:
    """As an encoder, without its last linear layer."""
    return Model.of(network, 3).encoder


def test_a_chain_of_layers():
    layers = [nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 4, bias=False), nn.PReLU()]
    network = nn.Sequential(nn.Flatten(), nn.LayerNorm(2), *layers)
    parts = [[type(module).__name__ for module in part] for part in layers_of(network)]
    assert parts == [["Flatten", "LayerNorm", "Linear", "BatchNorm1d", "ReLU", "Dropout"], ["Linear", "PReLU"]]
    check_cover(network)


@pytest.mark.parametrize("policy", ["joint", "per-domain", "frozen"])
def test_our_own_networks(policy: str):
    convolutional = cnn(1, 8, classes=3, batchnorm=policy), lenet(1, 28, True, classes=3, batchnorm=policy)
    for model in (*convolutional, mlp(4, [5, 6, 7], classes=3)):
        assert len(layers_of(model.encoder)) == 3
        check_cover(model.encoder)


class Own(nn.Module):
    """As most people write one."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3, 3))
        self.embed, self.place = nn.Embedding(5, 4), nn.Embedding(9, 4)
        self.stem = nn.Conv1d(4, 4, 3)
        self.block1 = nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 4, 3))
        self.block2 = nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.ReLU())
        self.cells = nn.GRU(4, 4, num_layers=2)
        self.drop = nn.Dropout()
        self.out = nn.Linear(4, 3)


def test_a_network_of_ones_own():
    expected = ["embed", "stem", "block1.0", "block1.3", "block2.0", "cells"]
    parts = layers_of(cut(Own()))
    assert [name.removeprefix("module.") for name in named(cut(Own()))] == ["...", *expected[1:]]
    assert [type(module).__name__ for module in parts[0]] == ["ParameterList", "Embedding", "Embedding"]
    check_cover(cut(Own()))


class Staged(nn.Module):
    """A chain of layers at first, then a chain of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4))
        self.stages = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU())) for _ in range(2)))


def test_a_chain_of_layers_keeps_no_chain_of_blocks_together():
    assert named(Staged()) == ["stem.0", "stem.2", "stages.0", "stages.1"]


def test_what_is_shared_lies_in_its_first_part():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    assert layers_of(nn.Sequential(first, nn.Sequential(second, first))) == [[first], [second]]


@pytest.mark.parametrize("network", [nn.Linear(2, 3), nn.Identity(), nn.BatchNorm1d(2), nn.Sequential()])
def test_a_single_layer_is_one_part(network: nn.Module):
    assert len(layers_of(network)) <= 1
    check_cover(network)


TORCHVISION = {
    "resnet18": ["conv1", "layer1", "layer2", "layer3", "layer4"],
    "resnet101": ["conv1", "layer1", "layer2", "layer3", "layer4"],
    "vgg11_bn": [*(f"features.{i}" for i in (0, 4, 8, 11, 15, 18, 22, 25)), "classifier.0", "classifier.3"],
    "densenet121": ["features.conv0", "features.denseblock1", "features.transition1.conv", "features.denseblock2"],
    "efficientnet_b0": ["features.0.0", *(f"features.{i}" for i in range(1, 8)), "features.8.0"],
    "swin_t": ["features.0.0", *(f"features.{i}" for i in range(1, 8))],
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_torchvision(name: str):
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        network = getattr(models, name)(weights=None)
        network = cut(network)
    found = [part.removeprefix("module.") for part in named(network)]
    assert found[: len(TORCHVISION[name])] == TORCHVISION[name]
    assert name == "densenet121" or len(found) == len(TORCHVISION[name])
    check_cover(network)


def test_a_vision_network_of_equal_blocks():
    timm = pytest.importorskip("timm")
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 8, "depth": 3, "num_heads": 2, "num_classes": 5}
    network = cut(timm.create_model("vit_tiny_patch16_224", pretrained=False, **sizes))
    assert named(network) == ["...", "module.blocks.0", "module.blocks.1", "module.blocks.2"]
    check_cover(network)


def test_networks_of_transformers():
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    config = transformers.BertConfig(num_hidden_layers=2, **small)
    layers = [f"encoder.layer.{i}" for i in range(2)]
    assert named(transformers.BertModel(config)) == ["embeddings", *layers, "pooler"]
    bert = cut(transformers.BertForSequenceClassification(config))
    assert named(bert) == [f"module.bert.{name}" for name in ("embeddings", *layers, "pooler")]
    check_cover(bert)
    config = transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2, vocab_size=9, bos_token_id=0, eos_token_id=0)
    gpt = transformers.GPT2Model(config)
    assert named(gpt) == ["wte", "h.0", "h.1"]
    check_cover(gpt)
