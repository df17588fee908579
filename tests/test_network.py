"""Who asks the network, and what becomes of files that are not what was published."""

import bz2
import contextlib
import gzip
import hashlib
import http.server
import importlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models
from torchvision.datasets import CIFAR10, MNIST, USPS

from tladapt import Adapter, Domain, Model, fit
from tladapt.backbones import (
    cnn,
    deepspeech2,
    language,
    lenet,
    mlp,
    speech,
    table,
    text,
    translation,
    unet,
    vision,
    word2vec,
)
from tladapt.readers.texts import tokenizer, train_tokenizer
from tladapt.scenarios import files, named
from tladapt.scenarios.files import torchvision_images

transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")
smp = pytest.importorskip("segmentation_models_pytorch")
constants = pytest.importorskip("huggingface_hub.constants")
pytest.importorskip("peft")

GUARD = """
import os, sys

def watch(event, arguments):
    file = os.environ.get("TLADAPT_WATCH")
    if not file or event not in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        return
    asked = arguments[0] if event.startswith("socket.get") else arguments[1]
    host = asked[0] if isinstance(asked, tuple) else asked
    if event in ("socket.connect", "socket.sendto") and not isinstance(asked, tuple):
        return  # between processes
    with open(file, "a") as log:
        log.write(f"{host}\\n")
    if host != "127.0.0.1":
        raise ConnectionRefusedError(f"{host}: nothing gets through")

sys.addaudithook(watch)
"""
exec(GUARD)  # a hook cannot be taken off again: it sleeps where TLADAPT_WATCH is not set

COMMIT, ENCODER = "b" * 40, smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
BERT = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "vocab_size": 40, "max_position_embeddings": 16}  # fmt: skip
T5 = {"model_type": "t5", "vocab_size": 40, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 1, "num_heads": 4,
      "decoder_start_token_id": 0}  # fmt: skip
