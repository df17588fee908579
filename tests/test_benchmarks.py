"""Benchmarks that were stopped go on when they are called again."""

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tladapt.streams import members

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def kept() -> Any:
    spec = importlib.util.spec_from_file_location("kept", BENCHMARKS / "kept.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Kept


def test_what_was_measured_before_the_stop_is_not_measured_again(kept, tmp_path):
    file, calls = tmp_path / "runs" / "a.json", list[int]()

    def measured(number: int) -> float:
        calls.append(number)
        if number == 2 and calls.count(2) == 1:
            raise KeyboardInterrupt
        return number / 3

    def benchmark(settings: str) -> list[float]:
        store = kept(file, {"torch": settings})
        return [store(f"cell {number}", measured, number) for number in range(4)]

    with pytest.raises(KeyboardInterrupt):
        benchmark("2")
    assert benchmark("2") == [number / 3 for number in range(4)]
    assert calls == [0, 1, 2, 2, 3]
    assert benchmark("3") == benchmark("3")
    assert calls[5:] == [0, 1, 2, 3]


def test_what_is_to_be_forgotten_is_measured_anew(kept, tmp_path):
    store = kept(tmp_path / "a.json", {})
    assert [store("a", lambda: 1), store("a", lambda: 2)] == [1, 1]
    store.forget()
    assert kept(tmp_path / "a.json", {})("a", lambda: 2) == 2


def test_the_figures_of_the_readme_are_kept_in_this_form(kept):
    stored = json.loads((BENCHMARKS / "results" / "digits.json").read_text())
    assert kept(BENCHMARKS / "results" / "digits.json", stored["settings"]).cells == stored["cells"] != {}


def test_defaults_are_chosen_on_no_row_that_digits_scores(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    scenario, x, _ = importlib.import_module("defaults").on_digits()
    read = {row.numpy().tobytes() for row in x}
    for domain in members(scenario.stream[1]):
        assert domain.test is not None
        assert not [row for row in domain.test.x if row.numpy().tobytes() in read]
