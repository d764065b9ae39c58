"""Several clients at once, each in a thread of its own."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Complete, Step, Submit

from .clock import FakeClock
from .helpers import at_once, facts, join, submit
from .stores import StoreKind

NAMES = [f"step {number:03}" for number in range(120)]


def work_off(store: Store, pod_id: str) -> list[str]:
    """Claim and complete five steps at a time until none is left; returns the ids in that order."""
    done: list[str] = []
    held: tuple[Step, ...] = ()
    join(store, pod_id)
    while True:
        token = f"{pod_id} {len(done)}"
        result = store.sync(
            SyncRequest(
                pod_id,
                "one",
                outcomes=tuple(Complete(s.step_id, s.claim_token or "", "null") for s in held),
                claim=5,
                claim_token=token,
            )
        )
        assert result.refused == ()
        held = result.claimed
        if not held:
            return done
        done += [step.step_id for step in held]


def test_threads_never_claim_the_same_step(clients: list[Store]) -> None:
    submit(clients[0], *NAMES)

    done = at_once(lambda pod: work_off(pod[1], f"pod {pod[0]}"), list(enumerate(clients)))

    assert sorted(step_id for step_ids in done for step_id in step_ids) == NAMES
    assert clients[0].counts()["completed"] == len(NAMES)


def test_one_client_serves_many_threads(store: Store) -> None:
    submit(store, *NAMES)

    done = at_once(lambda pod_id: work_off(store, pod_id), ["a", "b", "c", "d"])

    assert sorted(step_id for step_ids in done for step_id in step_ids) == NAMES


def test_the_same_steps_submitted_at_once_are_new_once(clients: list[Store]) -> None:
    batch = [Submit(name, "{}") for name in NAMES]

    results = at_once(lambda client: client.submit(batch), clients)

    fresh = Counter(stored.step_id for result in results for stored in result if stored.is_new)
    assert fresh == dict.fromkeys(NAMES, 1)


def test_completion_reported_by_several_clients_is_logged_once(clients: list[Store]) -> None:
    join(clients[0])
    submit(clients[0], "step")
    clients[0].sync(SyncRequest("pod", "one", claim=1, claim_token="token"))
    request = SyncRequest("pod", "one", outcomes=(Complete("step", "token", "null"),))

    results = at_once(lambda client: client.sync(request), clients)

    assert [result.refused for result in results] == [()] * len(clients)
    assert facts(clients[0], "step") == ["submitted", "claimed", "completed"]


def test_new_store_can_be_opened_by_several_threads_at_once(
    kind: StoreKind, tmp_path: Path, clock: FakeClock
) -> None:
    if not kind.shared:
        pytest.skip("this store has only one client")

    def open_and_submit(place: tuple[Path, int]) -> None:
        client = kind.open(place[0], clock)
        submit(client, f"step {place[1]}")
        client.close()

    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        at_once(open_and_submit, [(folder, thread) for thread in range(8)])
        kind.discard(folder)


def test_opening_a_new_sqlite_file_waits_for_another_that_sets_it_up(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = Timer(0.1, other.execute, ["COMMIT"])
        done.start()
        try:
            SqliteStore(path).close()
        finally:
            done.join()
