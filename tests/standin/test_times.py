"""How long statements take, at the client and on the server."""

from __future__ import annotations

import time

import msgspec
import pytest
from snowflake.connector.errors import ProgrammingError

from fleet_q.adapters.snowflake.times import MEASURED, SLOTS, Times
from tests.waiting import LIMIT, wait_until

from .client import Schema
from .conftest import SignIn
from .helpers import Driver, create, waiting

PROCEDURE = create(
    """
    BEGIN
        BEGIN TRANSACTION;
        UPDATE t SET n = n;
        INSERT INTO other (id) VALUES ('x');
        COMMIT;
        RETURN 'done';
    END"""
)

FOREVER = 3_600.0
PATIENT = {"STATEMENT_TIMEOUT_IN_SECONDS": LIMIT}
"""Parameters of a session whose statements fail if they take another time than expected."""


def as_settings(times: Times) -> dict[str, float]:
    settings: dict[str, float] = msgspec.to_builtins(times)
    return settings


def seconds(driver: Driver, text: str) -> float:
    began = time.monotonic()
    driver.run(text)
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT n FROM t", "select"),
        ("SELECT COUNT(*) FROM t", "metadata"),
        ("SELECT CURRENT_TIMESTAMP()", "metadata"),
        ("SHOW TABLES", "metadata"),
        ("INSERT INTO t (id, n) VALUES ('c', 3)", "insert"),
        ("UPDATE t SET n = n", "update"),
        ("MERGE INTO t USING (SELECT 'a' AS id) AS s ON t.id = s.id WHEN MATCHED THEN"
         " UPDATE SET n = 0", "merge"),
        ("DELETE FROM t", "delete"),
        ("BEGIN", "begin"),
        ("COMMIT", "commit"),
    ],
)  # fmt: skip
def test_statement_takes_the_time_of_its_kind(
    schema: Schema, one: Driver, sign_in: SignIn, text: str, name: str
) -> None:
    driver = sign_in(session_parameters=PATIENT)
    others = dict.fromkeys(Times.__struct_fields__, FOREVER)
    schema.set(times={**others, name: 0.03, "request": 0.0})
    assert seconds(driver, text) >= 0.03
    schema.set(times={"request": 0.05})
    assert seconds(driver, text) >= 0.05


def test_cached_result_takes_the_time_of_metadata(
    schema: Schema, one: Driver, sign_in: SignIn
) -> None:
    driver = sign_in(session_parameters=PATIENT)
    driver.run("SELECT n FROM t")
    schema.set(times={"select": FOREVER, "metadata": 0.03})
    assert seconds(driver, "SELECT n FROM t") >= 0.03


def test_call_is_one_request_and_the_time_of_its_statements(schema: Schema, one: Driver) -> None:
    one.run(PROCEDURE)
    schema.set(times={"request": 0.02, "begin": 0.02, "update": 0.04, "insert": 0.03,
                      "commit": 0.01, "call": 0.05})  # fmt: skip
    schema.forget()
    assert seconds(one, "CALL p()") >= 0.17
    call, begin, update, insert, commit = schema.log()
    assert insert.ended - update.began >= 0.07
    assert commit.held >= 0.08, "from the UPDATE to the COMMIT, without any request"
    assert begin.began - call.began >= 0.05


def test_every_measured_time_is_a_setting(schema: Schema, one: Driver) -> None:
    schema.set(times=as_settings(MEASURED), slots=SLOTS)
    assert seconds(one, "SELECT n FROM t") >= MEASURED.request + MEASURED.select


def test_query_reads_what_was_committed_when_it_began(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.set(times={"select": 0.2})
    query = one.later("SELECT n FROM t ORDER BY id")
    wait_until(lambda: bool(schema.log(lambda each: each.kind == "select")))
    two.run("UPDATE t SET n = 9")
    assert query.result() == [(1,), (2,)]


def test_functions_return_the_time_at_which_a_statement_began(
    schema: Schema, one: Driver, two: Driver
) -> None:
    at = 1_700_000_000_000_000
    schema.set(clock=at)
    one.run("CREATE TABLE times (moment TIMESTAMP_LTZ(6))")
    one.run("INSERT INTO times SELECT CURRENT_TIMESTAMP()")
    one.transaction("UPDATE times SET moment = moment")
    update = two.later("UPDATE times SET moment = CURRENT_TIMESTAMP()")
    wait_until(lambda: waiting(schema) == 1)
    schema.set(clock=at + 1_000_000)
    one.run("COMMIT")
    update.result()
    assert one.run("SELECT DATE_PART(epoch_microsecond, moment) FROM times") == [(at,)]


def test_statements_without_a_slot_queue(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    schema.set(times={"select": 0.1}, slots=2)
    drivers = [sign_in() for _ in range(6)]
    began = time.monotonic()
    queries = [
        driver.later(f"SELECT n FROM t WHERE n > {number}") for number, driver in enumerate(drivers)
    ]
    for query in queries:
        query.result()
    assert time.monotonic() - began >= 0.3


def test_canceled_statement_gives_its_slot_back(
    schema: Schema, one: Driver, two: Driver, sign_in: SignIn
) -> None:
    schema.set(times={"update": FOREVER, "metadata": 0.01}, slots=1)
    update = one.later("UPDATE t SET n = 5")
    wait_until(lambda: bool(schema.log(lambda each: each.kind == "update")))
    assert two.run("SELECT COUNT(*) FROM t") == [(2,)], "metadata needs no slot"
    schema.set(times={"delete": 0.01})
    delete = two.later("DELETE FROM other")
    wait_until(lambda: bool(schema.log(lambda each: each.kind == "delete")))
    assert not delete.done()
    one.run("ROLLBACK")
    with pytest.raises(ProgrammingError, match="canceled"):
        update.result()
    assert delete.result() == [(0,)]


def test_statement_that_queues_for_too_long_is_canceled(
    schema: Schema, one: Driver, sign_in: SignIn
) -> None:
    hurried = sign_in(session_parameters={"STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": 0.05})
    schema.set(times={"update": FOREVER}, slots=1)
    update = one.later("UPDATE t SET n = n")
    wait_until(lambda: bool(schema.log(lambda each: each.kind == "update")))
    with pytest.raises(ProgrammingError, match="queued timeout") as error:
        hurried.run("UPDATE other SET n = 1")
    assert error.value.errno == 630
    one.run("ROLLBACK")
    with pytest.raises(ProgrammingError, match="canceled"):
        update.result()


def test_statement_times_out_while_it_waits_for_a_lock(
    schema: Schema, one: Driver, sign_in: SignIn
) -> None:
    hurried = sign_in(session_parameters={"STATEMENT_TIMEOUT_IN_SECONDS": 0.1})
    one.run(PROCEDURE)
    one.transaction("UPDATE t SET n = 5")
    for text in ("UPDATE t SET n = 6", "CALL p()"):
        with pytest.raises(ProgrammingError, match=r"timeout of 0\.1") as error:
            hurried.run(text)
        assert (error.value.errno, error.value.sqlstate) == (630, "57014")
    one.run("COMMIT")
    hurried.run("UPDATE t SET n = 7")


def test_statement_times_out_while_it_runs(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    hurried = sign_in(session_parameters={"STATEMENT_TIMEOUT_IN_SECONDS": 0.1})
    schema.set(times={"update": FOREVER})
    with pytest.raises(ProgrammingError, match=r"timeout of 0\.1"):
        hurried.run("UPDATE t SET n = 7")
    schema.set(times={})
    one.run("UPDATE t SET n = 8")
