"""The constructs of Snowflake Scripting that bodies of procedures may contain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

from .client import Schema
from .helpers import ROWS, Driver, Rows, create

Define = Callable[..., None]


@pytest.fixture
def define(one: Driver) -> Define:
    """Create a procedure ``p``."""

    def define(body: str, arguments: str = "", returns: str = "VARCHAR") -> None:
        one.run(create(body, arguments, returns))

    return define


@pytest.fixture
def run(one: Driver, define: Define) -> Callable[..., Rows]:
    """Create a procedure and call it with these values."""

    def run(body: str, *values: Any, arguments: str = "", returns: str = "VARCHAR") -> Rows:
        define(body, arguments, returns)
        return one.run(f"CALL p({', '.join('?' for _ in values)})", *values)

    return run


Run = Callable[..., Rows]


def test_for_repeats_its_body_for_each_number(one: Driver, run: Run) -> None:
    run("BEGIN FOR i IN 2 TO 4 DO UPDATE t SET n = n * 10 + :i; END FOR; RETURN 'done'; END")
    assert one.run(ROWS) == [("a", 1234), ("b", 2234)]


def test_procedure_runs_a_transaction_and_returns_rows(one: Driver, run: Run) -> None:
    rows = run(
        """
        BEGIN
            BEGIN TRANSACTION;
            UPDATE "T" SET n = n + :more WHERE id = :id;
            INSERT INTO t (id, n) VALUES ('c', :more);
            COMMIT;
            LET changed RESULTSET := (SELECT id, n FROM t WHERE n >= :MORE ORDER BY id);
            RETURN TABLE(changed);
        END;
        """,
        "a",
        10,
        arguments="id VARCHAR, more NUMBER",
        returns="TABLE (step VARCHAR, number NUMBER)",
    )
    assert rows == [("a", 11), ("c", 10)]
    assert one.run(ROWS) == [("a", 11), ("b", 2), ("c", 10)]
    cursor = one.connection.cursor()
    cursor.execute("CALL p('b', 100)")
    assert [column[0] for column in cursor.description] == ["STEP", "NUMBER"]
    assert cursor.fetchall() == [("b", 102), ("c", 100)]


def test_result_set_is_read_when_it_is_assigned(one: Driver, run: Run) -> None:
    rows = run(
        """BEGIN
            LET before RESULTSET := (SELECT n FROM t ORDER BY n);
            UPDATE t SET n = 0;
            RETURN TABLE(before);
        END""",
        returns="TABLE ()",
    )
    assert rows == [(1,), (2,)]
    assert one.run("SELECT n FROM t") == [(0,), (0,)]


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("NUMBER", "7", 7),
        ("NUMBER(38, 0)", "-7", -7),
        ("VARCHAR", "'it''s'", "it's"),
        ("BOOLEAN", "TRUE", True),
        ("BOOLEAN", "NULL", None),
        ("VARCHAR", "given", "x"),
        ("VARCHAR", ":GIVEN", "x"),
        ("NUMBER", "(SELECT MAX(n) FROM t)", 2),
        ("NUMBER", "(SELECT n FROM t WHERE id = 'z')", None),
        ("NUMBER", "(SELECT COUNT(*) FROM t WHERE id = :given)", 0),
    ],
)
def test_variable_has_the_value_that_it_was_given(
    run: Run, type_: str, value: str, expected: object
) -> None:
    """By LET, by DECLARE and by an assignment."""
    for body in (
        f"BEGIN LET v {type_} := {value}; RETURN v; END",
        f"DECLARE v {type_} DEFAULT {value}; BEGIN RETURN :v; END;",
        f"DECLARE v {type_}; BEGIN V := {value}; RETURN v; END;",
    ):
        assert run(body, "x", arguments="given VARCHAR", returns=type_) == [(expected,)]


def test_declared_variable_is_null_at_first(run: Run) -> None:
    assert run("DECLARE v NUMBER; w VARCHAR; BEGIN RETURN w; END") == [(None,)]


def test_value_of_another_type_is_refused(run: Run) -> None:
    for type_, value in [("NUMBER", "'1'"), ("VARCHAR", "1"), ("BOOLEAN", "(SELECT n FROM t"
                         " LIMIT 1)"), ("TIMESTAMP_LTZ", "SYSDATE()")]:  # fmt: skip
        with pytest.raises(ProgrammingError, match=r"EXPRESSION_ERROR.*cast it"):
            run(f"BEGIN LET v {type_} := {value}; RETURN NULL; END")


def test_query_for_a_variable_returns_one_row_at_most(run: Run) -> None:
    with pytest.raises(ProgrammingError, match="more than one row"):
        run("BEGIN LET v NUMBER := (SELECT n FROM t); RETURN NULL; END")


def test_sysdate_is_the_time_of_the_assignment(schema: Schema, run: Run) -> None:
    at = 1_700_000_000_123_456
    schema.set(clock=at)
    rows = run(
        "BEGIN LET now TIMESTAMP_NTZ := SYSDATE();"
        " LET r RESULTSET := (SELECT DATE_PART(epoch_microsecond, :now) AS at);"
        " RETURN TABLE(r); END",
        returns="TABLE (at NUMBER)",
    )
    assert rows == [(at,)]


def test_sqlrowcount_is_the_number_of_rows_that_the_last_statement_changed(run: Run) -> None:
    def count(*statements: str) -> object:
        lines = " ".join(f"{statement};" for statement in statements)
        return run(f"BEGIN {lines} RETURN SQLROWCOUNT; END", returns="NUMBER")[0][0]

    assert count() is None
    assert count("UPDATE t SET n = n") == 2
    assert count("DELETE FROM t WHERE id = 'z'") == 0
    assert count("INSERT INTO other (id) VALUES ('x'), ('y'), ('z')") == 3
    assert count("UPDATE t SET n = n", "LET v NUMBER := SQLROWCOUNT", "v := 3") == 2
    for statement in (
        "SELECT 1",
        "BEGIN TRANSACTION",
        "COMMIT",
        "LET v NUMBER := (SELECT 1)",
        "LET r RESULTSET := (SELECT 1 AS x)",
        "TRUNCATE TABLE other",
    ):
        assert count("COMMIT", "UPDATE t SET n = n", statement, "COMMIT") is None, statement


def test_merge_counts_all_rows_that_it_changed(run: Run) -> None:
    merge = """
        MERGE INTO t USING (SELECT 'a' AS id UNION ALL SELECT :new) AS s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET n = 0 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 1)"""
    body = f"BEGIN {merge}; RETURN SQLROWCOUNT; END"
    assert run(body, "c", arguments="new VARCHAR", returns="NUMBER") == [(2,)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("n = 1", True),
        ("n <> 1", False),
        (":n < 2 AND text = 'x'", True),
        ("n > 1 OR (text != 'x')", False),
        ("NOT n >= 2", True),
        ("missing", False),
        ("missing = 1", False),
        ("NOT missing = 1", False),
        ("missing IS NULL", True),
        ("n IS NOT NULL AND n <= 1", True),
        ("n > -1", True),
        ("TRUE", True),
        ("(SELECT COUNT(*) FROM t) > 1", True),
        ("(SELECT COUNT(*) FROM t WHERE n > :n) > 1", False),
        ("n = 1 AND (SELECT MAX(id) FROM t) = 'b'", True),
    ],
)
def test_condition_chooses_a_branch(run: Run, condition: str, expected: bool) -> None:
    body = f"""
        DECLARE missing BOOLEAN;
        BEGIN
            IF ({condition}) THEN
                RETURN 'yes';
            ELSE
                RETURN 'no';
            END IF;
        END"""
    rows = run(body, 1, "x", arguments="n NUMBER, text VARCHAR")
    assert rows == [("yes" if expected else "no",)]


def test_first_branch_whose_condition_is_true_runs(one: Driver, define: Define) -> None:
    define(
        """
        DECLARE which VARCHAR DEFAULT 'none';
        BEGIN
            IF (n = 1) THEN which := 'one'; UPDATE t SET n = 1;
            ELSEIF (n < 3) THEN which := 'two';
            ELSEIF (n < 9) THEN
                IF (n = 3) THEN which := 'three'; END IF;
            END IF;
            RETURN which;
        END
        """,
        "n NUMBER",
    )
    called = [one.run("CALL p(?)", n)[0][0] for n in (1, 2, 3, 4, 9)]
    assert called == ["one", "two", "three", "none", "none"]


def test_return_ends_the_procedure(one: Driver, run: Run) -> None:
    assert run("BEGIN IF (TRUE) THEN RETURN 'x'; END IF; UPDATE t SET n = 9; END") == [("x",)]
    assert one.run(ROWS) == [("a", 1), ("b", 2)]


def test_procedure_without_a_return_returns_null_or_fails(one: Driver, run: Run) -> None:
    assert run("BEGIN UPDATE t SET n = 9; END") == [(None,)]
    with pytest.raises(ProgrammingError, match="missing a return"):
        run("BEGIN UPDATE t SET n = 8; END", returns="TABLE ()")
    assert one.run("SELECT DISTINCT n FROM t") == [(8,)]


INTO = """
    DECLARE number NUMBER DEFAULT 0; name VARCHAR DEFAULT '';
    BEGIN
        SELECT (SUM(n) + :more)::NUMBER, MAX(id) INTO :number, :name FROM t WHERE id <> :but;
        LET r RESULTSET := (SELECT :number, :name);
        RETURN TABLE(r);
    END"""


def test_select_into_sets_variables(run: Run) -> None:
    arguments = "more NUMBER, but VARCHAR"
    assert run(INTO, 40, "b", arguments=arguments, returns="TABLE ()") == [(41, "a")]


def test_select_of_several_rows_into_variables_fails(run: Run) -> None:
    with pytest.raises(ProgrammingError):
        run("BEGIN SELECT n INTO :v FROM t; RETURN v; END", 1, arguments="v NUMBER")


def test_colon_in_a_path_or_a_text_is_no_variable(run: Run) -> None:
    body = """
        BEGIN
            LET r RESULTSET := (
                SELECT f.value:id::VARCHAR AS id, ':json' AS colon /* :comment */
                FROM TABLE(FLATTEN(input => PARSE_JSON(:json))) AS f -- :comment ;
            );
            RETURN TABLE(r);
        END"""
    rows = run(body, '[{"id": "x"}]', arguments="json VARCHAR", returns="TABLE ()")
    assert rows == [("x", ":json")]


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN FOR x IN c DO RETURN 1; END FOR; END",
        "BEGIN WHILE (TRUE) DO RETURN 1; END WHILE; END",
        "BEGIN LET v := 1; RETURN v; END",
        "BEGIN LET v NUMBER; RETURN v; END",
        "BEGIN LET v NUMBER := 1 + 1; RETURN v; END",
        "BEGIN LET v NUMBER := COALESCE(1, 2); RETURN v; END",
        "BEGIN LET v CURSOR FOR SELECT 1; RETURN v; END",
        "BEGIN IF TRUE THEN RETURN 1; END IF; END",
        "BEGIN IF (EXISTS (SELECT 1)) THEN RETURN 1; END IF; END",
        "BEGIN IF (1 IN (1, 2)) THEN RETURN 1; END IF; END",
        "BEGIN CALL q(); END",
        "BEGIN EXECUTE IMMEDIATE 'SELECT 1'; END",
        "BEGIN SELECT 1 INTO :v; END",
        "BEGIN SELECT n INTO v FROM t; END",
        "BEGIN SELECT id FROM t LIMIT :v; END",
        "BEGIN SELECT ?; END",
        'BEGIN SELECT :"V"; END',
        "BEGIN BEGIN; COMMIT; END",
        "BEGIN BEGIN TRANSACTION NAME x; COMMIT; END",
        "BEGIN; RETURN 1; END",
        "BEGIN RETURN 1; EXCEPTION WHEN OTHER THEN RAISE; END",
        "BEGIN RETURN 1; EXCEPTION WHEN OTHER THEN RETURN 2; END",
        "BEGIN RETURN 1; EXCEPTION WHEN STATEMENT_ERROR THEN ROLLBACK; RAISE; END",
        "BEGIN RAISE; END",
        "BEGIN USE ROLE x; END",
        "BEGIN RETURN 1; END; SELECT 1",
        "BEGIN RETURN 1;",
        "SELECT 1",
    ],
)
def test_other_constructs_are_refused_when_the_procedure_is_created(
    define: Define, body: str
) -> None:
    with pytest.raises(ProgrammingError, match="syntax error line 1 at position") as error:
        define(body, arguments="v NUMBER")
    assert (error.value.errno, error.value.sqlstate) == (1003, "42000")


@pytest.mark.parametrize(
    "body",
    [
        "RETURN nothing;",
        "IF (n > 9) THEN UPDATE t SET n = :nothing; END IF;",
        "IF (n > 9) THEN LET v NUMBER := 1; END IF; RETURN v;",
        "nothing := 1;",
        "RETURN later; LET later NUMBER := 1;",
        "UPDATE t SET n = :SQLROWCOUNT;",
        "SQLROWCOUNT := 1;",
        "RETURN TABLE(nothing);",
    ],
)
def test_undeclared_variable_is_found_when_the_procedure_is_called(
    one: Driver, define: Define, body: str
) -> None:
    define(f"BEGIN UPDATE t SET n = 5; {body} END", "n NUMBER", "NUMBER")
    with pytest.raises(ProgrammingError, match="invalid identifier") as error:
        one.run("CALL p(1)")
    assert (error.value.errno, error.value.sqlstate) == (904, "42000")
    assert one.run(ROWS) == [("a", 1), ("b", 2)], "nothing was run"


def test_wrong_table_is_found_when_the_statement_runs(one: Driver, define: Define) -> None:
    define("BEGIN UPDATE t SET n = 5;\n  UPDATE nope SET n = 1; END")
    with pytest.raises(
        ProgrammingError, match="'STATEMENT_ERROR' on line 2 at position 2"
    ) as error:
        one.run("CALL p()")
    assert (error.value.errno, error.value.sqlstate) == (2003, "42S02")
    assert one.run("SELECT DISTINCT n FROM t") == [(5,)]
