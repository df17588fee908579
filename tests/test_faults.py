"""Whatever breaks a run ends in one clear line, and what was done until then is on disk and goes on from there."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.test_resuming import domain, network, same, stream
from tladapt import EWC, Domain, LoRA, Method, Model, Replay, Report, WiSEFT, cli, fit
from tladapt.cli import main
from tladapt.cli.resuming import NAME as ARGUMENTS
from tladapt.comparison import compare
from tladapt.display.progress import DivergedError
from tladapt.scenarios import digits
from tladapt.storage.checkpoints import read
from tladapt.storage.runs import NAME

Result = tuple[dict[str, Tensor], Report]


class Turns(Method):
    """Its loss, or the weights through its gradient, are no numbers from a step of stage c on."""

    seen: Tensor

    def __init__(self, step: int = 4, what: str = "loss") -> None:
        super().__init__()
        self.step, self.what = step, what
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def prepare(self, model, stage):
        self.seen.zero_()
        self.due = self.step if stage.name == "c" else 10**9

    def loss(self, model, batch, output):
        found, now = output.logits.square().mean(), int(self.seen) >= self.due
        self.seen += 1
        return found * float("nan") if now and self.what == "loss" else found

    def adjust(self, model, batch):
        if self.what == "gradient" and int(self.seen) > self.due:
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, float("inf"))


def finite(weights: dict[str, Any]) -> bool:
    return all(value.isfinite().all() for value in weights.values() if isinstance(value, Tensor))


@pytest.mark.parametrize("every", [1, 3, 100])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_that_is_no_number_leaves_the_last_good_weights(what: str, every: int, tmp_path: Path):
    model = network()
    with pytest.raises(DivergedError) as caught:
        fit(model, stream(), Turns(what=what), steps=8, batch_size=8, checkpoint=tmp_path, every=every)
    kept = read(tmp_path / NAME)
    assert kept["past"]["stage"] == 2
    assert 4 - every < kept["step"] <= 4 or every == 100
    assert finite(kept["model"])
    assert all(torch.equal(value, kept["model"][name]) for name, value in model.state_dict().items())
    assert "stage c, step" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / NAME) in str(caught.value)
    if what == "loss":
        assert "Turns: the loss became nan in stage c, step 4; lower lr or the weight of Turns" in str(caught.value)


def test_a_model_that_diverges_with_parts_in_it_gets_weights_that_fit(tmp_path: Path):
    model = network()
    with pytest.raises(DivergedError):
        fit(model, stream(), LoRA() + Turns(), steps=8, batch_size=8, checkpoint=tmp_path, every=2)
    assert finite(model.state_dict())


def test_without_checkpoints_a_loss_that_is_no_number_is_named_all_the_same():
    with pytest.raises(DivergedError, match="Turns: the loss became nan in stage c, step 4; lower lr or the weight"):
        fit(network(), stream(), Turns(), steps=8, batch_size=8)


class Sample(torch.utils.data.Dataset):
    """Rows, one of which cannot be read until it is mended."""

    broken: int | None = None

    def __init__(self, how: Callable[[], Any] | None = None) -> None:
        random = torch.Generator().manual_seed(3)
        self.x, self.y, self.how = torch.randn(40, 4, generator=random), torch.arange(40) % 2, how

    def __len__(self) -> int:
        return 40

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        if row == self.broken and self.how is not None:
            self.how()
        return self.x[row], int(self.y[row])


def unreadable() -> None:
    raise OSError("17.jpg: the disk does not answer")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_read_is_named_and_the_run_goes_on_when_it_can(workers: int, tmp_path: Path):
    rows = Sample(unreadable)
    domains = [domain("a"), Domain("b", rows, None, workers=workers)]

    def run(folder: Path | None) -> Result:
        model = network()
        report = fit(model, domains, EWC() + Replay(8), steps=6, batch_size=8, checkpoint=folder, every=1)
        return model.state_dict(), report

    whole = run(None)
    rows.broken = 17
    with pytest.raises(ValueError, match=r"^Sample: row 17 cannot be read: 17\.jpg: the disk does not answer$"):
        run(tmp_path)
    with pytest.raises(ValueError, match="Sample: row 17 cannot be read"):
        Domain("b", rows, None)
    rows.broken = None
    assert same(run(tmp_path), whole)


def test_a_value_that_is_no_number_is_named_by_its_row():
    rows = Sample()
    rows.x[23, 1] = float("nan")
    with pytest.raises(ValueError, match="Sample holds NaN or infinity, first in row 23"):
        fit(network(), [Domain("b", rows, None)], epochs=1, batch_size=8)


def last_line(capsys: pytest.CaptureFixture[str], code: int) -> Callable[..., str]:
    def ended(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        assert caught.value.code == code
        printed = capsys.readouterr()
        assert printed.out == ""
        *_, line = printed.err.splitlines()  # after those of the progress
        return line

    return ended


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """`refused(*arguments)`: the one line that a command ends in."""
    return last_line(capsys, 2)


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_while_it_reads_ahead_is_one_line(tmp_path: Path, monkeypatch, refused):
    rows = Sample(dies)
    rows.broken = 17
    there = Domain("b", (rows, rows.y), None, workers=1)
    monkeypatch.setitem(cli.COMMANDS, "run", lambda options: fit(network(), [there], epochs=2, batch_size=8))
    line = refused("run", "digits")
    assert line.startswith("tladapt run: a process that reads ahead has died; see that the memory is enough")


SHORT = ("run", "digits", "--model", "mlp", "--method", "EWC + Replay(20)", "--steps", 6, "--every", 2)


def kept(folder: Path) -> dict[str, Any]:
    model = Model.load(folder / "model").state_dict()
    report = {k: v for k, v in Report.load(folder).to_dict().items() if k not in ("seconds", "environment", "ceiling")}
    return {name: value.tolist() for name, value in model.items()} | report


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Any]:
    """What a short run keeps that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    main([*map(str, SHORT), "--out", str(folder), "--json"])
    return kept(folder)


