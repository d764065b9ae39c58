"""The pod's program, interpreted by the test: what it yields, and what closing it leaves undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar

import pytest

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.calls import StoreCall, call, run
from fleet_q.core.cycle import MAX_PAUSE, Cycle
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.core.pod import Join, Leave, SendHeartbeat
from fleet_q.core.ports import Store, StoreTraits, SyncRequest, SyncResult
from fleet_q.core.schedules import Definition
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Complete, Step, Submit
from fleet_q.core.worker.functions import Functions
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.observer import Observer
from fleet_q.core.worker.program import PodProgram, Program, Wait
from tests.core.helpers import AT, claimed


class Held(Functions):
    """Functions that do not end by themselves."""

    def __init__(self) -> None:
        self.started: list[Step] = []
        self.closed = False

    @property
    def should_pull(self) -> bool:
        return False

    def start(self, steps: Any, begin_by: float, ahead: float = 0.0) -> None:
        self.started += steps

    def close(self) -> None:
        self.closed = True

    def confirm(self, begin_by: float) -> None: ...
    def pull(self) -> None: ...
    def forget(self, step_id: str, claim_token: str) -> None: ...
    def abandon(self, step_id: str, claim_token: str) -> None: ...

    def withdraw(self, keep: int) -> list[Any]:
        return []

    def take_stuck(self, before: float) -> list[Any]:
        return []


class Queue:
    """A recovery queue that records whether it is open."""

    opened: ClassVar[set[int]] = set()

    def create(self) -> None:
        self.opened.add(id(self))

    def add(self, orphans: Any) -> None: ...

    def take(self, limit: int) -> list[Any]:
        return []

    def drop(self) -> None:
        self.opened.discard(id(self))


class Errors(Observer):
    def __init__(self) -> None:
        self.unexpected: list[BaseException] = []
        self.failed: list[BaseException] = []
        self.left: list[bool] = []
        self.claimed_again: list[str] = []

    def on_claimed_again(self, step: Step) -> None:
        self.claimed_again.append(step.step_id)

    def on_unexpected(self, error: BaseException, wait: float) -> None:
        self.unexpected.append(error)

    def on_failed(self, error: BaseException) -> None:
        self.failed.append(error)

    def on_left(self, *, confirmed: bool) -> None:
        self.left.append(confirmed)


class ByHand:
    """A pod whose calls of the store are answered by the test, or by ``store``."""

    def __init__(
        self,
        traits: StoreTraits | None = None,
        declared: Sequence[Definition] = (),
        **settings: Any,
    ) -> None:
        traits = traits or StoreTraits()
        ids = count()
        self.now = 100.0
        self.store = MemoryStore(lambda: round(self.now * 1e6))
        self.machine = PodMachine(
            "pod",
            PodSettings(**{"prune_after": 10.0, **settings}),
            new_id=lambda: f"id-{next(ids)}",
            chance=lambda: 0.5,
            traits=traits,
        )
        self.functions = Held()
        self.observer = Errors()
        self.calls: list[StoreCall] = []
        self.messages: list[Any] = []
        program = PodProgram(
            self.machine,
            self.functions,
            self.observer,
            clock=lambda: self.now,
            new_queue=Queue,
            traits=traits,
            starts=None,
            describe=str,
            calendar=CALENDAR,
            declared=declared,
        )
        self.pod = program
        self.program: Program[None] = program.run()
        self.need = next(self.program)

    def go_on(self, answer: Callable[[StoreCall], Any] | None = None) -> StoreCall | Wait:
        """Carry out what the program has yielded. Returns what it yields next."""
        need = self.need
        if isinstance(need, Wait):
            self.now = max(self.now, need.until)
            messages, self.messages = self.messages, []
            self.need = self.program.send(messages)
            return self.need
        self.calls.append(need)
        try:
            result = answer(need) if answer is not None else need.on(self.store)
        except Exception as error:
            self.need = self.program.throw(error)
        else:
            self.need = self.program.send(result)
        return self.need

    def live(self, calls: int) -> None:
        """Go on until so many calls have been made and the program yields another."""
        while len(self.calls) < calls or isinstance(self.need, Wait):
            self.go_on()

    def live_until_sync(self) -> None:
        """Go on until the program yields a sync."""
        while not (isinstance(self.need, StoreCall) and self.need.method == "sync"):
            self.go_on()

    def end(self) -> None:
        """Go on until the program has ended."""
        with suppress(StopIteration):
            while True:
                self.go_on()


def fail(error: Exception) -> Callable[[StoreCall], Any]:
    def answer(call: StoreCall) -> Any:
        raise error

    return answer


def test_pod_joins_claims_and_starts_functions() -> None:
    pod = ByHand()
    pod.store.submit([Submit("a", "{}"), Submit("b", "{}")])
    pod.live(1)
    assert isinstance(pod.calls[0].args[0].pod_command, Join)
    assert [step.step_id for step in pod.functions.started] == ["a", "b"]
    assert set(pod.pod.held) == {"a", "b"}


@pytest.mark.parametrize("calls", range(12))
def test_closing_the_program_at_any_call_makes_no_other_call(calls: int) -> None:
    pod = ByHand()
    pod.store.submit([Submit("a", "{}")])
    pod.store.submit([Submit("orphan", "{}")])
    pod.store.sync(SyncRequest("dead", "x", Join("dead", "x"), claim=1, claim_token="t"))
    pod.store.sync(SyncRequest("dead", "x", Leave("dead", "x")))
    pod.live(calls)
    pod.program.close()
    assert len(pod.calls) == calls
    assert not pod.functions.closed
    assert not Queue.opened


def test_recovery_and_pruning_make_their_calls_between_syncs() -> None:
    pod = ByHand()
    pod.live(20)
    methods = [call.method for call in pod.calls]
    assert {"sync", "pods", "orphans", "final_steps"} <= set(methods)


def test_recorded_step_is_no_longer_held() -> None:
    pod = ByHand()
    pod.store.submit([Submit("a", "{}")])
    pod.live(1)
    (step,) = pod.functions.started
    pod.messages.append(Complete("a", step.claim_token or "", "1"))
    while "a" in pod.pod.held:
        pod.go_on()
    done = pod.store.step("a")
    assert done is not None
    assert done.status == "completed"


def test_steps_claimed_again_are_reported_in_the_order_of_their_ids() -> None:
    pod = ByHand()
    step_ids = [str(number) for number in range(10, 30)]
    result = SyncResult(AT, tuple(claimed(step_id) for step_id in reversed(step_ids)))
    for _ in range(2):
        pod.live_until_sync()
        pod.go_on(lambda _: result)
    assert pod.observer.claimed_again == step_ids


def test_message_behind_one_that_raises_is_not_lost() -> None:
    pod = ByHand()
    pod.store.submit([Submit("a", "{}")])
    pod.live(1)
    (step,) = pod.functions.started

    def raises() -> None:
        raise RecursionError("the recursion limit is low")

    pod.messages += [raises, Complete("a", step.claim_token or "", "1")]
    while "a" in pod.pod.held:
        pod.go_on()
    assert [type(error) for error in pod.observer.unexpected] == [RecursionError]
    assert pod.pod.unexpected is None


def test_unanswered_sync_is_sent_again() -> None:
    pod = ByHand()
    pod.go_on(fail(StoreUnavailable("away")))
    pod.live(1)
    pod.go_on()
    assert isinstance(pod.calls[1].args[0], SyncRequest)
    assert pod.calls[1].args[0].is_retry
    assert not pod.observer.failed


def test_failed_pod_stops_its_functions_and_releases_its_steps() -> None:
    pod = ByHand()
    pod.store.submit([Submit("a", "{}")])
    pod.live(1)
    pod.live_until_sync()
    pod.go_on(fail(StoreError("insufficient privileges")))
    assert pod.functions.closed
    pod.end()
    released = pod.store.step("a")
    assert released is not None
    assert released.status == "pending"
    assert [str(error) for error in pod.observer.failed] == ["insufficient privileges"]
    assert not pod.observer.left
    assert pod.store.pods().pods[0].status == "down"


def test_drained_pod_leaves() -> None:
    pod = ByHand()
    pod.live(1)
    pod.machine.drain(pod.now)
    pod.end()
    assert pod.observer.left == [True]


def test_cycle_pauses_in_proportion_to_the_duration_of_its_calls() -> None:
    now = 0.0

    def program() -> Any:
        yield from call(Store.pods)
        yield None
        yield from call(Store.pods)

    class Slow(MemoryStore):
        def pods(self) -> Any:
            nonlocal now
            now += 0.01
            return super().pods()

    cycle = Cycle(program(), lambda: now)
    run(Slow(), cycle.go_on())
    assert cycle.next_at == pytest.approx(0.05)
    run(Slow(), cycle.go_on())
    assert cycle.is_over
    assert MAX_PAUSE == 1.0


def test_error_of_a_call_ends_the_cycle_unless_its_program_handles_it() -> None:
    store = MemoryStore()

    def program(patient: bool) -> Any:
        try:
            yield from call(Store.cancel, "nothing")
        except Exception:
            if not patient:
                raise
        yield from call(Store.pods)

    cycle = Cycle(program(True), lambda: 0.0)
    run(store, cycle.go_on())
    assert not cycle.is_over
    cycle = Cycle(program(False), lambda: 0.0)
    with pytest.raises(Exception, match="nothing"):
        run(store, cycle.go_on())
    assert cycle.is_over


def test_recovery_to_which_the_store_is_unavailable_begins_again_soon_between_heartbeats() -> None:
    pod = ByHand(recovery_interval=1_000, heartbeat_interval=1, dead_pod_threshold=60)
    began, failures = pod.now, 0

    def answer(call: StoreCall) -> Any:
        nonlocal failures
        if call.method == "orphans" and failures < 5:
            failures += 1
            raise StoreUnavailable("error 503")
        return call.on(pod.store)

    while [call.method for call in pod.calls].count("orphans") < 6:
        pod.go_on(answer)
    assert 1 < pod.now - began < 100
    calls = [call.method for call in pod.calls]
    first, last = calls.index("orphans"), len(calls) - 1
    assert calls[first:last].count("sync") > 5


def test_prune_to_which_the_store_is_unavailable_begins_again_after_the_next_recovery() -> None:
    pod = ByHand(recovery_interval=30, prune_after=1e6)
    began, failures = pod.now, 0

    def answer(call: StoreCall) -> Any:
        nonlocal failures
        if call.method == "final_steps" and failures < 1:
            failures += 1
            raise StoreUnavailable("error 503")
        return call.on(pod.store)

    while [call.method for call in pod.calls].count("final_steps") < 2:
        pod.go_on(answer)
    assert 29 < pod.now - began < 32


class Mailbox:
    """Answers calls of a combining store: a request is served by the poll number ``serves_at``."""

    def __init__(self, pod: ByHand, serves_at: int) -> None:
        self._pod = pod
        self._left = serves_at

    def __call__(self, call: StoreCall) -> Any:
        if call.method not in ("post", "poll"):
            return call.on(self._pod.store)
        if call.method == "poll":
            self._left -= 1
        return None if self._left else self._pod.store.sync(call.args[0])


def test_posted_request_is_polled_until_it_has_been_served() -> None:
    pod = ByHand(StoreTraits(combines=True, shortest_sync=1.0))
    while pod.machine.phase == "joining":
        pod.go_on(Mailbox(pod, serves_at=0))
    pod.store.submit([Submit("a", "{}")])
    pod.machine._pacing.is_contended = True
    pod.machine.work_arrived()
    mailbox = Mailbox(pod, serves_at=3)
    calls = len(pod.calls)
    while not pod.functions.started:
        pod.go_on(mailbox)
    methods = [call.method for call in pod.calls[calls:] if call.method in ("post", "poll")]
    assert methods == ["post", "poll", "poll", "poll"]


def test_pod_sends_heartbeats_while_its_request_waits_in_the_mailbox() -> None:
    pod = ByHand(StoreTraits(combines=True, shortest_sync=1.0))
    mailbox = Mailbox(pod, serves_at=1)
    while pod.machine.phase == "joining":
        pod.go_on(mailbox)
    pod.store.submit([Submit("a", "{}")])
    pod.machine._pacing.is_contended = True
    pod.machine.work_arrived()
    mailbox, began = Mailbox(pod, serves_at=40), pod.now
    while not pod.functions.started:
        pod.go_on(mailbox)
    heartbeats = [
        call.args[0]
        for call in pod.calls
        if call.method == "sync" and isinstance(call.args[0].pod_command, SendHeartbeat)
    ]
    assert pod.now - began > 15.0
    assert len(heartbeats) == (pod.now - began) // 10.0
