"""Table locks, seen through the driver."""

from __future__ import annotations

import pytest
from snowflake.connector.errors import Error, ProgrammingError

from tests.waiting import wait_until

from .client import Schema
from .conftest import SignIn
from .helpers import Driver, waiting

ADD = "UPDATE t SET n = n + 1"


def test_update_waits_until_the_transaction_with_the_lock_ends(
    schema: Schema, one: Driver, two: Driver
) -> None:
    one.transaction(ADD)
    update = two.later(ADD)
    wait_until(lambda: waiting(schema) == 1)
    assert not update.done()
    one.run("COMMIT")
    assert update.result() == [(2, 0)]
    assert one.run("SELECT n FROM t ORDER BY id") == [(3,), (4,)]
    waited = schema.log(lambda entry: entry.waited > 0.001)
    assert [entry.text for entry in waited] == [ADD]


def test_statement_that_waited_for_a_lock_reads_what_was_committed_meanwhile(
    schema: Schema, one: Driver, two: Driver
) -> None:
    one.transaction("UPDATE t SET n = 10 WHERE id = 'a'")
    two.run("BEGIN")
    claim = two.later(
        "UPDATE t SET n = 20 FROM (SELECT id FROM t WHERE n < 10 ORDER BY id LIMIT 1) AS least"
        " WHERE t.id = least.id"
    )
    wait_until(lambda: waiting(schema) == 1)
    one.run("COMMIT")
    assert claim.result() == [(1, 0)]
    assert two.run("SELECT id, n FROM t ORDER BY id") == [("a", 10), ("b", 20)]


@pytest.mark.parametrize(
    "write", [ADD, "DELETE FROM t WHERE id = 'a'", "TRUNCATE TABLE t",
              "MERGE INTO t USING (SELECT 'a' AS id) AS s ON t.id = s.id WHEN MATCHED THEN"
              " UPDATE SET n = 0"],
)  # fmt: skip
def test_statement_that_changes_rows_takes_the_lock(
    schema: Schema, one: Driver, two: Driver, write: str
) -> None:
    one.transaction(ADD)
    waits = two.later(write)
    wait_until(lambda: waiting(schema) == 1)
    one.run("ROLLBACK")
    waits.result()


def test_inserts_selects_and_updates_of_another_table_do_not_wait(
    schema: Schema, one: Driver, two: Driver
) -> None:
    one.transaction(ADD)
    two.run("INSERT INTO t (id, n) VALUES ('c', 3)")
    assert two.run("SELECT n FROM t ORDER BY id") == [(1,), (2,), (3,)]
    two.run("UPDATE other SET n = 0")
    one.run("COMMIT")
    assert two.run("SELECT n FROM t ORDER BY id") == [(2,), (3,), (3,)]


def test_lock_is_granted_in_order_of_arrival(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    one.transaction(ADD)
    waiters = []
    for number in range(4):
        driver = sign_in()
        text = f"UPDATE t SET n = n * 10 + {number}"
        waiters.append(driver.later(text))
        wait_until(lambda: waiting(schema) == len(waiters))
    one.run("COMMIT")
    for waiter in waiters:
        waiter.result()
    assert one.run("SELECT n FROM t ORDER BY id") == [(20123,), (30123,)]


def test_twenty_first_waiter_is_rejected(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    one.transaction(ADD)
    waiters = [sign_in().later(ADD) for _ in range(20)]
    wait_until(lambda: waiting(schema) == 20)
    late = sign_in()
    late.transaction("INSERT INTO other (id) VALUES ('kept')")
    with pytest.raises(ProgrammingError) as refused:
        late.run(ADD)
    assert (refused.value.errno, refused.value.sqlstate) == (625, "57014")
    assert "20 statements limit" in str(refused.value)
    late.run("COMMIT")  # only the statement failed
    one.run("COMMIT")
    for waiter in waiters:
        waiter.result()
    assert one.run("SELECT n FROM t ORDER BY id") == [(22,), (23,)]
    assert one.run("SELECT id FROM other") == [("kept",)]


def test_statement_fails_after_its_lock_timeout(one: Driver, sign_in: SignIn) -> None:
    hurried = sign_in(session_parameters={"LOCK_TIMEOUT": 0.1})
    one.transaction(ADD)
    with pytest.raises(ProgrammingError) as refused:
        hurried.run(ADD)
    assert refused.value.sqlstate == "57014"
    one.run("COMMIT")
    hurried.run(ADD)


@pytest.mark.parametrize("vanish", ["logout", "expiry"])
def test_session_that_ends_releases_its_locks(
    schema: Schema, one: Driver, sign_in: SignIn, vanish: str
) -> None:
    holder = sign_in()
    holder.transaction(ADD)
    waits = one.later(ADD)
    wait_until(lambda: waiting(schema) == 1)
    if vanish == "logout":
        holder.close()
    else:
        schema.end_sessions(next(entry["id"] for entry in schema.sessions() if entry["locks"]))
        with pytest.raises(Error) as gone:
            holder.run("COMMIT")
        assert gone.value.errno == 390111
    waits.result()
    assert one.run("SELECT n FROM t ORDER BY id") == [(2,), (3,)]


def test_idle_transaction_that_others_wait_for_is_rolled_back(
    schema: Schema, one: Driver, two: Driver
) -> None:
    schema.set(idle_abort=0.2)
    one.transaction(ADD)
    two.run(ADD)
    assert two.run("SELECT n FROM t ORDER BY id") == [(2,), (3,)]
    assert one.run("SELECT CURRENT_TRANSACTION() AS id") == [(None,)]


def test_deadlock_is_an_error(schema: Schema, one: Driver, two: Driver) -> None:
    one.transaction(ADD)
    two.transaction("UPDATE other SET n = 0")
    waits = one.later("UPDATE other SET n = 1")
    wait_until(lambda: waiting(schema) == 1)
    with pytest.raises(ProgrammingError, match="deadlock"):
        two.run(ADD)
    two.run("ROLLBACK")
    waits.result()
    one.run("COMMIT")


def test_canceled_waiter_gets_no_lock(schema: Schema, one: Driver, sign_in: SignIn) -> None:
    one.transaction(ADD)
    impatient = sign_in()
    waits = impatient.later(ADD)
    wait_until(lambda: waiting(schema) == 1)
    impatient.run("ROLLBACK")
    with pytest.raises(ProgrammingError) as canceled:
        waits.result()
    assert canceled.value.errno == 604
    one.run("COMMIT")
    assert one.run("SELECT n FROM t ORDER BY id") == [(2,), (3,)]
