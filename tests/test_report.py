"""The report: its figures by hand, its file, its mean over seeds, its words."""

import json
import re

import numpy as np
import pytest

from tladapt import Report

# Rows: before any training, after each of three stages. Columns: three domains, each first seen in its own stage.
SCORES = [[0.10, 0.20, 0.30], [0.90, 0.25, 0.20], [0.70, 0.80, 0.50], [0.60, 0.85, 0.95]]


def report(scores=SCORES, first=(0, 1, 2), **about) -> Report:
    rows, columns = [list(row) for row in scores], len(scores[0])
    given = {
        "domains": [f"d{j}" for j in range(columns)],
        "stages": [f"s{i}" for i in range(len(rows) - 1)],
        "first": list(first),
        "scores": rows,
        "method": "EWC(weight=0.1)",
    }
    return Report(**{**given, **about})


def test_every_figure_by_hand():
    found = report().figures
    assert found == pytest.approx(
        {
            "old": (0.60 + 0.85) / 2,
            "new": 0.95,
            "unseen": None,
            "average": (0.60 + 0.85 + 0.95) / 3,
            "transfer": 0.95 - 0.50,
            "against_source_only": None,
            "forgetting": ((0.90 - 0.60) + (0.80 - 0.85)) / 2,
            "backward_transfer": ((0.60 - 0.90) + (0.85 - 0.80)) / 2,
            "forward_transfer": ((0.25 - 0.20) + (0.50 - 0.30)) / 2,
        }
    )
    assert report().negative_transfer is None


def test_several_domains_that_come_last_are_all_new():
    found = report(SCORES[:3], first=(0, 1, 1))
    assert found.old == pytest.approx(0.70)
    assert found.new == pytest.approx((0.80 + 0.50) / 2)
    assert found.transfer == pytest.approx((0.80 + 0.50) / 2 - (0.25 + 0.20) / 2)


def beside(new: float, alone: float, rows: int = 80, **about) -> Report:
    """A report whose new domain has one score before the last stage, one after it, and one with source-only."""
    scores = [[0.1, 0.2], [0.9, 0.6], [0.9, new]]
    return report(scores, (0, 1), **{"tested": [rows, rows], "source_only": [0.9, alone], **about})


def test_a_loss_against_the_model_before_is_not_called_negative_transfer_where_no_source_only_was_run():
    worse = report([[0.1, 0.2], [0.9, 0.6], [0.9, 0.15]], first=(0, 1), tested=[80, 80])
    assert worse.transfer == pytest.approx(-0.45)
    assert (worse.against_source_only, worse.interval, worse.negative_transfer) == (None, None, None)
    assert "negative transfer" not in str(worse)


def test_negative_transfer_is_a_loss_against_source_only_and_not_against_the_model_before():
    gained_less = beside(0.65, alone=0.9)  # better than before the stage, worse than more training on the source
    assert gained_less.transfer == pytest.approx(0.05)
    assert gained_less.against_source_only == pytest.approx(-0.25)
    assert gained_less.negative_transfer is True
    assert "negative transfer" in str(gained_less)
    lost_less = beside(0.55, alone=0.3)
    assert lost_less.transfer == pytest.approx(-0.05)
    assert lost_less.negative_transfer is False
    assert "negative transfer" not in str(lost_less)


@pytest.mark.parametrize(
    ("lost", "rows", "negative"), [(0, 80, False), (1, 80, False), (80, 8000, False), (20, 80, True), (300, 8000, True)]
)
def test_a_loss_counts_if_it_is_more_than_the_noise_of_the_test_rows(lost, rows, negative):
    assert beside(0.75 - lost / rows, alone=0.75, rows=rows).negative_transfer is negative


def test_the_interval_over_test_rows_turns_round_where_lower_is_better():
    low, high = beside(0.6, alone=0.8, rows=75).interval or (0.0, 0.0)
    assert beside(0.8, alone=0.6, rows=75).interval == pytest.approx((-high, -low))
    assert beside(0.6, alone=0.8, rows=75, higher_is_better=False).interval == pytest.approx((-high, -low))


def test_of_what_is_no_share_one_run_knows_no_noise_and_several_seeds_do():
    one = [beside(new, alone=3.0, share=False, seed=seed) for seed, new in enumerate((1.0, 1.2, 0.9))]
    assert (one[0].against_source_only, one[0].negative_transfer) == (-2.0, None)
    whole = Report.mean(one)
    change = np.array([-2.0, -1.8, -2.1])
    half = 4.302653 * change.std(ddof=1) / 3**0.5
    assert whole.interval == pytest.approx((change.mean() - half, change.mean() + half), abs=1e-4)
    assert whole.negative_transfer is True


