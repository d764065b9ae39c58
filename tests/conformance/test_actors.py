"""Every event of a step names who caused it, also where one change leads to others."""

from __future__ import annotations

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import schedules
from fleet_q.core.ports import Store
from fleet_q.core.step import Fail, Reprioritize, Submit

from .clock import FakeClock
from .helpers import acknowledge, claim, failed_step, join, recover_all, silent, submit
from .test_schedules import put


def actors(store: Store, step_id: str) -> list[tuple[str, str | None]]:
    return [(event.fact.type, event.pod_id) for event in store.history(step_id)]


def test_submission_names_its_key(store: Store) -> None:
    store.submit([Submit("new", "{}", unique=True)], "key:ci")
    store.submit([Submit("other", "{}"), Submit("taken", "{}", unique_key="k")], "key:ci")
    again = Submit("again", '{"a":1}', unique_key="k", on_conflict="replace")
    store.submit([again], "key:late")
    assert actors(store, "new") == actors(store, "other") == [("submitted", "key:ci")]
    assert actors(store, "taken") == [("submitted", "key:ci"), ("replaced", "key:late")]


def test_change_of_a_step_and_what_follows_name_who_made_it(store: Store) -> None:
    failed_step(store, "parent")
    store.submit([Submit("child", "{}", parents='{"parent":"success"}')], "ann@host")
    store.replay(["parent"], "key:ops")
    store.change_allowed([Reprioritize("parent", 7)], "bob@host")
    store.cancel("parent", "key:ci")
    assert actors(store, "parent")[3:] == [
        ("replayed", "key:ops"), ("reprioritized", "bob@host"), ("cancelled", "key:ci"),
    ]  # fmt: skip
    assert actors(store, "child") == [
        ("submitted", "ann@host"), ("cancelled", "ann@host"), ("restored", "key:ops"),
        ("cancelled", "key:ci"),
    ]  # fmt: skip


def test_recovery_by_hand_names_who_ran_it(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step")
    claim(store, token="token")
    clock.advance(60)
    store.declare_dead(silent(store, 60), "ann@host")
    recover_all(store, "ann@host")
    assert actors(store, "step") == [
        ("submitted", None), ("claimed", "pod"), ("recovered", "ann@host"),
    ]  # fmt: skip
    assert [event.pod_id for event in store.pod_history("pod")] == ["pod", "ann@host"]


def test_triggered_step_names_who_triggered_its_schedule(store: Store) -> None:
    row = put(store)
    write = schedules.trigger(row, None, store.schedules().at, CALENDAR)
    assert store.write_schedule(write, "key:ops")
    assert actors(store, write.steps[0].step_id) == [("submitted", "key:ops")]


def test_step_that_falls_with_another_names_who_failed_that(store: Store) -> None:
    join(store)
    submit(store, "parent")
    store.submit([Submit("child", "{}", parents='{"parent":"success"}')], "key:ci")
    claim(store, token="token")
    acknowledge(store, Fail("parent", "token", "Boom", permanent=True))
    assert actors(store, "child") == [("submitted", "key:ci"), ("cancelled", "pod")]
