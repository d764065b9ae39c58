"""A pod: one thread that owns a store and carries the pod's program out."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from fleet_q.adapters import fork
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core import pod as core
from fleet_q.core.capacity import slots
from fleet_q.core.errors import FleetQError
from fleet_q.core.ports import Store
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.program import News, PodProgram, Program, Wait
from fleet_q.services.app.description import message_of
from fleet_q.services.app.ids import new_token
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.pod_log import PodLog, log
from fleet_q.services.worker.runners import Runners


class Pod:
    """A running pod. Only its own thread talks to ``store``; user functions never run there, so
    nothing that they do stops the heartbeat."""

    def __init__(
        self,
        pod_id: str,
        store: Store,
        registry: Registry,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        *,
        closes_store: bool = False,
    ) -> None:
        self.pod_id = pod_id
        self.grace = settings.shutdown_grace
        self.loop = loop
        self.ended = threading.Event()
        self._when_ended: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._store = store
        self._closes_store = closes_store
        self._settings = settings
        self._machine = PodMachine(
            pod_id,
            settings,
            new_id=new_token,
            chance=random.random,
            traits=store.traits,
        )
        starts = store.starts
        self._starts = None if starts is None else starts.open(self._machine.incarnation)
        self._inbox: SimpleQueue[News] = SimpleQueue()
        self._runners = Runners(
            registry,
            retry_policy=self._machine.retry_policy,
            done=self._inbox.put,
            began=self._began,
            loop=loop,
            most=slots(settings.max_parallelism, settings.capacity_threshold),
            on_unconfirmed=partial(self._inbox.put, self._machine.must_confirm),
            pod_id=pod_id,
            settings=settings,
            record_start=None if self._starts is None else self._starts.add,
        )
        self._log = PodLog(pod_id)
        self._program = PodProgram(
            self._machine,
            self._runners,
            self._log,
            clock=time.monotonic,
            new_table=SqliteRecoveryQueue,
            traits=store.traits,
            starts=starts,
            own_starts=self._starts,
            describe=message_of,
        )
        self._last_answer = time.monotonic()
        self._thread = threading.Thread(target=self._live, name=f"fleet-q-{pod_id}", daemon=True)

    @property
    def error(self) -> FleetQError | None:
        """What ended the pod, if it did not leave in good order."""
        return self._log.error

    def start(self) -> None:
        """Begin to live."""
        self._thread.start()

    def work_arrived(self) -> None:
        """A step was submitted in this process: claim without waiting for the interval."""
        self._inbox.put(self._machine.work_arrived)

    def drain(self, grace: float | None = None) -> None:
        """Stop claiming; finish or release what runs within ``grace`` seconds; leave. Called
        again it can only shorten the grace. ``None``: the setting ``FLEET_Q_SHUTDOWN_GRACE``."""
        self._inbox.put(partial(self._machine.drain, time.monotonic(), grace))

    def stay_with_the_parent(self) -> None:
        """What is left of the pod in a child process has ended, and is not taken apart there."""
        self.ended = threading.Event()
        self.ended.set()
        fork.keep_forever(self)

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once the pod has ended, from any thread."""
        self._when_ended.put(tell)
        if self.ended.is_set():
            self._tell_ended()

    def is_healthy(self) -> bool:
        """Whether there is no :attr:`trouble`."""
        return self.trouble is None

    @property
    def trouble(self) -> str | None:
        """What keeps the pod from its work, if anything does: it has ended, the store has not
        answered within the dead-pod threshold, functions cannot be begun, or the store refuses
        whatever it is told of a step."""
        if self.ended.is_set() or not self._thread.is_alive():
            return "the pod is not running" if self.error is None else str(self.error)
        silence = time.monotonic() - self._last_answer
        if silence >= self._settings.dead_pod_threshold:
            return f"the store has not answered for {silence:.0f} s"
        unexpected = self._program.unexpected
        if unexpected is not None:
            return f"unexpected error: {unexpected}"
        return self._runners.trouble or self._machine.trouble

    @property
    def is_draining(self) -> bool:
        """Whether it has been told to leave, and has not left yet."""
        return self._machine.phase == "draining"

    def silent_pods(self) -> list[core.Pod]:
        """The pods that this one has heard nothing of for the dead-pod threshold; any thread may
        ask."""
        return self._machine.silence.silent()

    def _began(self, step_id: str, claim_token: str, timeout: float) -> None:
        """A function with a timeout begins, in whatever thread."""
        began = partial(self._machine.began, step_id, claim_token, timeout, time.monotonic())
        self._inbox.put(began)

    def _live(self) -> None:
        try:
            self._interpret(self._program.run())
        except BaseException as error:
            self._log.on_failed(error)
        finally:
            try:
                self._runners.close()
                if self._starts is not None:
                    self._starts.close(is_needed=bool(self._program.held))
                if self._closes_store:
                    self._store.close()
            except BaseException:
                log.exception("not everything could be closed", extra={"pod": self.pod_id})
            wait_for_handlers()
            self.ended.set()
            self._tell_ended()

    def _tell_ended(self) -> None:
        with suppress(Empty):
            while True:
                self._when_ended.get_nowait()()

    def _interpret(self, program: Program[None]) -> None:
        """Carry the program out: in this thread, on the store, in the time that passes."""
        answer: Any
        try:
            need = next(program)
            while True:
                try:
                    if isinstance(need, Wait):
                        answer = self._wait(need.until - time.monotonic())
                    else:
                        answer = need.on(self._store)
                        self._last_answer = time.monotonic()
                except BaseException as error:
                    need = program.throw(error)
                else:
                    need = program.send(answer)
        except StopIteration:
            return

    def _wait(self, seconds: float) -> list[News]:
        """All that has gathered in the inbox, after waiting so long for the first of it."""
        news: list[News] = []
        with suppress(Empty):
            inbox = self._inbox
            news.append(inbox.get(timeout=seconds) if seconds > 0 else inbox.get_nowait())
            while True:
                news.append(inbox.get_nowait())
        return news