def test_over_seeds_the_noise_of_the_test_rows_stays():
    whole = Report.mean([beside(0.70 + 0.001 * seed, alone=0.75, seed=seed) for seed in range(5)])
    assert whole.against_source_only == pytest.approx(-0.048)
    assert whole.negative_transfer is False  # the same 80 rows each time: four of them


def test_a_report_takes_source_only_of_the_same_seed_and_domains_alone():
    one = report([[0.1, 0.2], [0.9, 0.6], [0.9, 0.7]], first=(0, 1))
    alone = report([[0.1, 0.2], [0.9, 0.6], [0.9, 0.5]], first=(0, 2))
    assert one.beside(alone).against_source_only == pytest.approx(0.2)
    assert one.source_only == []
    with pytest.raises(ValueError, match="seed=0, got seed=1"):
        one.beside(report(alone.scores, first=(0, 2), seed=1))
    with pytest.raises(ValueError, match="domains"):
        one.beside(report())


def test_a_report_beside_source_only_comes_back_from_its_file(tmp_path):
    for whole in (beside(0.6, alone=0.7), Report.mean([beside(0.6, alone=0.7, seed=seed) for seed in (0, 1)])):
        whole.save(tmp_path)
        assert Report.load(tmp_path) == whole


def test_a_single_stage_is_all_new():
    one = report([[0.1], [0.9]], first=(0,))
    assert (one.old, one.new, one.transfer) == (None, 0.9, pytest.approx(0.8))
    assert (one.forgetting, one.backward_transfer, one.forward_transfer) == (None, None, None)


def test_a_last_stage_of_known_domains_has_nothing_new():
    again = report(first=(0, 1, 1))
    assert again.old == pytest.approx((0.60 + 0.85 + 0.95) / 3)
    assert (again.new, again.transfer, again.negative_transfer) == (None, None, None)


def test_a_domain_that_was_never_learned_is_neither_old_nor_new():
    never = report(first=(0, 2, 3))
    assert never.old == 0.60
    assert never.new == 0.85


def test_what_has_no_labels_to_score_has_no_figure():
    blind = report([[0.1, None], [0.9, None], [0.8, None]], first=(0, 1))
    assert blind.old == 0.8
    assert (blind.new, blind.transfer, blind.negative_transfer) == (None, None, None)
    assert "d1: no labels to score" in str(blind)
    assert "d0: no labels" not in str(blind)


def test_where_nothing_can_be_scored_the_report_still_reads():
    blind = report([[None], [None]], first=(0,))
    assert set(blind.figures.values()) == {None}
    assert "d0: no labels to score" in str(blind)


PROMISED = {
    "schema", "scenario", "method", "seed", "metric", "domains", "stages", "scores", "old", "new", "forgetting",
    "backward_transfer", "forward_transfer", "transfer", "against_source_only", "negative_transfer", "remembers",
    "seconds", "environment", "unseen", "average",
}  # fmt: skip


def test_the_file_holds_what_the_design_promises_and_how_the_run_was_made(tmp_path):
    stored = json.loads(report().save(tmp_path).read_text())
    assert set(stored) == PROMISED | {
        "first",
        "tested",
        "source_only",
        "increment",
        "precision",
        "batchnorm",
        "notes",
        "warnings",
        "label_shift",
        "share",
        "higher_is_better",
    }
    assert (stored["schema"], stored["scores"], stored["domains"]) == (1, SCORES, ["d0", "d1", "d2"])
    assert len(stored["scores"]) == len(stored["stages"]) + 1


def test_a_report_comes_back_from_its_file(tmp_path):
    whole = report(notes=["a note"], batchnorm="frozen", scenario="digits", seed=3, seconds=1.5, increment="task")
    path = whole.save(tmp_path / "deep" / "run")
    assert path == tmp_path / "deep" / "run" / "report.json"
    assert Report.load(path.parent) == whole
    assert str(Report.load(path.parent)) == str(whole)


def test_a_mean_comes_back_from_its_file(tmp_path):
    whole = Report.mean(seeds())
    whole.save(tmp_path)
    assert Report.load(tmp_path) == whole