GPT = {"model_type": "gpt2", "vocab_size": 40, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
WAVES = {"model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 16, "conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2],
         "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}  # fmt: skip
BORROWED = {"model_type": "detr", "backbone": "microsoft/resnet-18", "use_timm_backbone": False,
            "use_pretrained_backbone": True, "transformers_version": "5"}  # fmt: skip


class Watch:
    """The hosts that were asked for since the start."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def hosts(self) -> list[str]:
        return self.file.read_text().split() if self.file.exists() else []


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """All caches are empty folders, and every connection and every look-up of a name is written down and refused."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("transformers.utils.hub._hf_api", None, raising=False)  # which keeps the address
    if callers := sys.modules.get("huggingface_hub.utils._detect_agent"):  # a list that is fetched once
        monkeypatch.setattr(callers, "_registry", None)
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "callers"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setenv("TLADAPT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TLADAPT_WATCH", str(tmp_path / "asked"))
    return Watch(tmp_path / "asked")


def line(error: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def written(folder: Path, config: dict[str, Any], kind: str = "AutoModel", safe: bool = True) -> Path:
    """A folder of `save_pretrained`, or one as such folders once were."""
    torch.manual_seed(0)
    network = getattr(transformers, kind).from_config(transformers.CONFIG_MAPPING[config["model_type"]](**{
        key: value for key, value in config.items() if key != "model_type"}))  # fmt: skip
    network.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return folder


def written_tokenizer(folder: Path) -> Path:
    fast = importlib.import_module("tokenizers").Tokenizer.from_str(train_tokenizer(["good", "bad and good"], size=40))
    transformers.PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="[PAD]").save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    return folder


# Nobody asks


COMMANDS = (
    "methods", "scenarios", "run digits --steps 2 --out kept", "report kept", "predict kept/model a/x",
    "run --source a --target b --steps 2 --size 8 --method CORAL",
)  # fmt: skip
IN_PARALLEL = ("compare digits --methods CORAL MMD --seeds 2 --steps 2 --jobs 2 --out table",)


@pytest.mark.parametrize("commands", [COMMANDS, pytest.param(IN_PARALLEL, marks=pytest.mark.slow)])
def test_no_module_and_no_command_asks(commands: tuple[str, ...], tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "walk.py").write_text(
        "import importlib, pkgutil, sys\n"
        "import tladapt\n"
        "from tladapt.cli import main\n"
        "for module in pkgutil.walk_packages(tladapt.__path__, 'tladapt.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "for command in [line.split() for line in sys.argv[1:]]:\n"
        "    main(command)\n"
    )
    for folder in ("a", "b"):
        for shade in range(20):
            file = tmp_path / folder / "xy"[shade % 2] / f"{shade}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (10 * shade, 0, 0)).save(file)
    watched = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "TLADAPT_WATCH": str(tmp_path / "asked")}
    ran = subprocess.run(
        [sys.executable, "walk.py", *commands], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | watched | {"TLADAPT_DATA": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "MMD" in ran.stdout
    assert Watch(tmp_path / "asked").hosts == []


def test_a_process_that_asks_is_seen(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    watched = {"PYTHONPATH": str(tmp_path), "TLADAPT_WATCH": str(tmp_path / "asked")}
    asks = "import socket; socket.getaddrinfo('example.invalid', 80)"
    asked = subprocess.run([sys.executable, "-c", asks], env=os.environ | watched, capture_output=True, text=True)
    assert "nothing gets through" in asked.stderr
    assert Watch(tmp_path / "asked").hosts == ["example.invalid"]


LOCAL: dict[str, Callable[[Path], Any]] = {
    "safetensors": lambda folder: text(written(folder / "a", BERT), classes=2),
    "bin": lambda folder: text(str(written(folder / "a", BERT, safe=False)), classes=2),
    "gpt": lambda folder: language(written(folder / "a", GPT, "AutoModelForCausalLM")),
    "t5": lambda folder: translation(written(folder / "a", T5, "AutoModelForSeq2SeqLM"), length=4),
    "waves": lambda folder: speech(written(folder / "a", WAVES), "mean", classes=2),
    "tokenizer": lambda folder: tokenizer(str(written_tokenizer(folder / "a"))),
    "torchvision": lambda folder: vision("squeezenet1_1", classes=2),
    "timm": lambda folder: vision("timm/test_resnet", classes=2),
    "U-Net": lambda folder: unet("resnet18", classes=2),
    "U-Net of timm": lambda folder: unet("tu-test_resnet", classes=2),
    "adapter": lambda folder: fit(
        text(BERT, classes=2), [Domain("a", ({"input_ids": torch.ones(20, 4, dtype=torch.long),
            "attention_mask": torch.ones(20, 4, dtype=torch.long)}, torch.arange(20) % 2))], Adapter(), steps=1),
}  # fmt: skip


@pytest.mark.parametrize("flow", LOCAL)
def test_what_is_on_disk_or_untrained_is_had_without_asking(flow: str, tmp_path: Path, watch: Watch):
    assert LOCAL[flow](tmp_path)
    assert watch.hosts == []


def test_weights_in_a_file_or_a_folder_are_read_without_asking(tmp_path: Path, watch: Watch):
    torch.save(models.squeezenet1_1(num_classes=2).state_dict(), tmp_path / "a.pth")
    save_file(timm.create_model("test_resnet", num_classes=2).state_dict(), tmp_path / "b.safetensors")
    smp.Unet("resnet18", encoder_weights=None, classes=2).save_pretrained(tmp_path / "unet")
    vision("squeezenet1_1", tmp_path / "a.pth", classes=2)
    vision("timm/test_resnet", tmp_path / "b.safetensors", classes=2)
    unet("resnet18", tmp_path / "unet", classes=2)
    assert watch.hosts == []


SAVED: dict[str, Callable[[], Model]] = {
    "mlp": partial(mlp, 4, classes=2), "cnn": partial(cnn, 1, 8, classes=2), "lenet": partial(lenet, 1, 28, classes=2),
    "table": partial(table, 2, [3], classes=2), "deepspeech2": partial(deepspeech2, width=8, layers=1, classes=4),
    "word2vec": partial(word2vec, [5, 4], classes=2), "text": partial(text, BERT, classes=2),
    "language": partial(language, GPT), "translation": partial(translation, T5, length=4),
    "speech": partial(speech, WAVES, "mean", classes=2), "vision": partial(vision, "squeezenet1_1", classes=2),
    "vision of timm": partial(vision, "timm/test_resnet.r160_in1k", classes=2),
    "unet": partial(unet, "resnet18", classes=2), "unet of timm": partial(unet, "tu-test_resnet", classes=2),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAVED)
def test_a_saved_model_is_loaded_without_asking(kind: str, tmp_path: Path, watch: Watch):
    SAVED[kind]().save(tmp_path / "saved")
    Model.load(tmp_path / "saved")
    assert watch.hosts == []


def test_a_folder_or_a_configuration_that_names_a_repository_does_not_have_it_asked(tmp_path: Path, watch: Watch):
    folder = written(tmp_path / "a", BERT)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "someone/else", "task_type": None})
    )
    with contextlib.suppress(ValueError):
        text(folder, classes=2)
    with pytest.raises(ValueError, match="offline mode"):
        text(BORROWED, classes=2)
    for nowhere in ("./a", str(tmp_path / "gone"), "a/b/c"):
        for load in (tokenizer, partial(text, classes=2), partial(speech, classes=2)):
            with pytest.raises(ValueError, match="no such folder"):
                load(nowhere)
    assert watch.hosts == []


