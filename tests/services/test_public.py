"""The public names of ``fleet_q``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import fleet_q


def test_every_public_name_can_be_imported_from_fleet_q() -> None:
    for name in fleet_q.__all__:
        assert getattr(fleet_q, name).__name__ == name


def test_public_names_are_the_same_for_type_checkers_and_at_run_time() -> None:
    tree = ast.parse(Path(fleet_q.__file__).read_text())
    checked = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fleet_q.")
        for alias in node.names
    }
    assert checked == set(fleet_q.__all__) == set(fleet_q._MODULE_OF)


def test_importing_the_core_loads_no_services() -> None:
    code = "import sys, fleet_q.core.worker.machine; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "fleet_q.core.worker.machine" in ran.stdout
    assert "fleet_q.services" not in ran.stdout
    assert "fastapi" not in ran.stdout
