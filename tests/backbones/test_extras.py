"""Libraries that are missing, and a hub that cannot be reached."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tladapt.backbones.extras import from_hub, needed, repository

constants = pytest.importorskip("huggingface_hub.constants")


def test_a_missing_library_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(ValueError, match=r'gensim is missing .*: pip install "tladapt\[embeddings\]"'):
        needed("gensim", "embeddings")


def offline() -> bool:
    return constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("reachable", [True, False])
def test_a_hub_out_of_reach_is_not_asked(reachable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: object) -> list:
        if not reachable:
            raise socket.gaierror("no such name")
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert from_hub("not/there", offline, "x") is not reachable
    assert constants.HF_HUB_OFFLINE is False


def test_behind_a_proxy_it_is_asked_and_what_the_user_said_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy"})
    for said in (True, False):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", said)
        assert from_hub("not/there", offline, "x") is said
        assert from_hub(None, offline, "x") is True
        assert constants.HF_HUB_OFFLINE is said


def test_a_conversion_is_never_asked_for_and_the_variable_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy"})
    name = "DISABLE_SAFETENSORS_CONVERSION"
    for told in (None, "0"):
        if told:
            monkeypatch.setenv(name, told)
        assert from_hub("not/there", lambda: os.environ[name], "x") == "1"
        assert os.environ.get(name) == told


def test_what_is_on_disk_is_no_repository(tmp_path: Path) -> None:
    assert repository(str(tmp_path), "x") is None
    assert repository("bert-base-uncased", "x") == "bert-base-uncased"
    assert repository("facebook/" + 1000 * "x", "x")
    for nowhere in (str(tmp_path / "a"), "./a", "a/b/c"):
        with pytest.raises(ValueError, match="x: no such folder"):
            repository(nowhere, "x")
