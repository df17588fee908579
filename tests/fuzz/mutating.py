"""Inputs that are nearly right: bytes and JSON that were valid, with some places changed."""

import copy
import json
import struct
from typing import Any

from hypothesis import strategies as st

NUMBERS = [
    0, -1, 1, 2, 3, 7, 255, 256, 65536, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**9, 10**18, 10**30,
    0.5, -0.0, 1e-320, 1e38, 1e39, 1e308, -1e308, float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
WORDS = [
    "", " ", "a", "\0", "\n", "\r\n", "\x1b[2J", "\x1b]0;evil\x07", "\u202e", "\ud800", "ö", "💥", "None", "nan",
    "1e400",
    "9" * 5000, "x" * 3000, "[/]", "[bold]", "{}", "{0}", "%s", "$x$", "../../etc/passwd", "/etc/passwd", "/dev/zero",
    "http://localhost:9/x", "hf_hub:evil/evil", "local-dir:/tmp", "os.system", "__import__('os').system('true')",
    "__class__", "builtins.eval", "DEFAULT", "imagenet", "evil/evil", "mlp", "text", "vision", "resnet18", "bert",
    "gpt2",
    "images", "table", "sounds", "texts", "joint", "frozen", "per-domain", "bfloat16", "float32", "load", "schema",
]  # fmt: skip
KEYS = [
    "schema", "recipe", "backbone", "arguments", "name", "weights", "vectors", "options", "pretrained", "auto_map",
    "trust_remote_code", "attn_implementation", "checkpoint_path", "pretrained_cfg", "num_hidden_layers",
    "hidden_size",
    "hidden", "inputs", "kind", "classes", "precision", "model_type", "spread", "scores", "first", "label_shift",
    "training", "history", "steps", "losses", "data", "ceiling",
    "$tensor",
    "$float", "$int", "__metadata__", "data_offsets", "shape", "dtype", "__reduce__", "__class__", "", "\x1b",
    "a" * 300,
]  # fmt: skip
SLICES = [b"", b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\n", b",", b'"', b"\r\n", b"\xef\xbb\xbf", b"\xff\xfe",
    b"1e999",
          b"nan", b"{", b"[" * 2000, b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04",
          b"%!PS-Adobe-3.0 EPSF-3.0\n",
          b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0", b"II*\0", b"RIFF", b"WAVE", b"IDAT", b"data",
          b"fmt "]  # fmt: skip

leaves = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.none(), st.booleans(), st.integers(), st.floats(),
    st.text(max_size=20),
)  # fmt: skip
trees = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner,
    max_size=4)),
    max_leaves=8,
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, valid: bytes) -> bytes:
    """Some bytes changed, cut out, doubled or put in; or cut off, or nothing of it left."""
    found = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(found) - 1)))
        to = min(len(found), at + draw(st.sampled_from([0, 1, 2, 4, 8, 40, 400])))
        how = draw(st.sampled_from(["flip", "put", "cut", "double", "end", "number", "garbage"]))
        if how == "flip" and found:
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "put":
            found[at:to] = draw(st.one_of(st.sampled_from(SLICES), st.binary(max_size=12)))
        elif how == "cut":
            del found[at:to]
        elif how == "double":
            found[at:at] = found[at:to]
        elif how == "end":
            del found[at:]
        elif how == "number":
            found[at : at + 4] = struct.pack(draw(st.sampled_from(["<I", ">I"])), draw(st.integers(0, 2**32 - 1)))
        elif how == "garbage" and draw(st.integers(0, 9)) == 0:
            found = bytearray(draw(st.binary(max_size=200)))
    return bytes(found)


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all nodes."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, value in inner for place in places(value, (*at, key)))]


@st.composite
def altered(draw: st.DrawFn, valid: Any) -> Any:
    """A document some of whose nodes are replaced, gone, doubled, wrapped, renamed, or joined by others."""
    found = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        inner = places(found)[1:]
        if not inner or draw(st.integers(0, 99)) == 99:
            return draw(trees)
        *above, last = ("", *draw(st.sampled_from(inner)))
        parent = found
        for key in above[1:]:
            parent = parent[key]
        _change(draw, parent, last)
    return found


def _change(draw: st.DrawFn, parent: Any, key: Any) -> None:
    how = draw(st.sampled_from(["replace", "replace", "remove", "wrap", "join", "rename", "swap", "many"]))
    if how == "remove":
        del parent[key]
    elif how == "wrap":
        parent[key] = [parent[key]] if draw(st.booleans()) else {draw(st.sampled_from(KEYS)): parent[key]}
    elif how == "many" and isinstance(parent, list):
        parent *= draw(st.sampled_from([0, 2, 30]))
    elif how in ("join", "rename") and isinstance(parent, dict):
        parent[draw(st.sampled_from(KEYS))] = draw(trees) if how == "join" else parent.pop(key)
    elif how == "swap":
        other = draw(st.sampled_from(list(parent) if isinstance(parent, dict) else range(len(parent))))
        parent[key], parent[other] = parent[other], parent[key]
    else:
        parent[key] = draw(trees)


@st.composite
def documents(draw: st.DrawFn, valid: Any) -> bytes:
    """JSON whose nodes, or whose bytes, are changed; or something else."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.sampled_from(DEEP))
    text = json.dumps(valid if kind == 1 else draw(altered(valid))).encode()
    return draw(spoilt(text)) if kind < 4 else text


DEEP = [b"[" * 100_000, b'{"a":' * 100_000, b'{"schema":1,"a":' + b"[" * 600 + b"]" * 600 + b"}", b"", b"null",
    b"1" * 5000,
        b'{"schema":1' + b',"a":1' * 200_000 + b"}", b" " * 10_000_000,
        b'{"schema":' + b"9" * 6000 + b"}"]  # fmt: skip