def test_missing_scores_are_null_and_never_nan(tmp_path):
    one, two = (report([[0.1, None], [0.9, None], [0.8, None]], first=(0, 1), seed=seed) for seed in (0, 1))
    for whole in (one, Report.mean([one, two]), Report.mean([one])):
        text = whole.save(tmp_path).read_text()
        assert "NaN" not in text
        assert json.loads(text)["scores"] == [[0.1, None], [0.9, None], [0.8, None]]


def test_a_score_that_is_no_number_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        report([[0.1], [float("nan")]], first=(0,)).save(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"schema": 2}', '{"schema": 1}'])
def test_what_is_no_report_is_refused_in_one_line(text, tmp_path):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match=r"report\.json: no report of tladapt") as caught:
        Report.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_report_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"report\.json: no report of tladapt"):
        Report.load(tmp_path)


def seeds() -> list[Report]:
    numbers = np.random.default_rng(0)
    return [
        report(
            numbers.random((4, 3)).tolist(), seed=seed, seconds=float(seed), source_only=numbers.random(3).tolist()
        )
        for seed in (3, 5, 8)
    ]  # fmt: skip


def test_the_mean_over_seeds_is_numpys():
    reports = seeds()
    whole = Report.mean(reports)
    scores = np.array([r.scores for r in reports], dtype=float)
    assert np.allclose(np.array(whole.scores, dtype=float), scores.mean(0), atol=1e-12)
    assert np.allclose(np.array(whole.spread["scores"], dtype=float), scores.std(0, ddof=1), atol=1e-12)
    for name, value in whole.figures.items():
        each = [r.figures[name] for r in reports]
        if name == "unseen":
            assert value is None
            continue
        assert value == pytest.approx(np.mean(each))  # type: ignore[arg-type]
        assert whole.spread[name] == pytest.approx(np.std(each, ddof=1))  # type: ignore[arg-type]
    assert (whole.seed, whole.seeds, whole.seconds) == (None, [3, 5, 8], pytest.approx(16 / 3))


def test_one_seed_has_no_spread():
    whole = Report.mean(seeds()[:1])
    assert whole.spread["old"] is None
    assert whole.scores == seeds()[0].scores
    assert "±" not in str(whole).replace("mean ± standard deviation", "")


def test_the_mean_says_its_spread_and_its_seeds():
    text = str(Report.mean(seeds()))
    assert " ± " in text
    assert "3 seeds" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [("method", "DANN()"), ("scenario", "else"), ("batchnorm", "frozen"), ("increment", "task"), ("metric", "error"),
     ("domains", ["x", "y", "z"]), ("stages", ["x", "y", "z"])],
)  # fmt: skip
def test_only_runs_that_differ_in_their_seed_have_a_mean(name, value):
    with pytest.raises(ValueError, match=rf"Report.mean: the runs differ in {name}"):
        Report.mean([report(), report(**{name: value})])


def test_the_words_hold_scores_method_domains_and_stages():
    text = str(report(method="DANN(weight=1.0)", scenario="digits", notes=["stage 1: a note"]))
    for part in ("DANN(weight=1.0)", "digits", "d2", "s1", "before training", "stage 1: a note", "accuracy in %"):
        assert part in text
    assert all(f"{100 * score:.1f}" in text for row in SCORES for score in row)
    assert re.search(r"^new domains +95.0 +learned first in the last stage: d2", text, re.MULTILINE)
    assert re.search(r"^transfer +\+45.0 ", text, re.MULTILINE)


def test_the_words_hold_the_batchnorm_policy_the_increment_and_the_memory():
    text = str(report(batchnorm="per-domain", increment="class", remembers="samples"))
    words = " ".join(text.split())
    assert "(class-incremental); samples are kept after a stage; BatchNorm per-domain" in words


def test_names_in_brackets_are_names_and_no_markup():
    text = str(report(domains=["web [old]", "[/b]", "[red]"], stages=["web [old]", "[/b]", "[red]"], notes=["[/note]"]))
    assert all(text.count(name) >= 2 for name in ("web [old]", "[/b]", "[red]"))
    assert "[/note]" in text


def test_nothing_forgotten_is_no_negative_number():
    assert "-0.0" not in str(report([[0.1, 0.2], [0.9, 0.6], [0.9, 0.7]], first=(0, 1)))


def test_the_environment_says_versions_and_device():
    assert set(report().environment) == {"tladapt", "python", "torch", "numpy", "device"}
