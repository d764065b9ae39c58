"""``python -m tests.standin COMMAND``: a command with a stand-in of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .client import NO_INTERPRETER, ROOT, interpreter

SIGN_IN = """
import os, snowflake.connector
names = ("account", "user", "password", "host", "port", "protocol", "database", "schema")
given = {name: os.environ[f"SNOWFLAKE_{name.upper()}"] for name in names}
with snowflake.connector.connect(**given) as connection:
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS t (id VARCHAR)")
    cursor.execute("INSERT INTO t VALUES ('x')")
    print("rows:", cursor.execute("SELECT COUNT(*) FROM t").fetchone()[0])
raise SystemExit(3)
"""


def test_command_uses_a_standin_and_gives_the_exit_status(tmp_path: Path) -> None:
    if interpreter() is None:
        pytest.skip(NO_INTERPRETER)
    arguments = [
        "--data",
        str(tmp_path / "data"),
        "--measured-times",
        sys.executable,
        "-c",
        SIGN_IN,
    ]
    for rows in (1, 2):
        ended = subprocess.run(
            [sys.executable, "-m", "tests.standin", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (3, f"rows: {rows}\n"), ended.stderr
