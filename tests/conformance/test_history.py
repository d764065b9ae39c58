"""Reading the log of one step and of all steps."""

from __future__ import annotations

from fleet_q.core import events as ev
from fleet_q.core.events import StepEvent
from fleet_q.core.ports import Store
from fleet_q.core.step import Fail, Submit

from .clock import SECOND, FakeClock
from .helpers import acknowledge, claim, held_step, join, known, submit


def test_history_has_the_type_pod_and_time_of_each_event(store: Store, clock: FakeClock) -> None:
    begin = clock()
    held_step(store, max_retries=1, priority=4)
    clock.advance(1)
    acknowledge(store, Fail("step", "token", "Boom", "line 1", retry_delay=2 * SECOND))
    store.cancel("step")

    submitted, *others = store.history("step")

    assert isinstance(submitted.fact, ev.Submitted)
    assert bytes(submitted.fact.payload) == b"{}"
    assert others == [
        StepEvent("step", 2, begin, "pod", ev.Claimed("token", "one")),
        StepEvent(
            "step", 3, clock(), "pod", ev.Retried("token", "Boom", "line 1", begin + 3 * SECOND)
        ),
        StepEvent("step", 4, clock(), None, ev.Cancelled()),
    ]


def test_an_unknown_step_has_no_history(store: Store) -> None:
    assert store.history("step") == []
    assert store.step("step") is None


def test_log_is_ordered_by_step_id_then_version(store: Store) -> None:
    join(store)
    submit(store, "b")
    submit(store, "a", priority=-1)
    claim(store)

    log = [(event.stream, event.version) for event in store.step_events()]
    assert log == [("a", 1), ("b", 1), ("b", 2)]


def test_steps_can_be_read_while_the_log_is_read(store: Store) -> None:
    submit(store, "a", "b")

    for event in store.step_events():
        assert known(store, event.stream).status == "pending"


def test_step_submitted_while_the_log_is_read_is_not_in_the_result(store: Store) -> None:
    submit(store, "a", "b")
    log = store.step_events()
    first = next(log)

    submit(store, "c")

    assert [first.stream, *(event.stream for event in log)] == ["a", "b"]


def test_store_is_usable_after_its_log_was_read_in_part(store: Store) -> None:
    store.submit([Submit(str(number), "{}") for number in range(9)])
    log = store.step_events()
    next(log)
    del log

    assert store.counts()["pending"] == 9
    submit(store, "another")
