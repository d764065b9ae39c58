"""The log of statements, and which of them need a warehouse."""

from __future__ import annotations

import pytest

from tests.waiting import wait_until

from .client import Schema
from .conftest import SignIn
from .helpers import Driver, waiting


def test_log_has_session_transaction_tables_and_rows_of_each_statement(
    schema: Schema, one: Driver, sign_in: SignIn
) -> None:
    pod = sign_in(session_parameters={"QUERY_TAG": "fleet-q pod-1"})
    schema.forget()
    pod.run("BEGIN")
    pod.run("UPDATE t SET n = ? WHERE id = ?", 5, "a")
    pod.run("INSERT INTO other SELECT id, n FROM t")
    pod.run("COMMIT")
    pod.run("SELECT n FROM t")
    begin, update, insert, commit, select = schema.log()
    kinds = [entry.kind for entry in schema.log()]
    assert kinds == ["begin", "update", "insert", "commit", "select"]
    assert {entry.query_tag for entry in schema.log()} == {"fleet-q pod-1"}
    assert {entry.session for entry in schema.log()} == {begin.session}
    assert begin.transaction == update.transaction == insert.transaction == commit.transaction
    assert begin.transaction is not None
    assert select.transaction is None
    assert (update.values, update.rows, insert.rows, select.rows) == (2, 1, 2, 2)
    name = f'"FLEET_Q"."{schema.name}"'
    assert (update.target, insert.target) == (f'{name}."T"', f'{name}."OTHER"')
    assert insert.reads == select.reads == [f'{name}."T"']
    assert begin.began <= begin.ended <= update.began <= update.ended <= insert.began
    assert [entry.writes for entry in schema.log()] == [False, True, True, False, False]
    schema.forget()
    assert schema.log() == []


def test_log_has_the_times_for_which_locks_were_held_and_waited_for(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.set(times={"update": 0.05, "commit": 0.05})
    schema.forget()
    one.transaction("UPDATE t SET n = n + 1")
    waits = two.later("UPDATE t SET n = n + 1")
    wait_until(lambda: waiting(schema) == 1)
    one.run("COMMIT")
    waits.result()
    schema.set(times={})
    _, first, second, commit = schema.log()
    assert first.locked is not None
    assert commit.ended - first.locked >= commit.held - 0.001 >= 0.07
    assert first.held == 0
    assert first.waited == 0
    assert second.waited >= commit.ended - commit.began - 0.001
    assert second.locked is not None
    assert second.locked >= commit.ended - 0.01
    # On its own, it holds the lock while it is run.
    assert 0.02 <= second.held <= second.ended - second.locked + 0.001


def test_error_is_logged_with_its_number(schema: Schema, one: Driver) -> None:
    with pytest.raises(Exception, match="NOPE"):
        one.run("SELECT * FROM nope")
    assert schema.log()[-1].error == "002003"


def test_select_needs_a_warehouse_unless_cached_or_answered_from_metadata(
    schema: Schema, one: Driver, two: Driver
) -> None:
    def needs(driver: Driver, text: str, *values: object) -> bool:
        driver.run(text, *values)
        return schema.log()[-1].warehouse

    query = "SELECT id, n FROM t WHERE n > 0 ORDER BY id"
    assert needs(one, query)
    assert not needs(one, query)
    assert not needs(two, query), "the result of another session"
    assert needs(one, query.lower()), "another text"
    assert needs(one, "SELECT n FROM t WHERE id = ?", "a")
    assert not needs(one, "SELECT n FROM t WHERE id = ?", "a")
    assert needs(one, "SELECT n FROM t WHERE id = ?", "b")
    assert needs(one, "INSERT INTO other (id) VALUES ('x')")
    assert not needs(one, query), "another table changed"
    assert needs(one, "UPDATE t SET n = n")
    assert needs(one, query), "the table changed"
    for text in ("SELECT n, CURRENT_TIMESTAMP() FROM t", "SELECT n, UUID_STRING() FROM t"):
        assert needs(one, text)
        assert needs(one, text), "no result is kept that depends on when it was asked for"
    for text in (
        "SELECT COUNT(*) FROM other",
        "SELECT COUNT(*), MAX(n) FROM other",
        "SELECT CURRENT_TIMESTAMP()",
        "SHOW TABLES",
        "BEGIN",
        "COMMIT",
        "ALTER SESSION SET QUERY_TAG = 'x'",
    ):
        assert not needs(one, text), text
    assert needs(one, "SELECT MAX(id) FROM other"), "metadata has only the beginnings of texts"
    assert needs(one, "SELECT COUNT(*) FROM other WHERE n > 0")


def test_own_changes_are_not_read_from_the_cache(schema: Schema, one: Driver) -> None:
    text = "SELECT n FROM t"
    one.run(text)
    one.transaction("UPDATE t SET n = 7 WHERE id = 'a'")
    assert sorted(one.run(text)) == [(2,), (7,)]
    assert schema.log()[-1].warehouse
    one.run("ROLLBACK")
    assert sorted(one.run(text)) == [(1,), (2,)]
    assert schema.log()[-1].cached
