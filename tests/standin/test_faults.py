"""Faults on demand, seen through the unmodified driver."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from snowflake.connector.errors import Error, ProgrammingError

from tests.waiting import wait_until

from .client import Schema, Standin
from .conftest import SignIn
from .faults import Faults
from .helpers import ROWS, Driver, waiting

ADD = "UPDATE t SET n = n + 1 WHERE id = 'a'"


def test_statement_with_a_dropped_answer_is_requested_again_and_run_once(
    schema: Schema, one: Driver
) -> None:
    schema.fault("drop", on="update")
    assert one.run(ADD) == [(1, 0)]
    assert one.run(ROWS) == [("a", 2), ("b", 2)]
    assert len(schema.log(lambda entry: entry.kind == "update")) == 1


def test_commit_without_an_answer_took_place(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    hurried = sign_in(network_timeout=1)  # less than a busy machine may take for any statement
    schema.fault("drop", on="commit", repetitions=None)

    def is_struck() -> bool:
        with suppress(Error):
            hurried.run("ROLLBACK")
            hurried.transaction(ADD)
            hurried.run("COMMIT")
            raise AssertionError("the commit was answered")
        return bool(schema.log(lambda entry: entry.fault == "drop"))

    wait_until(is_struck)
    assert one.run(ROWS) == [("a", 2), ("b", 2)]
    assert schema.log(lambda entry: entry.fault == "drop")[0].text == "COMMIT"


def test_repeated_commit_of_an_ended_session_fails_although_it_took_place(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.fault("drop", on="commit", then="sign-in")
    two.transaction(ADD)
    with pytest.raises(ProgrammingError) as error:
        two.run("COMMIT")
    assert error.value.errno == 390114
    assert one.run(ROWS) == [("a", 2), ("b", 2)]
    with pytest.raises(Error) as gone:
        two.run(ROWS)
    assert gone.value.errno == 390111


def test_fault_meets_every_second_statement_until_its_times_are_used_up(
    schema: Schema, one: Driver
) -> None:
    schema.fault(
        "error", on="update", every=2, times=2, code="000001", message="no", sqlstate="XX000"
    )

    def fails() -> bool:
        try:
            one.run(ADD)
        except ProgrammingError as error:
            return (error.errno, error.sqlstate) == (1, "XX000")
        return False

    assert [fails() for _ in range(6)] == [False, True, False, True, False, False]
    schema.fault("error", on="select", times=None, error="password")
    with pytest.raises(Error):
        one.run(ROWS)
    schema.no_faults()
    assert one.run(ROWS) == [("a", 5), ("b", 2)]


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 503}])
def test_driver_repeats_a_request_that_failed_before_the_statement_ran(
    schema: Schema, one: Driver, fault: dict[str, Any]
) -> None:
    schema.fault(on="write", **fault)
    one.run(ADD)
    assert one.run(ROWS) == [("a", 2), ("b", 2)]


def test_expired_session_is_renewed_with_its_transaction(
    schema: Schema, one: Driver, two: Driver
) -> None:
    one.transaction(ADD)
    schema.fault("error", error="expired")
    one.run(ADD)
    assert two.run(ROWS) == [("a", 1), ("b", 2)]
    one.run("COMMIT")
    assert two.run(ROWS) == [("a", 3), ("b", 2)]


def test_session_that_must_sign_in_again_loses_its_transaction(
    schema: Schema, one: Driver, two: Driver
) -> None:
    two.transaction(ADD)
    schema.fault("error", error="sign-in", matching="commit")
    with pytest.raises(ProgrammingError) as error:
        two.run("COMMIT")
    assert error.value.errno == 390114
    one.run(ADD)
    assert one.run(ROWS) == [("a", 2), ("b", 2)]


def test_waiting_statement_fails_when_its_session_ends(
    schema: Schema, one: Driver, two: Driver
) -> None:
    two.transaction(ADD)
    waits = one.later(ADD)
    wait_until(lambda: waiting(schema) == 1)
    schema.end_sessions(next(entry["id"] for entry in schema.sessions() if entry["waiting_for"]))
    with pytest.raises(Error):
        waits.result()
    with pytest.raises(Error) as gone:
        one.run(ROWS)
    assert gone.value.errno == 390111


def test_statement_with_a_truncated_answer_was_run(schema: Schema, one: Driver) -> None:
    schema.fault("break", on="update")
    with pytest.raises(OSError, match="broken"):
        one.run(ADD)
    assert one.run(ROWS) == [("a", 2), ("b", 2)]


@pytest.mark.parametrize("error", ["expired", "gone", "sign-in"])
def test_errors_of_a_session_do_not_strike_within_a_procedure(error: str) -> None:
    faults = Faults()
    faults.add({"kind": "error", "error": error, "times": None})
    assert faults.inside({"update"}, "UPDATE") is None


def test_endless_fault_meets_every_repetition() -> None:
    faults = Faults()
    faults.add({"kind": "reset", "repetitions": None})
    assert faults.next({"insert"}, "INSERT", "one", repeated=False)
    assert all(faults.next({"insert"}, "INSERT", "one", repeated=True) for _ in range(10_000))


def test_fault_can_raise_the_error_for_too_many_waiters(schema: Schema, one: Driver) -> None:
    schema.fault(
        "error", on="update", code="000625", sqlstate="57014", message="too many statements wait"
    )
    with pytest.raises(ProgrammingError) as error:
        one.run(ADD)
    assert (error.value.errno, error.value.sqlstate) == (625, "57014")
    one.run(ADD)


def test_denied_privileges_are_missing_from_grants_and_fail_statements(
    schema: Schema, one: Driver
) -> None:
    granted = {(row[1], row[3].rpartition(".")[2]) for row in one.run("SHOW GRANTS ON TABLE t")}
    assert ("UPDATE", "T") in granted
    schema.set(denied=[["UPDATE", "t"], ["SELECT", "other"]])
    for text in (ADD, "SELECT * FROM other"):
        with pytest.raises(ProgrammingError) as error:
            one.run(text)
        assert (error.value.errno, error.value.sqlstate) == (3001, "42501")
    one.run("UPDATE other SET n = 0 FROM t WHERE t.id = other.id")
    granted = {(row[1], row[3].rpartition(".")[2]) for row in one.run("SHOW GRANTS ON TABLE t")}
    assert ("UPDATE", "T") not in granted
    assert ("SELECT", "T") in granted


def test_login_can_fail(schema: Schema, sign_in: SignIn) -> None:
    schema.fault("error", on="login", error="password")
    with pytest.raises(Error) as error:
        sign_in()
    assert (error.value.errno, error.value.sqlstate) == (390100, "28000")
    sign_in()


def test_faults_of_another_schema_have_no_effect(
    standin: Standin, schema: Schema, one: Driver
) -> None:
    other = standin.schema()
    other.fault("error", times=None, error="password")
    one.run(ADD)
    other.drop()
