"""Values are stored exactly, and tests can set the clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from .client import Schema
from .helpers import Driver

HARD = "quo\"te ' back\\slash \n\t\r \x01\x1f ? :a $a $$ ${x} %s 😀 \u2028 -- /* */"


def test_texts_and_numbers_are_stored_exactly(one: Driver) -> None:
    one.run("INSERT INTO other (id, n) VALUES (?, ?)", HARD, 2**62)
    assert one.run("SELECT id, n FROM other WHERE id = ?", HARD) == [(HARD, 2**62)]
    assert one.run("SELECT ? AS a, ? AS b, '$a ?' AS c", None, True) == [(None, True, "$a ?")]


def test_flatten_reads_many_rows_from_one_value(one: Driver) -> None:
    rows: list[dict[str, Any]] = [
        {"id": HARD, "n": 1},
        {"id": None, "n": None},
        {"id": "[]", "n": -(10**17)},
    ]
    text = (
        "SELECT f.index, f.value:id::VARCHAR, f.value:n::NUMBER(38, 0)"
        " FROM TABLE(FLATTEN(input => PARSE_JSON(?))) AS f ORDER BY f.index"
    )
    expected = [(i, row["id"], row["n"]) for i, row in enumerate(rows)]
    assert one.run(text, json.dumps(rows)) == expected
    assert one.run(text, json.dumps(rows, ensure_ascii=False)) == expected
    assert one.run(text, "[]") == []
    nested = "SELECT f.value[0]::VARCHAR, f.value[1]::BOOLEAN FROM TABLE(FLATTEN(PARSE_JSON(?))) f"
    assert one.run(nested, '[["x", true], ["y", null]]') == [("x", True), ("y", None)]
    of_object = "SELECT f.key, f.value::NUMBER FROM TABLE(FLATTEN(input => PARSE_JSON(?))) f"
    assert one.run(of_object, '{"k]": 1}') == [("k]", 1)]


def test_flatten_reads_the_values_of_arrays_and_objects(one: Driver) -> None:
    values = "SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(?)))"
    assert one.run(values, '["x", null, "[]"]') == [("x",), (None,), ("[]",)]
    assert one.run(values, '{"a": "x", "b": 2}') == [("x",), ("2",)]
    assert one.run(values, "[]") == one.run(values, '"x"') == one.run(values, None) == []


def test_greatest_and_least_are_null_if_an_argument_is(one: Driver) -> None:
    text = "SELECT GREATEST(?, LEAST(?, 7, ?)) AS n, LEAST(?, 2.5) AS m"
    assert one.run(text, 3, 9, 5, 2) == [(5, 2)]
    assert one.run(text, 6, 9, 5, 4) == [(6, 2.5)]
    assert one.run(text, 3, 9, None, None) == [(None, None)]
    assert one.run("SELECT GREATEST(n, 1) AS n FROM t WHERE LEAST(n, 2) = 2 ORDER BY id") == [(2,)]


def test_clock_stays_at_the_time_that_a_test_set(schema: Schema, one: Driver) -> None:
    at = 1_700_000_000_123_456
    schema.set(clock=at)
    moment = datetime(2023, 11, 14, 22, 13, 20, 123_456, UTC)
    assert one.run("SELECT CURRENT_TIMESTAMP(), SYSDATE()") == [
        (moment, moment.replace(tzinfo=None))
    ]
    one.run("CREATE TABLE times (due TIMESTAMP_LTZ(6))")
    one.run("INSERT INTO times SELECT DATEADD(microsecond, ?, CURRENT_TIMESTAMP())", 1)
    found = one.run("SELECT DATE_PART(epoch_microsecond, due), due FROM times")
    assert found == [(at + 1, moment.replace(microsecond=123_457))]
    assert one.run("SELECT COUNT(*) FROM times WHERE due > CURRENT_TIMESTAMP()") == [(1,)]
    schema.set(clock=at + 1)
    assert one.run("SELECT COUNT(*) FROM times WHERE due > CURRENT_TIMESTAMP()") == [(0,)]
    schema.set(clock=None)
    now = one.run("SELECT DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS now")[0][0]
    assert now > at + 10**12


def test_table_names_can_be_bound_and_quoted(schema: Schema, one: Driver) -> None:
    assert one.run("SELECT n FROM IDENTIFIER(?) WHERE id = ?", "t", "b") == [(2,)]
    one.run("UPDATE IDENTIFIER(?) SET n = ? WHERE id = 'b'", f'"{schema.name}"."T"', 9)
    assert one.run(f'SELECT n FROM "FLEET_Q"."{schema.name}"."T" WHERE id = \'b\'') == [(9,)]
    one.run('CREATE TABLE "A name" ("a column" VARCHAR)')
    one.transaction("INSERT INTO \"A name\" VALUES ('x')", 'UPDATE "A name" SET "a column" = \'y\'')
    assert one.run('SELECT "a column" FROM "A name"') == [("y",)]


def test_session_functions_return_its_properties(one: Driver) -> None:
    asked = "SELECT CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_ACCOUNT()"
    assert one.run(asked) == [("FLEET", "FLEET", "QUEUE", "STANDIN")]
    one.run("USE ROLE other")
    one.run("USE WAREHOUSE small")
    assert one.run(asked) == [("FLEET", "OTHER", "SMALL", "STANDIN")]
    one.transaction("UPDATE t SET n = 0")
    transaction = one.run("SELECT CURRENT_TRANSACTION() AS id")[0][0]
    assert one.run("SHOW LOCKS")[0][2] == transaction
    assert one.run("SHOW TRANSACTIONS")[0][0] == transaction
    for text in ("GRANT SELECT ON TABLE t TO ROLE x", "CREATE ROLE IF NOT EXISTS x"):
        assert one.run(text) == [("Statement executed successfully.",)]
    one.run("ROLLBACK")
