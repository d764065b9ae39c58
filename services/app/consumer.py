"""Consumers: pods whose steps a service takes and ends by hand, in a loop of its own."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, Final, overload

from fleet_q.adapters import fork
from fleet_q.core.errors import InvalidInput
from fleet_q.core.routing import Routes
from fleet_q.core.step import SaveCheckpoint
from fleet_q.core.submission import check_seconds
from fleet_q.services.app import origin
from fleet_q.services.app.base import store_checkpoint
from fleet_q.services.app.claimed_step import ClaimedStep, Endings
from fleet_q.services.app.connection import Connection
from fleet_q.services.app.running import Run
from fleet_q.services.app.starting import start_pod_by_hand
from fleet_q.services.app.submitter import NewStep
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.by_hand import ClaimCall, PodByHand, StepsByHand

MOST_CLAIMED: Final = 1_000
"""The most steps of one claim, and the most that a consumer holds by default."""

MOST_SLOTS: Final = 100_000
"""The most steps that a consumer may hold: each heartbeat checks all of their claims."""


class Member:
    """A pod by hand from its start to its end; what the two kinds of consumers share."""

    def __init__(
        self, connection: Connection, registry: Registry, slots: int, routes: Routes
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._slots = slots
        self._routes = routes
        self._run = Run(self._start_pod, None)
        self._pod: PodByHand | None = None
        fork.call_in_child(self._begin_in_child)

    @property
    def pod(self) -> PodByHand:
        """The pod, once it was started."""
        assert self._pod is not None
        return self._pod

    @property
    def steps(self) -> StepsByHand:
        """What hands the pod's steps to callers."""
        return self.pod.steps

    def start(self) -> None:
        """Join the fleet. Raises what opening the store raises."""
        _check_is_no_child()
        try:
            self._run.start()
            atexit.register(self.close)
        except BaseException:
            if self._pod is not None:  # an interrupt came after it had started
                self._pod.drain(0)
                self._pod.ended.wait()
            raise

    async def start_async(self) -> None:
        """Like :meth:`start`, without blocking the event loop."""
        _check_is_no_child()
        try:
            await self._run.start_async()
        except BaseException:
            self._run.drain(0)
            raise
        atexit.register(self.close)

    def close(self) -> None:
        """Release what is held, and leave; return once the pod has ended."""
        self._drain()
        self._run.ended.wait()

    async def close_async(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        self._drain()
        await self._run.wait_ended()

    def ask(self, most: int, wait: float | None) -> ClaimCall:
        """Ask for up to ``most`` steps. Raises :class:`InvalidInput`."""
        if type(most) is not int or not 1 <= most <= MOST_CLAIMED:
            raise InvalidInput(f"n must be a whole number from 1 to {MOST_CLAIMED}, not {most!r}")
        if wait is not None:
            check_seconds(wait, "wait")
        return self.steps.claim(most, is_over=wait == 0)

    def claimed(self, call: ClaimCall) -> list[ClaimedStep]:
        """The steps of a call; waits until it is done."""
        settings = self._connection.settings
        endings = Endings(
            self.steps,
            self._registry,
            self.pod.machine.retry_policy,
            settings.max_result_bytes,
            self,
        )
        return [ClaimedStep(step, endings) for step in call.result()]

    @property
    def max_checkpoint_bytes(self) -> int:
        """See :class:`~fleet_q.services.app.checkpoint.Saver`."""
        return self._connection.settings.max_result_bytes

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None) -> None:
        """See :class:`~fleet_q.services.app.checkpoint.Saver`."""
        store_checkpoint(self._connection.store(), self._pod, save, pod_id)

    def report_progress(self, step_id: str, claim_token: str, progress: str) -> None:
        """See :class:`~fleet_q.services.app.checkpoint.Saver`."""
        self.pod.machine.report_progress(step_id, claim_token, progress)

    def _start_pod(self) -> PodByHand:
        self._pod = start_pod_by_hand(self._connection, self._registry, self._slots, self._routes)
        return self._pod

    def _drain(self) -> None:
        atexit.unregister(self.close)
        if self._pod is not None:
            self._pod.steps.release_all()
        self._run.drain()

    def _begin_in_child(self) -> None:
        self._run.detach_in_child()


