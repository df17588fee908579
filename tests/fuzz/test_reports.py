"""Reports: any file is shown by `tladapt report`, or refused in one line that names it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.mutating import documents, spoilt
from tests.fuzz.watching import LONG, QUICK, command
from tladapt.report import Report

ONE = Report(
    domains=["web", "phone"], stages=["web", "phone"], first=[0, 1], scores=[[0.1, None], [0.9, 0.5], [0.8, 0.7]],
    method="DANN()", scenario="demo", notes=["stage 0: nothing"], environment={"python": "3"},
    label_shift={"phone": {"source": [0.5, 0.5], "estimate": [0.2, 0.8], "distance": 0.3, "doubt": 0.1}},
    warnings=["phone: possible label shift"],
    training={
        "network": "mlp", "parameters": 58, "trainable": 58, "batchnorm_layers": 0, "classes": 2, "epochs": None,
        "batch_size": 8, "lr": 0.01, "optimizer": "SGD", "schedule": "cosine", "task": "Classification", "learned": 0,
        "steps": [3, 2],
        "data": [{"domain": "web", "labelled": 24, "unlabelled": 0, "validation": 8, "test": 8}],
    },
    history=[{"stage": "web", "steps": [0, 2], "losses": {"task": [0.7, 0.5]}}],
    ceiling={"old": 0.9, "new": None, "average": 0.9, "seed": 0}, arguments={"scenario": "demo", "steps": 3},
)  # fmt: skip
LOSS = Report(
    domains=["a"], stages=["a"], first=[0], scores=[[31.5], [12.25]], method="Method()", share=False,
    metric="perplexity",
    higher_is_better=False,
)  # fmt: skip
WHOLE = [json.loads(json.dumps(report.to_dict())) for report in (ONE, Report.mean([ONE, ONE]), LOSS)]
contents = st.one_of(
    *(documents(whole) for whole in WHOLE), *(documents(whole) for whole in WHOLE), spoilt(json.dumps(WHOLE[0],
    indent=1).encode()),
    st.binary(max_size=300),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reports")


def check(folder, content: bytes) -> None:
    (folder / "report.json").write_bytes(content)
    line = command(folder, "report", str(folder))
    assert line == "" or f"{folder}/report.json" in line, line
    assert "memory" not in line


def test_what_is_changed_was_whole(folder):
    for whole in WHOLE:
        (folder / "report.json").write_text(json.dumps(whole))
        assert command(folder, "report", str(folder)) == ""


@QUICK
@given(content=contents)
def test_any_file_is_shown_or_refused(folder, content):
    check(folder, content)


@pytest.mark.slow
@LONG
@given(content=contents)
def test_any_file_is_shown_or_refused_long(folder, content):
    check(folder, content)
