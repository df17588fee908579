"""A state on disk as one safetensors file: replaced as a whole or not at all, and nothing in it can be executed."""

import hashlib
import json
import math
import os
import re
import stat
import struct
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import torch
from torch import Tensor

from tladapt.storage.files import replacing

SCHEMA = 1
DEPTH = 100  # of the nest; far below what Python's stack bears, so what was written can be read from anywhere
HEADER = 100_000_000  # bytes; safetensors reads no longer one

KINDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.bool: "BOOL",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
}  # fmt: skip
# Not every version of safetensors that we support knows these: they are kept as bytes, and the document names them.
RAW = ["complex64", "complex128", "uint16", "uint32", "uint64"]
RAW += ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]

NO_STATE = (
    OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, struct.error
)  # fmt: skip
BLANK = b"0" * 64  # stands for the digest while it is taken, so that it covers every other byte of the file
HEAD = re.compile(rb'.{8}\{"__metadata__":\{"schema":"(\d{1,9})","sha256":"(?=([0-9a-f]{64})")', re.DOTALL)


def write(path: Path, state: dict[str, Any]) -> None:
    """The file at `path` holds `state`, on disk and as a whole; after a failure it is what it was before.

    The bytes go to a temporary file beside it, tensor by tensor without a second copy of the state in memory, and are
    flushed to the disk before it takes the name `path`, which may be a link to a file elsewhere.

    Parameters
    ----------
    path
        Of the file, in a folder that exists.
    state
        Nested dicts with keys of type str, and lists, at most 100 deep, of dense tensors, int, float, bool, None and
        str. Tensors may share memory; they come back apart, on the CPU and without a gradient.

    Raises
    ------
    TypeError
        If `state` holds anything else (tuples, other keys); says where.
    ValueError
        If the file cannot be written, or `state` is too deep or, apart from its tensors, larger than 100 MB.
    """
    if not isinstance(state, dict):
        raise TypeError(f"state is a {type(state).__name__}, expected a dict with keys of type str")
    tensors: dict[str, Tensor] = {}
    document = json.dumps(_packed(state, "", tensors), separators=(",", ":"), allow_nan=False)
    # Large items first: then each starts at a multiple of its size, as safetensors itself lays them out.
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].element_size()))
    head = _head(document, tensors)
    with replacing(path) as temporary, temporary.open("xb") as file:
        _fill(file, head, tensors)


def read(path: Path) -> dict[str, Any]:
    """The state that `write` put into the file at `path`, bit for bit, its tensors on the CPU.

    The file is opened once, so all bytes are of one file even if another process replaces it meanwhile; and the digest
    is taken of the very bytes that the tensors are made of.

    Raises
    ------
    ValueError
        If there is no such file, any byte of it is missing or altered, or it is of another kind or schema.
    """
    try:
        with _opened(path) as file:
            stored, found = _digests(file)
            if stored != found:
                raise ValueError("damaged: its bytes do not match their SHA-256 digest")
            file.seek(0)
            about, tensors = _parsed(file, found)
        state = _unpacked(json.loads(about["state"]), "", tensors)
        if not isinstance(state, dict) or tensors:
            raise ValueError("what it holds is no state")
        return state
    # Whoever alters a file on purpose alters its digest, too: what it holds may be anything.
    except NO_STATE as error:
        reason = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())[:300]
        raise ValueError(f"cannot read {str(path)!r}: {reason}; use another checkpoint or start afresh") from error


