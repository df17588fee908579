"""A model on disk: what is saved comes back bit for bit, and what is damaged is refused in one line."""

import json
import os
import resource
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tladapt import Domain, Model, adaptation, fit
from tladapt.backbones import cnn, mlp

POLICIES = ("joint", "per-domain", "frozen")
X = torch.randn(6, 1, 8, 8)


def domain(name: str, shift: float = 0.0) -> Domain:
    y = torch.arange(40) % 2
    return Domain(name, (torch.randn(40, 1, 8, 8) + shift + y[:, None, None, None], y))


def network(hidden: int = 16) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 2))


def trained(model: Model) -> Model:
    fit(model, [*adaptation(domain("a"), domain("b", 5.0)), domain("c", -5.0)], epochs=1)
    return model.eval()


def answers(model: Model) -> list[Tensor]:
    """For rows of each domain, and of none."""
    return [model(X).logits, *(model(X, torch.full((6,), i)).logits for i in range(3))]


def same(one: Model, two: Model) -> bool:
    return all(torch.equal(a, b) for a, b in zip(answers(one), answers(two), strict=True))


@pytest.mark.parametrize("batchnorm", POLICIES)
def test_a_named_network_comes_back_bit_for_bit(batchnorm, tmp_path):
    model = trained(cnn(1, 8, 4, 16, classes=["cat", "dog"], batchnorm=batchnorm))
    model.save(tmp_path)
    loaded = Model.load(tmp_path)
    assert same(model, loaded)
    assert (loaded.classes, loaded.batchnorm, loaded.recipe) == (model.classes, batchnorm, model.recipe)


@pytest.mark.parametrize("batchnorm", POLICIES)
def test_your_own_network_comes_back_bit_for_bit(batchnorm, tmp_path):
    model = trained(Model.of(network(), batchnorm=batchnorm))
    model.save(tmp_path)
    assert same(model, Model.load(tmp_path, network()))


def test_domains_are_still_apart_after_loading(tmp_path):
    model = trained(Model.of(network(), batchnorm="per-domain"))
    model.save(tmp_path)
    _, first, _, third = answers(Model.load(tmp_path, network()))
    assert not torch.allclose(first, third)


def test_a_network_with_a_new_head_comes_back(tmp_path):
    model = Model.of(network(), classes=5).eval()
    model.save(tmp_path)
    assert torch.equal(Model.load(tmp_path, network())(X).logits, model(X).logits)


def test_a_loaded_model_is_ready_to_predict_and_to_train(tmp_path):
    mlp(64, (8,), classes=2).save(tmp_path)
    model = Model.load(tmp_path)
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_how_files_become_inputs_is_saved_too(tmp_path):
    model = mlp(64, (8,), classes=2)
    model.inputs = {"kind": "images", "size": [8, 8]}
    model.save(tmp_path)
    assert Model.load(tmp_path).inputs == model.inputs


def test_the_folder_holds_weights_and_json_and_nothing_else(tmp_path):
    folder = tmp_path / "deep" / "model"
    mlp(64, (8,), classes=2).save(str(folder))
    mlp(64, (8,), classes=2).save(folder)  # again
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    assert json.loads((folder / "model.json").read_text())["schema"] == 1


def test_saving_leaves_the_model_as_it_was(tmp_path):
    model = mlp(64, (8,), classes=2).train()
    model.save(tmp_path)
    assert model.training


def refusal(folder: Path, module: nn.Module | None = None) -> str:
    with pytest.raises(ValueError, match=r"Model\.load") as caught:
        Model.load(folder, module)
    message = str(caught.value)
    assert "\n" not in message
    assert repr(str(folder)) in message
    return message


def test_your_own_network_must_be_passed_again(tmp_path):
    Model.of(network()).save(tmp_path)
    assert "module=" in refusal(tmp_path)


@pytest.mark.parametrize(
    "module",
    [network(hidden=4), nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), nn.Flatten()],
    ids=["another width", "another depth", "no linear layer"],
)
def test_another_network_is_refused_in_one_line(module, tmp_path):
    Model.of(network()).save(tmp_path)
    refusal(tmp_path, module)


def test_a_missing_folder_is_refused_in_one_line(tmp_path):
    refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_refused_in_one_line(name, tmp_path):
    mlp(64, (8,), classes=2).save(tmp_path)
    (tmp_path / name).unlink()
    refusal(tmp_path)


@pytest.mark.parametrize("size", [0, 4, 100, -4])
def test_truncated_weights_are_refused_in_one_line(size, tmp_path):
    mlp(64, (8,), classes=2).save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    refusal(tmp_path)


def test_weights_that_were_saved_with_another_file_are_refused(tmp_path):
    for name in ("a", "b"):
        mlp(64, (8,), classes=2).save(tmp_path / name)
    (tmp_path / "a" / "model.safetensors").write_bytes((tmp_path / "b" / "model.safetensors").read_bytes())
    assert "not the one that model.json was saved with" in refusal(tmp_path / "a")


def test_models_that_were_saved_before_there_were_digests_are_loaded(tmp_path):
    mlp(64, (8,), classes=2).save(tmp_path)
    about = json.loads((tmp_path / "model.json").read_text())
    del about["sha256"]
    (tmp_path / "model.json").write_text(json.dumps(about))
    Model.load(tmp_path)


@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_is_full_leaves_the_model_that_was_there(there, tmp_path, monkeypatch):
    old, new = mlp(64, (8,), classes=2), mlp(64, (80_000,), classes=2)
    if there:
        old.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ValueError, match=r"cannot write .*model\.safetensors'") as caught:
            new.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "3", '"text"', "\x00\x01"])
def test_garbage_is_refused_in_one_line(text, tmp_path):
    mlp(64, (8,), classes=2).save(tmp_path)
    (tmp_path / "model.json").write_text(text)
    refusal(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": 2},
        {"schema": None},
        {"batchnorm": "own"},
        {"classes": 3},
        {"classes": ["one", "two", "three"]},
        {"inputs": None},
        {"recipe": 3},
        {"recipe": {"backbone": "vgg", "arguments": {}}},
        {"recipe": {"backbone": "mlp", "arguments": {"width": 3}}},
        {"recipe": {"backbone": "mlp", "arguments": {"inputs": 32, "hidden": [8]}}},
    ],
    ids=str,
)
def test_a_file_of_another_kind_is_refused_in_one_line(changed, tmp_path):
    mlp(64, (8,), classes=2).save(tmp_path)
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(about | changed))
    refusal(tmp_path)


def test_another_schema_is_named(tmp_path):
    mlp(64, (8,), classes=2).save(tmp_path)
    (tmp_path / "model.json").write_text('{"schema": 7}')
    assert "schema 7, expected 1" in refusal(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_all_files_of_a_model_have_the_permissions_of_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        mlp(2, (3,), classes=2).save(tmp_path)
    finally:
        os.umask(before)
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("model.json", "model.safetensors"), oct(0o666 & ~umask))
