"""The core is pure: it imports no module with side effects and calls no impure builtin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import fleet_q.core

FILES: Final = sorted(Path(fleet_q.core.__path__[0]).rglob("*.py"))
PURE: Final = {
    "__future__",
    "collections",
    "contextlib",
    "enum",
    "functools",
    "graphlib",
    "itertools",
    "json",
    "math",
    "msgspec",
    "operator",
    "re",
    "transitions",
    "typing",
}
IMPURE_CALLS: Final = {
    "open",
    "print",
    "input",
    "eval",
    "exec",
    "__import__",
    "breakpoint",
    "hash",
    "id",
}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module or ""


def called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def is_allowed(module: str) -> bool:
    return module.split(".")[0] in PURE or f"{module}.".startswith("fleet_q.core.")


def test_core_files_are_found() -> None:
    assert {"machine.py", "step.py", "pod.py"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_core_file_imports_and_calls_nothing_impure(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert [module for module in imported(tree) if not is_allowed(module)] == []
    assert [name for name in called(tree) if name in IMPURE_CALLS] == []


@pytest.mark.parametrize(
    "module",
    ["time", "datetime", "random", "secrets", "uuid", "os", "io", "threading", "asyncio",
     "logging", "sqlite3", "pathlib", "fleet_q.adapters.memory", "fleet_q.corefoo"],
)  # fmt: skip
def test_impure_module_is_not_allowed(module: str) -> None:
    assert not is_allowed(module)
