"""The app: register functions on it, submit steps to it, run its loops anywhere."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from fleet_q.adapters import fork
from fleet_q.adapters.archive import Archive
from fleet_q.adapters.open import (
    absolute,
    current_folder,
    described,
    is_shared,
    open_store,
)
from fleet_q.adapters.recovery_queue import SqliteDeadLetterTable
from fleet_q.core.calls import run
from fleet_q.core.capacity import slots
from fleet_q.core.cycle import Cycle
from fleet_q.core.errors import InvalidInput, UnknownStep
from fleet_q.core.leadership import leader, live_pods
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.ports import Store
from fleet_q.core.pruning import ENDED, WITH_DEAD_LETTERS, PruneStats, prune_cycle
from fleet_q.core.recovery import RecoveryStats, recovery_cycle
from fleet_q.core.retry import micros
from fleet_q.core.step import Submit
from fleet_q.core.submission import check_id, check_seconds, submission
from fleet_q.services.app import origin as origins
from fleet_q.services.app.bulk import replay_all, submit_all
from fleet_q.services.app.callables import TASK_TYPE
from fleet_q.services.app.context import PermanentFailure, current
from fleet_q.services.app.ids import new_pod_id, new_step_id
from fleet_q.services.app.pruning import prune_gently
from fleet_q.services.app.recovery import watch_silent_pods
from fleet_q.services.app.running import Run
from fleet_q.services.app.settings import Settings, from_env
from fleet_q.services.app.tasks import Registry, Task, check_name
from fleet_q.services.app.version import installed_version
from fleet_q.services.app.views import DeadLettersView, EventView, LeaderView, PodView, StepView
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.pod_thread import Pod

log = CarefulLogger("fleet_q.pod")

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_PAGE: Final = 1_000
"""Dead letters in a page, at most."""

_WAIT_SHORTEST: Final = 0.005
_WAIT_LONGEST: Final = 1.0


class FleetQ:
    """A task queue in ``store``: a URL, or an open store; by default the settings' own.

    Nothing is opened before the first use, but a relative path is one of the folder that is current
    now. Its methods may be called from any thread; each is one
    short transaction, so in a coroutine ``asyncio.to_thread`` them if the store is far away.
    """

    def __init__(
        self, store: str | Store | None = None, *, settings: Settings | None = None
    ) -> None:
        self._settings = settings
        self._folder = current_folder()
        self._where = absolute(store, self._folder) if isinstance(store, str) else store
        self._create = True
        self._client: Store | None = None
        self._lock = threading.Lock()
        self._registry = Registry()
        self._run: Run | None = None
        self.reference: str | None = None
        """``module:app``, if the command line found it so."""
        self.made_in = origins.origin()
        self.number = origins.number_app(self, self.made_in)
        fork.call_in_child(self._begin_in_child)

    # What users register

    def task(
        self,
        name: str,
        *,
        max_retries: int | None = None,
        timeout: float | None = None,
        process: bool = False,
    ) -> Callable[[Callable[P, R]], Task[P, R]]:
        """Register the decorated function for steps whose ``task_type`` is ``name``.

        The other keys of the payload are its arguments, what it returns (JSON) the step's result.
        ``max_retries`` goes with every step submitted here, by default the settings' own. After
        ``timeout`` seconds an attempt fails: an async function is cancelled, a process ended; a
        thread cannot be, its function only finds ``current_step().cancelled``. ``process`` runs
        a function of a module in a process of its own, for what would hold the interpreter.
        Raises :class:`InvalidInput` if the name is taken, or an option makes no sense.
        """
        check_name(name)

        def register(function: Callable[P, R]) -> Task[P, R]:
            task = Task(
                self, name, function, max_retries=max_retries, timeout=timeout, process=process
            )
            self._registry.add(task)
            return task

        return register

    def executor(self, function: Callable[[dict[str, Any]], R]) -> Callable[[dict[str, Any]], R]:
        """Register a function for every step that no other is registered for.

        It is called with the step as a row: ``STEP_ID``, ``PAYLOAD``, ``RETRY_COUNT`` and so on.
        """
        task = Task(self, None, function, max_retries=None, timeout=None, process=False)
        self._registry.add(task)
        return function

    # What clients do

    def submit(
        self,
        payload: Mapping[str, Any],
        *,
        step_id: str | None = None,
        priority: int = 0,
        delay: float = 0,
        max_retries: int | None = None,
    ) -> str:
        """Store a step and return its id. Higher ``priority`` goes first; ``delay`` is in seconds.

        With a ``step_id`` of your own, submitting again is harmless until the step is pruned: the
        same payload is not stored twice, another raises ``StepConflict``. Raises
        :class:`InvalidInput` for what cannot be stored, and then stores nothing.
        """
        command = self.command(
            payload, step_id=step_id, priority=priority, delay=delay, max_retries=max_retries
        )
        self._store().submit([command])
        self._work_arrived()
        return command.step_id

    def submit_many(
        self, payloads: Iterable[Mapping[str, Any]], *, priority: int = 0, delay: float = 0
    ) -> list[str]:
        """Store a step for every payload; their ids, in order.

        All are checked before the first is stored; then they are stored in transactions of 1,000.
        If one of these fails, the ``stored_ids`` of the error that it raises are the ids of the
        steps that are stored, those of the first payloads.
        """
        commands = []
        for number, payload in enumerate(payloads):
            try:
                commands.append(self.command(payload, priority=priority, delay=delay))
            except InvalidInput as error:
                raise InvalidInput(f"payloads[{number}]: {error}") from None
        self.submit_commands(commands)
        return [command.step_id for command in commands]

    def command(
        self,
        payload: Mapping[str, Any],
        *,
        step_id: str | None = None,
        priority: int = 0,
        delay: float = 0,
        max_retries: int | None = None,
    ) -> Submit:
        """Check a step without storing it; for :meth:`submit_commands`. As in :meth:`submit`."""
        if not isinstance(payload, dict) and isinstance(payload, Mapping):
            payload = dict(payload)
        if max_retries is None and isinstance(payload, dict):
            task = self._registry.named(payload.get(TASK_TYPE))
            max_retries = task.max_retries if task is not None else None
        settings = self.settings
        return submission(
            payload,
            step_id=new_step_id() if step_id is None else step_id,
            priority=priority,
            max_retries=settings.max_retries if max_retries is None else max_retries,
            delay=delay,
            unique=step_id is None,
            max_payload_bytes=settings.max_payload_bytes,
        )

    def submit_commands(
        self,
        commands: Sequence[Submit],
        on_stored: Callable[[list[str]], object] | None = None,
    ) -> None:
        """Store steps that :meth:`command` has checked, in transactions of 1,000.

        After each, ``on_stored`` is called with the ids that it stored. If a transaction fails,
        or ``on_stored`` raises, the error's ``stored_ids`` are the ids of all that is stored.
        """

        def stored(step_ids: list[str]) -> None:
            self._work_arrived()
            if on_stored is not None:
                on_stored(step_ids)

        submit_all(self._store(), commands, stored)

    def status(self, step_id: str) -> StepView:
        """A step as it is now; ``UnknownStep`` if there is none of that id."""
        step = self._store().step(check_id(step_id, "step_id"))
        if step is None:
            raise UnknownStep(step_id)
        return StepView.of(step)

    def history(self, step_id: str) -> list[EventView]:
        """All that happened to a step, in order; ``UnknownStep`` if there is none of that id."""
        history = self._store().history(check_id(step_id, "step_id"))
        if not history:
            raise UnknownStep(step_id)
        return [EventView.of(event) for event in history]

    def cancel(self, step_id: str) -> StepView:
        """Call off a step that has not ended. A function that runs is told at its pod's next
        heartbeat. Raises ``UnknownStep`` or, if it has ended, ``IllegalTransition``."""
        return StepView.of(self._store().cancel(check_id(step_id, "step_id")))

    def wait(self, step_id: str, timeout: float | None = None) -> StepView:
        """Look at a step until it has ended; ``TimeoutError`` after ``timeout`` seconds.

        It looks more seldom the longer it takes, at least once a second. In a function of this
        app it raises :class:`PermanentFailure`: the step might need the slot that waits for it.
        """
        context = current.get()
        if context is not None and context.app is self:
            raise PermanentFailure(
                f"step {context.step_id!r} waits for step {step_id!r} of the same app, which may"
                " need its slot: let the second submit what comes after it instead"
            )
        until = None if timeout is None else time.monotonic() + timeout
        pause = _WAIT_SHORTEST
        while not (step := self.status(step_id)).is_final:
            if until is not None:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"step {step_id!r} is {step.status} after {timeout:g} s")
                pause = min(pause, left)
            time.sleep(pause)
            pause = min(pause * 1.5, _WAIT_LONGEST)
        return step

    # What operators do

    def queue(self) -> dict[StepStatus, int]:
        """How many steps there are in each status."""
        return self._store().counts()

    def pods(self) -> list[PodView]:
        """All pods that ever joined, the living first, oldest first."""
        fleet = self._store().pods()
        dead_after = micros(self.settings.dead_pod_threshold)
        live = live_pods(fleet.pods, fleet.at, dead_after)
        head = leader(fleet.pods, fleet.at, dead_after)
        gone = sorted(
            (pod for pod in fleet.pods if pod not in live), key=lambda pod: -pod.last_heartbeat_ts
        )
        return [PodView.of(pod, alive=pod in live, leader=pod == head) for pod in [*live, *gone]]

    def leader(self) -> LeaderView:
        """The oldest live pod, and whether it is the one that runs here."""
        pods = self.pods()
        head = next((pod.pod_id for pod in pods if pod.leader), None)
        here = pod.pod_id if (pod := self.pod) is not None else None
        alive = [pod.pod_id for pod in pods if pod.alive]
        return LeaderView(head, here, head is not None and head == here, len(alive), alive)

    def recover(self, on_wait: Callable[[str], object] = lambda line: None) -> RecoveryStats:
        """Run one recovery cycle now, whoever leads: what it does, it can only do once. With a pod
        running here, that pod knows which others are silent. Without, those that seem to be are
        watched for two heartbeat intervals first; ``on_wait`` is called with a line about it."""
        stats = RecoveryStats()
        pod, store = self.pod, self._store()
        cycle = recovery_cycle(
            SqliteDeadLetterTable(),
            silent=lambda fleet: (
                pod.silent_pods()
                if pod is not None
                else watch_silent_pods(store, fleet, self.settings, on_wait)
            ),
            starts=store.starts,
            dead_after=micros(self.settings.dead_pod_threshold),
            by=pod.pod_id if pod is not None else None,
            only_as_leader=False,
            stats=stats,
        )
        run(store, cycle)
        return stats

    def dead_letters(self, limit: int = 100, before: str | None = None) -> DeadLettersView:
        """A page of up to 1,000 of the steps that failed for good, newest first."""
        if not 1 <= limit <= LONGEST_PAGE:
            raise InvalidInput(f"limit must be between 1 and {LONGEST_PAGE}")
        page = self._store().dead_letters(limit, _parse_cursor(before))
        cursor = None if page.before is None else f"{page.before[0]}:{page.before[1]}"
        return DeadLettersView([StepView.of(step) for step in page.steps], cursor)

    def replay(self, step_ids: Iterable[str]) -> list[str]:
        """Give failed or cancelled steps all their tries again; all of them, or none."""
        ids = list(dict.fromkeys(check_id(step_id, "step_id") for step_id in step_ids))
        replayed = [step.step_id for step in self._store().replay(ids)]
        self._work_arrived()
        return replayed

    def replay_all(self, on_replayed: Callable[[int], object] = lambda count: None) -> int:
        """Replay every dead letter that there is now, page by page; how many this call replayed.

        Those that somebody else replays or prunes meanwhile are left out. After each page
        ``on_replayed`` is called with the number of its steps.
        """

        def replayed(count: int) -> None:
            self._work_arrived()
            on_replayed(count)

        return replay_all(self._store(), replayed)

    def prune(
        self,
        older_than: float,
        *,
        failed: bool = False,
        archive: Path | None = None,
        dry_run: bool = False,
        stats: PruneStats | None = None,
        told: Callable[[], object] = lambda: None,
    ) -> PruneStats:
        """Delete the steps that were completed or cancelled ``older_than`` seconds ago or earlier,
        with ``failed`` the dead letters too, and the pods that are down or asleep and were heard
        of no later; all with their events, which are appended to the file ``archive`` first.

        The id of a step that was pruned is free: submitted again, it is a new step. So keep steps
        for longer than anybody goes on trying to submit one. A ``dry_run`` only counts. After each
        batch ``stats`` has been added to and ``told`` is called, which may end it by raising.
        """
        check_seconds(older_than, "older_than")
        stats = PruneStats() if stats is None else stats
        store = self._store()
        with nullcontext() if archive is None or dry_run else Archive(archive) as kept:
            cycle = prune_cycle(
                older_than=micros(older_than),
                prune_batch=store.manners.prune_batch,
                stats=stats,
                statuses=WITH_DEAD_LETTERS if failed else ENDED,
                archive=kept,
                dry_run=dry_run,
                by=pod.pod_id if (pod := self.pod) is not None else None,
            )
            prune_gently(store, Cycle(cycle, time.monotonic), told)
        return stats

    # Running

    @property
    def settings(self) -> Settings:
        """The settings given, or those of the environment, read at the first use."""
        if self._settings is None:
            self._settings = from_env()
        return self._settings

    @property
    def where(self) -> str | Store:
        """The URL of the app's store, or the open store that it was given."""
        if self._where is None:
            return absolute(self.settings.store, self._folder)
        return self._where

    @property
    def url(self) -> str | None:
        """The URL of the app's store, if other processes can open it too."""
        return self.where if isinstance(self.where, str) and is_shared(self.where) else None

    def registered(self, name: str) -> Task[Any, Any] | None:
        """The task that is registered under exactly this name."""
        return self._registry.named(name)

    @property
    def pod(self) -> Pod | None:
        """The pod that runs here now."""
        run = self._run
        return None if run is None or (run.is_leaving and run.over.is_set()) else run.pod

    @property
    def store(self) -> Store:
        """The app's open store."""
        return self._store()

    def use(
        self,
        *,
        store: str | None = None,
        settings: Settings | None = None,
        create: bool = True,
    ) -> None:
        """Before the first use, take another store or other settings than those of the code.
        With ``create`` false, a store that does not exist is an error."""
        if store is not None:
            self._where = absolute(store, current_folder())
        if settings is not None:
            self._settings = settings
            self._folder = current_folder()
        self._create = create

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Pod]:
        """Run a pod while the body runs: ``async with app.running(): ...``, also as a lifespan.

        Async functions run on this event loop. On leaving, the pod drains. Raises what opening
        the store raises; what ends the pod later is in its ``error``.
        """
        run = self._new_run(asyncio.get_running_loop())
        try:
            pod = await run.begun()
        except BaseException:
            run.leave(0)
            raise
        try:
            yield pod
        finally:
            run.leave()
            await run.drained()

    @contextmanager
    def running_on(self, loop: asyncio.AbstractEventLoop) -> Iterator[Pod]:
        """The same for a thread without an event loop; async functions run on ``loop``."""
        run = self._new_run(loop)
        try:
            yield run.begin()
        finally:
            run.leave()
            run.over.wait()

    def _new_run(self, loop: asyncio.AbstractEventLoop) -> Run:
        if origins.is_child:
            raise InvalidInput(
                "a process that imports the app to run a step runs no pod; put what does under"
                ' if __name__ == "__main__"'
            )
        with self._lock:
            if self._run is not None and not self._run.is_leaving:
                raise InvalidInput("this app runs a pod already")
            self._run = Run(lambda: self._start_pod(loop), after=self._run)
            return self._run

    def _start_pod(self, loop: asyncio.AbstractEventLoop) -> Pod:
        pod_id = self.settings.pod_id or new_pod_id()
        store = self._pods_store(pod_id)
        is_own = store is not self._client
        pod = Pod(pod_id, store, self._registry, self.settings, loop, closes_store=is_own)
        self._tell_start(pod_id, is_new=getattr(store, "was_created", False))
        try:
            pod.start()
        except BaseException:
            if is_own:
                store.close()
            raise
        return pod

    def _tell_start(self, pod_id: str, *, is_new: bool) -> None:
        """What a pod that does nothing needs explained shows here: another store than was meant,
        or no functions."""
        settings = self.settings
        where = described(self.where)
        log.info(
            "pod %s starts: fleet-q %s, store %s, %d slots, task types: %s",
            pod_id,
            installed_version(),
            f"{where}, which is new" if is_new else where,
            slots(settings.max_parallelism, settings.capacity_threshold),
            self._registry.described(),
            extra={"pod": pod_id},
        )

    def close(self) -> None:
        """Close the store that the client's methods opened."""
        with self._lock:
            if self._client is not None and self._client is not self._where:
                self._client.close()
            self._client = None

    def _store(self) -> Store:
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self, client: str = "client") -> Store:
        where = self.where
        if not isinstance(where, str):
            return where
        if origins.is_child and not is_shared(where):
            raise InvalidInput("a function in a process cannot reach memory://, which is its pod's")
        return open_store(
            where,
            create=self._create,
            client=client,
            table_prefix=self.settings.table_prefix,
            durability=self.settings.durability,
        )

    def _pods_store(self, pod_id: str) -> Store:
        """A connection of the pod's own, where the store can be opened twice."""
        where = self.where
        return self._open(pod_id) if isinstance(where, str) and is_shared(where) else self._store()

    def _begin_in_child(self) -> None:
        """The pod lives in the parent, and so do the threads that may have held the lock."""
        self._lock = threading.Lock()
        if self._run is not None:
            self._run.stay_with_the_parent()
            self._run = None

    def _work_arrived(self) -> None:
        if self._run is not None and (pod := self.pod) is not None:
            pod.work_arrived()


def _parse_cursor(before: str | None) -> tuple[int, str] | None:
    if before is None:
        return None
    cursor = re.fullmatch("(-?[0-9]{1,18}):(.*)", before, re.DOTALL)
    if cursor is None:
        raise InvalidInput(f"{before!r} is no cursor; hand back the 'before' of the page in front")
    return int(cursor[1]), check_id(cursor[2], "the cursor's step_id")
