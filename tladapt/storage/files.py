"""Files that are replaced as a whole or not at all."""

import errno
import glob
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHECKPOINT = "checkpoint.safetensors"  # the file of a run that can be resumed
STALE = 3600  # seconds without a byte after which the writer of a temporary file is taken for dead
SPACE, RIGHTS = "free some space or choose another disk", "make the folder writable or choose another"
MENDS = {
    errno.ENOSPC: SPACE, errno.EDQUOT: SPACE, errno.EFBIG: SPACE, errno.EACCES: RIGHTS, errno.EPERM: RIGHTS,
    errno.EROFS: RIGHTS, errno.EISDIR: "choose the name of a file", errno.ENOENT: "create its folder first",
}  # fmt: skip


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Within, a temporary file beside `path` is to be written; then it is flushed to the disk and takes the name.

    After a failure, and if the process is killed, what was there is as it was. `path` may be a link to another file.

    Raises
    ------
    ValueError
        If the file cannot be written; says why, and the mend.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _sweep(target)
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        _give_usual_mode(temporary)
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except OSError as error:
        mend = MENDS.get(error.errno or 0, "choose another place")
        raise ValueError(f"cannot write {str(path)!r}: {error.strerror or error}; {mend}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _give_usual_mode(path: Path) -> None:
    """Set the permissions that a new file has by the umask; safetensors makes files that only their owner can read."""
    if os.name != "posix":
        return
    probe = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    number = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        mode = os.fstat(number).st_mode & 0o777
    finally:
        os.close(number)
        probe.unlink()
    path.chmod(mode)


def made(folder: Path) -> Path:
    """The folder, which is made if it is not there.

    Raises
    ------
    ValueError
        If it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {str(folder)!r}: {error.strerror or error}; {RIGHTS}") from error
    return folder


def write_text(path: Path, text: str) -> None:
    """The file at `path` holds `text`; its folder is made if there is none."""
    made(path.parent)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, document: dict[str, Any]) -> None:
    """The file at `path` holds the document as JSON, without NaN and infinity, which JSON does not have."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _sweep(target: Path) -> None:
    """Remove what killed writers left beside `target`; what is fresh may be of one that is still alive."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.{'[0-9a-f]' * 16}.partial"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE:
                left.unlink()


def _flush_folder(folder: Path) -> None:
    """The new name of a file in it would not outlive a power cut otherwise."""
    if os.name != "posix":
        return  # no folder can be opened there
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems say that cannot, or need not
            raise
    finally:
        os.close(number)
