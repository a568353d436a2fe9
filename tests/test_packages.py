"""What is written about the source is true of it: the maps of the packages, and what has to be installed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "prober"
MAPPED = ("", "probing", "judge", "service", "history", "outlets")
UNDECLARED = {"certifi"}
"""Taken when it is there, and done without otherwise."""


@pytest.mark.parametrize("package", MAPPED)
def test_a_map_of_a_package_has_all_of_its_modules_and_no_others(package: str) -> None:
    """A reader who looks for something finds it there."""
    text = ast.get_docstring(ast.parse((SOURCE / package / "__init__.py").read_text()))
    assert text is not None
    there = {path.name for path in (SOURCE / package).glob("*.py")} - {"__init__.py", "__main__.py", "version.py"}
    if not package:
        there |= {f"{path.parent.name}/" for path in SOURCE.glob("*/__init__.py")}
    assert there == set(re.findall(r"\b\w+\.py\b|\b\w+/(?= )", text))


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """A package that another one happens to bring along may be gone with its next version."""
    imported: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                imported.add(node.module.partition(".")[0])
    providers = packages_distributions()
    needed = {
        providers[name][0].lower().replace("_", "-") for name in imported - {"prober", *sys.stdlib_module_names} - UNDECLARED
    }
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert needed == {re.split(r"[\[>]", requirement)[0] for requirement in declared}


def test_what_another_module_takes_is_meant_for_others() -> None:
    """It is in ``__all__``, so that who changes a module sees there what others hold on to."""
    sources = [*SOURCE.rglob("*.py")]
    trees = {path: ast.parse(path.read_text()) for path in sources}
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in sources}
    offered = {module: _offered(trees[path]) for module, path in names.items()}
    taken = {
        (node.module, alias.name)
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in offered
        for alias in node.names
    }
    assert len(taken) > 500
    unmeant = {f"{module}.{name}" for module, name in taken if name not in offered[module]}
    assert unmeant - names.keys() == set()


def _offered(tree: ast.Module) -> set[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()
