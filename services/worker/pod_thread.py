"""A running pod: one thread that owns the store and interprets the pod's program."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from fleet_q.adapters import fork
from fleet_q.adapters.calendar import CALENDAR
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core import pod as core
from fleet_q.core.errors import FleetQError
from fleet_q.core.ports import Store
from fleet_q.core.routing import Routes, to_everywhere
from fleet_q.core.schedules import Definition
from fleet_q.core.step import Fail
from fleet_q.core.worker.functions import Functions
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.observer import Observer, Observers
from fleet_q.core.worker.program import Message, PodProgram, Program, Wait
from fleet_q.services.app.description import message_of
from fleet_q.services.app.ids import new_token
from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.alert_sender import AlertSender
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.pod_log import PodLog, log


class PodFunctions(Functions, Protocol):
    """What runs a pod's functions, with what its health depends on."""

    @property
    def trouble(self) -> str | None:
        """Why no waiting function can begin although slots are free; ``None`` if it can."""

    @property
    def used(self) -> int:
        """How many slots are used."""


class Pod:
    """A running pod. Only its own thread calls ``store``. Functions never run in that thread, so
    they cannot stop the heartbeat.

    ``new_functions`` makes what runs them, given the pod, and ``new_log`` what its events are
    reported to. ``loop`` is the event loop that runs async functions, if the pod has one.
    ``most_by_hand``, ``routes``, ``describe`` and ``chance``: see :class:`PodMachine`.
    ``closes_store`` tells whether the pod closes the store when it ends. Its events are reported to
    ``observers``, too; ``alerts`` sends what a leader finds. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        pod_id: str,
        store: Store,
        settings: Settings,
        new_functions: Callable[[Pod], PodFunctions],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        new_log: Callable[[str], PodLog] = PodLog,
        most_by_hand: int | None = None,
        routes: Callable[[], Routes] = to_everywhere,
        describe: Callable[[], core.PodDescription | None] = lambda: None,
        closes_store: bool = False,
        declared: Sequence[Definition] = (),
        observers: Sequence[Observer] = (),
        alerts: AlertSender | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.pod_id = pod_id
        self._clock = clock
        self.grace = settings.shutdown_grace
        self.loop = loop
        self.ended = threading.Event()
        self._end_callbacks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._store = store
        self._closes_store = closes_store
        self._settings = settings
        self.machine = PodMachine(
            pod_id,
            settings,
            new_id=new_token,
            chance=chance,
            traits=store.traits,
            most_by_hand=most_by_hand,
            routes=routes,
            describe=describe,
        )
        starts = store.starts
        self.starts = None
        if starts is not None and most_by_hand is None:  # callers begin at once, unrecorded
            self.starts = starts.open(self.machine.incarnation)
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self.tell = self._inbox.put
        """Send a message to the pod's loop. Can be called from any thread."""
        self._functions = new_functions(self)
        self._log = new_log(pod_id)
        self._observer = Observers([self._log, *observers]) if observers else self._log
        self._program = PodProgram(
            self.machine,
            self._functions,
            self._observer,
            clock=clock,
            new_queue=SqliteRecoveryQueue,
            traits=store.traits,
            starts=starts,
            own_starts=self.starts,
            describe=message_of,
            calendar=CALENDAR,
            declared=declared,
            send_alert=None if alerts is None else alerts.send,
        )
        if alerts is not None:
            alerts.on_told = lambda alert: self.tell(partial(self._program.on_alert_told, alert))
        self._last_result_at = self._clock()
        self._thread = threading.Thread(target=self._run, name=f"fleet-q-{pod_id}", daemon=True)

    @property
    def error(self) -> FleetQError | None:
        """The error that ended the pod; ``None`` while it runs and after it left normally."""
        return self._log.error

    def start(self) -> None:
        """Start the pod's thread."""
        self._thread.start()

    def work_arrived(self) -> None:
        """Claim without waiting for the next poll: a step was submitted in this process."""
        self.tell(self.machine.work_arrived)

    def drain(self, grace: float | None = None) -> None:
        """Stop claiming, let running functions finish for ``grace`` seconds, release the other
        steps and leave. ``None`` stands for ``FLEET_Q_SHUTDOWN_GRACE``. A second call can only
        shorten the grace."""
        self.tell(partial(self.machine.drain, self._clock(), grace))

    def stay_with_the_parent(self) -> None:
        """Mark this copy of the pod, in a forked process, as ended, and keep its objects alive:
        their finalizers must not run there."""
        self.ended = threading.Event()
        self.ended.set()
        fork.keep_forever(self)

    def when_ended(self, on_end: Callable[[], None]) -> None:
        """Call ``on_end`` once the pod has ended: in its thread, or here if it has already."""
        self._end_callbacks.put(on_end)
        if self.ended.is_set():
            self._call_end_callbacks()

    def is_healthy(self) -> bool:
        """Whether :attr:`trouble` is ``None``."""
        return self.trouble is None

    @property
    def trouble(self) -> str | None:
        """Why the pod cannot work; ``None`` if it can. It has ended, the store has not answered
        within the dead-pod threshold, its last cycle ended with an unexpected error, no
        function can be started, the store refuses the outcomes of a step, or it leads and cannot
        recover dead pods' steps."""
        if self.ended.is_set() or not self._thread.is_alive():
            return "the pod is not running" if self.error is None else str(self.error)
        silence = self.silent_for
        if silence >= self._settings.dead_pod_threshold:
            return f"the store has not answered for {silence:.0f} s"
        unexpected = self._program.unexpected
        if unexpected is not None:
            return f"unexpected error: {unexpected}"
        return self._functions.trouble or self.machine.trouble

    @property
    def slots_used(self) -> int:
        """How many functions run, or how many steps callers hold."""
        return self._functions.used

    @property
    def silent_for(self) -> float:
        """For how many seconds the store has not answered the pod."""
        return self._clock() - self._last_result_at

    @property
    def is_draining(self) -> bool:
        """Whether the pod was asked to leave and has not left yet."""
        return self.machine.phase == "draining"

    def silent_pods(self) -> list[core.Pod]:
        """The pods without a new heartbeat for the dead-pod threshold. Can be called from any
        thread."""
        return self.machine.silence.silent()

    def on_began(
        self, step_id: str, claim_token: str, timeout: float, on_timeout: Fail | None
    ) -> None:
        """Start the timeout of a function, in seconds. Called from any thread."""
        now = self._clock()
        began = partial(self.machine.began, step_id, claim_token, timeout, now, on_timeout)
        self.tell(began)

    def _run(self) -> None:
        try:
            self._interpret(self._program.run())
        except BaseException as error:
            self._log.on_failed(error)
        finally:
            try:
                self._functions.close()
                if self.starts is not None:
                    self.starts.close(is_needed=bool(self._program.held))
                if self._closes_store:
                    self._store.close()
            except BaseException:
                log.exception(
                    "closing the functions or the store failed", extra={"pod": self.pod_id}
                )
            self._observer.close()
            wait_for_handlers()
            self.ended.set()
            self._call_end_callbacks()

    def _call_end_callbacks(self) -> None:
        with suppress(Empty):
            while True:
                self._end_callbacks.get_nowait()()

    def _interpret(self, program: Program[None]) -> None:
        """Run ``program``: make its store calls on the store, and its waits in real time."""
        result: Any
        try:
            command = next(program)
            while True:
                try:
                    if isinstance(command, Wait):
                        result = self._wait(command.until - self._clock())
                    else:
                        result = command.on(self._store)
                        self._last_result_at = self._clock()
                except BaseException as error:
                    command = program.throw(error)
                else:
                    command = program.send(result)
        except StopIteration:
            return

    def _wait(self, seconds: float) -> Iterator[Message]:
        """Everything in the inbox until it is empty, after waiting up to ``seconds`` for the first
        message."""
        inbox = self._inbox
        try:
            first = inbox.get(timeout=seconds) if seconds > 0 else inbox.get_nowait()
        except Empty:
            return iter(())
        return chain((first,), _until_empty(inbox))


def _until_empty(inbox: SimpleQueue[Message]) -> Iterator[Message]:
    with suppress(Empty):
        while True:
            yield inbox.get_nowait()
