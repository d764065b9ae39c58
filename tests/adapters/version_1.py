"""A store of schema version 1, and checks of it after its migration."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from fleet_q.core.pod import Join, Pod
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Complete, Recover
from tests.conformance.helpers import assert_sound

FILE: Final = Path(__file__).parent / "stores" / "version_1.db"
LATER: Final = 1_760_100_000 * 1_000_000
"""A day after its last event, in microseconds since the Unix epoch."""

COUNTS: Final = {
    "pending": 5,
    "waiting": 0,
    "claimed": 6,
    "completed": 3,
    "failed": 2,
    "cancelled": 2,
}
TYPES: Final = {
    '{"task_type": "größe", "n": 1}': "größe",
    '{"n": {"task_type": "inner"}}': "",
    '{"task_type": 7}': "",
    '{"task_type": null}': "",
    '{"task_type": ""}': "",
    '{"task_type": "it\'s \\u00e9 \\"x\\""}': 'it\'s é "x"',
    "{}": "",
}
"""Payloads of steps, and the task types that these name."""

POD_FACTS: Final = {
    "retired": ["joined", "slept", "woke", "draining", "left"],
    "dead": ["joined", "declared_dead"],
    "restarted": ["joined", "joined"],
    "sleeper": ["joined", "slept"],
    "drainer": ["joined", "draining"],
    "leader": ["joined"],
    "worker": ["joined"],
}
"""Each pod's history after the migration: a heartbeat is an event only if it woke the pod."""


def rows(table: str, order: str) -> list[tuple[Any, ...]]:
    """A table of the file as the old version left it."""
    with closing(sqlite3.connect(f"{FILE.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()


def check_history(store: Store) -> None:
    """Check that the migrated store has all that the old one had."""
    assert store.counts() == COUNTS
    events = defaultdict(list)
    for step_id, version, kind, at, *_ in rows("step_events", "step_id, version"):
        events[step_id].append((version, kind, at))
    for step_id, *columns in rows("step_tracker", "step_id"):
        step = store.step(step_id)
        assert step is not None
        assert (step.status, step.priority, step.payload) == tuple(columns[:3])
        assert (step.retry_count, step.max_retries, step.created_ts) == tuple(columns[3:6])
        assert (step.queue, step.task_type) == (
            "default",
            json.loads(columns[2]).get("task_type", ""),
        )
        assert (step.key, step.unique_key, step.labels, step.timeout) == (None,) * 4
        history = [(event.version, event.fact.type, event.at) for event in store.history(step_id)]
        assert history == events.pop(step_id)
    assert not events
    assert store.step("pruned") is None

    pods = {pod.pod_id: pod for pod in store.pods().pods}
    for pod_id, status, birth_ts, last_heartbeat_ts, incarnation, _ in rows("pod_health", "1"):
        version = len(POD_FACTS[pod_id])
        expected = Pod(pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version)
        assert pods.pop(pod_id) == expected
        pod_events = list(store.pod_history(pod_id))
        assert [event.fact.type for event in pod_events] == POD_FACTS[pod_id]
        assert [event.version for event in pod_events] == list(range(1, version + 1))
    assert not pods
    assert_sound(store)


def check_work(store: Store) -> None:
    """Check that steps of dead pods are recovered and that all pending steps run. The store's clock
    has to be at ``LATER``."""
    store.sync(SyncRequest("new", "n1", Join("new", "n1")))
    silent = [pod for pod in store.pods().pods if pod.pod_id not in ("new", "sleeper")]
    declared = store.declare_dead(silent, "new")
    assert [pod.pod_id for pod in declared] == ["drainer", "leader", "restarted", "worker"]

    orphans = store.orphans("", 100)
    tokens = {step.step_id: step.claim_token or "" for step in orphans}
    recovered = store.recover([Recover(*claim) for claim in tokens.items()], "new")
    assert {step.step_id: step.status for step in recovered} == {
        "claimed by a dead pod": "pending",
        "claimed by a drainer": "pending",
        "claimed by a worker": "pending",
        "claimed by an earlier incarnation": "pending",
        "last try of a dead pod": "failed",
        "released": "pending",
    }
    store.replay(["tries used up"], "new")

    claimed = store.sync(SyncRequest("new", "n1", claim=100, claim_token="token")).claimed
    assert len(claimed) == COUNTS["pending"] + len(recovered) - 1 + 1
    assert claimed[0].priority == max(step.priority for step in claimed)
    outcomes = tuple(Complete(step.step_id, "token", "null") for step in claimed)
    assert store.sync(SyncRequest("new", "n1", outcomes=outcomes)).refused == ()
    assert store.counts() == {**COUNTS, "pending": 0, "claimed": 0, "completed": 14, "failed": 2}
    assert_sound(store)


def columns(connect: Callable[[], sqlite3.Connection]) -> dict[str, Any]:
    """All tables, indexes and columns of a file, whatever statements created them."""
    with closing(connect()) as connection:
        tables = connection.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2")
        return {
            f"{kind} {name}": connection.execute(
                f"PRAGMA {'table_xinfo' if kind == 'table' else 'index_xinfo'}('{name}')"
            ).fetchall()
            for kind, name in tables.fetchall()
        }
