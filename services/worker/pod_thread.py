"""The shell around the pod machine: one thread that owns a store and does what is due."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from msgspec.structs import astuple

from fleet_q.adapters import fork
from fleet_q.adapters.recovery_queue import SqliteDeadLetterTable
from fleet_q.core import pod as core
from fleet_q.core.capacity import slots
from fleet_q.core.errors import (
    FleetQError,
    IncarnationEnded,
    StoreCrowded,
    StoreError,
    StoreUnavailable,
)
from fleet_q.core.machine import PodMachine
from fleet_q.core.ports import Store, Turn
from fleet_q.core.recovery import RecoveryStats, recovery_cycle
from fleet_q.core.retry import micros
from fleet_q.core.step import Complete, Fail, Outcome, Release, Step
from fleet_q.services.app.description import message_of
from fleet_q.services.app.ids import new_token
from fleet_q.services.app.pruning import LeadersPrune
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.careful_log import CarefulLogger, wait_for_handlers
from fleet_q.services.worker.runners import Runners

log = CarefulLogger("fleet_q.pod")

T = TypeVar("T")

RUNNER_RETRY: Final = 0.5
"""Seconds until a runner is asked again that could begin nothing."""


_PASSING: Final = (StoreUnavailable, OSError, MemoryError, RecursionError)
"""Trouble of the store, or of this process, that says nothing of what the store was asked."""


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
        self.error: FleetQError | None = None
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
            manners=store.manners,
        )
        starts = store.starts
        self._starts = None if starts is None else starts.open(self._machine.incarnation)
        self._inbox: SimpleQueue[Outcome | Callable[[], None]] = SimpleQueue()
        self._runners = Runners(
            registry,
            failing=self._machine.fail,
            done=self._inbox.put,
            began=self._began,
            loop=loop,
            most=slots(settings.max_parallelism, settings.capacity_threshold),
            on_unconfirmed=partial(self._inbox.put, self._machine.must_confirm),
            pod_id=pod_id,
            settings=settings,
            record_start=None if self._starts is None else self._starts.add,
        )
        self._held: dict[str, Step] = {}  # by id, what runs or has an outcome to be told
        self._recovery: Iterator[None] | None = None
        self._recovered = RecoveryStats()
        self._prune = LeadersPrune(pod_id, store, settings)
        self._last_answer = time.monotonic()
        self._unexpected: str | None = None
        self._thread = threading.Thread(target=self._live, name=f"fleet-q-{pod_id}", daemon=True)

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
        return self._unexpected or self._runners.trouble or self._machine.trouble

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
            while self._go_on():
                pass
            self._tell_how_it_left()
        except BaseException as error:
            self._end_with(error)
        finally:
            try:
                if self._recovery is not None:
                    self._recovery.close()  # type: ignore[attr-defined]
                self._runners.close()
                if self._starts is not None:
                    self._starts.close(is_needed=bool(self._held))
                if self._closes_store:
                    self._store.close()
            except BaseException:
                log.exception("not everything could be closed", extra=self._tags())
            wait_for_handlers()
            self.ended.set()
            self._tell_ended()

    def _tell_how_it_left(self) -> None:
        if self._machine.has_left:
            log.info("left the fleet", extra=self._tags())
            return
        self.error = StoreUnavailable(
            f"the grace is over and the store has not confirmed that pod {self.pod_id!r} left: it"
            " may count the pod as living, and its steps as claimed, until the leader declares"
            " it dead"
        )
        log.error("pod stops: %s", self.error, extra=self._tags())

    def _tell_ended(self) -> None:
        with suppress(Empty):
            while True:
                self._when_ended.get_nowait()()

    def _go_on(self) -> bool:
        """Do one thing; false when the pod is gone. What is unexpected is tried again after a
        while; an error of FLEET-Q's own that gets here ends the pod."""
        try:
            goes_on = self._once()
            self._unexpected = None
            return goes_on
        except FleetQError:
            raise
        except BaseException as error:
            self._unexpected = f"unexpected error: {type(error).__name__}"
            wait = self._machine.unanswered(time.monotonic())
            log.exception("unexpected error; going on in %.2f s", wait, extra=self._tags())
        if self._machine.phase == "gone":
            return False
        time.sleep(wait)
        return True

    def _end_with(self, error: BaseException) -> None:
        """End the pod for good, and let others have what it holds, if the store allows."""
        if isinstance(error, FleetQError):
            self.error = error
            log.error("pod stops: %s", error, extra=self._tags())
        else:
            self.error = FleetQError(f"pod stops: {message_of(error)}")
            log.critical("pod stops", exc_info=error, extra=self._tags())
        try:
            self._runners.close()
            for turn in self._machine.last_turns():
                self._store.turn(turn)
        except BaseException as refused:
            log.error("what it held was not released: %s", message_of(refused), extra=self._tags())

    def _once(self) -> bool:
        """Do one thing that is due, or wait for the next; false when the pod is gone."""
        if self._starts is not None:
            self._starts.tidy(self._held.values())
            self._machine.records_starts = self._starts.is_kept
        plan = self._machine.plan(time.monotonic())
        for step_id, claim_token in plan.abandon:
            self._abandon(step_id, claim_token)
        if plan.begin_by is not None:
            self._runners.confirm(plan.begin_by)
        if plan.keep is not None:
            self._machine.withdrawn(self._unheld(self._runners.withdraw(plan.keep)))
        if plan.gone:
            return False
        if plan.recover and self._recovery is None:
            self._recovery = self._new_recovery()
        if plan.prune:
            self._prune.begin()
        called = plan.look and self._ask(self._store.pods, self._machine.saw)
        called |= plan.listen and self._ask(self._store.bell, self._machine.heard)
        if plan.turn is not None:
            self._take(plan.turn)
        if self._recovery is not None:
            self._recover_on()
        else:
            self._prune.go_on()
        busy = plan.turn is not None or self._recovery is not None or called
        next_at = min(plan.look_again, self._prune.next_at)
        if self._runners.should_pull:
            self._runners.pull()
            now = time.monotonic()
            stuck = self._runners.take_stuck(now - self._settings.claim_interval)
            if stuck:
                log.info("released %d step(s) that cannot begin here", len(stuck))
                self._machine.stuck(self._unheld(stuck), now)
            busy = busy or bool(stuck)
            next_at = min(next_at, now + RUNNER_RETRY)
        self._read_inbox(0.0 if busy else next_at - time.monotonic())
        return True

    def _unheld(self, claims: list[tuple[str, str]]) -> list[tuple[str, str]]:
        for step_id, _ in claims:
            self._held.pop(step_id, None)
        return claims

    def _ask(self, ask: Callable[[], T], tell: Callable[[T, float], bool]) -> bool:
        """Tell the machine what the store answers; whether that changes what is due."""
        try:
            answer = ask()
        except StoreUnavailable as error:
            self._put_off(error)
            return True
        except FleetQError:
            raise
        except Exception as error:
            self._put_off(error)
            return True
        self._last_answer = time.monotonic()
        return tell(answer, self._last_answer)

    def _take(self, turn: Turn) -> None:
        try:
            answer = self._store.turn(turn)
        except IncarnationEnded as ended:
            if ended.superseded:
                raise
            log.warning("%s", ended, extra=self._tags())
            self._machine.ended()
            if self._starts is not None:
                self._starts.begin(self._machine.incarnation)
            return
        except _PASSING as error:
            self._put_off(error)
            return
        except Exception as error:
            self._refused(turn, error)
            return
        self._last_answer = now = time.monotonic()
        to_run = self._machine.answered(turn, answer, now)
        held = self._held
        lost = [step for each in answer.lost if (step := held.pop(each, None))]
        claimed = {step.step_id: step for step in to_run}
        anew = [held.pop(step_id) for step_id in claimed.keys() & held.keys()]
        held.update(claimed)
        # Before anything else: a step that is claimed when a kill comes should have begun.
        self._runners.start(to_run, self._machine.begin_by(now))
        self._tell(turn.outcomes, answer.refused)
        for step in lost:
            log.warning("step is not this pod's any more", extra=self._tags(step))
        for step in anew:
            log.warning("claimed anew, which ends this attempt", extra=self._tags(step))
        if to_run:
            log.info("claimed %d step(s)", len(to_run), extra=self._tags())

    def _refused(self, turn: Turn, error: Exception) -> None:
        """It may be about one outcome. What is not the store's own word may pass, once."""
        is_refusal = isinstance(error, FleetQError)
        if (is_refusal or turn.again) and self._machine.refused(message_of(error)):
            step = self._held.get(turn.outcomes[0].step_id)
            log.warning(
                "the store refused %d outcome(s): %s",
                len(turn.outcomes),
                message_of(error),
                extra=self._tags(step if len(turn.outcomes) == 1 else None),
            )
        elif is_refusal:
            raise error
        else:
            self._put_off(error)

    def _put_off(self, error: Exception) -> None:
        self._read_inbox(0)  # the pod may have been told to leave while the store kept it waiting
        crowded = isinstance(error, StoreCrowded)
        wait = self._machine.unanswered(time.monotonic(), crowded=crowded)
        log.warning(
            "%s; asking again in %.2f s",
            error if isinstance(error, StoreUnavailable) else message_of(error),
            wait,
            exc_info=None if isinstance(error, StoreUnavailable) else error,
            extra=self._tags(),
        )

    def _abandon(self, step_id: str, claim_token: str) -> None:
        try:
            self._runners.abandon(step_id, claim_token)
        except Exception:
            log.exception("function could not be stopped", extra={**self._tags(), "step": step_id})

    def _tell(self, outcomes: Iterable[Outcome], refused: Collection[str]) -> None:
        """These outcomes are stored, except for those ``refused``."""
        held = self._held
        tells_all = bool(refused) or log.isEnabledFor(logging.DEBUG)
        for outcome in outcomes:
            step = held.get(outcome.step_id)
            if step is None or step.claim_token != outcome.claim_token:
                continue  # released before it began, or another attempt is under way
            del held[outcome.step_id]
            if tells_all or type(outcome) is not Complete:
                self._tell_of(outcome, step, outcome.step_id in refused)

    def _tell_of(self, outcome: Outcome, step: Step, refused: bool) -> None:
        if refused:
            log.warning(
                "outcome refused: its claim does not stand any more", extra=self._tags(step)
            )
            return
        match outcome:
            case Complete():
                log.debug("completed", extra=self._tags(step))
            case Fail(error=error, permanent=permanent):
                kind = "failed for good" if permanent or not step.tries_left else "attempt failed"
                log.warning("%s: %s", kind, error, extra=self._tags(step))
            case Release():
                log.warning("released unfinished", extra=self._tags(step))

    def _read_inbox(self, wait: float) -> None:
        """Take all that has gathered, after waiting up to ``wait`` seconds for the first."""
        try:
            item = self._inbox.get(timeout=wait) if wait > 0 else self._inbox.get_nowait()
            while True:
                if callable(item):
                    item()
                elif type(item) is Release:
                    self._not_begun(item)
                elif self._machine.finished(item):
                    self._runners.forget(item.step_id, item.claim_token)
                item = self._inbox.get_nowait()
        except Empty:
            return

    def _not_begun(self, release: Release) -> None:
        """Its function must not begin here, and the next one perhaps neither."""
        claim = (release.step_id, release.claim_token)
        log.warning("released: it cannot be recorded that it begins", extra=self._tags())
        self._runners.forget(*claim)
        self._machine.stuck(self._unheld([claim]), time.monotonic())

    def _new_recovery(self) -> Iterator[None]:
        self._recovered = RecoveryStats()
        return recovery_cycle(
            self._store,
            SqliteDeadLetterTable(),
            silent=lambda fleet: self._machine.silent(fleet, time.monotonic()),
            dead_after=micros(self._settings.dead_pod_threshold),
            by=self.pod_id,
            only_as_leader=True,
            stats=self._recovered,
        )

    def _recover_on(self) -> None:
        """Take the recovery cycle one call of the store further."""
        assert self._recovery is not None
        try:
            next(self._recovery)
        except StopIteration:
            self._recovery = None
            if self._recovered.dead_pods or self._recovered.total_orphans:
                log.info(
                    "recovery: %d dead pods; %d orphans, %d given back, %d failed for good",
                    *astuple(self._recovered),
                    extra=self._tags(),
                )
        except Exception as error:
            self._recovery = None
            if isinstance(error, StoreError):
                log.warning("recovery is put off: %s", error, extra=self._tags())
            else:
                log.exception("recovery is put off: unexpected error", extra=self._tags())

    def _tags(self, step: Step | None = None) -> dict[str, object]:
        if step is None:
            return {"pod": self.pod_id}
        return {"pod": self.pod_id, "step": step.step_id, "attempt": step.attempt}
