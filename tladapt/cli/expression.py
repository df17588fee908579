"""Method expressions as they are typed: parsed, never evaluated."""

import ast
import difflib
import inspect
import warnings
from typing import Any

from tladapt import methods
from tladapt.cli.hints import argument, without_keywords
from tladapt.method import Method

LONGEST = 1000  # characters
LARGEST = 2**63 - 1  # the largest whole number in a tensor


def parse_method(text: str) -> Method:
    """The method that an expression such as `DANN() + Replay(500)` stands for.

    Names of methods, with or without arguments, literals, methods as arguments, and `+`; nothing else.

    Raises
    ------
    ValueError
        If there is anything else in it, or an argument that the method does not have or cannot take.

    Examples
    --------
    >>> parse_method("Replay(200) + EWC(weight=0.5)")
    EWC(weight=0.5, samples=1024) + Replay(capacity=200, batch_size=None, balanced=False, folder=None)
    """
    try:
        if len(text) > LONGEST:
            raise ValueError(f"longer than {LONGEST} characters")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of code that is refused anyway
            tree = ast.parse(without_keywords(text.strip()), mode="eval")
        if "#" in _without_strings(tree, text):
            raise ValueError(f"{text!r}: a comment is not read; remove it, beginning with #")
        return _method(tree.body)
    except SyntaxError as error:
        raise ValueError(
            f"method: {text!r} is not an expression of methods, such as DANN() + Replay(500) ({error.msg})"
        ) from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("method: nested too deeply") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"method: {error}") from error


def _without_strings(tree: ast.Expression, text: str) -> str:
    """The expression without its texts, which may hold any sign."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = text.replace(ast.get_source_segment(text, node) or "", "")
    return text


def _method(node: ast.expr) -> Method:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _method(node.left) + _method(node.right)
    if isinstance(node, ast.Name):
        return method_class(node.id)()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        kind, words = method_class(node.func.id), {word.arg: _value(word.value) for word in node.keywords if word.arg}
        given = [_value(value) for value in node.args]
        if len(words) < len(node.keywords):
            raise ValueError(f"{_text(node)}: give arguments by name")
        known = list(inspect.signature(kind).parameters)
        for name in words:
            if name not in known:
                raise ValueError(f"{_text(node)}: {argument(kind.__name__, name.rstrip('_'), known)}")
        try:
            inspect.signature(kind).bind(*given, **words)
        except TypeError as error:
            raise ValueError(f"{_text(node)}: {error}; {kind.__name__} takes {', '.join(known) or 'none'}") from error
        return kind(*given, **words)
    raise ValueError(f"{_text(node)}: only methods, literals and + are allowed, as in DANN() + Replay(500)")


def method_class(name: str) -> type[Method]:
    """The method of this name.

    Raises
    ------
    ValueError
        If there is none; names similar ones.
    """
    if name not in methods.__all__:
        near = difflib.get_close_matches(name.lower(), {m.lower(): m for m in methods.__all__}, n=1, cutoff=0.5)
        hint = [m for m in methods.__all__ if near and m.lower() == near[0]] or methods.__all__
        raise ValueError(f"no method is named {name!r}; did you mean {', '.join(hint)}?")
    return getattr(methods, name)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(part) for part in node.elts)
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return _method(node)
    if isinstance(value, int | float) and abs(value) > LARGEST:
        raise ValueError(f"{_text(node)}: too large a number")
    return value


def _text(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) < 60 else text[:57] + "..."
