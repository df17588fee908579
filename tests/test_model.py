"""The model: any network taken apart into encoder and head, one kind of output."""

import copy
from functools import partial

import pytest
import timm
import torch
from torch import nn
from torchvision import models
from torchvision.models import resnet18

from tladapt import CORAL, EWC, Domain, Model, Output, adaptation, fit
from tladapt.backbones import build, cnn, mlp
from tladapt.layers.jitter import Jitter


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_a_sequence_is_cut_before_its_last_linear_layer():
    net, x = network().eval(), torch.randn(5, 4)
    output = Model.of(net).eval()(x)
    assert isinstance(output, Output)
    assert torch.equal(output.features, net[:3](x))
    assert torch.equal(output.logits, net(x))


def test_a_resnet_is_cut_before_its_last_linear_layer():
    net, x = resnet18(weights=None).eval(), torch.randn(2, 3, 32, 32)
    model = Model.of(net, classes=5).eval()
    output = model(x)
    assert (output.features.shape, output.logits.shape) == ((2, 512), (2, 5))
    assert model.width == 512
    same = Model.of(net).eval()(x)
    assert torch.equal(same.logits, net(x))


def assert_cut_right(net: nn.Module, x: torch.Tensor) -> None:
    """Without a new head, the logits are those of the network; with one, it can be trained."""
    torch.nn.init.normal_([part for part in net.modules() if isinstance(part, nn.Linear)][-1].weight)
    expected = net.eval()(x)
    assert expected.std() > 0
    assert torch.equal(Model.of(net).eval()(x).logits, expected)
    model = Model.of(net, classes=3).train()
    output = model(x)
    assert (output.features.shape, output.logits.shape) == ((len(x), model.width), (len(x), 3))
    output.logits.sum().backward()
    assert sum(parameter.grad is not None for parameter in model.parameters()) > 10


@pytest.mark.parametrize(
    "build",
    [
        partial(models.vgg11, init_weights=False), models.mobilenet_v3_small, models.convnext_tiny,
        partial(models.VisionTransformer, 32, 16, 2, 2, 64, 64, num_classes=7),
        partial(models.googlenet, init_weights=False, aux_logits=False),
    ],
    ids=["vgg", "mobilenet", "convnext", "vit", "googlenet"],
)  # fmt: skip
def test_networks_of_torchvision_are_cut_before_their_head(build):
    assert_cut_right(build(), torch.rand(2, 3, 32, 32))


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "mobilenetv3_small_100", "efficientnet_b0"])
def test_networks_of_timm_are_cut_before_their_head(name):
    assert_cut_right(timm.create_model(name, pretrained=False), torch.rand(2, 3, 32, 32))


def test_a_transformer_of_timm_is_cut_before_its_head():
    assert_cut_right(timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32), torch.rand(2, 3, 32, 32))


def test_a_body_of_timm_and_a_head_make_a_model():
    body = timm.create_model("resnet18", pretrained=False, num_classes=0)
    with pytest.raises(ValueError, match=r"no nn.Linear in it; build Model\(encoder, head\)"):
        Model.of(body)
    output = Model(body, nn.Linear(512, 3))(torch.rand(2, 3, 32, 32))
    assert (output.features.shape, output.logits.shape) == ((2, 512), (2, 3))


def test_auxiliary_logits_in_training_are_left_out():
    net, x = models.googlenet(init_weights=False), torch.rand(2, 3, 64, 64)
    assert net.train()(x).aux_logits1.shape == (2, 1000)
    assert_cut_right(net, x)
    stream = adaptation(Domain("a", (x, [0, 1]), None), Domain("b", x, None))
    report = fit(Model.of(net, classes=2), stream, EWC() + CORAL(), steps=1)
    assert report.stages == ["a", "a + b"]


def test_a_single_linear_layer_is_all_head():
    layer, x = nn.Linear(4, 3), torch.randn(5, 4)
    output = Model.of(layer)(x)
    assert torch.equal(output.features, x)
    assert torch.equal(output.logits, layer(x))


def test_features_of_pixels_and_tokens_come_last():
    output = Model.of(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))(torch.randn(2, 6, 5, 4))
    assert (output.features.shape, output.logits.shape) == ((2, 6, 5, 8), (2, 6, 5, 3))


@pytest.mark.parametrize("classes", [None, 3, ["cat", "dog", "cow"]])
def test_the_trained_head_stays_where_the_classes_fit(classes):
    net, x = network().eval(), torch.randn(5, 4)
    model = Model.of(net, classes=classes).eval()
    assert torch.equal(model(x).logits, net(x))


@pytest.mark.parametrize("classes", [2, 7, ["cat", "dog"]])
def test_a_new_head_takes_its_place_where_they_do_not(classes):
    model = Model.of(network(), classes=classes)
    head = model.head
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features) == (8, len(model.classes))
    assert model(torch.randn(5, 4)).logits.shape == (5, len(model.classes))


def test_classes_have_names():
    assert Model.of(network()).classes == ("0", "1", "2")
    assert Model.of(network(), classes=["cat", "dog", "cow"]).classes == ("cat", "dog", "cow")


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_the_network_handed_in_is_left_as_it_is(batchnorm):
    net = network()
    before, kinds = copy.deepcopy(net.state_dict()), [type(layer) for layer in net]
    model = Model.of(net, classes=5, batchnorm=batchnorm).train()
    model(torch.randn(5, 4)).logits.sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [type(layer) for layer in net] == kinds
    assert all(parameter.grad is None for parameter in net.parameters())