class Consumer:
    """Claims steps and ends them, by hand. Made by :meth:`FleetQ.consumer`; its pod keeps the
    heartbeat in a thread of its own. Several threads may use one consumer."""

    def __init__(self, member: Member) -> None:
        self._member = member

    @property
    def pod_id(self) -> str:
        """The id of the consumer's pod."""
        return self._member.pod.pod_id

    def claim_steps(self, n: int = 1, *, wait: float | None = None) -> list[ClaimedStep]:
        """Claim up to ``n`` steps, those that come first in the queue.

        Waits up to ``wait`` seconds until there is at least one, and returns an empty list if there
        was none; with 0 it only looks, and with ``None`` it waits for as long as it takes. It also
        waits while the store does not answer, and raises ``StoreUnavailable`` if its time is over
        then. Raises ``ConsumerEnded`` once the consumer has left.
        """
        call = self._member.ask(n, wait)
        try:
            if wait and not _is_done(call, wait):
                self._member.steps.end_wait(call)
            return self._member.claimed(call)
        except BaseException:
            self._member.steps.cancel(call)
            raise

    @overload
    def claim_step(self, *, wait: None = None) -> AbstractContextManager[ClaimedStep]: ...
    @overload
    def claim_step(self, *, wait: float) -> AbstractContextManager[ClaimedStep | None]: ...
    def claim_step(self, *, wait: float | None = None) -> AbstractContextManager[Any]:
        """Claim one step for the body of ``with``: see :class:`ClaimedStep` for how it ends.

        ``wait`` is that of :meth:`claim_steps`; ``None`` stands for a step if there was none.
        """
        return self._claim_step(wait)

    @contextmanager
    def _claim_step(self, wait: float | None) -> Iterator[ClaimedStep | None]:
        steps = self.claim_steps(wait=wait)
        if not steps:
            yield None
            return
        with steps[0] as step:
            yield step

    def complete_step(
        self, step: ClaimedStep, result: Any = None, *, children: Iterable[NewStep] = ()
    ) -> None:
        """Complete a step with ``result``, a JSON value; stored when this returns. The
        ``children`` are stored with it, see :meth:`StepContext.spawn`.

        Raises ``ClaimLost`` if the step was cancelled, or recovered by the leader, and
        :class:`InvalidInput`, changing nothing, for a result that is not JSON or too large. While
        the store does not answer, it waits.
        """
        _claimed(step).complete(result, children).result()

    def fail_step(
        self, step: ClaimedStep, error: BaseException | str, *, permanent: bool = False
    ) -> None:
        """Record that the attempt failed with ``error``; stored when this returns.

        The step is retried after a delay, or becomes a dead letter if it has no tries left or the
        failure is ``permanent``; that of a ``PermanentFailure`` is. Raises ``ClaimLost``.
        """
        _claimed(step).fail(error, permanent).result()

    def requeue_step(self, step: ClaimedStep, *, delay: float = 0) -> None:
        """Release a step: it can be claimed again after ``delay`` seconds, and no try is used up.
        Stored when this returns. Raises ``ClaimLost``."""
        _claimed(step).requeue(delay).result()

    def snooze_step(self, step: ClaimedStep, seconds: float) -> None:
        """Put a step off: it can be claimed again after ``seconds``, and no try is used up. Stored
        when this returns. If it was put off ``FLEET_Q_MAX_SNOOZES`` times before, it fails. Raises
        ``ClaimLost``."""
        _claimed(step).snooze(seconds).result()

    def save(self, step: ClaimedStep, value: object) -> None:
        """Save ``value``, a JSON value, for who claims the step later; stored when this returns.
        See :attr:`ClaimedStep.saved` and :meth:`StepContext.save`."""
        _claimed(step).checkpoint.save(value)


