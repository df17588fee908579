"""What counts as the same setting: each kind has a rule, and what has none is refused."""

import json
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests import settings
from tests.conftest import without_address
from tests.settings import OTHER, UNKNOWN, Curve, Term
from tests.test_resuming import domain
from tladapt import EWC, Method, Model, fit
from tladapt.storage.describing import UnknownKindError
from tladapt.storage.identity import describer, identity
from tladapt.storage.sameness import network
from tladapt.storage.words import equal


def described(value: Any) -> str:
    return json.dumps(identity(value), sort_keys=True)


@pytest.mark.parametrize("name", OTHER)
def test_what_differs_in_one_thing_is_another_setting(name: str):
    one, other = OTHER[name]
    assert described(one()) == described(one())
    assert described(other()) == described(other())
    assert described(one()) != described(other())


def test_every_setting_is_the_same_in_a_new_interpreter():
    script = (
        f"import sys, json; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from tests.settings import OTHER, SAME; from tladapt.storage.identity import identity\n"
        "parts = {**{name: pair[0]() for name, pair in OTHER.items()}, **SAME}\n"
        "print(json.dumps({name: identity(part) for name, part in parts.items()}))\n"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        for seed in "12"
    ]
    first, second = map(json.loads, found)
    assert [name for name in first if not equal(first[name], second[name])] == []
    assert " at 0x" not in found[0]


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_compared_is_refused_wherever_it_is(name: str):
    value = UNKNOWN[name]()
    for setting in (value, [value], {"a": (value,)}, settings.closure(value), Curve(value)):
        with pytest.raises(UnknownKindError, match=r"an object of type .* cannot be compared after a restart"):
            identity(setting)
        assert described_leniently(setting) == described_leniently(setting)


def described_leniently(value: Any) -> str:
    return json.dumps(identity(value, lenient=True), sort_keys=True)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(values, values)
def test_values_are_the_same_if_and_only_if_they_look_the_same(one: Any, other: Any):
    assert (described(one) == described(other)) == (repr(one) == repr(other))


@pytest.mark.parametrize(
    ("function", "name", "value", "noticed"),
    [
        (settings.by_global, "SCALE", 2.0, True),
        (settings.by_helper, "SCALE", 2.0, True),
        (Term(), "SCALE", 2.0, True),
        (settings.by_table, "TABLE", [0.1, 0.5], True),
        (settings.by_config, "CONFIG", types.SimpleNamespace(rate=2.0, folder="here"), True),
        (settings.by_config, "CONFIG", types.SimpleNamespace(rate=1.0, folder="there"), False),
        (settings.recording, "LOSSES", [1.0], False),
        (settings.by_config, "SCALE", 2.0, False),
        (settings.by_global, "by_table", None, False),
    ],
    ids=without_address,
)
def test_globals_count_as_far_as_a_function_reads_them(function, name, value, noticed, monkeypatch):
    before = described(function)
    monkeypatch.setattr(settings, name, value)
    assert (described(function) != before) == noticed


def test_an_attribute_of_a_class_counts_but_not_what_a_method_counts_in_its_own(monkeypatch):
    curve, term = described(Curve()), described(Term())
    monkeypatch.setattr(Curve, "power", 3.0)
    monkeypatch.setattr(Term, "counted", 12)
    assert described(Curve()) != curve
    assert described(Term()) == term


def test_what_is_computed_on_demand_is_no_setting():
    curve = Curve()
    before = described(curve)
    assert curve.half == 0.5
    assert described(curve) == before
    settings.cached(0.5)
    assert described(settings.cached) == json.dumps(identity(settings.cached), sort_keys=True)


def functions(folder: Path, text: str) -> Any:
    """The module of this text, which is imported anew."""
    path = folder / "own.py"
    path.write_text(textwrap.dedent(text))
    module = types.ModuleType("own")
    exec(compile(path.read_text(), str(path), "exec"), vars(module))
    return module


PLAIN = "def f(p):\n    return p * 2\n"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("\n\n# above\ndef f(p):  # beside\n    '''Twice.'''\n    return (p\n            * 2)\n", True),
        ("def f(p):\n    return p * 3\n", False),
        ("def f(q):\n    return q * 2\n", False),
        ("def f(p, k=2):\n    return p * 2\n", False),
        ("def f(p):\n    return 2 * p\n", False),
    ],
)
def test_the_source_counts_without_comments_docstrings_and_place(text: str, same: bool, tmp_path: Path):
    before = described(functions(tmp_path, PLAIN).f)
    assert (described(functions(tmp_path, text).f) == before) == same


