"""Procedures: their definitions, calls, privileges and transactions."""

from __future__ import annotations

from pathlib import Path

import pytest
from snowflake.connector.errors import Error, ProgrammingError

from tests.waiting import wait_until

from .client import NO_INTERPRETER, Schema, Standin, interpreter
from .conftest import SignIn
from .helpers import ROWS, Driver, create, waiting

HANDLER = "EXCEPTION WHEN OTHER THEN ROLLBACK; RAISE;"


ADD = create(
    "BEGIN BEGIN TRANSACTION; UPDATE t SET n = n + :more; COMMIT; RETURN 'done'; END",
    "more NUMBER",
)


def test_call_commits_its_transaction(schema: Schema, one: Driver, two: Driver) -> None:
    one.run(ADD)
    schema.forget()
    assert one.run("CALL p(?)", 5) == [("done",)]
    assert two.run(ROWS) == [("a", 6), ("b", 7)]


def test_log_has_the_statements_of_a_call(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    one.run(ADD)
    pod = sign_in(session_parameters={"QUERY_TAG": "pod-1"})
    schema.forget()
    pod.run("CALL p(?)", 5)
    called, *inner = schema.log()
    assert (called.kind, called.call, called.values, called.rows) == ("call", None, 1, 1)
    assert [each.kind for each in inner] == ["begin", "update", "commit"]
    assert {each.call for each in inner} == {called.number}
    assert {each.session for each in schema.log()} == {called.session}
    assert {each.query_tag for each in schema.log()} == {"pod-1"}
    assert len({each.transaction for each in inner}) == 1
    assert inner[1].target == f'"FLEET_Q"."{schema.name}"."T"'
    assert called.began <= inner[0].began <= inner[2].ended <= called.ended


def test_statement_of_a_call_waits_for_the_lock_of_its_table(
    schema: Schema, one: Driver, two: Driver
) -> None:
    one.run(ADD)
    one.transaction("UPDATE t SET n = 10 WHERE id = 'a'")
    calls = two.later("CALL p(1)")
    wait_until(lambda: waiting(schema) == 1)
    assert not calls.done()
    one.run("COMMIT")
    assert calls.result() == [("done",)]
    assert one.run(ROWS) == [("a", 11), ("b", 3)]
    update = schema.log(lambda each: each.kind == "update" and each.call is not None)[0]
    assert update.waited > 0


def test_failed_call_rolls_its_transaction_back(one: Driver, two: Driver) -> None:
    body = "BEGIN TRANSACTION; UPDATE t SET n = 9; UPDATE nope SET n = 1; COMMIT;"
    for handler in ("", HANDLER):
        one.run(create(f"BEGIN {body} {handler} END"))
        with pytest.raises(ProgrammingError, match="NOPE") as error:
            one.run("CALL p()")
        assert error.value.errno == 2003
        assert two.run(ROWS) == [("a", 1), ("b", 2)]
        two.run("UPDATE t SET n = n")


def test_handler_rolls_back_before_the_error_is_raised_again(schema: Schema, one: Driver) -> None:
    one.run(create(f"BEGIN BEGIN TRANSACTION; UPDATE t SET n = 9; SELECT 1 / 'x'; {HANDLER} END"))
    schema.forget()
    with pytest.raises(Error):
        one.run("CALL p()")
    assert [each.kind for each in schema.log()][-1] == "rollback"
    assert schema.log()[0].error == schema.log()[-2].error is not None


def test_call_that_leaves_a_transaction_open_fails(one: Driver, two: Driver) -> None:
    one.run(create("BEGIN BEGIN TRANSACTION; UPDATE t SET n = 9; RETURN 'x'; END"))
    with pytest.raises(ProgrammingError, match="is incomplete and it was rolled back"):
        one.run("CALL p()")
    assert two.run(ROWS) == [("a", 1), ("b", 2)]
    two.run("UPDATE t SET n = n")


def test_call_without_autocommit_has_to_begin_its_transaction(one: Driver, sign_in: SignIn) -> None:
    other = sign_in(autocommit=False)
    one.run(ADD)
    other.run("CALL p(1)")
    assert one.run(ROWS) == [("a", 2), ("b", 3)]
    one.run(create("BEGIN UPDATE t SET n = 9; END"))
    with pytest.raises(ProgrammingError, match="is incomplete and it was rolled back"):
        other.run("CALL p()")
    assert one.run(ROWS) == [("a", 2), ("b", 3)]
    one.run("CALL p()")
    assert one.run(ROWS) == [("a", 9), ("b", 9)]


def test_call_in_a_transaction_commits_a_transaction_of_its_own(one: Driver, two: Driver) -> None:
    one.run(ADD)
    one.transaction("INSERT INTO other (id) VALUES ('x')")
    one.run("CALL p(1)")
    assert two.run(ROWS) == [("a", 2), ("b", 3)]
    one.run("ROLLBACK")
    assert two.run("SELECT id FROM other") == []
    assert two.run(ROWS) == [("a", 2), ("b", 3)]


def test_call_that_waits_for_its_callers_lock_is_a_deadlock(one: Driver) -> None:
    one.run(ADD)
    one.transaction("UPDATE t SET n = 5")
    with pytest.raises(ProgrammingError, match="deadlock"):
        one.run("CALL p(1)")
    one.run("COMMIT")
    assert one.run(ROWS) == [("a", 5), ("b", 5)]


def test_call_cannot_end_its_callers_transaction(one: Driver) -> None:
    for end in ("COMMIT", "ROLLBACK"):
        one.run(create(f"BEGIN {end}; END"))
        one.run("CALL p()")
        one.transaction("UPDATE t SET n = 6")
        with pytest.raises(ProgrammingError, match="started at a different scope"):
            one.run("CALL p()")
        one.run("ROLLBACK")
    assert one.run(ROWS) == [("a", 1), ("b", 2)]


def test_fault_strikes_a_statement_of_a_call(schema: Schema, one: Driver, two: Driver) -> None:
    one.run(create("BEGIN BEGIN TRANSACTION; UPDATE t SET n = 9; COMMIT; END"))
    schema.fault("error", on="commit", code="000999", message="no", sqlstate="XX000")
    with pytest.raises(ProgrammingError) as error:
        one.run("CALL p()")
    assert (error.value.errno, error.value.sqlstate) == (999, "XX000")
    assert schema.log()[-1].fault == "error"
    assert two.run(ROWS) == [("a", 1), ("b", 2)]
    one.run("CALL p()")
    assert two.run(ROWS) == [("a", 9), ("b", 9)]


def test_call_whose_answer_is_lost_took_place_once(schema: Schema, one: Driver) -> None:
    one.run(ADD)
    schema.fault("drop", on="call")
    assert one.run("CALL p(1)") == [("done",)]
    assert one.run(ROWS) == [("a", 2), ("b", 3)]


def test_call_whose_client_gives_up_took_place(
    schema: Schema, one: Driver, sign_in: SignIn
) -> None:
    one.run(ADD)
    hurried = sign_in(network_timeout=1)  # less than a busy machine may take for any statement

    def struck() -> int:
        return len(schema.log(lambda each: each.fault == "drop"))

    def is_struck() -> bool:
        schema.fault("drop", on="call", repetitions=None)
        with pytest.raises(Error):
            hurried.run("CALL p(1)")
        return struck() > 0

    wait_until(is_struck)
    schema.no_faults()
    assert one.run(ROWS) == [("a", 1 + struck()), ("b", 2 + struck())]


def test_call_of_a_session_that_ends_is_rolled_back(
    schema: Schema, one: Driver, two: Driver, sign_in: SignIn
) -> None:
    one.run(
        create("BEGIN BEGIN TRANSACTION; UPDATE other SET n = 1; UPDATE t SET n = 9; COMMIT; END")
    )
    one.transaction("UPDATE t SET n = n")
    calls = two.later("CALL p()")
    wait_until(lambda: waiting(schema) == 1)
    schema.end_sessions(next(each["id"] for each in schema.sessions() if each["waiting_for"]))
    with pytest.raises(Error):
        calls.result()
    one.run("COMMIT")
    third = sign_in()
    third.run("UPDATE other SET n = 2")
    assert third.run(ROWS) == [("a", 1), ("b", 2)]


def test_canceled_call_gets_no_lock(schema: Schema, one: Driver, two: Driver) -> None:
    one.run(ADD)
    one.transaction("UPDATE t SET n = n")
    calls = two.later("CALL p(1)")
    wait_until(lambda: waiting(schema) == 1)
    two.run("ROLLBACK")
    with pytest.raises(ProgrammingError) as canceled:
        calls.result()
    assert canceled.value.errno == 604
    one.run("COMMIT")
    assert one.run(ROWS) == [("a", 1), ("b", 2)]


def test_role_needs_only_usage_with_owners_rights(schema: Schema, one: Driver) -> None:
    schema.set(denied=[["UPDATE", "t"]])
    one.run(ADD)
    assert one.run("CALL p(1)") == [("done",)]
    one.run(create("BEGIN UPDATE t SET n = 9; END", clauses="EXECUTE AS CALLER"))
    with pytest.raises(ProgrammingError, match="Insufficient privileges") as error:
        one.run("CALL p()")
    assert error.value.errno == 3001
    schema.set(denied=[["USAGE", "p"]])
    with pytest.raises(ProgrammingError, match="Unknown user-defined function") as error:
        one.run("CALL p()")
    assert (error.value.errno, error.value.sqlstate) == (2141, "42601")
    assert one.run("SHOW PROCEDURES") == []


def test_creating_a_procedure_needs_a_privilege_on_the_schema(schema: Schema, one: Driver) -> None:
    schema.set(denied=[["CREATE PROCEDURE", schema.name]])
    with pytest.raises(ProgrammingError, match="operate on schema") as error:
        one.run(ADD)
    assert error.value.errno == 3001


@pytest.mark.parametrize("statement", ["ALTER SESSION SET QUERY_TAG = 'x'", "SHOW LOCKS",
                                       "SHOW TRANSACTIONS"])  # fmt: skip
def test_owners_rights_exclude_statements_about_the_session(one: Driver, statement: str) -> None:
    one.run(create(f"BEGIN {statement}; END", clauses="EXECUTE AS OWNER"))
    with pytest.raises(ProgrammingError, match="owner's rights"):
        one.run("CALL p()")
    one.run(create(f"BEGIN {statement}; END", clauses="EXECUTE AS CALLER"))
    one.run("CALL p()")


def test_only_some_session_parameters_reach_a_body_with_owners_rights(
    one: Driver, sign_in: SignIn
) -> None:
    hurried = sign_in(session_parameters={"LOCK_TIMEOUT": 0.1})
    one.run(ADD)
    one.transaction("UPDATE t SET n = n")
    with pytest.raises(ProgrammingError, match="LOCK_TIMEOUT"):
        hurried.run("CALL p(1)")
    one.run("COMMIT")


def test_body_uses_the_schema_of_the_procedure(standin: Standin, one: Driver) -> None:
    one.run(ADD)
    elsewhere = standin.schema()
    with Driver(elsewhere) as other:
        assert other.run(f"CALL fleet_q.{one.connection.schema}.p(1)") == [("done",)]
    assert one.run(ROWS) == [("a", 2), ("b", 3)]
    elsewhere.drop()


def test_procedures_are_listed_with_their_arguments_and_comments(one: Driver) -> None:
    one.run(create("BEGIN RETURN 'x'; END", "a VARCHAR, b NUMBER(38, 0)", clauses="COMMENT = 'v1'"))
    one.run(
        'CREATE PROCEDURE "Q"() RETURNS TABLE () LANGUAGE SQL AS $$'
        " BEGIN LET r RESULTSET := (SELECT 1 AS x); RETURN TABLE(r); END $$"
    )
    cursor = one.connection.cursor()
    cursor.execute("SHOW PROCEDURES")
    columns = [column[0] for column in cursor.description]
    first, second = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    assert (first["name"], first["arguments"]) == ("P", "P(VARCHAR, NUMBER) RETURN VARCHAR")
    assert (first["min_num_arguments"], first["description"]) == ("2", "v1")
    assert (second["name"], second["arguments"]) == ("Q", "Q() RETURN TABLE ()")
    assert second["is_table_function"] == "Y"
    assert [row[1] for row in one.run("SHOW PROCEDURES LIKE 'p%' IN SCHEMA")] == ["P"]
    one.run("GRANT USAGE ON PROCEDURE p(VARCHAR, NUMBER) TO ROLE other")
    granted = [row[3] for row in one.run("SHOW GRANTS TO ROLE other") if row[2] == "PROCEDURE"]
    assert len(granted) == 2
    one.run("DROP PROCEDURE p(VARCHAR, NUMBER)")
    one.run("DROP PROCEDURE IF EXISTS p(VARCHAR, NUMBER)")
    assert [row[1] for row in one.run("SHOW PROCEDURES")] == ["Q"]
    with pytest.raises(ProgrammingError, match="Unknown user-defined function"):
        one.run("CALL p('x', 1)")


def test_existing_procedure_is_replaced_only_on_request(one: Driver) -> None:
    one.run(create("BEGIN RETURN 'old'; END"))
    with pytest.raises(ProgrammingError, match="already exists"):
        one.run("CREATE PROCEDURE p() RETURNS VARCHAR LANGUAGE SQL AS $$BEGIN RETURN 'x'; END$$")
    assert one.run("CALL p()") == [("old",)]
    one.run(create("BEGIN RETURN 'new'; END"))
    assert one.run("CALL p()") == [("new",)]


def test_arguments_have_to_be_of_the_types_declared(one: Driver) -> None:
    one.run(create("BEGIN RETURN a; END", "a VARCHAR, b NUMBER, c BOOLEAN"))
    assert one.run("CALL p(?, ?, ?)", "x", 1, True) == [("x",)]
    assert one.run("CALL p(?, ?, ?)", None, None, None) == [(None,)]
    assert one.run("CALL p('y', -0, FALSE);".replace("-0", "0")) == [("y",)]
    for values in (("x", 1), (1, 1, True), ("x", "1", True), ("x", 1, 1)):
        with pytest.raises(ProgrammingError, match="Invalid argument types"):
            one.run(f"CALL p({', '.join('?' for _ in values)})", *values)


@pytest.mark.parametrize(
    ("columns", "query"),
    [
        ("a NUMBER", "SELECT 1 AS a, 2 AS b"),
        ("a VARCHAR", "SELECT 1 AS a"),
        ("a FLOAT", "SELECT 1 AS a"),
        ("a TIMESTAMP_NTZ", "SELECT CURRENT_TIMESTAMP() AS a"),
    ],
)
def test_returned_columns_have_to_be_of_the_types_declared(
    one: Driver, columns: str, query: str
) -> None:
    body = f"BEGIN LET r RESULTSET := ({query}); RETURN TABLE(r); END"
    one.run(create(body, returns=f"TABLE ({columns})"))
    with pytest.raises(ProgrammingError, match="does not match expected returned table type"):
        one.run("CALL p()")
    one.run(create(body, returns="TABLE ()"))
    assert len(one.run("CALL p()")) == 1


def test_procedures_survive_a_restart(tmp_path: Path) -> None:
    if interpreter() is None:
        pytest.skip(NO_INTERPRETER)
    with Standin(tmp_path) as standin:
        schema = standin.schema()
        with Driver(schema) as driver:
            driver.run(create("BEGIN RETURN 'kept'; END"))
            standin.kill()
            standin.start()
        with Driver(schema) as driver:
            assert driver.run("CALL p()") == [("kept",)]
            driver.run("DROP PROCEDURE p()")