def test_what_follows_the_head_is_found_at_the_first_forward_pass():
    model = Model.of(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3), nn.Softmax(-1)))
    with pytest.raises(ValueError, match=r"Model.of\(Sequential\): expected .* its last linear layer, '1', alone"):
        model(torch.randn(5, 4))


class Branching(nn.Module):
    """A network whose last linear layer is not what comes out."""

    def __init__(self):
        super().__init__()
        self.answer, self.aside = nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, x):
        self.aside(x)
        return self.answer(x)


def test_a_head_that_is_not_last_in_use_is_found_at_the_first_forward_pass():
    with pytest.raises(ValueError, match=r"Model.of\(Branching\).*'aside'"):
        Model.of(Branching())(torch.randn(5, 4))


def test_a_network_without_a_linear_layer_is_refused():
    with pytest.raises(ValueError, match=r"Model.of\(Sequential\): no nn.Linear in it; build Model\(encoder, head\)"):
        Model.of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()))


def test_two_halves_make_a_model():
    encoder, head, x = nn.Linear(4, 8), nn.Linear(8, 3), torch.randn(5, 4)
    output = Model(encoder, head)(x)
    assert torch.equal(output.logits, head(encoder(x)))


def test_a_head_without_a_linear_layer_needs_the_number_of_classes():
    head = nn.Conv1d(8, 3, 1)
    with pytest.raises(ValueError, match=r"Model\(head=Conv1d\).*classes="):
        Model(nn.Identity(), head)
    model = Model(nn.Identity(), head, classes=3)
    assert len(model.classes) == 3


def test_a_head_of_several_layers_has_as_many_classes_as_its_last_one_has_outputs():
    model = Model(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)))
    assert model.classes == ("0", "1", "2")
    with pytest.raises(TypeError, match=r"model.width"):
        _ = model.width


def test_the_width_is_the_size_of_a_feature_vector():
    model = Model.of(network())
    assert model.width == model(torch.randn(2, 4)).features.shape[-1] == 8


def test_bytes_are_scaled_to_one():
    model = Model.of(nn.Linear(4, 3))
    x = torch.tensor([[0, 51, 102, 255]], dtype=torch.uint8)
    assert torch.allclose(model(x).features, torch.tensor([[0.0, 0.2, 0.4, 1.0]]))


class Summed(nn.Module):
    """A network of two inputs by name."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, a, b):
        return self.head(a + b)


def test_inputs_can_be_a_dict():
    x = {"a": torch.full((2, 4), 255, dtype=torch.uint8), "b": torch.ones(2, 4)}
    assert torch.equal(Model.of(Summed())(x).features, torch.full((2, 4), 2.0))


def test_an_output_can_be_cut_by_rows():
    output = Output(torch.randn(5, 2), torch.randn(5, 3))
    cut = output.at(slice(1, 3))
    assert torch.equal(cut.features, output.features[1:3])
    assert torch.equal(cut.logits, output.logits[1:3])


def test_an_unknown_batchnorm_policy_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"batchnorm='own'\): expected one of 'joint', 'per-domain', 'frozen'"):
        Model.of(network(), batchnorm="own")


def test_a_model_can_be_copied_after_it_was_used():
    model = Model.of(network(), batchnorm="per-domain")
    model(torch.randn(5, 4), torch.zeros(5, dtype=torch.long)).logits.sum().backward()
    x = torch.randn(2, 4)
    assert torch.equal(copy.deepcopy(model).eval()(x).logits, model.eval()(x).logits)


@pytest.mark.parametrize(
    ("model", "x"),
    [(mlp(16, (8,), classes=3), torch.randn(2, 1, 4, 4)), (cnn(1, 8, 4, 16, classes=3), torch.randn(2, 1, 8, 8))],
    ids=["mlp", "cnn"],
)
def test_small_networks_can_be_built_again_from_their_recipe(model, x):
    assert model(x).logits.shape == (2, 3)
    again = build(model.recipe, model.classes, model.batchnorm)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(x).logits, model.eval()(x).logits)


@pytest.mark.parametrize("recipe", [{"backbone": "vgg", "arguments": {}}, {}, {"backbone": "build", "arguments": {}}])
def test_an_unknown_backbone_is_refused_with_the_known_ones(recipe):
    with pytest.raises(ValueError, match=r"expected one of cnn, .*lenet, mlp"):
        build(recipe, 3, "joint")


@pytest.mark.parametrize("recipe", [{"backbone": "mlp"}, {"backbone": "mlp", "arguments": {"width": 3}}])
def test_arguments_that_do_not_fit_a_backbone_are_refused(recipe):
    with pytest.raises(ValueError, match=r"backbone 'mlp': its arguments do not fit"):
        build(recipe, 3, "joint")


def test_jitter_moves_training_images_only():
    x = torch.rand(16, 1, 12, 12)
    jitter = Jitter(10.0, 0.1, 0.2)
    assert torch.equal(jitter.eval()(x), x)
    moved = jitter.train()(x)
    assert moved.shape == x.shape
    assert not torch.allclose(moved, x, atol=1e-2)
    assert torch.allclose(Jitter(0.0, 0.0, 0.0).train()(x), x, atol=1e-5)
