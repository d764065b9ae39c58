"""Faults of statements, stale reads, large values and clients that are gone."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from unittest.mock import patch

import pytest
import snowflake.connector
from snowflake.connector.errors import Error, ProgrammingError

from tests.waiting import LIMIT, wait_until

from .client import Schema
from .conftest import SignIn
from .helpers import ROWS, Driver, create, waiting

BEFORE, AFTER = [("a", 1), ("b", 2)], [("a", 9), ("b", 9)]
CHANGE = "UPDATE t SET n = 9"
PROCEDURE = create(
    f"""
    BEGIN
        BEGIN TRANSACTION;
        {CHANGE};
        COMMIT;
        LET rows RESULTSET := ({ROWS});
        RETURN TABLE(rows);
    EXCEPTION WHEN OTHER THEN
        ROLLBACK;
        RAISE;
    END""",
    returns="TABLE ()",
)


# Stale reads


def test_other_session_does_not_see_the_last_commit_in_its_next_reads(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.fault("stale", times=2)
    one.run(CHANGE)
    assert one.run(ROWS) == AFTER, "a session sees its own commits"
    assert [two.run(ROWS) for _ in range(3)] == [BEFORE, BEFORE, AFTER]
    assert [each.fault for each in schema.log(lambda each: each.kind == "select")] == [
        None, "stale", "stale", None,
    ]  # fmt: skip


def test_stale_read_sees_earlier_commits(schema: Schema, one: Driver, two: Driver) -> None:
    schema.fault("stale", times=None)
    one.run("UPDATE t SET n = 5")
    one.transaction("INSERT INTO t (id, n) VALUES ('c', 6)", CHANGE)
    one.run("COMMIT")
    assert two.run(ROWS) == [("a", 5), ("b", 5)]
    two.run("UPDATE t SET n = n + 1")
    assert two.run(ROWS) == [("a", 10), ("b", 10), ("c", 10)], "an UPDATE reads what is committed"
    assert one.run(ROWS) == [("a", 9), ("b", 9), ("c", 9)]


def test_reads_of_one_table_can_be_stale(schema: Schema, one: Driver, two: Driver) -> None:
    schema.fault("stale", times=None, table="t")
    one.transaction(CHANGE, "INSERT INTO other (id) VALUES ('x')")
    one.run("COMMIT")
    assert two.run("SELECT id FROM other") == [("x",)]
    assert two.run(ROWS) == BEFORE


def test_share_of_reads_is_stale(schema: Schema, one: Driver, two: Driver) -> None:
    schema.fault("stale", times=None, share=0.5, seed=1)
    one.run(CHANGE)
    seen = [two.run(ROWS) for _ in range(40)]
    assert 10 <= seen.count(BEFORE) <= 30
    assert seen.count(BEFORE) + seen.count(AFTER) == 40


def test_insert_can_read_a_table_before_the_last_commit(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.fault("stale")
    new = "INSERT INTO t (id, n) SELECT ?, 3 WHERE NOT EXISTS (SELECT 1 FROM t WHERE id = ?)"
    assert one.run(new, "c", "c") == [(1,)]
    two.run("BEGIN")
    two.run("UPDATE other SET n = n")
    assert two.run(new, "c", "c") == [(1,)]
    two.run("COMMIT")
    assert one.run("SELECT COUNT(*) FROM t WHERE id = 'c'") == [(2,)]
    assert one.run(new, "c", "c") == [(0,)]


def test_schema_that_was_reset_has_no_old_rows_for_stale_reads(
    schema: Schema, one: Driver, sign_in: SignIn
) -> None:
    schema.keep_rows()
    schema.fault("stale", times=None)
    one.run("UPDATE t SET n = 5")
    one.run(CHANGE)
    schema.reset()
    schema.fault("stale", times=None)
    assert sign_in().run(ROWS) == BEFORE


def test_call_sees_its_own_commit(schema: Schema, one: Driver, two: Driver) -> None:
    one.run(PROCEDURE)
    schema.fault("stale", times=None)
    assert one.run("CALL p()") == AFTER
    assert two.run(ROWS) == BEFORE


@pytest.mark.parametrize(("fault", "changed"), [("outdated", 0), (None, 1)])
def test_update_that_waited_can_take_the_rows_of_its_from_as_they_were(
    schema: Schema, one: Driver, two: Driver, fault: str | None, changed: int
) -> None:
    """The rows that it changes are those of now, as with locks on rows."""
    if fault is not None:
        schema.fault(fault, on="update", spare=1)
    one.transaction("UPDATE t SET n = 5 WHERE id = 'a'")
    update = two.later(
        "UPDATE t SET n = t.n + ?"
        " FROM (SELECT id, n FROM t WHERE n < ? ORDER BY id LIMIT 1) AS first"
        " WHERE t.id = first.id AND t.n = first.n",
        100,
        10,
    )
    wait_until(lambda: waiting(schema) == 1)
    one.run("COMMIT")
    assert update.result() == [(changed, 0)]
    assert two.run(ROWS)[0] == ("a", 105 if changed else 5)


# Locks


def test_insert_can_wait_for_the_lock_of_its_table(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.fault("lock", on="insert")
    one.transaction("UPDATE t SET n = n")
    insert = two.later("INSERT INTO t (id, n) VALUES ('c', 3)")
    wait_until(lambda: waiting(schema) == 1)
    one.run("COMMIT")
    assert insert.result() == [(1,)]
    one.run("UPDATE t SET n = n")
    assert schema.log(lambda each: each.kind == "insert")[-1].waited > 0


@pytest.mark.parametrize("limit", [20, 50])
def test_insert_can_be_rejected_because_too_many_wait(
    schema: Schema, one: Driver, limit: int
) -> None:
    schema.fault("reject", on="insert", limit=limit)
    with pytest.raises(ProgrammingError, match=f"exceeds the {limit} statements limit") as error:
        one.run("INSERT INTO t (id, n) VALUES ('c', 3)")
    assert (error.value.errno, error.value.sqlstate) == (625, "57014")
    one.run("INSERT INTO t (id, n) VALUES ('c', 3)")


def test_number_of_waiters_is_in_the_message(schema: Schema, one: Driver, two: Driver) -> None:
    schema.set(waiters=0)
    one.transaction(CHANGE)
    with pytest.raises(ProgrammingError, match="exceeds the 0 statements limit"):
        two.run(CHANGE)


def test_deadlock_rolls_the_statement_back_and_keeps_the_transaction(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.fault("deadlock", on="update", spare=1)
    one.transaction("UPDATE other SET n = 1")
    with pytest.raises(ProgrammingError, match="deadlock"):
        one.run(CHANGE)
    update = two.later("UPDATE other SET n = 2")
    wait_until(lambda: waiting(schema) == 1)
    one.run(CHANGE)
    one.run("COMMIT")
    update.result()
    assert two.run(ROWS) == AFTER


@pytest.mark.parametrize("kind", ["reject", "deadlock"])
def test_locks_of_a_procedure_can_fail(schema: Schema, one: Driver, two: Driver, kind: str) -> None:
    one.run(PROCEDURE)
    schema.fault(kind, on="update")
    with pytest.raises(ProgrammingError, match="Uncaught exception"):
        one.run("CALL p()")
    assert two.run(ROWS) == BEFORE
    assert two.run("CALL p()") == AFTER


def test_numbers_of_errors_can_be_others(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    names = ("too_many_waiters", "deadlock", "lock_timeout", "statement_timeout")
    schema.set(numbers={name: f"09999{number}" for number, name in enumerate(names)})
    found = []
    schema.fault("reject", on="update")
    schema.fault("deadlock", on="update")
    one.run("INSERT INTO other (id) VALUES ('x')")
    one.transaction("INSERT INTO other (id) VALUES ('y')")
    for parameter in ("", "", "LOCK_TIMEOUT", "STATEMENT_TIMEOUT_IN_SECONDS"):
        driver = sign_in(session_parameters={parameter: 0.1} if parameter else {})
        if parameter == "LOCK_TIMEOUT":
            one.run("UPDATE t SET n = n")
        with pytest.raises(ProgrammingError) as error:
            driver.run(CHANGE)
        found.append(error.value.errno)
    assert found == [99990, 99991, 99992, 99993]


# Errors of any number


def test_unknown_error_can_be_reported_at_any_statement(
    schema: Schema, one: Driver, two: Driver
) -> None:
    for on in ("insert", "commit"):
        schema.fault("error", on=on, code="099999", sqlstate="XX000", message="what is this")
        with pytest.raises(ProgrammingError, match="what is this") as error:
            one.transaction("INSERT INTO t (id, n) VALUES ('c', 3)", "COMMIT")
        assert error.value.errno == 99999
        one.run("ROLLBACK")
    assert two.run(ROWS) == BEFORE


def test_error_can_be_reported_for_a_commit_that_took_place(
    schema: Schema, one: Driver, two: Driver
) -> None:
    one.run(PROCEDURE)
    schema.fault("error", on="commit", code="099999", message="what is this", is_late=True)
    with pytest.raises(ProgrammingError, match="what is this"):
        one.transaction("UPDATE t SET n = 5", "COMMIT")
    assert two.run(ROWS) == [("a", 5), ("b", 5)]
    schema.fault("error", on="commit", code="099999", message="what is this", is_late=True)
    with pytest.raises(ProgrammingError, match="what is this"):
        one.run("CALL p()")
    assert two.run(ROWS) == AFTER


# Large values


@pytest.fixture
def hurried_downloads() -> Iterator[None]:
    """A driver that gives up a download at once: 4.x tries for a minute."""
    with (
        suppress(AttributeError),
        patch.multiple(
            "snowflake.connector.result_batch", MAX_DOWNLOAD_RETRY=1, DOWNLOAD_TIMEOUT=0.2
        ),
    ):
        yield
        return
    yield


def test_large_result_is_fetched_from_another_url(schema: Schema, one: Driver) -> None:
    schema.set(storage="serves", most_inline=1_000)
    long = "x" * 2_000
    assert one.run("SELECT ? AS a, n FROM t ORDER BY n", long) == [(long, 1), (long, 2)]
    assert one.run(ROWS) == BEFORE


@pytest.mark.usefixtures("hurried_downloads")
@pytest.mark.parametrize("mode", ["refuses", "hangs"])
def test_large_result_is_lost_if_its_host_does_not_answer(
    schema: Schema, sign_in: SignIn, one: Driver, mode: str
) -> None:
    if not snowflake.connector.__version__.startswith("4."):
        pytest.skip("connector 5.x has its own time-outs")
    one.run(PROCEDURE.replace(f"({ROWS})", "(SELECT REPEAT('x', 2000) AS x)"))
    schema.set(storage=mode, most_inline=1_000)
    with pytest.raises((Error, OSError)):
        one.run("CALL p()")
    assert one.run(ROWS) == AFTER


def test_value_of_more_than_16_mib_is_refused(schema: Schema, one: Driver) -> None:
    one.run("CREATE TABLE texts (id VARCHAR, text VARCHAR)")
    largest = "é" * (8 * 1024 * 1024)
    one.run("INSERT INTO texts (id, text) VALUES ('a', ?)", largest)
    assert one.run("SELECT LENGTH(text) FROM texts") == [(8 * 1024 * 1024,)]
    with pytest.raises(ProgrammingError, match="too long") as error:
        one.run("INSERT INTO texts (id, text) VALUES ('b', ?)", largest + "x")
    assert error.value.errno == 100078
    with pytest.raises(ProgrammingError, match="Max LOB size") as error:
        one.run("SELECT text || 'x' FROM texts")
    assert error.value.errno == 100082
    schema.set(most_bytes=1_000)
    with pytest.raises(ProgrammingError):
        one.run("SELECT ? AS text", "x" * 1_001)


# Clients that are gone


def kill_client(schema: Schema, driver: Driver, text: str) -> None:
    """Send a statement, and close the connection once it waits for a lock."""
    rest: Any = driver.connection.rest
    body = json.dumps({"sqlText": text}).encode()
    where = schema.parameters
    head = (
        f"POST /queries/v1/query-request?requestId=killed HTTP/1.1\r\nHost: {where['host']}\r\n"
        f'Authorization: Snowflake Token="{rest.token}"\r\nContent-Length: {len(body)}\r\n\r\n'
    )
    before = waiting(schema)
    with closing(socket.create_connection((where["host"], where["port"]), LIMIT)) as connection:
        connection.sendall(head.encode() + body)
        wait_until(lambda: waiting(schema) == before + 1)


@pytest.mark.parametrize("text", [CHANGE, "CALL p()"])
def test_statement_of_a_killed_client_goes_on(
    schema: Schema, one: Driver, sign_in: SignIn, text: str
) -> None:
    one.run(PROCEDURE)
    schema.set(detached_abort=0)
    one.transaction("UPDATE t SET n = 5")
    kill_client(schema, sign_in(), text)
    one.run("COMMIT")
    wait_until(lambda: one.run(ROWS) == AFTER)


@pytest.mark.parametrize("text", [CHANGE, "CALL p()"])
def test_statement_of_a_killed_client_is_aborted_on_request(
    schema: Schema, one: Driver, sign_in: SignIn, text: str
) -> None:
    one.run(PROCEDURE)
    schema.set(detached_abort=0)
    one.transaction("UPDATE t SET n = 5")
    kill_client(schema, sign_in(session_parameters={"ABORT_DETACHED_QUERY": True}), text)
    wait_until(lambda: waiting(schema) == 0)
    one.run("COMMIT")
    assert one.run(ROWS) == [("a", 5), ("b", 5)]
