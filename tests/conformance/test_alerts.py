"""Alerts: rows that one writer at a time changes."""

from __future__ import annotations

from msgspec.structs import replace

from fleet_q.core.alerting import look_for_alerts, record_told
from fleet_q.core.alerts import Alert, AlertRules
from fleet_q.core.calls import run
from fleet_q.core.pod import Join
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.rate import MICROS
from fleet_q.core.routing import Routes
from fleet_q.core.step import Fail, Submit

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


def test_look_finds_dead_letters_and_unserved_steps(store: Store) -> None:
    sent: list[Alert] = []
    rules = AlertRules(oldest=3_600 * MICROS, after=0)

    def look() -> list[str]:
        sent.clear()
        run(store, look_for_alerts(rules, 3_600 * MICROS, sent.append))
        for alert in sent:
            run(store, record_told(alert))
        return [f"{alert.alert} {alert.status} {alert.details.count}" for alert in sent]

    assert look() == []
    store.submit([Submit(i, "{}", max_retries=0, task_type="t") for i in "ab"])
    store.submit([Submit("c", "{}", task_type="nobody", queue="q")])
    only_t = Routes(None, ("t",))
    claim = SyncRequest("p", "i", Join("p", "i"), claim=3, claim_token="t", routes=only_t)
    claimed = store.sync(claim).claimed
    fails = [Fail(step.step_id, "t", "no", permanent=True) for step in claimed]
    store.sync(SyncRequest("p", "i", outcomes=tuple(fails)))
    assert look() == ["dead_letters raised 2", "unserved:q/nobody raised 0"]
    assert look() == ["dead_letters resolved 2"]
    store.cancel("c")
    assert look() == ["unserved:q/nobody resolved 0"]
    assert look() == []
