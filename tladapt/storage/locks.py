"""A folder that one process at a time may write to."""

import errno
import json
import os
import socket
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # on Windows, where an open file cannot be deleted
    fcntl = None  # type: ignore[assignment]

NAME = ".tladapt-lock"
SIZE = 4096  # bytes of a lock file that are read
FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
TAKEN = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}
_held = set[str]()  # by this process: the operating system lets a process lock a file twice


class FolderLock:
    """The right to write to a folder, until `release` or the end of the process.

    The operating system lifts it when the process ends, however that happens. Where files cannot be locked, the file
    itself is the lock, and one left by a process of this machine that no longer runs is taken over.

    Parameters
    ----------
    folder
        Made if it does not exist. If no file can be created in it, there is no lock: nothing can be written either.

    Raises
    ------
    ValueError
        If another process, or another run of this one, has the lock; says which.
    """

    def __init__(self, folder: Path) -> None:
        self._path = str(Path(os.path.realpath(folder)) / NAME)
        if self._path in _held:
            raise ValueError(f"{folder}: in use by another run of this process; end that run, or use another folder")
        self._file = _locked(self._path, folder)
        if self._file is None:
            return
        _held.add(self._path)
        self._finalizer = weakref.finalize(self, _release, self._path, self._file, os.getpid())

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others write to the folder; called twice, the second call does nothing."""
        if self._file is not None:
            self._finalizer()


def _locked(path: str, folder: Path) -> int | None:
    """The open, locked file; None where no file can be created."""
    for _ in range(10):
        try:
            file = os.open(path, FLAGS, 0o666)
        except OSError:
            return None
        if not _take(file, path):
            owner = _owner(file)
            os.close(file)
            raise ValueError(f"{folder}: in use by {owner}; wait for it, end it, or use another folder")
        if _is_current(file, path):
            _write_owner(file)
            return file
        os.close(file)  # the process before has just removed it
    raise ValueError(f"{folder}: other processes keep locking it; use another folder")


def _take(file: int, path: str) -> bool:
    """Lock an open file, or find out that another process has it."""
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError as error:
        if error.errno in TAKEN:
            return False
    return not _is_alive(_about(file))  # no locks on this file system: by what is written in the file


def _is_alive(about: dict[str, Any]) -> bool:
    """Whether the process that wrote a lock file may still run."""
    pid, host = about.get("pid"), about.get("host")
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
        return False
    if host != socket.gethostname():
        return True
    if os.name == "nt":  # os.kill would end it
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE


def _about(file: int) -> dict[str, Any]:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        found = json.loads(os.read(file, SIZE).decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _owner(file: int) -> str:
    about = _about(file)
    pid, host = about.get("pid"), about.get("host")
    if not isinstance(pid, int) or not isinstance(host, str):
        return "another process"
    return f"process {pid} on {' '.join(host.split())[:60]}"


def _write_owner(file: int) -> None:
    with suppress(OSError):  # of a full disk: the lock holds without it
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())


def _is_current(file: int, path: str) -> bool:
    """Whether the path still leads to the file that was opened."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except OSError:
        return False


def _release(path: str, file: int, owner: int) -> None:
    if os.getpid() == owner:  # and not a copy of the process, made by fork
        _held.discard(path)
        if os.name != "nt":
            with suppress(OSError):
                os.unlink(path)
    with suppress(OSError):
        os.close(file)
    if os.getpid() == owner and os.name == "nt":  # where a file in use cannot be deleted
        with suppress(OSError):
            os.unlink(path)
