"""`compare`: cells in parallel, kept and resumed; means, spreads, paired differences."""

import gc
import json
import statistics
import weakref
from functools import partial
from pathlib import Path

import pytest
from torch import Tensor

from tladapt import CORAL, DANN, EWC, Batch, Classification, Method, Model, Output, Replay
from tladapt.cli import main
from tladapt.comparison import Comparison, cells, compare
from tladapt.comparison.comparing import _name
from tladapt.scenarios import digits, split_digits
from tladapt.scenarios.scenario import Scenario

SHORT = partial(compare, seeds=2, jobs=1)


def short() -> Scenario:
    return digits().but(steps=3)


def test_the_scores_are_those_of_single_runs() -> None:
    found = SHORT(short(), [CORAL()])
    assert list(found.scores) == ["source-only", "Method()", "CORAL()"]
    for seed in (0, 1):
        assert found.scores["CORAL()"][seed] == short().run(CORAL(), seed=seed).scores[-1]
        assert (
            found.scores["source-only"][seed]
            == short().run(seed=seed, method=Method(), baseline="source-only").scores[-1]
        )
    assert found.domains == ["upright", "slanted"]
    assert found.new == ["slanted"]
    assert found.reference == "source-only"


def test_processes_give_the_figures_that_one_process_gives() -> None:
    one = SHORT(short(), [DANN(), DANN(0.5) + Replay(20)])
    two = compare(short, [DANN(), DANN(0.5) + Replay(20)], seeds=2, jobs=2)
    assert one.scores == two.scores


def test_one_process_makes_the_scenario_once_and_lets_it_go() -> None:
    made = list[weakref.ref[Scenario]]()

    def make() -> Scenario:
        scenario = short()
        made.append(weakref.ref(scenario))
        return scenario

    SHORT(make, [CORAL()])
    gc.collect()
    assert [scenario() for scenario in made] == [None]


def test_cores_are_counted_where_the_system_knows_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)  # as on macOS and Windows
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert not compare(short(), [], seeds=1).failed


def test_differences_are_paired_by_seed() -> None:
    scores = {"source-only": [[0.9, 0.5], [0.7, 0.1], [0.8, 0.3]], "MMD()": [[0.8, 0.6], [0.59, 0.3], [0.71, 0.6]]}
    found = Comparison(scenario="x", reference="source-only", domains=["a", "b"], new=["b"], seeds=3, scores=scores)
    change = [0.1, 0.2, 0.3]
    assert found.difference("MMD()", "new") == pytest.approx((statistics.mean(change), statistics.stdev(change)))
    assert found.difference("MMD()", "old")[0] == pytest.approx(-0.1)
    assert found.figure("MMD()", "all")[0] == pytest.approx(0.6)
    assert found.hurts("MMD()", "old")
    assert not found.hurts("MMD()", "new")
    row = next(line for line in found.markdown().splitlines() if "MMD()" in line)
    assert row == "| `MMD()` | 70.0 ± 10.5 | 50.0 ± 17.3 | -10.0 ± 1.0 ▼ | +20.0 ± 10.0 | 60.0 ± 13.6 |"


def errors(**scores: float) -> Comparison:
    return Comparison(
        scenario="x", reference="source-only", domains=["a"], new=["a"], seeds=3, metric="RMSE", share=False,
        higher_is_better=False, scores={
            row: [[value - noise], [value], [value + noise]]
            for row, value, noise in [("source-only", 45.0, 0.0), *((row, v, 1e-5) for row, v in scores.items())]
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "rows", "hurt"),
    [
        ([-0.1, 0.0, 0.05], 800, False),
        ([-0.1, -0.11, -0.09], 800, True),
        ([0.1, 0.11, 0.1], 800, False),
        ([-0.1, -0.1, -0.1], 800, True),
        ([-1 / 80] * 3, 80, False),
        ([-1 / 80], 80, False),
        ([-0.3], 80, True),
    ],
)
def test_a_row_hurts_where_the_loss_is_more_than_the_noise_over_seeds_or_of_the_test_rows(
    changes: list[float], rows: int, hurt: bool
) -> None:
    found = Comparison(
        scenario="x", reference="source-only", domains=["a"], new=["a"], seeds=len(changes), tested=[rows],
        scores={"source-only": [[0.8] for _ in changes], "MMD()": [[0.8 + change] for change in changes]},
    )  # fmt: skip
    assert found.hurts("MMD()", "new") is hurt


