"""Prefetching: what begins within a turn or two is claimed before it is needed, nothing else is
held, and no step begins under a claim that may have ended."""

from __future__ import annotations

from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Release
from tests.core.helpers import Pilot, up


def take(pilot: Pilot, seconds: float, *step_ids: str, payload: str = "{}") -> int:
    """A turn of that duration; how many steps it claims."""
    request = due_turn(pilot)
    pilot.wait(seconds)
    pilot.answer(request, *step_ids, payload=payload)
    return request.claim


def due_turn(pilot: Pilot) -> SyncRequest:
    pilot.plan()
    pilot.wait(0.2)  # for outcomes to gather
    return pilot.sync()


def finish_all(pilot: Pilot, *step_ids: str) -> None:
    for step_id in step_ids:
        pilot.finish(step_id)


def test_pod_claims_more_than_it_runs_where_steps_end_faster_than_turns() -> None:
    pilot = Pilot()
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")  # at once: six a second, as seen from here, and a turn takes one
    assert take(pilot, 1.0) == 6 + 12


def test_pod_prefetches_nothing_where_steps_take_longer_than_turns() -> None:
    pilot = Pilot()
    take(pilot, 0.01, *"abcdef")
    pilot.wait(5)
    finish_all(pilot, *"abcdef")
    assert take(pilot, 0.01) == 6


def test_pod_prefetches_no_more_than_the_setting() -> None:
    pilot = Pilot(prefetch=3)
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")
    assert take(pilot, 1.0) == 6 + 3


def test_claim_that_was_not_filled_ends_prefetching() -> None:
    pilot = Pilot()
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")
    take(pilot, 1.0, "g")
    pilot.wait(5)
    assert pilot.sync().claim == 5


def test_no_turn_is_taken_only_to_prefetch() -> None:
    pilot = held_ahead()
    assert pilot.machine.running == 16
    assert pilot.plan().request is None


def held_ahead() -> Pilot:
    """A pod with six slots and turns of a second, whose functions took no time and then hang. It
    holds 16 of the 18 steps that it asked for."""
    pilot = Pilot(claim_interval=5.0, heartbeat_interval=30.0)
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")
    take(pilot, 1.0, *"ghijklmnopqrstuv")
    return pilot


def test_steps_that_will_not_begin_soon_are_released() -> None:
    pilot = held_ahead()
    assert pilot.plan().keep is None
    pilot.wait(pilot.plan().next_at - pilot.now)
    keep = pilot.plan().keep
    assert keep is not None
    assert keep < 10
    pilot.wait(pilot.plan().next_at - pilot.now)  # a horizon in which nothing has ended
    assert pilot.plan().keep == 0
    pilot.machine.withdrawn(pilot.claims("u", "v"))
    pilot.plan()
    pilot.wait(0.2)
    request = pilot.sync()
    assert [type(outcome) for outcome in request.outcomes] == [Release, Release]
    assert request.claim == 0


def test_released_steps_are_not_claimed_again_at_once() -> None:
    pilot = held_ahead()
    for _ in range(2):
        pilot.wait(pilot.plan().next_at - pilot.now)
        pilot.plan()
    pilot.machine.withdrawn(pilot.claims(*"mnopqrstuv"))
    take(pilot, 1.0)
    pilot.finish("g")
    assert take(pilot, 1.0) == 1


def test_nothing_is_released_while_steps_begin_as_fast_as_expected() -> None:
    pilot = held_ahead()
    for ended in ("ghijkl", "mnopqr", "stuv"):
        pilot.wait(0.8)
        finish_all(pilot, *ended)
        assert pilot.plan().keep is None


def test_draining_pod_releases_at_once_what_has_not_begun() -> None:
    pilot = held_ahead()
    pilot.machine.drain(pilot.now)
    assert pilot.plan().keep == 0
    assert pilot.plan().keep is None


def test_claims_are_confirmed_in_one_turn_for_a_step_that_has_waited() -> None:
    pilot = held_ahead()
    pilot.machine.must_confirm()
    request = pilot.sync()
    assert request.check_held == pilot.claims(*"ghijklmnopqrstuv")
    pilot.wait(1.0)
    pilot.answer(request, lost=("v",))
    plan = pilot.plan()
    assert plan.abandon == pilot.claims("v")
    assert plan.begin_by is not None
    assert plan.begin_by > pilot.now
    assert pilot.plan().begin_by is None


def test_heartbeat_confirms_claims_too() -> None:
    pilot = held_ahead()
    pilot.plan()
    pilot.wait(30)
    request = pilot.sync()
    assert isinstance(request.pod_command, SendHeartbeat)
    pilot.answer(request)
    assert pilot.plan().begin_by is not None