# Who is to ask, and is seen to


NAMED: dict[str, tuple[Callable[[], Any], str]] = {
    "transformers": (lambda: text("bert-base-uncased", classes=2), "huggingface.co"),
    "sound": (lambda: speech("facebook/wav2vec2-base", classes=2), "huggingface.co"),
    "tokenizer": (lambda: tokenizer("bert-base-uncased"), "huggingface.co"),
    "timm": (lambda: vision("timm/test_resnet", "DEFAULT", classes=2), "huggingface.co"),
    "timm from elsewhere": (lambda: vision("timm/legacy_seresnet18", "in1k", classes=2), "github.com"),
    "U-Net": (lambda: unet("resnet18", "imagenet", classes=2), "huggingface.co"),
    "torchvision": (lambda: vision("squeezenet1_1", "DEFAULT", classes=2), "download.pytorch.org"),
    "MNIST": (lambda: named("split-mnist"), "ossci-datasets.s3.amazonaws.com"),
    "USPS": (lambda: torchvision_images(USPS, True), "www.csie.ntu.edu.tw"),
    "CIFAR10": (lambda: named("split-cifar10"), "www.cs.toronto.edu"),
}


@pytest.mark.parametrize("flow", NAMED)
def test_what_is_named_and_not_there_is_asked_for(flow: str, watch: Watch):
    load, host = NAMED[flow]
    with pytest.raises(ValueError, match=r"fetched|not to be loaded|downloaded") as error:
        load()
    line(error)
    assert set(watch.hosts) - {"yann.lecun.com"} == {host}


# The cache of the hub


def cached(repo: str, source: dict[str, bytes], commit: str = COMMIT) -> Path:
    """As the hub keeps a repository: each file under its digest, and links to them by name."""
    root = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    for folder in (snapshot, root / "blobs", root / "refs"):
        folder.mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    for name, content in source.items():
        (root / "blobs" / known_as(name, content)).write_bytes(content)
        (snapshot / name).symlink_to(root / "blobs" / known_as(name, content))
    return root


def known_as(name: str, content: bytes) -> str:
    """The digest of large files, or what git calls small ones."""
    if name.endswith(".json"):
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.sha256(content).hexdigest()


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def alter(root: Path, length: int) -> Path:
    """One bit of the first blob with a name of that length."""
    blob = next(file for file in sorted((root / "blobs").iterdir()) if len(file.name) == length)
    content = bytearray(blob.read_bytes())
    content[-2] ^= 1
    blob.write_bytes(content)
    return blob


def timm_files(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    save_file(timm.create_model("test_resnet").state_dict(), folder / "model.safetensors")
    return content_of(folder)


def encoder_files(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    encoder = smp.Unet("resnet18", encoder_weights=None).encoder.state_dict()
    save_file({key: value for key, value in encoder.items() if not key.startswith("fc")}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}))
    return content_of(folder)


CACHED: dict[str, tuple[str, Callable[[Path], dict[str, bytes]], Callable[[], Any]]] = {
    "bin": ("made/up", lambda at: content_of(written(at, BERT, safe=False)), lambda: text("made/up", classes=2)),
    "safetensors": ("made/up", lambda at: content_of(written(at, BERT)), lambda: text("made/up", classes=2)),
    "tokenizer": ("made/up", lambda at: content_of(written_tokenizer(at)), lambda: tokenizer("made/up")),
    "timm": ("timm/test_resnet.r160_in1k", timm_files, lambda: vision("timm/test_resnet", "DEFAULT", classes=2)),
    "U-Net": (ENCODER["repo_id"], encoder_files, lambda: unet("resnet18", "imagenet", classes=2)),
}


