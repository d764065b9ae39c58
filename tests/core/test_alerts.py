"""Alerts: when they are raised, when they are over, and what is sent again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.alerting import look_for_alerts, record_told
from fleet_q.core.alerts import (
    KEPT_FOR,
    RETRY_BASE,
    RETRY_MAX,
    Alert,
    AlertRules,
    DeadLetter,
    Found,
    Waiting,
    claimed,
    is_to_send,
    judge,
    told,
)
from fleet_q.core.calls import Calls, run
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.rate import MICROS
from fleet_q.core.schedules import Schedule
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Fail, Submit
from fleet_q.core.worker.alert_duty import AlertDuty

MINUTE = 60 * MICROS
RULES = AlertRules(oldest=60 * MINUTE, after=5 * MINUTE)
T = 1_790_000_000_000_000


class Rows:
    """The rows of a store, and looks at it."""

    def __init__(self) -> None:
        self.rows: dict[str, Alert] = {}

    def look(
        self,
        at: int,
        failed: int = 0,
        newest: Sequence[tuple[int, str]] = (),
        waiting: Sequence[Waiting] = (),
        schedules: Sequence[Schedule] = (),
    ) -> list[str]:
        """What is to be sent after a look ``at`` so many microseconds, which then is told."""
        dead = [DeadLetter(T + ts, step_id, "q", "t") for ts, step_id in newest]
        found = Found(T + at, failed, dead, waiting, schedules)
        for before, after in judge(list(self.rows.values()), found, RULES):
            row = after or before
            assert row is not None
            assert self.rows.get(row.alert) == before
            assert after is None or after.version == (before.version if before else 0) + 1
            if after is None:
                del self.rows[row.alert]
            else:
                self.rows[row.alert] = after
        lines = []
        for row in list(self.rows.values()):
            if is_to_send(row, T + at):
                lines.append(f"{row.alert} {row.status} {row.details.count}")
                after = told(row, row, T + at)
                assert after is not None
                self.rows[row.alert] = after
        return lines


def test_dead_letters_that_were_there_before_raise_no_alert() -> None:
    rows = Rows()
    assert rows.look(0, 1_000, [(-5, "a")]) == []
    assert rows.look(MINUTE, 1_000, [(-5, "a")]) == []


def test_burst_of_dead_letters_is_one_alert_with_their_number() -> None:
    rows = Rows()
    rows.look(0)
    assert rows.look(MINUTE, 1, [(30, "a")]) == ["dead_letters raised 1"]
    many = [(MINUTE + n, f"b{n}") for n in reversed(range(20))]
    assert rows.look(2 * MINUTE, 1_001, many) == []
    assert rows.look(6 * MINUTE, 1_001, many[:1]) == []
    assert rows.look(7 * MINUTE, 1_001, many[:1]) == ["dead_letters resolved 1001"]
    assert rows.look(8 * MINUTE, 1_001, many[:1]) == []
    assert rows.look(9 * MINUTE, 1_002, [(9 * MINUTE, "c")]) == ["dead_letters raised 1"]


def test_dead_letter_counts_although_an_older_one_was_replayed() -> None:
    rows = Rows()
    rows.look(0, 3, [(-5, "a")])
    assert rows.look(1, 3, [(0, "b"), (-5, "a")]) == ["dead_letters raised 1"]


def test_dead_letter_of_an_earlier_time_counts() -> None:
    """It was committed late, or after the clock was set back."""
    rows = Rows()
    rows.look(0, 1, [(-5, "a")])
    assert rows.look(1, 2, [(-5, "a")]) == ["dead_letters raised 1"]


def test_dead_letter_that_comes_during_a_look_counts_once() -> None:
    rows = Rows()
    rows.look(0)
    assert rows.look(1, 0, [(1, "a")]) == ["dead_letters raised 1"]
    rows.look(2, 1, [(1, "a")])
    assert rows.rows["dead_letters"].details.count == 1


def test_replayed_dead_letters_are_not_counted_when_others_follow() -> None:
    rows = Rows()
    rows.look(0, 5, [(-5, "a")])
    assert rows.look(1) == []
    assert rows.look(2, 1, [(1, "b")]) == ["dead_letters raised 1"]


def test_unserved_steps_raise_an_alert_once_they_have_waited() -> None:
    rows = Rows()
    steps = [Waiting("q", "t", T, is_served=False)]
    assert rows.look(4 * MINUTE, waiting=steps) == []
    assert rows.look(5 * MINUTE, waiting=steps) == ["unserved:q/t raised 0"]
    assert rows.look(6 * MINUTE, waiting=steps) == []
    assert rows.look(7 * MINUTE) == ["unserved:q/t resolved 0"]
    assert rows.look(9 * MINUTE, waiting=steps) == ["unserved:q/t raised 0"]


def test_oldest_step_of_a_queue_raises_one_alert() -> None:
    rows = Rows()
    steps = [Waiting("q", t, T, is_served=True) for t in "ab"]
    assert rows.look(59 * MINUTE, waiting=steps) == []
    assert rows.look(60 * MINUTE, waiting=steps) == ["oldest:q raised 0"]
    later = [Waiting("q", "b", T + 30 * MINUTE, is_served=True)]
    assert rows.look(61 * MINUTE, waiting=later) == ["oldest:q resolved 0"]


def test_schedule_that_is_late_raises_an_alert_until_it_has_fired() -> None:
    rows = Rows()
    late = Schedule("s", "{}", every=1, next_ts=T)
    assert rows.look(4 * MINUTE, schedules=[late]) == []
    assert rows.look(5 * MINUTE, schedules=[late]) == ["schedule:s raised 0"]
    fired = Schedule("s", "{}", every=1, next_ts=T + 10 * MINUTE, last_ts=T)
    assert rows.look(6 * MINUTE, schedules=[fired]) == ["schedule:s resolved 0"]


def test_schedule_that_skips_a_time_raises_an_alert_until_it_fires() -> None:
    def schedule(skipped: int, last: int) -> list[Schedule]:
        return [Schedule("s", "{}", every=1, next_ts=T + KEPT_FOR, skipped=skipped, last_ts=last)]

    rows = Rows()
    assert rows.look(0, schedules=schedule(7, T)) == []
    assert rows.look(1, schedules=schedule(8, T)) == ["schedule:s raised 1"]
    assert rows.look(2, schedules=schedule(9, T)) == []
    assert rows.look(3, schedules=schedule(9, T)) == []
    assert rows.look(4, schedules=schedule(9, T + 2)) == ["schedule:s resolved 2"]
    assert rows.look(5, schedules=schedule(10, T + 2)) == ["schedule:s raised 1"]
    assert rows.look(6) == ["schedule:s resolved 1"]
    assert rows.look(7 + KEPT_FOR) == []
    assert list(rows.rows) == ["dead_letters"]


def test_alert_is_sent_again_ever_later_until_it_is_told() -> None:
    row = Alert("oldest:q", "raised", T, T)
    assert is_to_send(row, T)
    waits = []
    at = T
    for _ in range(8):
        row = claimed(row, at)
        assert row.send_ts is not None
        assert not is_to_send(row, at)
        waits.append(row.send_ts - at)
        at = row.send_ts
        assert is_to_send(row, at)
    assert waits[:3] == [RETRY_BASE, 2 * RETRY_BASE, 4 * RETRY_BASE]
    assert waits[-1] == RETRY_MAX
    assert is_to_send(row, at - 2 * RETRY_MAX), "the clock was set back"


class Clock:
    now = T

    def __call__(self) -> int:
        return self.now


def look(store: MemoryStore, sent: list[Alert]) -> None:
    run(store, look_for_alerts(RULES, 60 * MICROS, sent.append))


class OtherLeader:
    """A store in which another leader looks for alerts right before the first write."""

    def __init__(self, store: MemoryStore, sent: list[Alert]) -> None:
        self._store = store
        self._sent: list[Alert] | None = sent

    def __getattr__(self, name: str) -> Any:
        if name == "write_alert" and self._sent is not None:
            sent, self._sent = self._sent, None
            look(self._store, sent)
        return getattr(self._store, name)


def test_two_leaders_send_an_alert_once() -> None:
    clock = Clock()
    store, sent = MemoryStore(clock=clock), list[Alert]()
    look(store, sent)
    store.submit([Submit("a", "{}", max_retries=0)])
    store.sync(SyncRequest("p", "i", Join("p", "i"), claim=1, claim_token="t"))
    store.sync(SyncRequest("p", "i", outcomes=(Fail("a", "t", "no", permanent=True),)))
    other = cast("MemoryStore", OtherLeader(store, sent))
    look(other, sent)
    assert [(each.alert, each.status) for each in sent] == [("dead_letters", "raised")]
    run(store, record_told(sent[0]))
    clock.now += RETRY_MAX
    look(store, sent)
    assert [each.status for each in sent] == ["raised", "resolved"]
    run(store, record_told(sent[0]))  # late: it says something else by now
    assert store.alerts().alerts[0].send_ts is not None
    clock.now += RETRY_MAX
    look(store, sent)
    assert [each.status for each in sent] == ["raised", "resolved", "resolved"]
    run(store, record_told(sent[-1]))
    assert store.alerts().alerts[0].send_ts is None


class Unavailable:
    """A store that does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise StoreUnavailable("away")


def test_told_alert_is_recorded_once_the_store_answers() -> None:
    store, errors = MemoryStore(), list[Exception]()
    row = Alert("oldest:q", "raised", T, T, 1, version=1)
    store.write_alert(None, row)
    duty = AlertDuty(PodSettings(), None, errors.append)
    duty.on_told(row)
    run(cast("MemoryStore", Unavailable()), duty.record())
    assert [str(error) for error in errors] == ["away"]
    run(store, duty.record())
    assert store.alerts().alerts[0].send_ts is None
    assert len(errors) == 1


def test_look_that_fails_does_not_fail_the_recovery_cycle() -> None:
    errors = list[Exception]()

    def recovery() -> Calls[bool]:
        yield from ()
        return True

    duty = AlertDuty(PodSettings(), lambda alert: None, errors.append)
    assert run(cast("MemoryStore", Unavailable()), duty.then_look(recovery()))
    assert [str(error) for error in errors] == ["away"]
