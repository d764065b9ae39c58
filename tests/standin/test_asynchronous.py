"""Asynchronous queries, as the connector submits and watches them."""

from __future__ import annotations

import pytest
from snowflake.connector.constants import QueryStatus
from snowflake.connector.errors import ProgrammingError

from tests.waiting import wait_until

from .client import Schema
from .conftest import SignIn
from .helpers import Driver

ADD = "UPDATE t SET n = n + 1"


def begin(driver: Driver, text: str) -> str:
    cursor = driver.connection.cursor()
    cursor.execute_async(text)
    assert cursor.sfqid is not None
    return cursor.sfqid


def status(driver: Driver, query_id: str) -> QueryStatus:
    return driver.connection.get_query_status(query_id)


def test_query_goes_on_and_another_session_reads_its_result(
    one: Driver, two: Driver, sign_in: SignIn
) -> None:
    one.transaction("UPDATE t SET n = 5")
    query_id = begin(two, ADD)
    two.close()
    third = sign_in()
    wait_until(lambda: status(third, query_id) is QueryStatus.BLOCKED)
    one.run("COMMIT")
    wait_until(lambda: status(third, query_id) is QueryStatus.SUCCESS)
    cursor = third.connection.cursor()
    assert cursor.query_result(query_id).fetchall() == [(2, 0)]
    assert third.run("SELECT n FROM t") == [(6,), (6,)]


def test_result_of_rows_is_read_by_its_id(one: Driver, two: Driver) -> None:
    query_id = begin(one, "SELECT id, n FROM t ORDER BY id")
    wait_until(lambda: status(two, query_id) is QueryStatus.SUCCESS)
    assert two.connection.cursor().query_result(query_id).fetchall() == [("a", 1), ("b", 2)]


def test_query_that_fails_has_an_error(one: Driver, two: Driver) -> None:
    query_id = begin(one, "SELECT * FROM missing")
    wait_until(lambda: status(two, query_id) is QueryStatus.FAILED_WITH_ERROR)
    with pytest.raises(ProgrammingError, match="MISSING"):
        two.connection.get_query_status_throw_if_error(query_id)


def test_query_is_cancelled_by_its_id(one: Driver, two: Driver, sign_in: SignIn) -> None:
    one.transaction("UPDATE t SET n = 5")
    query_id = begin(two, ADD)
    third = sign_in()
    wait_until(lambda: status(third, query_id) is QueryStatus.BLOCKED)
    assert third.connection.cursor().abort_query(query_id)
    wait_until(lambda: status(third, query_id) is QueryStatus.FAILED_WITH_ERROR)
    with pytest.raises(ProgrammingError, match=r"000604.*canceled"):
        third.connection.get_query_status_throw_if_error(query_id)
    one.run("ROLLBACK")
    assert third.run("SELECT n FROM t ORDER BY n") == [(1,), (2,)]


def test_other_users_see_no_query(one: Driver, sign_in: SignIn) -> None:
    query_id = begin(one, "SELECT n FROM t")
    other = sign_in(user="other")
    assert status(other, query_id) is QueryStatus.NO_DATA
    wait_until(lambda: status(one, query_id) is QueryStatus.SUCCESS)


def test_history_has_the_users_queries_with_a_tag_also_those_that_run(
    schema: Schema, one: Driver, sign_in: SignIn
) -> None:
    tagged = sign_in(session_parameters={"QUERY_TAG": "mine"})
    one.transaction("UPDATE t SET n = 5")
    query_id = begin(tagged, ADD)
    reader = sign_in()
    history = (
        "SELECT query_id, execution_status"
        " FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER(RESULT_LIMIT => 100))"
        " WHERE query_tag = 'mine'"
    )
    wait_until(lambda: status(reader, query_id) is QueryStatus.BLOCKED)
    assert reader.run(history) == [(query_id, "RUNNING")]
    one.run("COMMIT")
    wait_until(lambda: status(reader, query_id) is QueryStatus.SUCCESS)
    assert reader.run(history) == [(query_id, "SUCCESS")]
