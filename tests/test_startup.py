"""What is imported, and when: the command line answers before torch is there, and no library comes unused."""

import importlib
import json
import subprocess
import sys

import pytest

import tladapt
import tladapt.scenarios

SLOW = {
    "joblib", "matplotlib", "numpy", "pandas", "PIL", "pydantic", "rich", "safetensors", "scipy", "sklearn", "torch",
    "torchvision",
}  # fmt: skip


def imported(code: str) -> set[str]:
    """Run the code in a new process and return the names of the modules that were imported by its end."""
    text = (
        f"import contextlib, io, json, sys\nfrom tladapt.cli import main\n{code}\nprint(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def commands(*lines: str) -> str:
    """Code that runs command lines in one process and drops what they print."""
    return (
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        f"    for line in {lines!r}:\n"
        "        with contextlib.suppress(SystemExit):\n"
        "            main(line.split())"
    )


def test_help_and_typing_errors_need_no_slow_import():
    everyone = ("run", "compare", "predict", "methods", "scenarios", "report")
    mistakes = ("", "runn digits", "run digits --epoch 1", "run digits --epochs 0", "run --model resnet18", "report")
    modules = imported(commands("--help", "--version", *(f"{name} --help" for name in everyone), *mistakes))
    assert modules & SLOW == set()


def test_a_library_is_imported_where_it_is_used():
    unused = {"joblib", "matplotlib", "pandas", "scipy", "sklearn", "torchvision", "transformers", "torch._dynamo"}
    assert imported("import tladapt") & SLOW == set()
    everything = imported("from tladapt import *\n" + commands("methods", "scenarios"))
    assert {"torch", "tladapt.methods.dann", "tladapt.scenarios.speech"} <= everything
    assert everything & unused == set()


def test_a_run_imports_what_it_needs():
    modules = imported(commands("run digits --steps 1"))
    assert {"sklearn", "tladapt.scenarios.handwriting"} <= modules
    assert modules & {"matplotlib", "torchvision", "transformers", "tladapt.scenarios.speech"} == set()


@pytest.mark.parametrize("package", [tladapt, tladapt.scenarios])
def test_a_lazy_name_is_an_ordinary_one(package):
    assert set(package.__all__) <= set(dir(package))
    name = package.__all__[-1]
    assert getattr(package, name) is vars(package)[name]
    assert not hasattr(package, "Nonsense")
    assert not hasattr(package, "_nonsense")


def test_a_submodule_is_an_attribute_and_an_unknown_name_is_an_error():
    assert "methods.mmd" in " ".join(imported("import tladapt\nassert tladapt.methods.MMD is tladapt.MMD"))
    with pytest.raises(AttributeError, match=r"^module 'tladapt' has no attribute 'DANNN'$"):
        _ = tladapt.DANNN  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'DANNN'"):
        exec("from tladapt import DANNN")


def test_a_missing_library_is_named_not_the_module_that_needs_it(tmp_path, monkeypatch):
    folder = tmp_path / "lazy_package"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from tladapt.lazy import lazily\n__getattr__, __dir__ = lazily(__name__, {'lazy_package.home': ['name']})\n"
    )
    (folder / "home.py").write_text("import not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module("lazy_package")
    for name in ("name", "home"):
        with pytest.raises(ModuleNotFoundError, match="not_installed"):
            getattr(package, name)
    assert not hasattr(package, "other")