@pytest.mark.parametrize("call", [2, 5, 8])
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(call, tmp_path, monkeypatch, refused, whole):
    fsync, calls = os.fsync, [0]

    def full(number: int) -> None:
        calls[0] += 1
        if calls[0] >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        line = refused(*SHORT, "--out", tmp_path)
    assert "No space left on device; free some space or choose another disk" in line
    assert not list(tmp_path.rglob("*.partial"))
    main(["run", "--resume", str(tmp_path)])
    assert kept(tmp_path) == whole


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_runs_out_is_one_line_that_tells_how_to_go_on(error, tmp_path, monkeypatch, refused, whole):
    class Lean(EWC):
        def consolidate(self, model, stage):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(EWC, "consolidate", Lean.consolidate)
        line = refused(*SHORT, "--out", tmp_path)
    assert "not enough memory" in line
    assert line.endswith(f"; go on with: tladapt run --resume {tmp_path}")
    main(["run", "--resume", str(tmp_path)])
    assert kept(tmp_path) == whole


@pytest.mark.parametrize("spoil", ["truncated", "altered", "emptied", "pickle"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(spoil, tmp_path, refused):
    main([*map(str, SHORT), "--out", str(tmp_path)])
    path = tmp_path / NAME
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"truncated": content[:-9], "altered": content, "emptied": b"", "pickle": b"\x80\x04N."}[spoil])
    before = path.read_bytes()
    for command in (("run", "--resume", tmp_path), (*SHORT, "--out", tmp_path)):
        line = refused(*command)
        assert f"cannot read {str(path)!r}" in line
    assert path.read_bytes() == before


@pytest.mark.parametrize("spoil", [None, "", "{", "[]", "3", '{"schema": 2, "arguments": ["run"], "folder": "/"}',
                                   '{"schema": 1, "arguments": ["compare"], "folder": "/"}', '{"schema": 1}',
                                   '{"schema": 1, "arguments": [], "folder": "/"}'])  # fmt: skip
def test_a_folder_that_no_run_was_begun_in_is_named(spoil, tmp_path, refused):
    if spoil is not None:
        (tmp_path / ARGUMENTS).write_text(spoil)
    assert f"--resume {tmp_path}: " in refused("run", "--resume", tmp_path)


def test_arguments_that_were_altered_are_refused_by_name(tmp_path, refused):
    main([*map(str, SHORT), "--out", str(tmp_path)])
    about = json.loads((tmp_path / ARGUMENTS).read_text())
    about["arguments"] = [*about["arguments"], "--lr", "0.5"]
    (tmp_path / ARGUMENTS).write_text(json.dumps(about))
    assert "lr: 0.001 before, 0.5 now" in refused("run", "--resume", tmp_path)


@pytest.mark.parametrize(
    "more", [["digits"], ["--lr", "0.1"], ["--json"], ["--out", "x"], ["--seeds", "2"]], ids=" ".join
)
def test_other_arguments_beside_resume_are_refused_by_name(more, tmp_path, refused):
    named = more[0] if more[0].startswith("--") else "SCENARIO"
    assert f"leave out {named}" in refused("run", "--resume", tmp_path, *more)