def test_where_lower_is_better_more_is_worse() -> None:
    found = errors(worse=45.0051, equal=45.0049, better=11.26)
    assert [found.hurts(row, "new") for row in ("worse", "equal", "better")] == [True, False, False]
    text = found.markdown()
    assert "| `worse` | - | 45.01 ± 0.00 | - | +0.01 ± 0.00 ▼ | 45.01 ± 0.00 |" in text
    assert "| `better` | - | 11.26 ± 0.00 | - | -33.74 ± 0.00 | 11.26 ± 0.00 |" in text
    assert "final RMSE (lower is better), mean" in text
    assert "%" not in text


class Errors(Classification):
    """The share of wrong answers, as if it were an error in volts."""

    higher_is_better = share = False

    def __init__(self) -> None:
        super().__init__()
        self.metric = "volts"

    def score(self, marks: Tensor) -> float:
        return 1 - super().score(marks)


def test_the_direction_is_that_of_the_task() -> None:
    found = SHORT(short().but(task=Errors()), [CORAL()])
    assert (found.metric, found.higher_is_better, found.share) == ("volts", False, False)
    assert found.to_dict()["higher_is_better"] is False


def test_a_seed_that_failed_leaves_the_others_in_pairs() -> None:
    scores = {"Method()": [[0.5], [0.6]], "EWC()": [None, [0.7]]}
    found = Comparison(
        scenario="x", reference="Method()", domains=["a"], new=["a"], seeds=2, scores=scores,
        failed={"EWC(), seed 0": "EWC: the loss became nan"},
    )  # fmt: skip
    assert found.difference("EWC()", "new") == (pytest.approx(0.1), None)
    assert "failed: EWC(), seed 0: EWC: the loss became nan" in found.markdown()


class Diverging(Method):
    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        return output.logits.sum() * float("inf")


def test_one_run_that_diverges_does_not_stop_the_others() -> None:
    found = SHORT(short(), [Diverging(), CORAL()])
    assert list(found.failed) == ["Diverging(), seed 0", "Diverging(), seed 1"]
    assert all(why.startswith("Diverging: the loss became") for why in found.failed.values())
    assert found.scores["Diverging()"] == [None, None]
    assert None not in found.scores["CORAL()"]


def test_where_all_labels_are_there_the_reference_is_fine_tuning() -> None:
    found = SHORT(split_digits().but(steps=2), [Replay(20)], baselines=["joint"])
    assert list(found.scores) == ["Method()", "Replay(capacity=20)", "joint"]
    assert found.reference == "Method()"


def test_the_reference_is_first_and_there_once_if_asked_for_too() -> None:
    found = SHORT(short(), [CORAL()], baselines=["ceiling", "source-only"])
    assert list(found.scores) == ["source-only", "Method()", "CORAL()", "ceiling"]


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done, run = list[str](), Scenario.run

    def counted(self: Scenario, method: Method | None = None, **rest: object) -> object:
        done.append(f"{method!r} {rest['baseline']} {rest['seed']}")
        return run(self, method, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Scenario, "run", counted)
    return done


def test_what_is_kept_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = count_runs(monkeypatch)
    first = SHORT(short(), [CORAL()], out=tmp_path)
    assert len(done) == 6
    again = SHORT(short(), [CORAL()], out=tmp_path)
    assert len(done) == 6
    assert again.scores == first.scores
    SHORT(short(), [CORAL(), EWC()], out=tmp_path)
    assert len(done) == 8  # the two seeds of EWC
    SHORT(short().but(lr=0.01), [CORAL()], out=tmp_path)
    assert len(done) == 14  # another setting, so all again
    kept = next(iter((tmp_path / "runs").iterdir()))
    kept.write_text(kept.read_text()[:100])  # as a full disk leaves it
    SHORT(short(), [CORAL(), EWC()], out=tmp_path)
    assert len(done) in (14, 15)  # one more, unless it was of the other setting


