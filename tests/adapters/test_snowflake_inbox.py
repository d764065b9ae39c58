"""Rows of the inbox become steps by one call more, whole and once, and harm no sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection

from fleet_q.adapters.snowflake.inbox import Inbox
from fleet_q.adapters.snowflake.mailbox import INBOX_RETRY
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core import inbox
from fleet_q.core.audit import audit
from fleet_q.core.errors import DataRefused
from fleet_q.core.pod import Join, SendHeartbeat, Sleep
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import Complete, Step, Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT

NOW = 1_700_000_000_000_000


class Users:
    """A store with a pod, and the connection of somebody else."""

    def __init__(self, schema: Schema, connection: SnowflakeConnection) -> None:
        schema.set(clock=NOW)
        self.schema = schema
        self.connection = connection
        self.store = SnowflakeStore(schema.parameters, patience=LIMIT)
        self.store.sync(SyncRequest("pod", "one", Join("pod", "one")))
        self._claims = 0

    def run(self, text: str, *values: Any) -> None:
        with closing(self.connection.cursor()) as cursor:
            cursor.execute(text, values)

    def insert(self, *rows: dict[str, Any]) -> None:
        for row in rows:
            text = f"INSERT INTO step_inbox ({', '.join(row)}) SELECT {', '.join('?' * len(row))}"
            self.run(text, *row.values())

    def claim(self, count: int = 10, **options: Any) -> SyncResult:
        self._claims += 1
        token = f"token {self._claims}"
        return self.store.sync(SyncRequest("pod", "one", claim=count, claim_token=token, **options))

    def rows(self) -> int:
        return int(self.store.session.execute("SELECT COUNT(*) FROM STEP_INBOX")[0][0])

    def requests(self) -> list[str]:
        """The statements that were sent since the log was cleared."""
        return [each.text.split("(")[0].split()[0] for each in self.schema.log() if not each.call]


@pytest.fixture
def users(tables: Schema) -> Iterator[Users]:
    with closing(snowflake.connector.connect(**tables.parameters)) as connection:
        users = Users(tables, connection)
        yield users
        tables.no_faults()
        assert users.store.rebuild(check=True).equal
        assert audit(users.store.step_events()).faults == []
        users.store.close()


def ids(result: SyncResult) -> list[str]:
    return [step.step_id for step in result.claimed]


def known(users: Users, step_id: str) -> Step:
    step = users.store.step(step_id)
    assert step is not None
    return step


def errors(users: Users) -> list[str]:
    return [str(step.error) for step in users.store.dead_letters(100).steps]


def test_rows_take_three_requests_more_and_an_empty_inbox_none(users: Users) -> None:
    users.schema.forget()
    users.claim()
    assert users.requests() == ["CALL"]
    users.insert({"step_id": "a"}, {"step_id": "b"})
    users.schema.forget()
    assert ids(users.claim()) == ["a", "b"]
    assert users.requests() == ["CALL", "SELECT", "CALL", "CALL"]


def test_role_that_may_only_insert_submits_in_its_own_transaction(users: Users) -> None:
    denied = [[privilege, table] for privilege in ("SELECT", "UPDATE", "DELETE")
              for table in ("STEP_INBOX", "STEP_TRACKER", "STEP_EVENTS")]  # fmt: skip
    denied += [["INSERT", "STEP_TRACKER"], ["INSERT", "STEP_EVENTS"]]
    users.run("CREATE TABLE orders (customer VARCHAR)")
    users.schema.set(denied=denied)
    for end in ("ROLLBACK", "COMMIT"):
        users.run("BEGIN TRANSACTION")
        users.run("INSERT INTO orders SELECT 'c7'")
        users.insert({"step_id": end, "task_type": "invoice", "key": "c7"})
        users.run(end)
    users.schema.set(denied=[])
    assert ids(users.claim()) == ["COMMIT"]
    assert known(users, "COMMIT").task_type == "invoice"


def test_row_that_is_committed_after_later_ones_is_taken_in(users: Users) -> None:
    users.run("BEGIN TRANSACTION")
    users.insert({"step_id": "early"})
    with closing(snowflake.connector.connect(**users.schema.parameters)) as other:
        other.cursor().execute("INSERT INTO step_inbox (step_id) SELECT 'late'")
    assert ids(users.claim()) == ["late"]
    users.run("COMMIT")
    assert ids(users.claim()) == ["early"]


def test_unique_keys_hold_among_rows_and_steps(users: Users) -> None:
    users.store.submit([Submit("old step", '{"n":0}', unique_key="old", unique=True)])
    rows = [
        ("old", "existing"), ("old", "replace"), ("old", "error"),
        ("new", "error"), ("new", "existing"), ("new", "replace"), ("new", "error"),
    ]  # fmt: skip
    users.insert(
        *(
            {"unique_key": key, "on_conflict": on_conflict, "payload": f'{{"n":{n}}}'}
            for n, (key, on_conflict) in enumerate(rows, 1)
        )
    )
    assert ids(users.claim(1)) == ["old step"]  # before the rows are taken in
    assert known(users, "old step").payload == '{"n":0}'
    (new,) = users.claim().claimed
    assert (new.unique_key, new.payload) == ("new", '{"n":6}')
    assert [error.partition(" has ")[2] for error in errors(users)] == [
        "the unique key 'new'",
        "the unique key 'old'",
    ]


def test_answer_of_the_call_that_is_lost_loses_and_doubles_nothing(users: Users) -> None:
    users.insert(*({"step_id": str(n)} for n in range(3)))
    users.schema.fault("error", on="call", matching="TAKE_IN", code="000603", is_late=True)
    result = users.claim()
    assert (ids(result), result.next_due) == ([], NOW + round(INBOX_RETRY * 1_000_000))
    assert users.rows() == 0
    assert ids(users.claim()) == ["0", "1", "2"]


@pytest.mark.parametrize("fault", ["reject", "deadlock"])
def test_sync_does_not_fail_because_rows_cannot_be_taken_in(users: Users, fault: str) -> None:
    users.store.submit([Submit("step", "{}", unique=True)])
    users.insert({"step_id": "row"})
    users.schema.fault(fault, on="update", matching="STEP_INBOX")
    result = users.claim()
    assert ids(result) == ["step"]
    assert result.next_due == NOW + round(INBOX_RETRY * 1_000_000)
    assert ids(users.claim()) == ["row"]


def test_outcomes_are_recorded_once_beside_rows(users: Users) -> None:
    users.store.submit([Submit("step", "{}", unique=True)])
    users.claim()
    users.insert({"step_id": "row"})
    done = (Complete("step", "token 1", "1"),)
    result = users.claim(2, outcomes=done, check_held=(("step", "token 1"),))
    assert (ids(result), result.refused, result.lost, result.more) == ([], (), ("step",), True)
    assert known(users, "step").status == "completed"
    assert ids(users.claim()) == ["row"]


def test_row_that_snowflake_refuses_is_a_dead_letter_and_stops_no_other(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = users.store.session.call

    def refusing(name: str, **values: Any) -> Any:
        if name == "take_in" and "poison" in values["submissions"]:
            raise DataRefused("no")
        return call(name, **values)

    monkeypatch.setattr(users.store.session, "call", refusing)
    users.insert({"step_id": "a"}, {"step_id": "b", "payload": '{"x":"poison"}'}, {"step_id": "c"})
    claimed: list[str] = []
    while users.rows():
        claimed += ids(users.claim())
    assert claimed + ids(users.claim()) == ["a", "c"]
    assert errors(users) == ["invalid row of STEP_INBOX: no"]


def test_rows_that_somebody_gave_one_id_are_taken_in_together(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "INBOX_BATCH", 1)
    users.insert({"row_id": -5, "step_id": "a"}, {"row_id": -5, "step_id": "b"})
    assert ids(users.claim()) == ["a", "b"]
    assert users.rows() == 0


def test_step_that_is_submitted_while_rows_are_planned_is_found(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.insert({"step_id": "same", "payload": '{"n":1}'}, {"step_id": "other"})
    query = users.store.session.query

    def beside(name: str, **values: Any) -> Any:
        rows = query(name, **values)
        if name == "inbox":
            users.run("SELECT 1")
            with closing(SnowflakeStore(users.schema.parameters)) as other:
                other.submit([Submit("same", "{}")])
        return rows

    monkeypatch.setattr(users.store.session, "query", beside)
    assert ids(users.claim()) == ["other", "same"]
    assert known(users, "same").payload == "{}"
    (error,) = errors(users)
    assert "step 'same' already exists with a different payload" in error


def test_two_pods_that_see_the_same_rows_take_them_in_once(users: Users) -> None:
    users.insert({"step_id": "a"}, {"payload": "{}"})
    calls = users.store._calls
    first = calls.session.query("inbox", limit=9, most_bytes=99)
    slow = Inbox(calls, users.store._inbox._intake)
    query = calls.session.query
    assert len(ids(users.claim())) == 2
    calls.session.query = lambda name, **values: first  # type: ignore[method-assign]
    slow.take_in("slow")
    calls.session.query = query  # type: ignore[method-assign]
    assert users.store.counts()["claimed"] == 2
    assert sum(users.store.counts().values()) == 2


def test_request_that_is_posted_takes_in_rows_and_claims(users: Users) -> None:
    users.insert({"step_id": "a"})
    request = SyncRequest("pod", "one", claim=1, claim_token="posted")
    result = users.store.post(request, 1, 10.0)
    assert result is not None
    assert ids(result) == ["a"]


def test_sleeping_pod_takes_in_rows_and_wakes_only_for_a_step_that_is_due(users: Users) -> None:
    users.store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    users.insert({"step_id": "later", "delay": 60.0})
    heartbeat = SendHeartbeat("pod", "one")
    result = users.claim(pod_command=heartbeat, only_if_claimable=True)
    assert (ids(result), result.done) == ([], False)
    users.insert({"step_id": "now"})
    result = users.claim(pod_command=heartbeat, only_if_claimable=True)
    assert (ids(result), result.done) == (["now"], True)