def _opened(path: Path) -> BufferedReader:
    """The regular file at `path`; opening a pipe would wait for its writer."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    kind = os.fstat(number).st_mode
    if not stat.S_ISREG(kind):
        os.close(number)
        what = "a directory" if stat.S_ISDIR(kind) else "a pipe or a device, not a regular file"
        raise ValueError(f"it is {what}")
    return os.fdopen(number, "rb")


def _parsed(file: BufferedReader, expected: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors of a file whose digest is as `expected`, which is checked again."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    (length,) = struct.unpack("<Q", start)
    if length > min(HEADER, size - 8):
        raise ValueError("its header claims to be longer than it can be")
    head = start + file.read(length)
    about, tensors = json.loads(head[8:]), dict[str, Tensor]()
    digest = _digest_of_head(head)
    for name, dtype, shape in _layout(about, size - len(head)):
        tensors[name] = value = torch.empty(shape, dtype=dtype)
        memory = value.reshape(-1).view(torch.uint8).numpy().data
        file.readinto(memory)
        digest.update(memory)
    if digest.hexdigest() != expected:
        raise ValueError("another process writes it meanwhile; let one of them end")
    return about["__metadata__"], tensors


def _layout(about: dict[str, Any], size: int) -> list[tuple[str, torch.dtype, list[int]]]:
    """Name, dtype and shape of every tensor in the order of their bytes, which fill exactly `size`."""
    kinds = {text: dtype for dtype, text in KINDS.items()}
    entries = [(name, entry) for name, entry in about.items() if name != "__metadata__"]
    layout, end = list[tuple[str, torch.dtype, list[int]]](), 0
    for name, entry in sorted(entries, key=lambda item: item[1]["data_offsets"]):
        begin, dtype, shape = end, kinds[entry["dtype"]], entry["shape"]
        if not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError("a tensor of an impossible shape")
        end = begin + math.prod(shape) * dtype.itemsize
        if entry["data_offsets"] != [begin, end] or end > size:
            raise ValueError("a tensor claims other bytes than its own")
        layout.append((name, dtype, shape))
    if end != size:
        raise ValueError(f"{size} bytes of tensors, expected {end}")
    return layout


def _packed(value: Any, at: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON, its tensors moved to `tensors`. A key with one `$` marks what JSON cannot say."""
    if at.count("/") > DEPTH:
        raise ValueError(f"state{at[:40]}... is nested more than {DEPTH} deep; does it hold itself?")
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"state{at} has the key {key!r} of type {type(key).__name__}; use keys of type str")
        return {"$" * key.startswith("$") + key: _packed(item, _under(at, key), tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_packed(item, f"{at}/{i}", tensors) for i, item in enumerate(value)]
    if isinstance(value, Tensor):
        return {"$tensor": _packed_tensor(value, at, tensors)}
    if type(value) is float and value - value != 0:  # nan or infinite: strict JSON has neither
        return {"$float": struct.pack(">d", value).hex()}
    if type(value) is int and value.bit_length() > 63:  # JSON's decimals have no exact meaning there
        return {"$int": hex(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    raise TypeError(f"state{at} is a {kind}; expected dict, list, tensor, int, float, bool, None or str: convert it")


def _packed_tensor(value: Tensor, at: str, tensors: dict[str, Tensor]) -> list[Any] | None:
    dtype, shape = str(value.dtype).removeprefix("torch."), list(value.shape)
    dense = value.layout == torch.strided and not value.is_meta
    if not dense or (value.dtype not in KINDS and dtype not in RAW):
        raise TypeError(
            f"state{at} is a tensor of {value.dtype}, {value.layout}, on {value.device}; expected a dense one"
        )
    tensors[at] = value = value.detach().resolve_conj().resolve_neg()
    if value.dtype in KINDS:
        return None
    tensors[at] = value.contiguous().reshape(-1).view(torch.uint8)
    return [dtype, shape]


def _unpacked(node: Any, at: str, tensors: dict[str, Tensor]) -> Any:
    """What `_packed` made `node` of; takes its tensors out of `tensors`."""
    if isinstance(node, list):
        return [_unpacked(item, f"{at}/{i}", tensors) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    state = {}
    for key, item in node.items():
        if key.startswith("$") and not key.startswith("$$"):
            return _special(key, item, at, tensors)
        key = key[key.startswith("$") :]
        state[key] = _unpacked(item, _under(at, key), tensors)
    return state


def _special(mark: str, value: Any, at: str, tensors: dict[str, Tensor]) -> Any:
    if mark == "$float":
        return struct.unpack(">d", bytes.fromhex(value))[0]
    if mark == "$int":
        return int(value, 16)
    if mark != "$tensor" or at not in tensors:
        raise ValueError(f"what it holds is no state: state{at} has the mark {mark!r} and nothing to it")
    tensor = tensors.pop(at)
    if value is None:
        return tensor
    dtype, shape = value
    return tensor.view(getattr(torch, RAW[RAW.index(dtype)])).reshape(shape)


def _under(at: str, key: str) -> str:
    """A name for each place, another for every other: in ASCII, as safetensors takes no half characters."""
    return f"{at}/{quote(key, safe='', errors='surrogatepass')}"


def _head(document: str, tensors: dict[str, Tensor]) -> bytes:
    """What stands before the bytes of the tensors, its digest still blank."""
    about: dict[str, Any] = {"__metadata__": {"schema": str(SCHEMA), "sha256": BLANK.decode(), "state": document}}
    end = 0
    for name, value in tensors.items():
        begin, end = end, end + value.nbytes
        about[name] = {"dtype": KINDS[value.dtype], "shape": list(value.shape), "data_offsets": [begin, end]}
    header = json.dumps(about, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > HEADER:
        raise ValueError(f"state holds {len(header)} bytes besides its tensors, at most {HEADER} fit; use tensors")
    return struct.pack("<Q", len(header)) + header


def _fill(file: BinaryIO, head: bytes, tensors: dict[str, Tensor]) -> None:
    digest = hashlib.sha256(head)
    file.write(head)
    for value in tensors.values():  # copied one at a time, and only if it is elsewhere or not in order
        part = value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        digest.update(part)
        file.write(part)
    file.seek(head.index(BLANK))
    file.write(digest.hexdigest().encode())


def _digests(file: BufferedReader) -> tuple[str, str]:
    """The one in `file`, and that of all its other bytes; read in small pieces, whatever the header claims."""
    start = file.read(256)
    if not (match := HEAD.match(start)):
        raise ValueError("damaged, or no checkpoint of tladapt")
    if int(match[1]) != SCHEMA:
        raise ValueError(f"schema {int(match[1])}, expected {SCHEMA}")
    digest = _digest_of_head(start)
    return match[2].decode(), hashlib.file_digest(file, lambda: digest).hexdigest()


def _digest_of_head(head: bytes) -> Any:
    """The digest so far of a file that begins with `head`, whose own digest counts as blank."""
    if not (match := HEAD.match(head)):
        raise ValueError("damaged, or no checkpoint of tladapt")
    return hashlib.sha256(head[: match.end()] + BLANK + head[match.end() + len(BLANK) :])