def test_other_data_under_the_same_name_is_run_again(tmp_path: Path) -> None:
    here, there = short(), short()
    assert cells.fingerprint(here) == cells.fingerprint(there)
    source = there.stream[0]
    assert not isinstance(source, tuple)
    source.train.x[0, 0, 0, 0] += 1.0  # type: ignore[index]
    assert cells.fingerprint(here) != cells.fingerprint(there)


def test_an_interrupted_comparison_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, calls = cells._run, list[int]()

    def stops(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return run(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cells, "_run", stops)
    with pytest.raises(KeyboardInterrupt):
        SHORT(short(), [CORAL()], out=tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 3
    monkeypatch.setattr(cells, "_run", run)
    done = count_runs(monkeypatch)
    SHORT(short(), [CORAL()], out=tmp_path)
    assert len(done) == 3


def test_refusals_come_before_anything_is_run() -> None:
    with pytest.raises(ValueError, match="CORAL\\(\\) is there twice"):
        SHORT(short(), [CORAL(), CORAL(1.0)])
    with pytest.raises(ValueError, match="baseline='nothing'"):
        SHORT(short(), [CORAL()], baselines=["nothing"])


def test_if_every_run_fails_the_reason_is_the_error() -> None:
    with pytest.raises(ValueError, match="lower lr"):
        SHORT(short().but(lr=1e30), [CORAL()])


@pytest.mark.parametrize(
    ("method", "name"),
    [(Method(), "Method()"), (EWC(0.5), "EWC(weight=0.5)"), (Replay(200) + DANN(), "DANN() + Replay(capacity=200)")],
)
def test_names_are_short(method: Method, name: str) -> None:
    assert _name(method) == name


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "digits", "--methods", "CORAL", "DANN + EWC", "--seeds", "2", "--steps", "2", "--jobs", "1"]
    main([*words, "--out", str(tmp_path), "--json"])
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert printed["figures"] == stored["figures"]
    assert set(printed["figures"]) == {"source-only", "Method()", "CORAL()", "DANN() + EWC()"}
    figure = printed["figures"]["CORAL()"]["new"]
    assert figure["difference"] == pytest.approx(
        statistics.mean(
            a[1] - b[1] for a, b in zip(stored["scores"]["CORAL()"], stored["scores"]["source-only"], strict=True)
        )
    )
    main([*words, "--out", str(tmp_path), "--markdown"])
    assert capsys.readouterr().out == (tmp_path / "comparison.md").read_text()
    main([*words, "--out", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "digits (old: upright; new: slanted)" in shown
    assert "DANN() + EWC()" in shown


def test_the_command_says_which_runs_failed_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cells._run
    fails = {"error": "EWC: the loss became nan"}
    monkeypatch.setattr(cells, "_run", lambda *given: (given[2], fails) if "EWC" in given[2].row else run(*given))
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "digits", "--methods", "EWC", "--seeds", "1", "--steps", "2", "--jobs", "1"])
    assert stopped.value.code == 1
    printed = capsys.readouterr()
    assert "failed: EWC(), seed 0: EWC: the loss became nan" in " ".join(printed.out.split())
    assert printed.err.endswith("\ntladapt compare: 1 runs failed; see the table\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--methods", "CORL"], "no method is named 'CORL'"),
        (["nowhere", "--methods", "CORAL"], "SCENARIO 'nowhere'"),
        (["digits", "--methods", "CORAL", "--baselines", "x"], "baseline='x'"),
        (["--methods", "CORAL"], "give a SCENARIO"),
    ],
)
def test_mistakes_end_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *words])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("tladapt compare: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
