"""Method expressions are Python's, parsed and never evaluated."""

import inspect
import random

import pytest

from tladapt import methods
from tladapt.cli.expression import parse_method
from tladapt.method import Method

TERMS = [name for name in methods.__all__ if name != "Method"]
REFUSED = [
    "DANN().prepare", "DANN.role", "methods.DANN()", "(lambda: DANN())()", "lambda: DANN()", "DANN()[0]", "f'{DANN()}'",
    "[DANN() for _ in (1,)]", "{DANN(), EWC()}", "DANN(), EWC()", "[DANN()]", "DANN() - EWC()", "DANN() * 2",
    "2 * DANN()", "+DANN()", "~DANN()", "not DANN()", "DANN() | EWC()", "DANN() and EWC()", "DANN() < EWC()",
    "(x := DANN())", "DANN() if 1 else EWC()", "DANN(*[1])", "DANN(**{})", "DANN(weight=1 + 1)", "DANN(weight=2 ** 9)",
    "DANN(weight=f'{1}')", "DANN(weight=(w := 1))", "DANN(weight=[w for w in (1,)])", "DANN(weight=-EWC())",
    "DANN(weight=sorted)", "DANN(weight=(lambda: 1)())", "DANN() + 1", "1 + DANN()", "DANN() + 'EWC'", "42", "'DANN'",
    "None", "...", "await DANN()", "1(2)", "1if 2else 3", "'\\d'", "DANN()()", "import os", "x = DANN()", "del DANN",
    "DANN() EWC()", "DANN()\nEWC()", "DANN(); EWC()", "DANN(", "DANN() +", "", "   ", "\n", "#", "DANN\0", "\ud800",
    "DÄNN()", "💥", "print('x')", "__import__('os')", "__import__('os').system('true')", "eval('DANN()')", "open('x')",
    "exec", "Sum([DANN()])", "Memory(3)", "checks", "__all__", "getattr(DANN, 'x')",
]  # fmt: skip
TOO_MUCH = [
    "DANN" * 300, "DANN() + " * 200, "(" * 300 + "DANN()" + ")" * 300, "-" * 900 + "1", "+" * 900 + "DANN()",
    "a" + ".a" * 450, "DANN(" * 100 + ")" * 100, "[" * 450 + "]" * 450, "DANN(weight=" + "9" * 900 + ")",
    "DANN(hidden=0x" + "f" * 900 + ")", "EWC(samples=" + "9" * 30 + ")", "DANN(weight=1e40)", "MMD(scales=[1e300])",
]  # fmt: skip
ARGUMENTS = [
    ("Replay(capacty=3)", "capacty"), ("Replay(3, 4, True, None, 5)", "too many"),
    ("Replay(3, capacity=4)", "capacity"), ("Replay(folder='nowhere')", "folder='nowhere'"),
    ("DANN(weight=1, weight=2)", "weight"), ("Method(weight=3)", "weight"), ("Replay('x')", "capacity='x'"),
    ("Replay(2.5)", "capacity=2.5"), ("Replay(0)", "capacity=0"), ("Replay(-3)", "capacity=-3"),
    ("Replay(True)", "capacity=True"), ("DANN(weight=nan)", "nan"), ("DANN(weight=1e999)", "too large"),
    ("DANN(weight=-1)", "weight=-1"), ("DANN(weight='1')", "weight='1'"), ("DANN(weight=None)", "weight=None"),
    ("DANN(weight=[1])", "weight=(1,)"), ("DANN(weight=2j)", "weight=2j"), ("DANN(weight={1: 2})", "weight={1: 2}"),
    ("DANN(weight=b'1')", "weight=b'1'"), ("DANN(weight=EWC())", "weight=EWC"), ("DANN(hidden=1.0)", "hidden=1.0"),
    ("EWC(samples=0)", "samples=0"), ("LwF(temperature=0)", "temperature=0"), ("MMD(scales=())", "scales=()"),
    ("MMD(scales=5)", "scales=5"), ("MMD(scales=(1, 0))", "scales"),
]  # fmt: skip


def refusal(text: str) -> str:
    with pytest.raises(ValueError, match=r"(?s)^method: ") as refused:
        parse_method(text)
    return str(refused.value)