def test_a_file_that_was_edited_after_its_import_does_not_stand_for_the_code(tmp_path: Path):
    old = functions(tmp_path, PLAIN).f
    new = functions(tmp_path, "def f(p):\n    return p * 3\n").f
    assert described(old) != described(new)
    assert "bytecode" in described(old)


# Networks


class Act(nn.Module):
    def __init__(self, function: Any, factor: float = 1.0) -> None:
        super().__init__()
        self.function, self.factor, self.seen = function, factor, 0

    def forward(self, x: Any) -> Any:
        self.seen += 1
        return self.factor * self.function(x)

    def extra_repr(self) -> str:
        return f"function={self.function}"


class Other(Act):
    def forward(self, x: Any) -> Any:
        return self.function(x) * self.factor


def layers(*parts: nn.Module) -> str:
    model = Model.of(nn.Sequential(nn.Linear(4, 8), *parts, nn.Linear(8, 2)))
    return json.dumps(network(describer(), model), sort_keys=True)


def test_a_network_counts_by_its_layers_their_code_and_their_settings_not_by_their_addresses():
    def act(**rest: Any) -> Act:
        return Act(lambda x: x.relu(), **rest)

    assert layers(act()) == layers(act())
    others = [
        layers(part) for part in (act(factor=2.0), Act(torch.tanh), Other(torch.tanh), nn.ReLU(), nn.Dropout(0.1))
    ]
    assert len({layers(act()), layers(nn.Dropout(0.2)), *others}) == 7
    assert layers(torch.nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))) != layers(nn.Linear(8, 8))
    used = act()
    used(torch.zeros(1))
    assert layers(used) == layers(act())


# What fit makes of it


def run(folder: Path, **rest: Any) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    rest = {"method": Method(), **rest}
    fit(Model.of(network), [domain("a")], steps=3, checkpoint=folder, progress=False, **rest)


def lazily(_: float, drawn: Any = iter([1.0] * 100)) -> float:  # noqa: B008
    return next(drawn)


def test_fit_asks_for_a_checkpoint_id_where_something_cannot_be_compared(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"schedule: default 0: an object .* list_iterator .*; give checkpoint_id="
    ) as caught:
        run(tmp_path, schedule=lazily)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    run(tmp_path, schedule=lazily, checkpoint_id="ones")
    run(tmp_path, schedule=lazily, checkpoint_id="ones")
    with pytest.raises(ValueError, match="checkpoint_id: 'ones' before, 'twos' now"):
        run(tmp_path, schedule=lazily, checkpoint_id="twos")
    with pytest.raises(TypeError, match="checkpoint_id=3: expected a text, got int"):
        run(tmp_path, checkpoint_id=3)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"method": Method()}, {"method": EWC(0.5)}, r"method: Method\(\) before, EWC\(weight=0.5\) now"),
        ({"schedule": Curve(1.0)}, {"schedule": Curve(0.5)}, r"attribute k of schedule .*: 1.0 before, 0.5"),
        ({"schedule": lambda p: p}, {"schedule": lambda p: p / 2}, r"code of schedule \(<lambda>\): changed"),
        ({"batch_size": 4}, {"batch_size": 8}, "batch_size: 4 before, 8 now"),
    ],
)
def test_the_message_says_in_words_what_differs(before, now, words, tmp_path: Path):
    run(tmp_path, **before)
    with pytest.raises(ValueError, match=rf"{words}.*\); repeat its arguments, or choose another folder"):
        run(tmp_path, **now)


def test_other_versions_give_a_warning_and_strict_refuses_them(tmp_path: Path, monkeypatch):
    run(tmp_path)
    from tladapt.storage import sameness

    now = sameness.environment()
    monkeypatch.setattr(sameness, "environment", lambda device: {**now, "torch": "9.0"})
    with pytest.raises(ValueError, match=r"strict=True, and the versions differ \(torch .* before, 9.0 now\)"):
        run(tmp_path, strict=True)
    with pytest.warns(UserWarning, match=r"resumed with other versions \(torch .* before, 9.0 now\)"):
        run(tmp_path)


@pytest.mark.parametrize("change", ["dtype", "shape", "labels", "key"])
def test_data_counts_with_dtype_and_shape(change: str, tmp_path: Path):
    from tladapt.storage.digests import data_identity

    def data(changed: bool) -> Any:
        first, other = domain("a"), domain("a")
        x = other.train.x
        if changed:
            others = {"dtype": x.view(torch.int32), "shape": x.reshape(-1, 2, 2), "labels": x, "key": {"y": x}}
            other.train.x = others[change]
            other.train.y = other.train.y.int() if change == "labels" else other.train.y
        return data_identity([first, other][changed:])

    assert data(False) != data(True)
