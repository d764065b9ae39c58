"""Transactions as in Snowflake: each statement reads what is committed."""

from __future__ import annotations

import json
import random

import pytest
from snowflake.connector.errors import IntegrityError, ProgrammingError

from .client import Schema
from .conftest import SignIn
from .helpers import ROWS, Driver

_IN = "id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(?))))"


def test_each_statement_reads_what_others_have_committed(one: Driver, two: Driver) -> None:
    one.run("BEGIN")
    assert one.run(ROWS) == [("a", 1), ("b", 2)]
    two.run("UPDATE t SET n = 10 WHERE id = 'a'")
    assert one.run(ROWS) == [("a", 10), ("b", 2)]


def test_transaction_with_writes_reads_what_others_have_committed(one: Driver, two: Driver) -> None:
    one.transaction(
        "INSERT INTO t (id, n) VALUES ('c', 3)",
        "UPDATE t SET n = n + 100 WHERE id <> 'b'",
        "DELETE FROM t WHERE id = 'b'",
    )
    two.run("INSERT INTO t (id, n) VALUES ('d', 4)")
    two.run("INSERT INTO other (id, n) VALUES ('x', 1)")
    assert one.run(ROWS) == [("a", 101), ("c", 103), ("d", 4)]
    assert two.run(ROWS) == [("a", 1), ("b", 2), ("d", 4)]
    one.run("UPDATE t SET n = n + 1000")
    two.run("INSERT INTO t (id, n) VALUES ('e', 5)")
    two.run("UPDATE other SET n = 2")
    one.run("INSERT INTO other SELECT id, n FROM t")
    one.run("DELETE FROM t WHERE id = 'd'")
    one.run("COMMIT")
    assert two.run(ROWS) == [("a", 1101), ("c", 1103), ("e", 5)]
    assert two.run("SELECT id, n FROM other ORDER BY id") == [
        ("a", 1101), ("c", 1103), ("d", 1004), ("e", 5), ("x", 2),
    ]  # fmt: skip


def test_uncommitted_and_rolled_back_changes_are_invisible_to_others(
    one: Driver, two: Driver
) -> None:
    one.transaction("UPDATE t SET n = 10", "INSERT INTO other (id) VALUES ('x')")
    two.run("INSERT INTO t (id, n) VALUES ('c', 3)")
    assert one.run(ROWS) == [("a", 10), ("b", 10), ("c", 3)]
    assert two.run(ROWS) == [("a", 1), ("b", 2), ("c", 3)]
    one.run("ROLLBACK")
    assert one.run(ROWS) == two.run(ROWS) == [("a", 1), ("b", 2), ("c", 3)]
    assert one.run("SELECT * FROM other") == []


def test_concurrent_inserts_of_the_same_key_both_succeed(one: Driver, two: Driver) -> None:
    """Keys are not enforced, as on Snowflake's standard tables."""
    new = "INSERT INTO t (id, n) SELECT 'c', 3 WHERE NOT EXISTS (SELECT 1 FROM t WHERE id = 'c')"
    one.transaction(new)
    two.transaction(new)
    one.run("COMMIT")
    two.run("COMMIT")
    assert one.run(ROWS)[2:] == [("c", 3), ("c", 3)]


def test_second_begin_and_commit_without_begin_are_ignored(one: Driver, two: Driver) -> None:
    one.transaction("UPDATE t SET n = 10 WHERE id = 'a'", "BEGIN")
    one.run("ROLLBACK")
    one.run("COMMIT")
    one.run("ROLLBACK")
    assert two.run(ROWS) == [("a", 1), ("b", 2)]


def test_definition_commits_the_open_transaction(one: Driver, two: Driver) -> None:
    one.transaction("UPDATE t SET n = 10 WHERE id = 'a'", "CREATE TABLE third (id VARCHAR)")
    one.run("ROLLBACK")
    two.run("UPDATE t SET n = 20 WHERE id = 'b'")
    assert two.run(ROWS) == [("a", 10), ("b", 20)]


