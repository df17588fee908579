"""What the code of a function is: the same for the same source, whatever the process and the line it stands on."""

import __future__

import ast
import dis
import json
import linecache
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from tladapt.storage.digests import digest_of

# Packages whose version is part of every checkpoint: their functions and classes are compared by name.
RECORDED = ("tladapt", "torch", "numpy")
WRITES = {"append", "appendleft", "extend", "add", "update", "write", "print"}  # calls that only write to an object
FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@cache
def package_of(module: str) -> str | None:
    """Return the installed package that a module belongs to, "python" for the standard library, None for own code."""
    top = module.partition(".")[0]
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if top == "tladapt":
        return top
    if file is None:
        return "python" if top in (*sys.builtin_module_names, *sys.stdlib_module_names) else None
    return package_at(file)


@cache
def package_at(file: str) -> str | None:
    """Return the installed package that a file belongs to, "python" for the standard library, None for own code."""
    if file.startswith("<frozen "):
        return "python"
    path = Path(file).absolute()
    for name in ("site-packages", "dist-packages"):
        if name in path.parts:
            place = len(path.parts) - 1 - path.parts[::-1].index(name)
            return path.parts[place + 1].removesuffix(".py")
    if path.is_relative_to(Path(__file__).absolute().parents[1]):
        return "tladapt"
    libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return "python" if any(path.is_relative_to(Path(library).absolute()) for library in libraries) else None


def code_digest(code: CodeType) -> dict[str, str]:
    """Return a short name of the source of a function, or of its byte code where the source is not available."""
    node = source_node(code)
    if node is None:
        return {"bytecode": digest_of(json.dumps(_instructions(code)).encode())}
    return {"source": digest_of(_text(node).encode())}


def source_node(code: CodeType) -> Definition | None:
    """Return the definition that `code` was compiled from; None if the file is missing or no longer has it."""
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename))
    parsed = _parsed(text, code.co_filename, code.co_flags & FUTURE) if text else None
    if parsed is None or code not in parsed[1]:  # edited since it was imported
        return None
    found = [node for node in parsed[2] if _begins(node) == code.co_firstlineno and _named(node) == code.co_name]
    if code.co_name == "<lambda>":
        found = sorted((node for node in found if _covers(node, code)), key=_extent)
    elif len(found) > 1:
        return None
    return found[0] if found else None


def class_statements(kind: type) -> str | None:
    """Return the text of the assignments in the body of a class; None if its source is not available."""
    codes = [value.__code__ for value in vars(kind).values() if hasattr(value, "__code__")]
    lines = {code.co_firstlineno for code in codes}
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or next((c.co_filename for c in codes), "")
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file))
    parsed = _parsed(text, file, 0) if text else None
    nodes = [] if parsed is None else [node for node in ast.walk(parsed[0]) if isinstance(node, ast.ClassDef)]
    found = [node for node in nodes if node.name == kind.__name__ and lines <= set(_lines(node))]
    if len(found) != 1:
        return None
    statements = [part for part in found[0].body if isinstance(part, ast.Assign | ast.AnnAssign | ast.AugAssign)]
    return "\n".join(map(ast.unparse, statements))


def global_chains(code: CodeType) -> list[tuple[str, ...]]:
    """Return the global names that the code reads, with the attributes read from each: ("np", "pi"), sorted."""
    chains = set[tuple[str, ...]]()
    for part in nested(code):
        chain: tuple[str, ...] = ()
        for instruction in dis.get_instructions(part):
            if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain:
                chain = (*chain, str(instruction.argval))
                continue
            if chain:
                chains.add(chain)
            starts = instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
            chain = (str(instruction.argval),) if starts else ()
    return sorted(chains)


def stored_attributes(code: CodeType) -> set[str]:
    """Return the names of the attributes that the code assigns to."""
    return {
        str(instruction.argval)
        for part in nested(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname == "STORE_ATTR"
    }


def only_written(code: CodeType) -> set[str]:
    """Return the names that a function only writes to, as in `losses.append(x)`: their values change nothing in it."""
    node = source_node(code)
    if node is None:
        return set()
    written, names = list[ast.Name](), list[ast.Name]()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            names.append(part)
        elif isinstance(part, ast.Expr) and isinstance(call := part.value, ast.Call):
            if isinstance(call.func, ast.Attribute) and call.func.attr in WRITES:
                written += [call.func.value] if isinstance(call.func.value, ast.Name) else []
        elif isinstance(part, ast.Assign):
            targets = [target.value for target in part.targets if isinstance(target, ast.Subscript)]
            written += [target for target in targets if isinstance(target, ast.Name)]
    read = {name.id for name in names} - {name.id for name in written}
    read |= {name.id for name in names if name not in written}
    return {name.id for name in written} - read


def nested(code: CodeType) -> Iterator[CodeType]:
    """Yield the code and that of all functions, lambdas and comprehensions within it."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from nested(part)


@lru_cache(maxsize=64)
def _parsed(text: str, file: str, flags: int) -> tuple[ast.Module, list[CodeType], list[Definition]] | None:
    try:
        tree = ast.parse(text)
        codes = list(nested(compile(text, file, "exec", flags=flags, dont_inherit=True)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree, codes, [node for node in ast.walk(tree) if isinstance(node, Definition)]


def _begins(node: Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(part.lineno for part in decorators)])


def _named(node: Definition) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _extent(node: ast.AST) -> tuple[int, int]:
    first, last = _span(node)
    return last[0] - first[0], last[1] - first[1]


def _span(node: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _covers(node: Definition, code: CodeType) -> bool:
    """Whether all instructions come from the body of the lambda."""
    first, last = _span(node.body)
    for line, end_line, column, end_column in code.co_positions():
        if line is None or end_line is None or not end_column:  # of what comes before the body
            continue
        if not (first <= (line, column or 0) and (end_line, end_column) <= last):
            return False
    return True


def _lines(node: ast.ClassDef) -> Iterator[int]:
    return (_begins(part) for part in ast.walk(node) if isinstance(part, Definition))


def _text(node: Definition) -> str:
    """The definition without comments, docstrings and decorators, which are compared by what they made of it."""
    copy: Any = ast.parse(ast.unparse(node)).body[0]
    for part in ast.walk(copy):
        documented = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if documented and ast.get_docstring(part, clean=False) is not None:
            part.body = part.body[1:] or [ast.Pass()]
    if not isinstance(node, ast.Lambda):
        copy.decorator_list = []
    return ast.unparse(copy)


def _instructions(code: CodeType) -> list[Any]:
    arguments = code.co_argcount + code.co_kwonlyargcount
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [list(code.co_names), list(code.co_varnames[:arguments]), list(code.co_freevars)]
    table = getattr(code, "co_exceptiontable", b"")
    return [code.co_name, code.co_code.hex(), table.hex(), counts, names, list(map(_constant, code.co_consts))]


def _constant(value: Any) -> Any:
    """A constant of the compiler's, in JSON; a set in an order that does not depend on the process."""
    if isinstance(value, CodeType):
        return _instructions(value)
    if isinstance(value, tuple | frozenset):
        parts = [json.dumps(_constant(part)) for part in value]
        return [type(value).__name__, sorted(parts) if isinstance(value, frozenset) else parts]
    return [type(value).__name__, repr(value)]