@pytest.mark.parametrize("name", methods.__all__)
def test_what_a_method_prints_is_read_back(name):
    method = getattr(methods, name)()
    assert repr(parse_method(repr(method))) == repr(method)
    assert type(parse_method(name)) is type(parse_method(f"{name}()")) is type(method)


@pytest.mark.parametrize("name", TERMS)
def test_every_argument_can_be_typed_by_name_and_by_place(name):
    kind = getattr(methods, name)
    defaults = {p.name: p.default for p in inspect.signature(kind).parameters.values()}
    named = ", ".join(f"{argument}={value!r}" for argument, value in defaults.items())
    placed = ", ".join(map(repr, defaults.values()))
    assert repr(parse_method(f"{name}({named})")) == repr(parse_method(f"{name}({placed})")) == repr(kind())


def test_a_typed_value_reaches_its_argument():
    replay = parse_method("Replay(7, balanced=True)")
    assert (replay.capacity, replay.batch_size, replay.balanced) == (7, None, True)
    assert parse_method("MMD(scales=[1, 2.5])").scales == parse_method("MMD(scales=(1, 2.5))").scales == (1, 2.5)


def test_a_sum_is_equal_in_any_order():
    free = [name for name in TERMS if getattr(methods, name).role is None]  # of the others, one at a time
    expected = repr(parse_method(" + ".join(free)))
    orders = [random.Random(seed).sample(free, len(free)) for seed in range(20)]
    assert {repr(parse_method(" + ".join(order))) for order in orders} == {expected}
    assert repr(parse_method(expected)) == expected


def test_brackets_and_blanks_change_nothing():
    plain = repr(parse_method("DANN + Replay(3) + EWC"))
    assert repr(parse_method("  (DANN() + (Replay( 3 )+EWC()))\n")) == plain


def test_fine_tuning_adds_nothing():
    assert repr(parse_method("Method() + DANN + Method")) == repr(parse_method("DANN"))
    assert type(parse_method("Method + Method")) is Method


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused(text):
    assert len(refusal(text)) < 250


@pytest.mark.parametrize("text", TOO_MUCH, ids=lambda text: text[:12])
def test_what_is_too_long_too_deep_or_too_large_is_refused(text):
    refusal(text)


@pytest.mark.parametrize(("text", "named"), ARGUMENTS)
def test_a_wrong_argument_is_named(text, named):
    assert named in refusal(text)


@pytest.mark.parametrize(
    ("typed", "meant"), [("dann", "DANN"), ("DAN", "DANN"), ("Replya(3)", "Replay"), ("lwf", "LwF")]
)
def test_a_misspelled_method_is_answered_with_the_nearest(typed, meant):
    assert refusal(typed).endswith(f"did you mean {meant}?")


def test_a_misspelled_argument_is_answered_with_all():
    assert refusal("Replay(capacty=3)").endswith("Replay takes capacity, batch_size, balanced, folder")


def test_a_method_is_not_added_to_itself_by_name():
    first, second = parse_method("DANN + DANN").terms.values()
    assert first is not second


@pytest.mark.parametrize(
    "text",
    [
        "open('{}', 'w')", "DANN(weight=open('{}', 'w'))", "Replay(__import__('pathlib').Path('{}').touch())",
        "DANN() + [open('{}', 'w') for _ in '1'][0]", "(lambda: open('{}', 'w'))()",
        "DANN(**{{'weight': open('{}', 'w')}})", "f\"{{open('{}', 'w')}}\"", "DANN(*[open('{}', 'w')])",
        "DANN(weight=(w := open('{}', 'w')))",
    ],
)  # fmt: skip
def test_nothing_is_executed(text, tmp_path):
    canary = tmp_path / "canary"
    refusal(text.format(canary))
    assert not canary.exists()


def test_a_comment_is_refused_but_the_sign_may_stand_in_a_text():
    with pytest.raises(ValueError, match=r"a comment is not read; remove it"):
        parse_method("DANN() # EWC()")
    with pytest.raises(ValueError, match=r"folder='#'.*no such folder"):
        parse_method("Replay(folder='#')")
