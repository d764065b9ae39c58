"""One pod through random events: it loses no step and does none twice."""

from __future__ import annotations

from itertools import count, pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet_q.adapters.memory import MemoryStore
from fleet_q.core import events as ev
from fleet_q.core.audit import audit
from fleet_q.core.errors import FleetQError, IncarnationEnded
from fleet_q.core.ports import SyncRequest
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Complete, Recover, Submit
from fleet_q.core.worker.machine import PodMachine
from tests.core.helpers import assert_waits_well

SETTINGS = PodSettings(max_parallelism=3, capacity_threshold=1.0, retry_base_delay=1.0)
STEPS = [str(n) for n in range(6)]


class World:
    """A pod, the functions that it runs, its store, and one clock for all of them.

    It carries plans out as the real shell does: one plan, its sync, then other events.
    ``store_mode`` is "fine"; "away": the store does nothing; or "mute": the store carries the
    request out, and the answer is lost.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.store_mode = "fine"
        self.functions: set[tuple[str, str]] = set()
        self.succeeded: list[tuple[str, str]] = []
        self.unanswered: SyncRequest | None = None
        self.in_order = True
        self.superseded = False
        self.wait_until = self.now
        self.store = MemoryStore(lambda: micros(self.now))
        ids = count()
        draws = count()
        self.machine = PodMachine(
            "pod",
            SETTINGS,
            new_id=lambda: f"id-{next(ids)}",
            chance=lambda: next(draws) * 0.37 % 1,
        )

    def once(self) -> bool:
        """Carry out one plan. False if the pod is gone."""
        plan = self.machine.plan(self.now)
        assert_waits_well(plan, self.now)
        self.functions.difference_update(plan.abandon)
        if plan.gone:
            return False
        self.wait_until = plan.next_at
        assert self.machine.running == len(self.functions) <= 3
        if plan.request is not None:
            self.take(plan.request)
        return True

    def take(self, request: SyncRequest) -> None:
        if self.unanswered is not None:
            assert request == replace(self.unanswered, is_retry=True)
        else:
            assert not request.is_retry
            assert not (request.claim and self.machine.phase == "draining")
        self.unanswered = request
        if self.store_mode == "away":
            self.no_answer()
            return
        try:
            answer = self.store.sync(request)
        except IncarnationEnded as ended:
            self.superseded = ended.superseded
            if self.store_mode == "mute":
                self.no_answer()
                return
            self.in_order = False
            self.unanswered = None
            self.machine.on_incarnation_ended()
            return
        if self.store_mode == "mute":
            self.no_answer()
            return
        self.unanswered = None
        for step in self.machine.on_synced(request, answer, self.now):
            self.functions.add((step.step_id, request.claim_token))
            if step.step_id in "01":
                self.machine.began(step.step_id, request.claim_token, 20.0, self.now)

    def no_answer(self) -> None:
        wait = self.machine.on_store_unavailable(self.now)
        assert 0 <= wait <= 5
        self.in_order = self.in_order and self.machine.phase != "gone"

    def apply(self, what: str, much: int) -> None:
        step_id = STEPS[much % 6]
        match what:
            case "time passes":
                self.now += much
            case "plan again":
                self.now = max(self.now, self.wait_until)
            case "submit":
                self.store.submit([Submit(step_id, "{}", max_retries=100)])
                self.machine.work_arrived()
            case "cancel" | "replay":
                change: Any = self.store.cancel if what == "cancel" else self.replay
                try:
                    change(step_id)
                except FleetQError:
                    return
            case "succeed" | "fail":
                self.end_function(step_id, what)
            case "declare dead":
                self.declare_dead()
            case _:
                self.store_mode = what

    def replay(self, step_id: str) -> None:
        self.store.replay([step_id])

    def end_function(self, step_id: str, how: str) -> None:
        token = next((token for running, token in self.functions if running == step_id), None)
        if token is None:
            return
        self.functions.remove((step_id, token))
        if how == "fail":
            self.machine.finished(self.machine.retry_policy.fail(step_id, token, 1, "Boom"))
        elif self.machine.finished(Complete(step_id, token, "null")):
            self.succeeded.append((step_id, token))

    def declare_dead(self) -> None:
        self.store.declare_dead(self.store.pods().pods)
        orphans = self.store.orphans("", 100)
        self.store.recover([Recover(orphan.step_id, orphan.claim_token) for orphan in orphans])

    def stop(self) -> None:
        """Let the pod leave while the store answers."""
        self.store_mode = "fine"
        self.machine.drain(self.now, 0)
        for _ in range(20):
            if not self.once():
                return
            self.now = max(self.now, self.wait_until)
        raise AssertionError("the pod does not leave")

    def fate(self, step_id: str, token: str) -> str | None:
        """The type of the event that ended the claim with this token."""
        for event, following in pairwise(self.store.history(step_id)):
            if isinstance(event.fact, ev.Claimed) and event.fact.claim_token == token:
                return following.fact.type
        return None


EVENTS = [
    *("time passes", "plan again", "submit", "cancel", "replay", "succeed", "fail") * 3,
    *("fine", "fine", "away", "mute", "declare dead"),
]
events = st.tuples(st.sampled_from(EVENTS), st.integers(0, 15))


@given(st.lists(events, min_size=50, max_size=80), st.none() | st.integers(0, 60))
def test_no_step_is_lost_or_done_twice_whatever_happens(
    course: list[tuple[str, int]], grace: int | None
) -> None:
    world = World()
    living = True
    for moment, (what, much) in enumerate(course):
        world.apply(what, much)
        if grace is not None and moment == 40:
            world.machine.drain(world.now, grace)
        living = living and world.once()
    if living:
        world.stop()

    assert not world.superseded, "no other process has this pod id"
    assert audit(world.store.step_events()).faults == []
    assert world.store.rebuild(check=True).equal
    if not world.in_order:
        world.declare_dead()
    assert world.store.counts()["claimed"] == 0
    for step_id, token in world.succeeded:
        expected = {"completed", "cancelled", "recovered"}
        assert world.fate(step_id, token) in expected