def test_claims_are_confirmed_after_the_store_was_crowded() -> None:
    pilot = held_ahead()
    pilot.machine.must_confirm()
    pilot.sync()
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now, contended=True))
    assert pilot.sync().check_held


def test_nothing_is_confirmed_for_a_pod_that_holds_nothing() -> None:
    pilot = Pilot()
    pilot.take_turn("a")
    pilot.finish("a")
    pilot.take_turn()
    pilot.machine.must_confirm()
    assert pilot.plan().request is None


def test_outcomes_are_acknowledged_in_turns_of_few_bytes() -> None:
    pilot = Pilot()
    pilot.take_turn(*"abcdef")
    sizes = (2.5, 1, 1.5, 0.5, 4.5, 0.5)
    for step_id, size in zip("abcdef", sizes, strict=True):
        pilot.finish(step_id, "x" * int(size * 2**20))
    requests = []
    while (request := pilot.plan().request) is not None:
        requests.append([outcome.step_id for outcome in request.outcomes])
        pilot.answer(request)
    assert requests == [["a", "b"], ["c", "d"], ["e"], ["f"]]


def test_draining_pod_leaves_with_the_last_of_its_large_outcomes() -> None:
    pilot = Pilot()
    pilot.take_turn(*"abc")
    for step_id in "abc":
        pilot.finish(step_id, "x" * (3 * 2**20))
    pilot.machine.drain(pilot.now)
    while not pilot.plan().gone:
        pilot.wait(0.1)
        request = pilot.machine.plan(pilot.now).request
        if request is not None:
            pilot.answer(request)
    assert not pilot.machine.running


def test_pod_prefetches_few_steps_with_large_payloads() -> None:
    pilot = Pilot()
    payload = "x" * 2**20
    take(pilot, 1.0, *"abcdef", payload=payload)
    finish_all(pilot, *"abcdef")
    assert take(pilot, 1.0, *"ghijklmnopqrs", payload=payload) == 6 + 7  # of a MiB and 4 bytes
    finish_all(pilot, *"ghijkl")
    assert take(pilot, 1.0) == 0


def test_pod_prefetches_few_steps_with_large_results() -> None:
    pilot = Pilot()
    take(pilot, 1.0, *"abcdef")
    for step_id in "abc":
        pilot.finish(step_id, "x" * 2**20)
    request = due_turn(pilot)
    steps = [f"s{number}" for number in range(request.claim)]
    pilot.wait(1.0)
    pilot.answer(request, *steps)
    finish_all(pilot, *"def", *steps)
    assert due_turn(pilot).claim == 6 + 7


def test_pod_claims_no_more_than_run_after_releasing_what_cannot_begin() -> None:
    pilot = up(*"abcdef")
    pilot.machine.stuck(pilot.claims(*"cdef"), pilot.now)
    pilot.wait(pilot.settings.claim_interval)
    request = pilot.sync()
    assert request.outcomes == tuple(Release(*claim) for claim in pilot.claims(*"cdef"))
    assert request.claim == 0
    pilot.answer(request)
    pilot.finish("a")  # so one runs, and one more is tried
    pilot.wait(pilot.settings.claim_interval)
    assert pilot.take_turn("g", "h").claim == 2
    pilot.wait(pilot.settings.recovery_interval)
    assert pilot.sync().claim == 3


def test_pod_prefetches_nothing_while_steps_wait_that_need_a_free_slot() -> None:
    pilot = Pilot()
    take(pilot, 1.0, *"abcdef")
    finish_all(pilot, *"abcdef")
    pilot.plan()
    pilot.wait(0.2)
    request = pilot.sync()
    assert (request.claim, request.prefetch, request.free) == (18, 12, 6)
    pilot.wait(1.0)
    pilot.answer(request, *"ghijklmn", more=True)
    for ended in "gh":
        pilot.finish(ended)
        assert take(pilot, 0.5) == 0
    pilot.finish("i")
    assert take(pilot, 0.5, "o") == 1
    pilot.finish("j")
    pilot.plan()
    pilot.wait(0.2)
    assert pilot.sync().prefetch > 0


def test_claim_that_left_steps_is_followed_by_another() -> None:
    pilot = Pilot()
    pilot.take_turn("a", more=True)
    assert pilot.sync().claim == 5


def test_waiting_steps_are_released_when_results_turn_out_to_be_large() -> None:
    pilot = held_ahead()
    for step_id in "ghi":
        pilot.finish(step_id, "x" * (6 * 2**20))
    assert pilot.plan().keep == 0
