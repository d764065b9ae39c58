"""An event type without a declared effect changes nothing in Snowflake."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.session import new_change_id
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreError
from tests.conformance.clock import FakeClock
from tests.conformance.helpers import facts, known, submit
from tests.conformance.stores import KINDS
from tests.standin.client import Standin


def test_event_without_a_declared_effect_is_rejected(standin: Standin, tmp_path: Path) -> None:
    kind = next(kind for kind in KINDS if kind.name == "snowflake")
    store = kind.open(tmp_path, FakeClock())
    assert isinstance(store, SnowflakeStore)
    submit(store, "step")
    before = known(store, "step")
    with pytest.raises(StoreError, match="NULL result in a non-nullable column"):
        store.session.call(
            "change",
            event_type="teleported",
            step_ids=rows.encode(["step"]),
            step_count=1,
            all_or_none=True,
            priority=None,
            sources=rows.encode(["pending"]),
            pod_id=None,
            earlier="[]",
            change_id=new_change_id(),
        )
    assert (known(store, "step"), facts(store, "step")) == (before, ["submitted"])
    store.close()
    kind.discard(tmp_path)