def test_another_run_is_not_written_over(tmp_path, refused):
    main([*map(str, SHORT), "--out", str(tmp_path)])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "lr: 0.001 before, 0.5 now" in refused(*SHORT, "--lr", 0.5, "--out", tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_another_method_is_named_in_words_and_overwrite_begins_anew(tmp_path, refused, capsys):
    start = ["run", "digits", "--model", "mlp", "--steps", "2", "--out", str(tmp_path)]
    main([*start, "--method", "MMD"])
    (tmp_path / "mine.txt").write_text("kept")
    line = refused(*start, "--method", "DANN")
    assert "method: MMD() before, DANN() now" in line
    assert "add --overwrite" in line
    main([*start, "--method", "DANN", "--overwrite"])
    main([*start, "--method", "DANN"])
    assert Report.load(tmp_path).method.startswith("DANN")
    assert (tmp_path / "mine.txt").read_text() == "kept"
    before = (tmp_path / NAME).stat().st_mtime_ns
    main(["run", "--resume", str(tmp_path)])  # which does not overwrite again
    assert (tmp_path / NAME).stat().st_mtime_ns == before
    assert "leave out --overwrite" in refused("run", "--resume", tmp_path, "--overwrite")
    main([*start, "--method", "DANN", "--seeds=1", "--overwrite"])
    assert not (tmp_path / NAME).exists()
    assert "begun with --seeds" in refused(*start, "--method", "DANN")
    assert "begun by tladapt run" in refused("compare", "digits", "--out", tmp_path)


def test_more_seeds_are_added_to_those_that_are_there(tmp_path, capsys):
    main([*map(str, SHORT), "--seeds", "1", "--out", str(tmp_path)])
    first = (tmp_path / "seed-0" / NAME).stat().st_mtime_ns
    main([*map(str, SHORT), "--seeds", "2", "--out", str(tmp_path)])
    assert (tmp_path / "seed-0" / NAME).stat().st_mtime_ns == first
    assert Report.load(tmp_path).seeds == [0, 1]


class Presses(Method):
    """Ctrl-C in the middle of a step, once or twice."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def loss(self, model, batch, output):
        self.seen += 1
        for _ in range(self.times if self.seen == 9 else 0):
            signal.raise_signal(signal.SIGINT)
        return output.logits.square().mean()


def test_control_c_is_heard_between_two_steps_and_nothing_is_lost(tmp_path: Path):
    def run(times: int, folder: Path | None) -> Result:
        model = network()
        report = fit(
            model, stream(), Presses(times) + Replay(8) + WiSEFT(), steps=6, batch_size=8, checkpoint=folder, every=100
        )
        return model.state_dict(), report

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(1, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    assert read(tmp_path / NAME)["step"] == 3  # of stage 1: the ninth of all is through
    left, right = run(1, tmp_path), run(0, None)
    right[1].method = left[1].method
    assert same(left, right)


def test_a_second_control_c_is_heard_at_once(tmp_path: Path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), stream(), Presses(2), steps=6, batch_size=8, checkpoint=tmp_path, every=100)
    assert read(tmp_path / NAME)["step"] == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_control_c_prints_the_command_that_goes_on(tmp_path: Path, whole):
    folder = tmp_path / "it's here"
    process = subprocess.Popen(
        [sys.executable, "-m", "tladapt", *map(str, SHORT), "--out", str(folder)], stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (folder / NAME).exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    if process.returncode == 0:
        pytest.skip("it was faster than the signal")
    assert process.returncode == 130
    last = said.splitlines(keepends=True)[-1]  # after the progress
    assert last == f"tladapt run: stopped; go on with: tladapt run --resume '{tmp_path}/it'\"'\"'s here'\n"
    main(["run", "--resume", str(folder)])
    assert kept(folder) == whole


def test_control_c_without_a_folder_promises_nothing(monkeypatch, capsys):
    def pressed(options):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "run", pressed)
    assert last_line(capsys, 130)("run", "digits") == "tladapt run: stopped"


def test_a_comparison_goes_on_in_the_middle_of_a_run(tmp_path: Path, monkeypatch, capsys):
    typed = ["compare", "digits", "--model", "mlp", "--methods", "EWC", "--steps", "6", "--seeds", "1", "--jobs", "1"]
    main([*typed, "--json"])
    expected = json.loads(capsys.readouterr().out)["scores"]
    with monkeypatch.context() as patch:
        patch.setattr(EWC, "consolidate", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(SystemExit):
            main([*typed, "--out", str(tmp_path)])
    assert capsys.readouterr().err.endswith(f"stopped; go on with: tladapt compare --resume {tmp_path}\n")
    (left,) = tmp_path.glob(f"runs/*/{NAME}")
    assert read(left)["past"]["stage"] == 0
    main(["compare", "--resume", str(tmp_path)])
    assert json.loads((tmp_path / "comparison.json").read_text())["scores"] == expected
    assert not list(tmp_path.glob("runs/*/"))  # what is through needs no checkpoint


def test_a_process_of_a_comparison_that_dies_is_one_line(tmp_path: Path):
    class Doomed(EWC):
        def prepare(self, model, stage):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildProcessError, match=r"a process has died, .*; what was done is in .*; call it again, with"):
        compare(digits().but(steps=2), [Doomed()], seeds=1, jobs=2, out=tmp_path)


def test_an_error_of_any_kind_in_one_run_leaves_the_others(tmp_path: Path):
    class Wrong(EWC):
        def prepare(self, model, stage):
            raise KeyError("oops")

    found = compare(digits().but(steps=2), [Wrong()], seeds=1, jobs=1)
    assert found.failed == {"Wrong(), seed 0": "KeyError: 'oops'"}
    assert found.scores["Method()"][0] is not None
