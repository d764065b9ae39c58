"""Alerts: rows that one writer at a time changes."""

from __future__ import annotations

from msgspec.structs import replace

from fleet_q.core.alerts import Alert
from fleet_q.core.ports import Store

AT = 1_790_000_000_000_000
NEW = Alert("oldest:ö'/x", "raised", AT, AT + 1, 0, '{"queue":"ö\'/x"}', 1, AT)


def test_alert_is_written_only_as_it_was_read(store: Store) -> None:
    assert store.alerts().alerts == ()
    assert store.write_alert(None, NEW)
    assert not store.write_alert(None, NEW)
    claimed = replace(NEW, send_ts=None, tries=1, version=2)
    assert store.write_alert(NEW, claimed)
    assert not store.write_alert(NEW, replace(claimed, tries=5))
    other = Alert("dead_letters", version=1)
    assert store.write_alert(None, other)
    assert store.alerts().alerts == (other, claimed)


def test_alert_is_deleted_only_as_it_was_read(store: Store) -> None:
    store.write_alert(None, NEW)
    assert not store.write_alert(replace(NEW, version=2), None)
    assert store.write_alert(NEW, None)
    assert not store.write_alert(NEW, None)
    assert not store.write_alert(NEW, replace(NEW, version=2))
    listed = store.alerts()
    assert listed.alerts == ()
    assert listed.at > 0
