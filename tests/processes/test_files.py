"""Files that are deleted under a running pod."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from fleet_q import FleetQ
from tests.processes.conftest import Pods
from tests.waiting import LIMIT, wait_until


def test_pod_whose_wal_is_deleted_saves_committed_steps_and_exits(
    pods: Pods, tmp_path: Path
) -> None:
    pods.store.close()  # only the pod has the file open
    pod = pods.start("pod")
    wait_until(lambda: "starts" in pods.log("pod").read_text())
    with closing(FleetQ(pods.url)) as client:
        before = [client.submit({"task_type": "nap", "number": n}) for n in range(5)]
        for step_id in before:
            client.wait(step_id, timeout=LIMIT)

    for end in ("-wal", "-shm"):
        (tmp_path / f"fleet.db{end}").unlink()
    assert pod.wait(LIMIT) == 1
    with closing(FleetQ(pods.url)) as client:
        after = client.submit({"task_type": "nap", "number": 5})

    log = pods.log("pod").read_text()
    assert "fleet.db-wal was deleted" in log
    assert f"all commits are saved in {tmp_path}/fleet.db: start again" in log
    with closing(sqlite3.connect(tmp_path / "fleet.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        statuses = dict(connection.execute("SELECT step_id, status FROM step_tracker"))
    assert statuses == {**dict.fromkeys(before, "completed"), after: "pending"}
