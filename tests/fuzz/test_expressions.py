"""Method expressions: any text is a method, or refused in one line; none of it is run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.watching import LONG, QUICK, command
from tladapt import methods
from tladapt.cli import running
from tladapt.cli.expression import LONGEST, parse_method

VALUES = [
    "0", "1", "-1", "2.5", "1e999", "10**10**10", "9" * 400, "0x" + "f" * 300, "1_0", "1j", "nan", "None", "True",
    "'x'",
    "b'x'", "...", "()", "(1, 2)", "[0.5, 1]", "{}", "{1: 2}", "{1, 2}", "{[]: 1}", "{**{}}", "[[[[1]]]]", "f'{1}'",
    "f'{x!r:>{y}}'",
    "lambda: 1", "(x := 1)", "*[1]", "**{}", "[x for x in y]", "(yield)", "await x", "not 1", "~1", "-True",
    "1 + 1j", "1 if x else 2",
    "open('canary', 'w')", "__import__('os').system('touch canary')", "exec('1')", "().__class__.__bases__",
    "'\\x1b[2J'",
    "'\\ud800'", "'\\N{BELL}'", "\"\\0\"", "x.y", "x[0]", "1 < 2", "'a' 'b'", "ﬁ",
    "\U0001d403\U0001d400\U0001d40d\U0001d40d", "é", "'" + "\u202e" + "'", "-" * 40 + "1",
    "/etc/passwd", "'/etc/passwd'", "'.'", "''", "'lora'", "'mean'", "{'r': 4}", "{'lora_alpha': 1e400}",
    "{'peft_type': 'os.system'}",
]  # fmt: skip
NAMES = [
    *methods.__all__,
    "dann",
    "Sum",
    "print",
    "os",
    "__import__",
    "DÄNN",
    "\uff24\uff21\uff2e\uff2e",
    "_",
    "None",
    "methods",
    "x" * 200,
]
ARGUMENTS = ["weight", "capacity", "samples", "scales", "hidden", "folder", "temperature", "kind", "rank",
    "options", "x", "\U0001d430eight",
             "__class__", "self", "batch_size", "balanced", "config"]  # fmt: skip
JOINTS = [
    " + ",
    " - ",
    " | ",
    " * ",
    "+",
    " and ",
    " ",
    "; ",
    "\n",
    ", ",
    "()",
    "(",
    ")",
    ".",
    " if 1 else ",
    " := ",
    "\0",
    "\t",
    "#",
    "\\\n",
]


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    named = st.builds("{}={}".format, st.sampled_from(ARGUMENTS), inner)
    given = st.lists(st.one_of(inner, named), max_size=4).map(", ".join)
    return st.one_of(
        st.builds("{}({})".format, st.sampled_from(NAMES), given), st.builds("({})".format, inner),
        st.builds("{}{}{}".format, inner, st.sampled_from(JOINTS), inner),
    )  # fmt: skip


nearly = st.recursive(st.sampled_from(VALUES + NAMES), calls, max_leaves=12)
deep = st.builds(
    lambda left, middle, right, times: left * times + middle + right * times,
    st.sampled_from(["(", "[", "-", "+", "~", "not ", "DANN(", "{1:", "a.", "lambda:", "f'{", "DANN()+", "x(y="]),
    st.sampled_from(["DANN()", "", "1", "x"]), st.sampled_from([")", "]", "", "}", "}'"]), st.integers(1, 700),
)  # fmt: skip
expressions = st.one_of(
    nearly, nearly, nearly, st.lists(st.sampled_from(VALUES + NAMES + JOINTS), max_size=30).map("".join), deep,
    st.text(max_size=60),
    st.text(st.characters(codec=None), max_size=2000),
)  # fmt: skip


class ReadError(ValueError):
    """The expression is a method; what would follow is training."""


@pytest.fixture(scope="module", autouse=True)
def _stops(tmp_path_factory):
    """`tladapt run digits` up to the method: it neither reads data nor learns."""

    def stop(*_: object) -> None:
        raise ReadError("read")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "described", lambda options: None)
        patch.setattr(running, "_run", stop)
        patch.chdir(tmp_path_factory.mktemp("here"))
        for name in methods.__all__:  # what is imported at first is imported now
            parse_method(name)
        yield


def check(text: str) -> None:
    line = command(Path.cwd(), "run", "digits", f"--method={text}")
    assert line == "tladapt run: read" or "method" in line, line
    assert not list(Path.cwd().iterdir())
    if line == "tladapt run: read" and len(printed := repr(parse_method(text))) <= LONGEST:
        assert repr(parse_method(printed)) == printed


@QUICK
@given(expressions)
def test_any_expression_is_a_method_or_refused(text):
    check(text)


@pytest.mark.slow
@LONG
@given(expressions)
def test_any_expression_is_a_method_or_refused_long(text):
    check(text)