@pytest.mark.parametrize("flow", CACHED)
def test_the_cache_is_enough_and_what_is_altered_in_it_is_refused(flow: str, tmp_path: Path, watch: Watch):
    repo, make, load = CACHED[flow]
    root = cached(repo, make(tmp_path / "made"), ENCODER["revision"] if flow == "U-Net" else COMMIT)
    assert load()
    for length in {len(blob.name) for blob in (root / "blobs").iterdir()}:
        blob = alter(root, length)
        for _ in range(2):
            with pytest.raises(ValueError, match=r"\): .*/blobs/\w+ is not what was published; delete") as error:
                load()
            assert str(blob) in line(error)
        alter(root, length)  # back
    assert load()
    assert watch.hosts == []


def test_a_part_of_a_tokenizer_in_the_cache_is_not_taken_for_the_whole(tmp_path: Path, watch: Watch):
    source = content_of(written_tokenizer(tmp_path / "made"))
    cached("made/up", {name: content for name, content in source.items() if name != "tokenizer_config.json"})
    tokenizer("made/up")  # as good as it can be had where the hub is out of reach
    assert set(watch.hosts) == {"huggingface.co"}
    with pytest.raises(ValueError, match="it knows no words, for the files of its vocabulary are missing"):
        tokenizer(str(written(tmp_path / "network", BERT)))


# What is downloaded


class Server(http.server.BaseHTTPRequestHandler):
    """Files under their whole path, and the little of the hub's protocol that one repository needs."""

    files: dict[str, bytes]
    names: dict[str, str]
    asked: list[str]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not on the terminal."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.answer(404, b"")

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(status)
        for key, value in headers.items() | {("Content-Length", str(len(content)))}:
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if path == "/api/models/made/up":
            about = {"id": "made/up", "sha": COMMIT, "siblings": [], "private": False, "tags": []}
            self.answer(200, json.dumps(about).encode())
        elif path in self.files:
            self.answer(200, self.files[path])
        elif "/resolve/" in path and name in self.files:
            self.answer(200, self.files[name], ETag=f'"{self.names[name]}"', X_Repo_Commit=COMMIT)
        else:
            self.answer(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)


@pytest.fixture
def server(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    """A server of this machine, which stands for all others."""

    class Own(Server):
        files, names, asked = {}, {}, []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{serving.server_port}"
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        monkeypatch.setattr(MNIST, "mirrors", [f"{address}/mnist/"])
        monkeypatch.setattr(CIFAR10, "url", f"{address}/{CIFAR10.filename}")
        monkeypatch.setattr(USPS, "split_list", {
            part: [f"{address}/{name}", name, hashlib.md5(content).hexdigest()]
            for part, (name, content) in usps_files().items()})  # fmt: skip
        monkeypatch.setattr(
            models._api.WeightsEnum, "url", property(lambda _: f"{address}/made-{Own.names['made.pth'][:8]}.pth")
        )
        yield Own
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("altered", [False, True])
def test_a_network_from_the_hub_is_what_its_digests_say(altered: bool, tmp_path, server, watch: Watch):
    server.files = content_of(written(tmp_path / "made", BERT, safe=False))
    server.names = {name: known_as(name, content) for name, content in server.files.items()}
    if altered:
        server.files["pytorch_model.bin"] = server.files["pytorch_model.bin"][:-1] + b"?"
    for _ in range(2):
        with pytest.raises(ValueError, match="is not what was published") if altered else contextlib.nullcontext():
            text("made/up", classes=2)
    fetched = [request for request in server.asked if request.startswith("GET") and "/resolve/" in request]
    assert len(fetched) == 2  # the configuration and the weights, once
    for thread in threading.enumerate():
        if "conversion" in thread.name:
            thread.join()
    assert {request for request in server.asked if "/resolve/" not in request} == {"GET /api/models/made/up"}
    assert set(watch.hosts) == {"127.0.0.1"}


@pytest.mark.parametrize("altered", [False, True])
def test_weights_of_torchvision_are_what_their_name_says(altered: bool, tmp_path: Path, server, watch: Watch):
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "made.pth")
    content = (tmp_path / "made.pth").read_bytes()
    server.names["made.pth"] = hashlib.sha256(content).hexdigest()
    name = f"made-{server.names['made.pth'][:8]}.pth"
    server.files[f"/{name}"] = content + b"?" * altered
    kept = tmp_path / "torch" / "checkpoints"
    if altered:
        with pytest.raises(ValueError, match=r"cannot be fetched .*invalid hash value") as error:
            vision("squeezenet1_1", "DEFAULT", classes=2)
        line(error)
        assert list(kept.iterdir()) == []
    else:
        vision("squeezenet1_1", "DEFAULT", classes=2)
        vision("squeezenet1_1", "DEFAULT", classes=2)
    assert server.asked == [f"GET /{name}"]


