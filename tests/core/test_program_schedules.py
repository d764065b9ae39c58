"""A pod that leads fires schedules, and puts those of its code, between its syncs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import schedules
from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import Store, StoreTraits
from fleet_q.core.schedules import Definition
from fleet_q.core.step import Submit

from .test_program import ByHand, fail

SECOND = 1_000_000
BILLED = StoreTraits(writes_are_billed=True)


def definition(seconds: int) -> Definition:
    return Definition("load", Submit("", "{}"), every=seconds * SECOND)


def put(store: Store, made: Definition) -> None:
    write = schedules.put(None, made, store.schedules().at, None, CALENDAR)
    assert write is not None
    assert store.write_schedule(write)


def live_until(pod: ByHand, condition: Callable[[], object]) -> None:
    for _ in range(20_000):
        if condition():
            return
        pod.go_on()
    pytest.fail("the pod did not do it")


def calls_of(pod: ByHand, methods: Sequence[str]) -> list[str]:
    return [call.method for call in pod.calls if call.method in methods]


@pytest.mark.parametrize("traits", [StoreTraits(), BILLED], ids=["awake", "asleep"])
def test_leader_fires_in_time_and_looks_at_no_schedule_before(traits: StoreTraits) -> None:
    pod = ByHand(traits)
    put(pod.store, definition(1_800))
    live_until(pod, lambda: pod.functions.started)
    assert [step.step_id for step in pod.functions.started] == ["load@1970-01-01T00:30:00Z"]
    assert pod.now == pytest.approx(1_800, abs=1)
    assert calls_of(pod, ["schedules", "write_schedule"]) == ["schedules", "write_schedule"]


def test_sleeping_pod_sleeps_until_the_next_firing() -> None:
    pod = ByHand(BILLED)
    put(pod.store, definition(1_800))
    live_until(pod, lambda: pod.machine.phase == "asleep")
    live_until(pod, lambda: pod.machine.phase != "asleep")
    assert pod.now == pytest.approx(1_800, abs=1)


def test_schedule_that_is_put_while_the_pod_lives_fires_in_time() -> None:
    pod = ByHand()
    live_until(pod, lambda: pod.machine.phase == "up")
    put(pod.store, definition(300))
    live_until(pod, lambda: pod.functions.started)
    assert pod.now == pytest.approx(300, abs=1)


def test_many_missed_times_hold_up_no_recovery() -> None:
    pod = ByHand()
    live_until(pod, lambda: pod.machine.phase == "up")
    put(pod.store, replace(definition(1), missed="all", window=40_000 * SECOND))
    pod.now += 20_000  # some two hundred calls
    live_until(pod, lambda: calls_of(pod, ["write_schedule"]))
    before = len(calls_of(pod, ["write_schedule"]))
    live_until(pod, lambda: pod.calls[-1].method == "final_steps")  # ends a recovery cycle
    assert len(calls_of(pod, ["write_schedule"])) - before < 20


@pytest.mark.parametrize("traits", [StoreTraits(), BILLED], ids=["awake", "asleep"])
def test_fleet_without_schedules_never_reads_them(traits: StoreTraits) -> None:
    pod = ByHand(traits)
    live_until(pod, lambda: len(pod.calls) >= 300)
    assert calls_of(pod, ["schedules", "write_schedule"]) == []


def test_pod_puts_the_schedules_of_its_code_once_the_store_answers() -> None:
    pod = ByHand(declared=[definition(3_600)])
    live_until(pod, lambda: isinstance(pod.need, StoreCall) and pod.need.method == "schedules")
    pod.go_on(fail(StoreUnavailable("away")))
    live_until(pod, lambda: pod.store.schedules().schedules)
    (row,) = pod.store.schedules().schedules
    (event,) = pod.store.schedule_history("load")
    assert (row.schedule, event.changed_by) == ("load", "pod")
    live_until(pod, lambda: len(pod.calls) >= 300)
    assert len(calls_of(pod, ["write_schedule"])) == 1


def test_firing_that_the_store_did_not_answer_is_tried_again() -> None:
    pod = ByHand()
    put(pod.store, definition(300))
    live_until(pod, lambda: isinstance(pod.need, StoreCall) and pod.need.method == "write_schedule")
    pod.go_on(fail(StoreUnavailable("away")))
    live_until(pod, lambda: pod.functions.started)
    assert pod.now == pytest.approx(300 + pod.machine.settings.recovery_interval, abs=2)
