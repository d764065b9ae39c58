"""A stand-in that is killed, and started again on what it had stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from .client import NOTHING_TO_RUN_IT, Standin, interpreter
from .helpers import Driver


def test_what_was_committed_is_there_again_and_nothing_else(tmp_path: Path) -> None:
    if interpreter() is None:
        pytest.skip(NOTHING_TO_RUN_IT)
    with Standin(tmp_path) as standin:
        schema, url = standin.schema(), standin.url
        with Driver(schema) as driver:
            driver.run("CREATE TABLE t (id VARCHAR, n NUMBER(38, 0))")
            driver.transaction("INSERT INTO t (id, n) VALUES ('a', 1)")
            driver.run("COMMIT")
            driver.transaction("UPDATE t SET n = 2")
            standin.kill()
            standin.start()
            assert standin.url == url
        with Driver(schema) as driver:
            assert driver.run("SELECT id, n FROM t") == [("a", 1)]
            assert driver.run("UPDATE t SET n = 3") == [(1, 0)]
