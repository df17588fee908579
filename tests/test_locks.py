"""One process at a time writes to a folder, and none that has ended is in the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.test_resuming import domain, network, stream
from tladapt import CORAL, EWC, Method, fit, train
from tladapt.comparison import compare
from tladapt.scenarios import digits
from tladapt.storage import locks
from tladapt.storage.locks import NAME, FolderLock

HOLDS = """
import sys; from pathlib import Path
from tladapt.storage.locks import FolderLock
lock = FolderLock(Path({folder!r}))
print("locked", flush=True)
sys.stdin.read()
"""


def holding(folder: Path) -> "subprocess.Popen[str]":
    """A process that has the lock of the folder, until its input ends."""
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})" + HOLDS.format(folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_folder_in_use_is_refused_by_name_and_free_once_the_process_has_ended(tmp_path: Path):
    process = holding(tmp_path)
    words = rf"in use by process {process.pid} on .*; wait for it, end it, or use another folder"
    with pytest.raises(ValueError, match=words) as caught:
        fit(network(), [domain("a")], steps=2, checkpoint=tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="in use by process"):
        compare(digits().but(steps=1), [CORAL()], seeds=1, jobs=1, out=tmp_path)
    fit(network(), [domain("a")], steps=2, checkpoint=tmp_path / "other")
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate()
    assert (tmp_path / NAME).exists()  # which is in nobody's way
    fit(network(), [domain("a")], steps=2, checkpoint=tmp_path)
    assert not (tmp_path / NAME).exists()


def test_two_runs_of_one_process_do_not_share_a_folder(tmp_path: Path):
    reports = train(network(), stream(), EWC(), steps=2, checkpoint=tmp_path)
    next(reports)
    with pytest.raises(ValueError, match="in use by another run of this process"):
        fit(network(), stream(), EWC(), steps=2, checkpoint=tmp_path)
    reports.close()  # type: ignore[attr-defined]
    fit(network(), stream(), EWC(), steps=2, checkpoint=tmp_path)
    abandoned = train(network(), stream(), EWC(), steps=2, checkpoint=tmp_path)
    del abandoned  # never started
    fit(network(), stream(), EWC(), steps=2, checkpoint=tmp_path)


class Raises(Method):
    def loss(self, model, batch, output):
        raise ValueError("in a step")


def test_a_run_that_fails_lets_go_of_its_folder(tmp_path: Path):
    for _ in range(2):
        with pytest.raises(ValueError, match="in a step"):
            fit(network(), stream(), Raises(), steps=2, checkpoint=tmp_path)
        assert not (tmp_path / NAME).exists()
    with pytest.raises(ValueError, match="another run is stored"):
        fit(network(), stream(), steps=2, checkpoint=tmp_path)
    assert not (tmp_path / NAME).exists()


def test_threads_do_not_share_a_folder(tmp_path: Path):
    refused = list[str]()

    def other() -> None:
        try:
            FolderLock(tmp_path)
        except ValueError as error:
            refused.append(str(error))

    with FolderLock(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_one_folder_under_two_names_is_one_folder(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with FolderLock(tmp_path / "real"), pytest.raises(ValueError, match="in use"):
        FolderLock(tmp_path / "link")


@pytest.mark.parametrize("left", ["", "{", "[1]", '{"pid": "x"}', '{"pid": 1e99}', '{"pid": -1}', "\0" * 9999])
@pytest.mark.parametrize("locking", [True, False])
def test_whatever_a_lock_file_holds_is_in_nobodys_way(left: str, locking: bool, tmp_path: Path, monkeypatch):
    (tmp_path / NAME).write_text(left)
    if not locking:
        monkeypatch.setattr(locks, "fcntl", None)  # as on Windows
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()
    assert not (tmp_path / NAME).exists()


def test_where_files_cannot_be_locked_the_process_in_the_file_decides(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = {"pid": process.pid, "host": socket.gethostname()}
    for about in (here, {"pid": 1, "host": "another machine"}):
        (tmp_path / NAME).write_text(json.dumps(about))
        with pytest.raises(ValueError, match=f"in use by process {about['pid']} on {about['host']}"):
            FolderLock(tmp_path)
    process.kill()
    process.communicate()
    (tmp_path / NAME).write_text(json.dumps(here))
    with FolderLock(tmp_path):
        pass


def test_a_folder_that_nothing_can_be_written_to_is_not_locked(tmp_path: Path, monkeypatch):
    fit(network(), [domain("a")], steps=2, checkpoint=tmp_path)
    opened = os.open

    def refuses(path, flags, *rest, **named):
        if str(path).endswith(NAME):
            raise PermissionError(13, "read-only")
        return opened(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuses)
    fit(network(), [domain("a")], steps=2, checkpoint=tmp_path)  # its report is all that is wanted
