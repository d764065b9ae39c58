"""The steps of a pod by hand: callers take them, work, and say how each step ended."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from fleet_q.core.errors import ClaimLost, ConsumerEnded, FleetQError, StoreError, StoreUnavailable
from fleet_q.core.pod import PodDescription
from fleet_q.core.ports import Store
from fleet_q.core.retry import MICROS
from fleet_q.core.routing import Routes
from fleet_q.core.step import Outcome, Release, Step, is_late
from fleet_q.core.worker.functions import Claim
from fleet_q.core.worker.observer import Observer
from fleet_q.services.app.description import message_of
from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.alert_sender import AlertSender
from fleet_q.services.worker.pod_log import PodLog
from fleet_q.services.worker.pod_thread import Pod

SILENT: Final = "LeaseEnded: the client was silent for longer than its lease of {:g} s"
"""The error of an attempt whose lease has ended; a format string for the seconds."""

LEFT: Final = "the consumer has left the fleet"


class ClaimCall(Future[list[Step]]):
    """A caller that waits for up to ``most`` steps that ``routes`` serve. With a ``lease``, each
    step that it gets is retried if its claim is not renewed for so many seconds. ``is_over``: the
    caller takes what there is and waits no longer."""

    def __init__(self, most: int, lease: float | None, routes: Routes, *, is_over: bool) -> None:
        super().__init__()
        self.most = most
        self.routes = routes
        self.lease = lease
        self.is_over = is_over


class _Held(NamedTuple):
    """A step that a caller holds, its lease, and until when its timeout lets it run."""

    step: Step
    lease: float | None
    until: float


class StepsByHand:
    """Hands steps to callers, in the order in which they asked, and reports outcomes.

    The methods of :class:`~fleet_q.core.worker.functions.Functions` and those named ``on_...`` are
    called in the pod's thread, the others from any thread. They return futures, since the pod's
    thread does the work: of the steps that a caller gets, one at least unless its time is over, or
    of the outcome. Futures fail with ``ClaimLost``, ``ConsumerEnded``, or the error of the store.
    """

    trouble: str | None = None

    def __init__(self, pod: Pod, routes: Routes) -> None:
        self.routes = routes
        self._pod = pod
        self._machine = pod.machine
        self._calls: list[ClaimCall] = []
        self._held: dict[Claim, _Held] = {}
        self._outcomes: dict[Claim, tuple[Outcome, Future[Outcome]]] = {}
        self._open: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._is_in_child = False

    # From any thread

    def claim(
        self,
        most: int,
        lease: float | None = None,
        routes: Routes | None = None,
        *,
        is_over: bool = False,
    ) -> ClaimCall:
        """Ask for up to ``most`` steps that ``routes`` serve, by default those of the pod."""
        call = ClaimCall(most, lease, routes or self.routes, is_over=is_over)
        self._send(call, partial(self._add, call))
        return call

    def end_wait(self, call: ClaimCall) -> None:
        """The caller's time is over: it takes what there is now."""
        self._pod.tell(partial(self._end_wait, call))

    def cancel(self, call: ClaimCall) -> None:
        """The caller is gone: release what it was given and has not seen."""
        if call.cancel():
            self._pod.tell(self._want)
        elif call.exception() is None:
            for step in call.result():
                assert step.claim_token is not None
                self.end(Release(step.step_id, step.claim_token))

    def end(self, outcome: Outcome) -> Future[Outcome]:
        """Record the outcome of a step; done with it once it is stored."""
        future: Future[Outcome] = Future()
        self._send(future, partial(self._end, outcome, future))
        return future

    def renew(self, step_id: str, claim_token: str, lease: float | None) -> Future[float]:
        """The client of a step lives: its lease ends in so many seconds from now, by default in
        those of its claim. Done with these seconds."""
        future: Future[float] = Future()
        now = time.monotonic()
        self._send(future, partial(self._renew, (step_id, claim_token), lease, now, future))
        return future

    def held(self, step_id: str, claim_token: str) -> Step | None:
        """The step that the pod holds under this claim, as far as it knows; else ``None``."""
        held = self._held.get((step_id, claim_token))
        return None if held is None else held.step

    def release_all(self) -> None:
        """Release all steps that callers hold."""
        self._pod.tell(self._release_all)

    def begin_in_child(self) -> None:
        """Forget all in a forked child: the steps are the parent's."""
        self._lock = threading.Lock()
        self._is_in_child = True
        self._held.clear()
        self._open.clear()

    def _send(self, future: Future[Any], message: Callable[[], None]) -> None:
        with self._lock:
            self._open.add(future)
        future.add_done_callback(self._forget_future)
        self._pod.tell(message)
        if self._pod.ended.is_set():
            self.on_ended()

    def _forget_future(self, future: Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)

    # Messages, in the pod's thread

    def _add(self, call: ClaimCall) -> None:
        self._calls.append(call)
        self._want()
        self._machine.look(call.routes)

    def _want(self) -> None:
        self._calls = [call for call in self._calls if not call.done()]
        wanted: dict[Routes, int] = {}
        for call in self._calls:
            wanted[call.routes] = wanted.get(call.routes, 0) + call.most
        self._machine.want(wanted)

    def _end_wait(self, call: ClaimCall) -> None:
        call.is_over = True

    def _end(self, outcome: Outcome, future: Future[Outcome]) -> None:
        claim = (outcome.step_id, outcome.claim_token)
        if self._machine.finished(outcome):
            self._held.pop(claim, None)
            self._outcomes[claim] = outcome, future
        else:
            _fail(future, ClaimLost(outcome.step_id))

    def _renew(self, claim: Claim, lease: float | None, now: float, future: Future[float]) -> None:
        held = self._held.get(claim)
        lease = lease or (None if held is None else held.lease)
        if held is None or lease is None:
            _fail(future, ClaimLost(claim[0]))
            return
        self._hold(held._replace(lease=lease), now)
        _set_result(future, lease)

    def _hold(self, held: _Held, now: float) -> None:
        """A caller holds the step until its lease ends, unless its timeout ends before."""
        step, lease, until = held
        claim = _claim_of(step)
        self._held[claim] = held
        retry_policy = self._machine.retry_policy
        if lease is not None and now + lease < until:
            failure = retry_policy.fail(*claim, step.attempt, SILENT.format(lease))
            self._machine.began(*claim, lease, now, failure)
        elif step.timeout is not None:
            failure = retry_policy.timed_out(*claim, step.attempt, step.timeout / MICROS)
            self._machine.began(*claim, until - now, now, failure)

    def _release_all(self) -> None:
        self._machine.withdrawn(list(self._held))
        self._held.clear()

    # Functions

    @property
    def used(self) -> int:
        """How many steps callers hold."""
        return len(self._held)

    @property
    def should_pull(self) -> bool:
        is_leaving = self._machine.phase == "draining"
        return any(is_leaving or call.is_over for call in self._calls)

    def start(self, steps: Sequence[Step], begin_by: float, ahead: float = 0.0) -> None:
        now = time.monotonic()
        late = [step for step in steps if is_late(step, round((now + ahead) * MICROS))]
        left = [step for step in steps if step not in late] if late else list(steps)
        for call in self._calls:
            given, rest = _shared_out(left, call)
            if given and call.set_running_or_notify_cancel():
                left = rest
                for step in given:
                    timeout = math.inf if step.timeout is None else step.timeout / MICROS
                    self._hold(_Held(step, call.lease, now + timeout), now)
                call.set_result(given)
        self._want()
        # Nobody waits for them any more, or they must not begin.
        self._machine.withdrawn(map(_claim_of, left + late))

    def pull(self) -> None:
        if self._machine.phase == "draining":
            for call in self._calls:
                _fail(call, ConsumerEnded(LEFT))
            self._want()
        else:
            now = time.monotonic()
            for call in self._calls:
                if call.is_over and self._machine.has_looked(now, call.routes):
                    _set_result(call, [])
            self._want()

    def confirm(self, begin_by: float) -> None:
        """Nothing waits to begin: callers begin at once."""

    def withdraw(self, keep: int) -> list[Claim]:
        return []

    def take_stuck(self, before: float) -> list[Claim]:
        return []

    def forget(self, step_id: str, claim_token: str) -> None:
        self._held.pop((step_id, claim_token), None)

    def abandon(self, step_id: str, claim_token: str) -> None:
        self.forget(step_id, claim_token)

    def close(self) -> None:
        self._held.clear()

    # What the pod's log is told

    def on_recorded(self, outcome: Outcome, *, refused: bool) -> None:
        """The store has recorded an outcome, or ``refused`` it because the claim is lost."""
        sent, future = self._outcomes.pop((outcome.step_id, outcome.claim_token), (outcome, None))
        if future is None:
            return
        if refused:
            _fail(future, ClaimLost(outcome.step_id))
        elif outcome is not sent:  # the store took another outcome in its place
            error = getattr(outcome, "error", "the store refused the step's outcome")
            _fail(future, StoreError(f"step {outcome.step_id!r}: {error}"))
        else:
            _set_result(future, outcome)

    def on_lost(self, step: Step) -> None:
        """The claim does not stand any more, so that no outcome of it will be recorded."""
        _, future = self._outcomes.pop(_claim_of(step), (None, None))
        if future is not None:
            _fail(future, ClaimLost(step.step_id))

    def on_refused(self, step: Step, error: Exception) -> None:
        """The store refuses an outcome of this step."""
        if step.step_id in self._machine.kept:
            _, future = self._outcomes.pop(_claim_of(step), (None, None))
            if future is not None:
                _fail(future, StoreError(f"step {step.step_id!r}: {message_of(error)}"))

    def on_store_unavailable(self, error: Exception) -> None:
        """The store did not answer: those whose time is over wait no longer."""
        text = str(error) if isinstance(error, FleetQError) else message_of(error)
        for call in self._calls:
            if call.is_over:
                _fail(call, StoreUnavailable(text))
        self._want()

    def on_ended(self) -> None:
        """The pod has ended: nothing will be answered any more."""
        text = LEFT
        if self._is_in_child:
            text = "the consumer is the parent process's: make one here, after the fork"
        elif self._pod.error is not None:
            text = str(self._pod.error)
        with self._lock:
            waiting = list(self._open)
        for future in waiting:
            _fail(future, ConsumerEnded(text))


