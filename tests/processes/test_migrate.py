"""Processes that open a file of an earlier schema version at the same time."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from fleet_q.adapters.sqlite.migrate import SCHEMA_VERSION
from fleet_q.adapters.sqlite.store import SqliteStore
from tests.adapters import version_1
from tests.waiting import LIMIT, wait_until

_POD: Final = """
import logging, sys
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest

logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
path, pod_id = sys.argv[1:]
print("opening", flush=True)
store = SqliteStore(path)
store.sync(SyncRequest(pod_id, "i", Join(pod_id, "i"), claim=3, claim_token=pod_id))
store.close()
"""


def test_one_of_two_processes_migrates_the_file_and_both_use_it(tmp_path: Path) -> None:
    path = Path(shutil.copy(version_1.FILE, tmp_path / "old.db"))
    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("PRAGMA journal_mode = WAL")
        lock.execute("BEGIN IMMEDIATE")
        logs = [(tmp_path / name).open("w+") for name in ("one", "two")]
        pods = [
            subprocess.Popen([sys.executable, "-c", _POD, path, name], stdout=log)
            for name, log in zip(("one", "two"), logs, strict=True)
        ]
        wait_until(lambda: all((tmp_path / name).read_text() for name in ("one", "two")))
        lock.execute("ROLLBACK")
    assert [pod.wait(LIMIT) for pod in pods] == [0, 0]
    for log in logs:
        log.close()

    log_text = "".join((tmp_path / name).read_text() for name in ("one", "two"))
    for version in range(2, SCHEMA_VERSION + 1):
        assert log_text.count(f"migrated to schema version {version} ") == 1
    with closing(SqliteStore(path)) as store:
        assert store.counts()["claimed"] == version_1.COUNTS["claimed"] + 5
        assert {pod.pod_id for pod in store.pods().pods} >= {"one", "two"}
        assert store.rebuild(check=True).equal
