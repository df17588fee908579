"""Errors of the command line name the option, the command and what was probably meant; it ends without a traceback."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tladapt.cli import main

HINTS = [
    ("run digits --epoch 1", "tladapt run: unknown option --epoch; did you mean --epochs? (see tladapt run --help)"),
    ("run digits --Epochs 1", "did you mean --epochs?"),
    ("run digits --batch_size 3", "did you mean --batch-size?"),
    ("run digits --batch_size=3", "unknown option --batch_size; did you mean --batch-size?"),
    ("run digits --learning-rate 1", "did you mean --lr?"),
    ("run digits --output x", "did you mean --out?"),
    ("run digits -o x", "did you mean --out?"),
    ("run digits --methods DANN", "did you mean --method?"),
    ("compare digits --method DANN", "tladapt compare: unknown option --method; did you mean --methods?"),
    ("run digits --jobs 2", "unknown option --jobs; it belongs to: tladapt compare"),
    ("run digits --frobnicate", "unknown option --frobnicate (see tladapt run --help)"),
    ("run studio phone", "unexpected phone; for your own data: tladapt run --source studio --target phone"),
    ("run 'my studio' phone", "--source 'my studio' --target phone"),
    ("compare a b c", "one domain after another: tladapt compare --domains a b c"),
    ("run digits DANN", "unexpected DANN after SCENARIO; methods follow --method"),
    ("compare heart:va-cleveland DANN CORAL", "unexpected DANN CORAL after SCENARIO; methods follow --methods"),
    ("scenarios digits", "tladapt scenarios: unexpected digits; remove it"),
    ("runn digits", "argument COMMAND: expected one of run, compare,"),
    ("runn digits", "got 'runn'; did you mean run?"),
    ("COMPARE", "did you mean compare?"),
    ("", "tladapt: expected a COMMAND: run, compare,"),
    ("run digits --increment clas", "expected one of domain, class, task, got 'clas'; did you mean class?"),
    ("run digits --epochs 0", "argument --epochs: expected an integer >= 1, got '0'"),
    ("run digits --size 2000", "argument --size: expected an integer from 1 to 1024, got '2000'"),
    ("run digits --lr fast", "argument --lr: expected a number > 0 and <= 1000, got 'fast'"),
    ("run digits --seed one", "argument --seed: expected an integer, got 'one'"),
    ("run digit", "SCENARIO 'digit': did you mean digits?"),
    ("run split_digits", "SCENARIO 'split_digits': did you mean split-digits?"),
    ("run .", "for your own data, give --source . --target B"),
    ("run digits --method DANN(lambda=1)", "DANN has no argument 'lambda'; did you mean weight? DANN takes weight,"),
    ("run digits --method EWC(ewc_lambda=1)", "did you mean weight? EWC takes weight, samples"),
    ("run digits --method Replay(mem_size=9)", "did you mean capacity?"),
    ("run digits --method Replay(capacty=9)", "did you mean capacity?"),
    ("run digits --method LwF(T=9)", "did you mean temperature?"),
    ("run digits --method LoRA(r=9)", "did you mean rank?"),
    ("run digits --method BitFit(zzz=9)", "BitFit has no argument 'zzz'; BitFit takes none"),
    ("run digits --method DANN(", "'DANN(' is not an expression of methods, such as DANN() + Replay(500)"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "said"), HINTS)
def test_a_mistake_is_answered_with_what_was_meant(typed, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(typed))
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert said in line


@pytest.mark.parametrize("command", ["--help", "scenarios", "methods", "report {}"])
def test_a_closed_pipe_ends_quietly(command, tmp_path):
    if "{}" in command:
        from tests.test_report import report

        report().save(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    words = command.format(tmp_path).split()
    done = subprocess.run([sys.executable, "-m", "tladapt", *words], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("moment", ["torch", "argparse"])
def test_control_c_during_the_imports_is_one_line(moment, tmp_path):
    (tmp_path / f"{moment}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"
    )
    paths = [str(tmp_path), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", "from tladapt.__main__ import main; main()", "methods"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "tladapt: stopped\n")