def test_without_autocommit_the_first_write_begins_a_transaction(
    one: Driver, sign_in: SignIn
) -> None:
    other = sign_in(autocommit=False)
    other.run("UPDATE t SET n = 10 WHERE id = 'a'")
    assert one.run(ROWS) == [("a", 1), ("b", 2)]
    other.run("COMMIT")
    assert one.run(ROWS) == [("a", 10), ("b", 2)]


def test_failed_statement_leaves_the_transaction_open(one: Driver, two: Driver) -> None:
    one.run("BEGIN")
    with pytest.raises(IntegrityError) as error:
        one.run("INSERT INTO t (id) VALUES ('c')")
    assert error.value.sqlstate == "22000"
    one.run("UPDATE t SET n = 10 WHERE id = 'a'")
    one.run("COMMIT")
    assert two.run(ROWS) == [("a", 10), ("b", 2)]


def test_transaction_lost_by_duckdb_reports_that(one: Driver, two: Driver) -> None:
    """Snowflake would roll back only the failed statement. The stand-in cannot, and says so."""
    one.transaction("UPDATE t SET n = 10 WHERE id = 'a'")
    with pytest.raises(IntegrityError):
        one.run("INSERT INTO t (id) VALUES ('c')")
    for text in ("SELECT n FROM t", "COMMIT"):
        with pytest.raises(ProgrammingError, match="stand-in lost this transaction"):
            one.run(text)
    assert two.run(ROWS) == [("a", 1), ("b", 2)]
    two.run("UPDATE t SET n = 3")


def test_current_timestamp_advances_within_a_transaction(schema: Schema, one: Driver) -> None:
    now = "SELECT DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS now FROM t LIMIT 1"
    one.transaction("UPDATE t SET n = 10")
    first = one.run(now)
    assert one.run(now) > first


def test_merge_works_in_a_transaction(one: Driver, two: Driver) -> None:
    one.run("BEGIN")
    merged = one.run(
        "MERGE INTO t USING (SELECT 'a' AS id, 10 AS n UNION ALL SELECT 'c', 30) AS s"
        " ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = s.n"
        " WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, s.n)"
    )
    assert merged == [(1, 1, 0)]
    one.run("COMMIT")
    assert two.run(ROWS) == [("a", 10), ("b", 2), ("c", 30)]


@pytest.mark.parametrize("seed", range(4))
def test_random_statements_of_two_sessions_match_a_model(
    schema: Schema, one: Driver, two: Driver, seed: int
) -> None:
    """Against a model: what is committed, and on top of it each session's own changes."""
    choose = random.Random(seed)
    committed: dict[str, int] = {"a": 1, "b": 2}
    own: list[dict[str, int | None]] = [{}, {}]
    holder: int | None = None
    sessions = (one, two)

    def seen(who: int) -> dict[str, int]:
        both = committed | own[who]
        return {name: n for name, n in both.items() if n is not None}

    for driver in sessions:
        driver.run("BEGIN")
    for number in range(120):
        who = choose.randrange(2)
        run = sessions[who].run
        match choose.choice(["insert", "update", "delete", "truncate", "look", "look", "end"]):
            case "insert":
                run("INSERT INTO t (id, n) VALUES (?, ?)", f"r{number}", number)
                own[who][f"r{number}"] = number
            case "end" if choose.random() < 0.5:
                end = choose.choice(["COMMIT", "ROLLBACK"])
                run(end)
                run("BEGIN")
                if end == "COMMIT":
                    committed = seen(who)
                own[who] = {}
                holder = None if holder == who else holder
            case "update" | "delete" | "truncate" as kind if holder in (None, who):
                holder = who
                of_all = choose.random() < 0.3
                some = [name for name in seen(who) if of_all or choose.random() < 0.2]
                if kind == "truncate" and choose.random() < 0.1:
                    run("TRUNCATE TABLE t")
                    own[who] |= dict.fromkeys(seen(who))
                elif kind == "delete":
                    run(f"DELETE FROM t WHERE {_IN}", json.dumps(some))
                    own[who] |= dict.fromkeys(some)
                else:
                    run(f"UPDATE t SET n = n + 1000 WHERE {_IN}", json.dumps(some))
                    own[who] |= {name: seen(who)[name] + 1000 for name in some}
            case _:
                assert run(ROWS) == sorted(seen(who).items())
    for driver in sessions:
        driver.run("COMMIT")
