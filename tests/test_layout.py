"""The shape of the package: public names, imports, and the pages that belong to a method."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tladapt
import tladapt.methods
from tladapt import Method

ROOT = Path(tladapt.__file__).parents[1]
PACKAGE = ROOT / "tladapt"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = ["tladapt", *(found.name for found in pkgutil.walk_packages([str(PACKAGE)], "tladapt."))]
METHODS = [getattr(tladapt.methods, name) for name in tladapt.methods.__all__ if name != "Method"]


def public(module: str) -> list[str]:
    return getattr(importlib.import_module(module), "__all__", [])


WITH_NAMES = [module for module in MODULES if not module.endswith("__main__") and public(module)]


def as_ruff_sorts(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("module", WITH_NAMES)
def test_every_public_name_exists_once_and_in_order(module):
    names = public(module)
    assert names == sorted(set(names), key=as_ruff_sorts)
    assert all(hasattr(importlib.import_module(module), name) for name in names)


LAZY = ["tladapt", "tladapt.scenarios"]  # the packages whose names are imported when they are used


def for_type_checkers(tree: ast.Module) -> dict[str, list[str]]:
    """The names under `if TYPE_CHECKING`, by the module that each is imported from."""
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {node.module or "": [alias.name for alias in node.names] for node in imports}


def at_run_time(tree: ast.Module) -> dict[str, list[str]]:
    """The table that `lazily` was given."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazily"]
    (call,) = calls
    return ast.literal_eval(call.args[1])


@pytest.mark.parametrize("package", LAZY)
def test_type_checkers_see_the_names_that_are_imported_when_they_are_used(package):
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())
    assert for_type_checkers(tree) == at_run_time(tree)


@pytest.mark.parametrize("package", LAZY)
def test_all_that_a_lazy_package_imports_is_public(package):
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())
    imported = [name for names in at_run_time(tree).values() for name in names]
    defined = [name for name in public(package) if name in ("SCENARIOS", "named")]
    assert sorted([*imported, *defined]) == sorted(public(package))


def test_every_method_is_public_in_both_places():
    assert set(tladapt.methods.__all__) <= set(tladapt.__all__)
    assert all(issubclass(method, Method) for method in METHODS)


@pytest.mark.parametrize("name", ["dann", "ewc", "replay"])
def test_a_method_fits_on_a_screen_or_two(name):
    assert len((PACKAGE / "methods" / f"{name}.py").read_text().splitlines()) < 80


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path) for path in SOURCES}


def imports_on_loading(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """What a module imports when it is imported: nothing within functions, nothing for type checkers only."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If):
            checking = "TYPE_CHECKING" in ast.unparse(node.test)
            yield from imports_on_loading(node.orelse if checking else [*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from imports_on_loading([*node.body, *(s for h in node.handlers for s in h.body), *node.orelse])
        elif isinstance(node, ast.ClassDef | ast.With):
            yield from imports_on_loading(node.body)


def needed_by(path: Path) -> set[str]:
    """The modules of the package that this one imports; a name taken from a package may be a module in it."""
    found = set[str]()
    for node in imports_on_loading(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{path}: imports are absolute"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & NAMES if inside <= NAMES else (inside & NAMES) | {node.module or ""}
    return (found & NAMES) - {module_name(path)}


def test_there_is_no_import_cycle():
    graph = {module_name(path): needed_by(path) for path in SOURCES}
    assert len(graph) > 20
    assert graph["tladapt.training"] >= {"tladapt.model", "tladapt.display.progress"}
    TopologicalSorter(graph).prepare()


def test_no_module_imports_the_package_as_a_whole():
    outside = [module_name(path) for path in SOURCES if "tladapt" in needed_by(path)]
    assert [name for name in outside if not name.startswith(("tladapt.cli", "tladapt.__main__"))] == []


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_a_method_has_its_file_its_page_and_its_test(method):
    name = method.__module__.rpartition(".")[2]
    belonging = [f"tladapt/methods/{name}.py", f"methods/{name}.py", f"tests/methods/test_{name}.py"]
    assert [path for path in belonging if not (ROOT / path).is_file()] == []


def test_every_work_cited_is_in_the_bibliography():
    cited = {key.strip() for path in SOURCES for keys in re.findall(r":cite:`([^`]+)`", path.read_text())
             for key in keys.split(",")}  # fmt: skip
    bibliography = re.findall(r"^@\w+\{([^,\s]+),", (ROOT / "docs" / "references.bib").read_text(), re.MULTILINE)
    assert cited
    assert cited - set(bibliography) == set()
    assert len(bibliography) == len(set(bibliography))


def prints(path: Path) -> bool:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return any(isinstance(call, ast.Name) and call.id == "print" for call in calls)


def test_nothing_but_the_command_line_prints():
    assert [path for path in SOURCES if prints(path) and "cli" not in path.relative_to(PACKAGE).parts] == []


KINDS = (
    "image|pixel|picture|photo|token|text|word|sentence|letter|language|vocabulary|speech|sound|audio|wave|transcript|table|column|"
    "mask|segmentation|classification|regression|perplexity|ctc|transformer|resnet|vgg|inception|bert|gpt|wav2vec|word2vec|unet|"
    "backbone|vision|modality"
)  # fmt: skip


def test_no_method_knows_what_the_data_or_the_task_is():
    pattern = re.compile(rf"(?<![A-Za-z\\])({KINDS})(s|es)?(?![A-Za-z])", re.IGNORECASE)
    found = [
        f"{path.name}:{number}: {match[0]}"
        for path in sorted((PACKAGE / "methods").glob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for match in pattern.finditer(line)
    ]
    assert found == []
