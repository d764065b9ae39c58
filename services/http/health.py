"""HealthCheck, what ``/health`` reports: in general to everybody, in detail to holders of keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from fleet_q.services.app.app import FleetQ
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.pod_thread import Pod

log = CarefulLogger("fleet_q.http")

ANSWER_WITHIN: Final = 5.0
"""Seconds that the store and the pod's event loop have to answer; half of a probe's ten."""


@dataclass(frozen=True)
class Trouble:
    """Why a pod is unhealthy: ``general`` for everybody, ``full`` for the log and key holders."""

    general: str
    full: str

    @classmethod
    def plain(cls, text: str) -> Trouble:
        """Make a trouble without details to hide."""
        return cls(text, text)


_DRAINING: Final = Trouble.plain("the pod is draining")


class HealthCheck:
    """Checks the pod that ``fleet`` runs. Requests that arrive together share one call to the store
    and one to the event loop."""

    def __init__(self, fleet: FleetQ, within: float | None = None) -> None:
        self._fleet = fleet
        self._within = ANSWER_WITHIN if within is None else within
        self._store_call = _SharedCall(self._call_store)
        self._loop_call = _SharedCall(self._call_loop)
        self._last_logged: str | None = None

    async def trouble(self) -> Trouble | None:
        """Return what is wrong, or ``None``; log it when it changes."""
        trouble = self._pod_trouble(self._fleet.pod)
        if trouble is None:
            troubles = await asyncio.gather(self._loop_trouble(), self._store_trouble())
            trouble = next(filter(None, troubles), None)
        general = None if trouble is None else trouble.general
        if trouble not in (None, _DRAINING) and general != self._last_logged:
            log.warning("not healthy: %s", trouble.full)
        self._last_logged = general
        return trouble

    def _pod_trouble(self, pod: Pod | None) -> Trouble | None:
        if pod is None:
            return Trouble.plain("no pod runs here")
        if pod.is_draining:
            return _DRAINING
        trouble = pod.trouble
        return None if trouble is None else Trouble("the pod cannot do all its work", trouble)

    async def _loop_trouble(self) -> Trouble | None:
        pod = self._fleet.pod
        if pod is None or pod.loop in (None, asyncio.get_running_loop()):
            return None
        if await self._loop_call.answer(self._within):
            return None
        return Trouble.plain("an async function blocks the pod's event loop")

    async def _store_trouble(self) -> Trouble | None:
        answer = await self._store_call.answer(self._within)
        if answer is None:
            return Trouble.plain("the store does not answer")
        if (error := answer.exception()) is not None:
            return Trouble("the store does not answer", f"the store does not answer: {error}")
        return None

    def _call_store(self, answer: Future[None]) -> None:
        threading.Thread(target=self._read_counter, args=(answer,), daemon=True).start()

    def _read_counter(self, answer: Future[None]) -> None:
        try:
            self._fleet.store.change_counter()  # free: probes must not keep a warehouse awake
        except Exception as error:
            answer.set_exception(error)
        else:
            answer.set_result(None)

    def _call_loop(self, answer: Future[None]) -> None:
        if (pod := self._fleet.pod) is not None and pod.loop is not None:
            pod.loop.call_soon_threadsafe(answer.set_result, None)


class _SharedCall:
    """A call that all who wait for its answer at the same time share."""

    def __init__(self, begin: Callable[[Future[None]], None]) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._answer: Future[None] | None = None

    async def answer(self, within: float) -> Future[None] | None:
        """Return the call's result or error; ``None`` if neither arrives ``within`` seconds."""
        with self._lock:
            if self._answer is None or self._answer.done():
                answer: Future[None] = Future()
                try:
                    self._begin(answer)
                except RuntimeError as error:  # no thread can be started, or the loop is closed
                    answer.set_exception(error)
                self._answer = answer
            answer = self._answer
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        answer.add_done_callback(lambda _: loop.call_soon_threadsafe(arrived.set))
        try:
            await asyncio.wait_for(arrived.wait(), within)
        except TimeoutError:
            return None
        return answer