class Trap:
    """Runs as it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


def test_altered_weights_in_the_cache_of_torch_are_refused_and_not_executed(tmp_path: Path, watch: Watch):
    for url, load in (
        (models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url, partial(vision, "squeezenet1_1", "DEFAULT")),
        (timm.models.get_pretrained_cfg("legacy_seresnet18").url, partial(vision, "timm/legacy_seresnet18", "in1k")),
    ):
        file = tmp_path / "torch" / "checkpoints" / url.rpartition("/")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"features.0.weight": Trap(tmp_path / "sprung")}, file)
        with pytest.raises(ValueError, match=rf"{file.name} is not what was published; delete it") as error:
            load(classes=2)
        line(error)
    assert not (tmp_path / "sprung").exists()
    assert watch.hosts == []


def test_weights_of_torchvision_are_never_executed_even_if_their_digest_is_right(tmp_path: Path, server):
    torch.save({"features.0.weight": Trap(tmp_path / "sprung")}, tmp_path / "made.pth")
    server.names["made.pth"] = hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()
    server.files[f"/made-{server.names['made.pth'][:8]}.pth"] = (tmp_path / "made.pth").read_bytes()
    with pytest.raises(ValueError, match="holds more than tensors"):
        vision("squeezenet1_1", "DEFAULT", classes=2)
    assert not (tmp_path / "sprung").exists()


# Sets of images


def mnist_files() -> dict[str, bytes]:
    """Three images and their labels, twice, as they are unpacked."""
    images, labels = np.arange(3 * 784).astype(np.uint8), np.arange(3).astype(np.uint8)
    heads = [np.array(head, dtype=">i4").tobytes() for head in ((2051, 3, 28, 28), (2049, 3))]
    found = [heads[0] + images.tobytes(), heads[1] + labels.tobytes()]
    return dict(zip(files.MD5, found * 2, strict=True))


def usps_files() -> dict[str, tuple[str, bytes]]:
    rows = "".join(f"{label} " + " ".join(f"{i + 1}:-0.5" for i in range(256)) + " \n" for label in (1, 10))
    return {"train": ("usps.bz2", bz2.compress(rows.encode())), "test": ("usps.t.bz2", bz2.compress(rows.encode()))}


def cifar_files() -> dict[str, bytes]:
    rows = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
    found = {name: pickle.dumps({"data": rows, "labels": [0, i]}) for i, (name, _) in enumerate(batches())}
    return found | {"batches.meta": pickle.dumps({"label_names": ["a", "b"]})}


def batches() -> list[Any]:
    return [*CIFAR10.train_list, *CIFAR10.test_list]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def packed(source: dict[str, bytes], aside: Path) -> bytes:
    for name, content in source.items():
        (aside / CIFAR10.base_folder).mkdir(parents=True, exist_ok=True)
        (aside / CIFAR10.base_folder / name).write_bytes(content)
    with tarfile.open(aside / "packed.tar.gz", "w:gz") as archive:
        archive.add(aside / CIFAR10.base_folder, CIFAR10.base_folder)
    return (aside / "packed.tar.gz").read_bytes()


@pytest.fixture
def made(tmp_path: Path, server: type[Server], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The three sets, small, on the server and with their digests; all files of the server."""
    unpacked, cifar = mnist_files(), cifar_files()
    zipped = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in unpacked.items()}
    archive = packed(cifar, tmp_path / "aside")
    monkeypatch.setattr(files, "MD5", {name: md5(content) for name, content in unpacked.items()})
    monkeypatch.setattr(MNIST, "resources", [(name, md5(content)) for name, content in zipped.items()])
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5(cifar[name])] for name, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, md5(cifar[name])] for name, _ in CIFAR10.test_list])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5(cifar["batches.meta"])})
    server.files |= {f"/mnist/{name}": content for name, content in zipped.items()}
    server.files |= {f"/{name}": content for name, content in usps_files().values()}
    server.files[f"/{CIFAR10.filename}"] = archive
    return server.files