class AsyncConsumer:
    """A :class:`Consumer` for coroutines: its methods do not block the event loop."""

    def __init__(self, member: Member) -> None:
        self._member = member

    @property
    def pod_id(self) -> str:
        """The id of the consumer's pod."""
        return self._member.pod.pod_id

    async def claim_steps(self, n: int = 1, *, wait: float | None = None) -> list[ClaimedStep]:
        """See :meth:`Consumer.claim_steps`. If it is cancelled, it claims nothing."""
        call = self._member.ask(n, wait)
        future = asyncio.wrap_future(call)
        try:
            if wait and not (await asyncio.wait({future}, timeout=wait))[0]:
                self._member.steps.end_wait(call)
            await future
            return self._member.claimed(call)
        except BaseException:
            self._member.steps.cancel(call)
            raise

    @overload
    def claim_step(self, *, wait: None = None) -> AbstractAsyncContextManager[ClaimedStep]: ...
    @overload
    def claim_step(self, *, wait: float) -> AbstractAsyncContextManager[ClaimedStep | None]: ...
    def claim_step(self, *, wait: float | None = None) -> AbstractAsyncContextManager[Any]:
        """See :meth:`Consumer.claim_step`; for ``async with``."""
        return self._claim_step(wait)

    @asynccontextmanager
    async def _claim_step(self, wait: float | None) -> AsyncIterator[ClaimedStep | None]:
        steps = await self.claim_steps(wait=wait)
        if not steps:
            yield None
            return
        async with steps[0] as step:
            yield step

    async def complete_step(
        self, step: ClaimedStep, result: Any = None, *, children: Iterable[NewStep] = ()
    ) -> None:
        """See :meth:`Consumer.complete_step`."""
        await asyncio.wrap_future(_claimed(step).complete(result, children))

    async def fail_step(
        self, step: ClaimedStep, error: BaseException | str, *, permanent: bool = False
    ) -> None:
        """See :meth:`Consumer.fail_step`."""
        await asyncio.wrap_future(_claimed(step).fail(error, permanent))

    async def requeue_step(self, step: ClaimedStep, *, delay: float = 0) -> None:
        """See :meth:`Consumer.requeue_step`."""
        await asyncio.wrap_future(_claimed(step).requeue(delay))

    async def snooze_step(self, step: ClaimedStep, seconds: float) -> None:
        """See :meth:`Consumer.snooze_step`."""
        await asyncio.wrap_future(_claimed(step).snooze(seconds))

    async def save(self, step: ClaimedStep, value: object) -> None:
        """See :meth:`Consumer.save`."""
        await asyncio.to_thread(_claimed(step).checkpoint.save, value)


class Joining:
    """What :meth:`FleetQ.consumer` returns: joins the fleet for the body of ``with``, whose value
    is a :class:`Consumer`, or of ``async with``, whose value is an :class:`AsyncConsumer`."""

    def __init__(
        self, connection: Connection, registry: Registry, slots: int | None, routes: Routes
    ) -> None:
        if slots is not None and (type(slots) is not int or not 1 <= slots <= MOST_SLOTS):
            raise InvalidInput(
                f"slots must be a whole number from 1 to {MOST_SLOTS}, not {slots!r}"
            )
        self._connection = connection
        self._registry = registry
        self._routes = routes
        self._slots = MOST_CLAIMED if slots is None else slots
        self._member: Member | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Consumer:
        member = self._new_member()
        member.start()
        return Consumer(member)

    def __exit__(self, *_: object) -> None:
        assert self._member is not None
        self._member.close()

    async def __aenter__(self) -> AsyncConsumer:
        member = self._new_member()
        await member.start_async()
        return AsyncConsumer(member)

    async def __aexit__(self, *_: object) -> None:
        assert self._member is not None
        await self._member.close_async()

    def _new_member(self) -> Member:
        with self._lock:
            if self._member is not None:
                raise InvalidInput("this consumer was used before; call app.consumer() again")
            self._member = Member(self._connection, self._registry, self._slots, self._routes)
            return self._member


def _claimed(step: object) -> ClaimedStep:
    if not isinstance(step, ClaimedStep):
        raise InvalidInput(f"pass a step that claim_steps returned, not {step!r}")
    return step


def _is_done(call: ClaimCall, seconds: float) -> bool:
    """Whether the call is done within so many seconds."""
    try:
        call.exception(seconds)
    except TimeoutError:
        return False
    return True


def _check_is_no_child() -> None:
    if origin.is_child:
        raise InvalidInput(
            "a child process that runs a step's function cannot run a consumer; put the code that"
            ' runs it under if __name__ == "__main__"'
        )
