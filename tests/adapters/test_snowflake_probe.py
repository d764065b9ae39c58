"""What ``fleet-q doctor --probe`` finds on the stand-in, and that it notices every result that is
not as expected."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

import pytest

from fleet_q.adapters.snowflake.probe.client import Client, OnServer
from fleet_q.adapters.snowflake.probe.examination import PROBES, Examination
from fleet_q.adapters.snowflake.probe.result import ProbeResult
from fleet_q.adapters.snowflake.probe.scratch import Scratch
from fleet_q.core.errors import StoreError
from tests.standin.client import Schema
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow

SCRATCH: Final = r"FLEET_Q_PROBE_\w+_SCRATCH"
FATAL: Final = {"code": "003001", "message": "not any more", "sqlstate": "42501"}
"""An error that FLEET-Q takes for fatal."""


def examination(schema: Schema, *names: str, **options: Any) -> Examination:
    """The probes of these names, or all, on the stand-in."""
    connection = {"login_timeout": int(LIMIT), **schema.parameters}
    probes = [probe for probe in PROBES if not names or probe.name in names]
    assert {*names} <= {probe.name for probe in probes}
    return Examination(
        connection, **{"probes": probes, "budget": float("inf"), "patience": LIMIT, **options}
    )


def ask(schema: Schema, *names: str, **options: Any) -> dict[str, ProbeResult]:
    """The results by probe."""
    with examination(schema, *names, **options) as examined:
        results = {result.probe: result for result in examined.results()}
    assert examined.leftovers == ()
    return results


def ask_one(schema: Schema, name: str, **options: Any) -> ProbeResult:
    """The result of one probe."""
    return ask(schema, name, **options)[name]


def test_probe_finds_everything_as_expected_on_the_standin(schema: Schema) -> None:
    found = {name: result for name, result in ask(schema).items() if result.verdict != "ok"}
    assert found == {}


def test_probe_writes_only_to_tables_of_its_own_and_drops_them(schema: Schema) -> None:
    ask(schema)
    targets = {statement.target for statement in schema.log() if statement.target}
    assert all("FLEET_Q_PROBE_" in target for target in targets)
    dropped = [s.text for s in schema.log() if s.text.startswith("DROP TABLE")]
    assert any("STEP_TRACKER" in text for text in dropped)
    assert schema.sessions() == []


def test_probe_drops_its_tables_after_ctrl_c(schema: Schema) -> None:
    examined = examination(schema, "polls")
    with suppress(KeyboardInterrupt), examined:
        next(examined.results())
        raise KeyboardInterrupt
    assert examined.leftovers == ()
    assert any(s.text.startswith("DROP TABLE") for s in schema.log())


def test_probe_names_the_tables_that_it_could_not_drop(schema: Schema) -> None:
    schema.fault("error", matching="DROP TABLE .*OTHER", **FATAL)
    with examination(schema, "polls") as examined:
        list(examined.results())
    (leftover,) = examined.leftovers
    assert leftover.endswith("_OTHER")


def test_probe_names_its_prefix_if_it_could_drop_nothing(schema: Schema) -> None:
    schema.fault("error", matching="SHOW TABLES LIKE", **FATAL)
    with examination(schema, "polls") as examined:
        list(examined.results())
    (leftover,) = examined.leftovers
    assert leftover.endswith("_*")


def test_nothing_is_tried_without_tables(schema: Schema) -> None:
    schema.fault("error", matching="CREATE TRANSIENT TABLE", **FATAL)
    results = ask(schema, "polls")
    assert results["own tables"].verdict == "fail"
    assert "not any more" in results["own tables"].found
    assert results["polls"].verdict == "not tried"


def test_probe_begins_nothing_that_would_end_after_its_time(schema: Schema) -> None:
    results = ask(schema, budget=1.0)
    assert {result.verdict for result in results.values()} == {"not tried"}


def test_failed_sign_in_is_an_error_with_advice(schema: Schema) -> None:
    schema.fault("error", on="login", error="password", times=None)
    with pytest.raises(StoreError, match="SNOWFLAKE_USER"):
        ask(schema)


def test_polls_that_need_the_warehouse_are_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = Client.history

    def with_warehouse(self: Client, query_ids: Collection[str]) -> dict[str, OnServer]:
        return {
            query_id: on_server._replace(warehouse="X-Small")
            for query_id, on_server in history(self, query_ids).items()
        }

    monkeypatch.setattr(Client, "history", with_warehouse)
    result = ask_one(schema, "polls")
    assert result.verdict == "differs"
    assert "needs the warehouse (X-Small)" in result.found


def test_polls_are_not_judged_if_the_history_lacks_them(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "history", lambda self, query_ids: {})
    assert ask_one(schema, "polls").verdict == "not tried"


@pytest.mark.parametrize(
    ("name", "is_like", "instead"),
    [
        ("take", "two pods could claim", "UPDATE {table} SET text = :text WHERE id = :id"),
        ("increment", "outcomes of steps could be lost", "UPDATE {table} SET n = 1"),
    ],
)
def test_update_that_overwrites_what_it_waited_for_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str, is_like: str, instead: str
) -> None:
    replace_text(monkeypatch, name, instead)
    result = ask_one(schema, "UPDATE that waited")
    assert result.verdict == "fail"
    assert is_like in result.found


@pytest.mark.parametrize(
    ("code", "verdict"), [("000625", "ok"), ("099999", "differs"), ("003001", "fail")]
)
@pytest.mark.parametrize(("probe", "spare"), [("lock time-out", 1), ("deadlock", 1)])
def test_number_of_an_error_is_judged_by_what_a_pod_makes_of_it(
    schema: Schema, probe: str, spare: int, code: str, verdict: str
) -> None:
    error = {"code": code, "message": "you waited", "sqlstate": None}
    schema.fault("error", on="update", matching=SCRATCH, spare=spare, **error)
    result = ask_one(schema, probe)
    assert (result.verdict, code in result.found) == (verdict, True)


def test_update_that_does_not_wait_for_a_lock_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_text(monkeypatch, "increment", "SELECT 1")
    assert ask_one(schema, "lock time-out").verdict == "fail"


def test_insert_that_waits_for_a_lock_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_text(monkeypatch, "insert", "UPDATE {table} SET n = :n WHERE id = :id")
    result = ask_one(schema, "INSERT beside UPDATE", patience=0.1)
    assert result.verdict == "differs"
    assert "waits for the lock" in result.found


def replace_text(monkeypatch: pytest.MonkeyPatch, name: str, instead: str) -> None:
    """Replace a statement of the probe by another, which results as Snowflake must not."""
    text = Scratch.text

    def replaced(self: Scratch, wanted: str, **names: str) -> str:
        own = instead.replace("{table}", self.table) if wanted == name else None
        return own or text(self, wanted, **names)

    monkeypatch.setattr(Scratch, "text", replaced)