SETS: dict[str, tuple[Any, str, str, tuple[int, ...]]] = {  # what is downloaded, and read
    "MNIST": (MNIST, "/mnist/train-images-idx3-ubyte.gz", "MNIST/raw/train-images-idx3-ubyte", (3, 1, 28, 28)),
    "USPS": (USPS, "/usps.bz2", "usps.bz2", (2, 1, 16, 16)),
    "CIFAR10": (CIFAR10, f"/{CIFAR10.filename}", f"{CIFAR10.base_folder}/data_batch_2", (10, 3, 32, 32)),
}


@pytest.mark.parametrize("name", SETS)
def test_images_are_downloaded_once_and_what_is_altered_or_torn_leaves_nothing(
    name: str, tmp_path: Path, made: dict[str, bytes], server: type[Server]
):
    kind, path, _, shape = SETS[name]
    good = made[path]
    for wrong in (good[:-9] + bytes([good[-9] ^ 1]) + good[-8:], good[: len(good) // 2], b"<html>"):
        made[path] = wrong
        with pytest.raises(ValueError, match=rf"has no {name} as torchvision keeps it, nor can it be downl") as error:
            torchvision_images(kind, True)
        assert "corrupted" in line(error)
        assert list((tmp_path / "data").iterdir()) == []
    made[path] = good
    x, y = torchvision_images(kind, True)
    assert (x.dtype, x.shape, y.dtype) == (torch.uint8, shape, torch.long)
    server.asked.clear()
    assert torch.equal(torchvision_images(kind, True)[0], x)
    assert server.asked == []


@pytest.mark.parametrize("name", SETS)
def test_images_that_are_there_and_altered_are_refused_and_not_replaced(
    name: str, tmp_path: Path, made: dict[str, bytes], server: type[Server]
):
    kind, _, stored, _ = SETS[name]
    torchvision_images(kind, True)
    server.asked.clear()
    file = tmp_path / "data" / stored
    altered = bytearray(file.read_bytes())
    altered[len(altered) // 2] ^= 1
    file.write_bytes(altered)
    with pytest.raises(ValueError, match=f"another {name} than torchvision knows, or a damaged one") as error:
        torchvision_images(kind, True)
    line(error)
    assert server.asked == []
    assert file.read_bytes() == altered


def test_no_batch_of_cifar10_is_unpickled_before_its_digest_was_compared(tmp_path: Path, made: dict[str, bytes]):
    torchvision_images(CIFAR10, True)
    folder = tmp_path / "data" / CIFAR10.base_folder
    for name in (*(name for name, _ in batches()), "batches.meta"):
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
        with pytest.raises(ValueError, match="another CIFAR10 than torchvision knows"):
            torchvision_images(CIFAR10, True)
        assert not (tmp_path / "sprung").exists()
        (folder / name).write_bytes(good)
    torchvision_images(CIFAR10, True)
    shutil.rmtree(folder)
    trapped = {name: pickle.dumps(Trap(tmp_path / "sprung")) for name in cifar_files()}
    made[f"/{CIFAR10.filename}"] = packed(trapped, tmp_path / "aside")
    with pytest.raises(ValueError, match="nor can it be downloaded"):
        torchvision_images(CIFAR10, True)
    assert not (tmp_path / "sprung").exists()


def test_what_torchvision_once_kept_of_mnist_is_not_read(tmp_path: Path, made: dict[str, bytes]):
    x, _ = torchvision_images(MNIST, True)
    (tmp_path / "data" / "MNIST" / "processed").mkdir()
    for name in (MNIST.training_file, MNIST.test_file):
        torch.save((torch.zeros(1, 28, 28), torch.zeros(1)), tmp_path / "data" / "MNIST" / "processed" / name)
    assert torch.equal(torchvision_images(MNIST, True)[0], x)
