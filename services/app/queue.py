"""What clients do with an app: submit steps, look at them, wait for them, cancel them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from fleet_q.core.errors import InvalidInput, UnknownStep
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.step import Submit
from fleet_q.core.submission import check_id, submission
from fleet_q.services.app.base import AppBase
from fleet_q.services.app.bulk import submit_all
from fleet_q.services.app.callables import TASK_TYPE
from fleet_q.services.app.context import PermanentFailure, current
from fleet_q.services.app.ids import new_step_id
from fleet_q.services.app.views import EventView, StepView

_WAIT_SHORTEST: Final = 0.005
_WAIT_LONGEST: Final = 1.0


class Queue(AppBase):
    """The part of an app that is about its steps."""

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
        self.store.submit([command])
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

        submit_all(self.store, commands, stored)

    def status(self, step_id: str) -> StepView:
        """A step as it is now; ``UnknownStep`` if there is none of that id."""
        step = self.store.step(check_id(step_id, "step_id"))
        if step is None:
            raise UnknownStep(step_id)
        return StepView.of(step)

    def history(self, step_id: str) -> list[EventView]:
        """All that happened to a step, in order; ``UnknownStep`` if there is none of that id."""
        history = self.store.history(check_id(step_id, "step_id"))
        if not history:
            raise UnknownStep(step_id)
        return [EventView.of(event) for event in history]

    def cancel(self, step_id: str) -> StepView:
        """Call off a step that has not ended. A function that runs is told at its pod's next
        heartbeat. Raises ``UnknownStep`` or, if it has ended, ``IllegalTransition``."""
        return StepView.of(self.store.cancel(check_id(step_id, "step_id")))

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

    def queue(self) -> dict[StepStatus, int]:
        """How many steps there are in each status."""
        return self.store.counts()
