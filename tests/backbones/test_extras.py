"""Libraries that are missing, and a hub that cannot be reached."""

import socket
import sys

import pytest

from tladapt.backbones.extras import hub, needed

constants = pytest.importorskip("huggingface_hub.constants")


def test_a_missing_library_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(ValueError, match=r'gensim is missing .*: pip install "tladapt\[embeddings\]"'):
        needed("gensim", "embeddings")


@pytest.mark.parametrize("reachable", [True, False])
def test_a_hub_out_of_reach_is_not_asked(reachable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: object) -> list:
        if not reachable:
            raise socket.gaierror("no such name")
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub():
        assert constants.HF_HUB_OFFLINE is not reachable
    assert constants.HF_HUB_OFFLINE is False


def test_behind_a_proxy_it_is_asked_and_what_the_user_said_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy"})
    for said in (True, False):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", said)
        with hub():
            assert constants.HF_HUB_OFFLINE is said
