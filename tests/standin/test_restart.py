"""A stand-in that is killed and restarted on its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from .client import NO_INTERPRETER, Standin, interpreter
from .helpers import Driver


def test_restarted_standin_has_exactly_the_committed_data(tmp_path: Path) -> None:
    if interpreter() is None:
        pytest.skip(NO_INTERPRETER)
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
