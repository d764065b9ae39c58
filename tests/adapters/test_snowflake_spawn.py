"""Completions with children on Snowflake, which follow the rest of their sync."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q.adapters.snowflake.spawn import Spawning
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreContended, StoreUnavailable
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Submit
from tests.standin.client import Schema


def test_contention_after_a_part_is_done_lets_the_request_be_repeated(
    tables: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnowflakeStore(tables.parameters)
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    store.submit([Submit(name, "{}", unique=True) for name in "abc"])
    store.sync(SyncRequest("pod", "one", claim=2, claim_token="t"))
    outcomes = (Complete("a", "t", "1", (Submit("child", "{}"),)), Complete("b", "t", "1"))
    request = SyncRequest("pod", "one", outcomes=outcomes, claim=1, claim_token="u")

    def contended(self: Spawning, *call: Any) -> Any:
        raise StoreContended("locked")

    with monkeypatch.context() as patched:
        patched.setattr(Spawning, "spawn", contended)
        with pytest.raises(StoreUnavailable) as error:
            store.sync(request)
    assert not isinstance(error.value, StoreContended)
    result = store.sync(replace(request, is_retry=True))
    assert ([step.step_id for step in result.claimed], result.refused) == (["c"], ())
    assert [step.status for step in map(store.step, ["a", "b", "child"]) if step] == [
        "completed", "completed", "pending",
    ]  # fmt: skip
    store.close()