class PodByHand(Pod):
    """A running pod whose ``steps``, those that ``routes`` serve, are taken by callers, who hold at
    most ``most``."""

    steps: StepsByHand

    def __init__(
        self,
        pod_id: str,
        store: Store,
        settings: Settings,
        *,
        most: int,
        routes: Routes,
        describe: Callable[[], PodDescription],
        closes_store: bool,
        observers: Sequence[Observer] = (),
        alerts: AlertSender | None = None,
    ) -> None:
        super().__init__(
            pod_id,
            store,
            settings,
            partial(self._new_steps, routes),
            new_log=lambda pod_id: _Log(pod_id, self.steps),
            most_by_hand=most,
            routes=lambda: routes,
            describe=describe,
            closes_store=closes_store,
            observers=observers,
            alerts=alerts,
        )
        self.when_ended(self.steps.on_ended)

    def _new_steps(self, routes: Routes, pod: Pod) -> StepsByHand:
        self.steps = StepsByHand(pod, routes)
        return self.steps

    def stay_with_the_parent(self) -> None:
        super().stay_with_the_parent()
        self.steps.begin_in_child()


class _Log(PodLog):
    """The log of a pod by hand, which also tells its steps what happened to them."""

    def __init__(self, pod_id: str, steps: StepsByHand) -> None:
        super().__init__(pod_id)
        self.steps = steps

    @property
    def wants_completions(self) -> bool:
        return True

    def on_recorded(self, outcome: Outcome, step: Step, *, refused: bool) -> None:
        super().on_recorded(outcome, step, refused=refused)
        self.steps.on_recorded(outcome, refused=refused)

    def on_lost(self, step: Step) -> None:
        super().on_lost(step)
        self.steps.on_lost(step)

    def on_claimed_again(self, step: Step) -> None:
        super().on_claimed_again(step)
        self.steps.on_lost(step)

    def on_refused(self, outcomes: int, step: Step | None, error: Exception) -> None:
        super().on_refused(outcomes, step, error)
        if step is not None:
            self.steps.on_refused(step, error)

    def on_store_unavailable(self, error: Exception, wait: float) -> None:
        super().on_store_unavailable(error, wait)
        self.steps.on_store_unavailable(error)

    def on_unexpected(self, error: BaseException, wait: float) -> None:
        super().on_unexpected(error, wait)
        if isinstance(error, Exception):
            self.steps.on_store_unavailable(error)


def _shared_out(steps: list[Step], call: ClaimCall) -> tuple[list[Step], list[Step]]:
    """The first steps that the call may take, and the rest."""
    given: list[Step] = []
    rest: list[Step] = []
    for index, step in enumerate(steps):
        if len(given) == call.most:
            return given, rest + steps[index:]
        serves = call.routes.serve(step.queue, step.task_type)
        (given if serves else rest).append(step)
    return given, rest


def _claim_of(step: Step) -> Claim:
    assert step.claim_token is not None
    return step.step_id, step.claim_token


def _set_result(future: Future[Any], result: object) -> None:
    with suppress(InvalidStateError):  # its caller is gone
        future.set_result(result)


def _fail(future: Future[Any], error: FleetQError) -> None:
    with suppress(InvalidStateError):
        future.set_exception(error)
