"""Queue, the methods of an app for clients: submit, read, await and cancel steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack

from fleet_q.adapters.ids import new_step_id
from fleet_q.core.errors import InvalidInput, UnknownStep
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.step import OnConflict, Submit
from fleet_q.core.submission import TASK_TYPE, After, check_id, submission
from fleet_q.services.app import on_connection
from fleet_q.services.app.base import AppBase
from fleet_q.services.app.bulk import submit_all
from fleet_q.services.app.polling import check_may_wait
from fleet_q.services.app.submitter import CommandOptions
from fleet_q.services.app.views import EventView, StepView
from fleet_q.services.app.workflow import Workflow


class Queue(AppBase):
    """The methods of an app that submit, read and cancel steps."""

    def submit(
        self,
        payload: Mapping[str, Any],
        *,
        step_id: str | None = None,
        priority: int = 0,
        delay: float = 0,
        max_retries: int | None = None,
        queue: str = DEFAULT_QUEUE,
        key: str | None = None,
        unique_key: str | None = None,
        unique_for: float | None = None,
        on_conflict: OnConflict = "existing",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
        after: After | None = None,
        start_by: float | None = None,
        connection: object = None,
    ) -> str:
        """Store a step and return its id.

        Steps of higher ``priority`` are claimed first; the step cannot be claimed before ``delay``
        seconds have passed. With a ``step_id`` of your own, submitting is idempotent until the
        step is pruned: the same payload is not stored twice, and another payload raises
        ``StepConflict``. Raises :class:`InvalidInput`, and stores nothing, for an invalid value.

        The step waits in ``queue``. ``key`` is what it belongs to there, such as a customer.
        While a step with this ``unique_key`` is not final, and for ``unique_for`` seconds after its
        submission, no other is stored with it. By default the id of that step is returned; with
        ``on_conflict="replace"`` its payload, priority, time and labels are also replaced, if it is
        pending; ``"error"`` raises ``UniqueKeyTaken``.
        ``labels``, up to 20 texts by name, are stored with it to find it by. Its function may take
        ``timeout`` seconds; by default, as long as its task says.

        The step waits until the steps ``after`` have ended: one id or several, all of which must
        be completed; if one fails or is cancelled, so is this step. Or a mapping of ids to
        ``"success"`` or ``"finished"``, for those that may end in any way. They may be submitted
        in the same transaction. Raises ``UnknownStep`` for one that does not exist.

        If it was not begun ``start_by`` seconds after its submission, it is cancelled as expired.

        With a ``connection`` of yours, a :class:`sqlite3.Connection` to the store's file or one of
        ``snowflake.connector`` to its account, the step is submitted in the transaction that is
        open there, or in SQLite begins with it: it exists once you commit, and never if you roll
        back. A conflict of ids then makes a dead letter.
        """
        command = self.command(
            payload,
            step_id=step_id,
            priority=priority,
            delay=delay,
            max_retries=max_retries,
            queue=queue,
            key=key,
            unique_key=unique_key,
            unique_for=unique_for,
            on_conflict=on_conflict,
            labels=labels,
            timeout=timeout,
            after=after,
            start_by=start_by,
        )
        if connection is None or self._is_tested:
            return self.submit_together([command])[0]
        self._insert(connection, [command])
        return command.step_id

    def submit_many(
        self,
        payloads: Iterable[Mapping[str, Any]],
        *,
        connection: object = None,
        **options: Unpack[CommandOptions],
    ) -> list[str]:
        """Store a step for every payload with the options of :meth:`submit`, except ``step_id``;
        return their ids, in order.

        All payloads are checked before the first is stored; then the steps are stored in
        transactions of up to 1,000. If a transaction fails, the attribute ``stored_ids`` of its
        error lists the ids of the steps that were stored, those of the first payloads. With a
        ``connection``, all of them are submitted in its transaction.
        """
        if options.get("step_id") is not None:
            raise InvalidInput("step_id is for one step; use submit() for each")
        commands = []
        for number, payload in enumerate(payloads):
            try:
                commands.append(self.command(payload, **options))
            except InvalidInput as error:
                raise InvalidInput(f"payloads[{number}]: {error}") from None
        if connection is None or self._is_tested:
            return self.submit_commands(commands)
        self._insert(connection, commands)
        return [command.step_id for command in commands]

    def command(
        self,
        payload: Mapping[str, Any],
        *,
        step_id: str | None = None,
        priority: int = 0,
        delay: float = 0,
        max_retries: int | None = None,
        queue: str = DEFAULT_QUEUE,
        key: str | None = None,
        unique_key: str | None = None,
        unique_for: float | None = None,
        on_conflict: OnConflict = "existing",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
        after: After | None = None,
        start_by: float | None = None,
    ) -> Submit:
        """Check the arguments of :meth:`submit` and return its command; store nothing."""
        if not isinstance(payload, dict) and isinstance(payload, Mapping):
            payload = dict(payload)
        task = self._registry.named(payload.get(TASK_TYPE)) if isinstance(payload, dict) else None
        if task is not None:
            payload = task.checked(payload)
            max_retries = task.max_retries if max_retries is None else max_retries
        settings = self.settings
        return submission(
            payload,
            step_id=new_step_id() if step_id is None else step_id,
            priority=priority,
            max_retries=settings.max_retries if max_retries is None else max_retries,
            delay=delay,
            unique=step_id is None,
            queue=queue,
            key=key,
            unique_key=unique_key,
            unique_for=unique_for,
            on_conflict=on_conflict,
            labels=labels,
            timeout=timeout,
            after=after,
            start_by=start_by,
            max_payload_bytes=settings.max_payload_bytes,
        )

    def submit_commands(
        self,
        commands: Sequence[Submit],
        on_stored: Callable[[list[str]], object] | None = None,
    ) -> list[str]:
        """Store steps that :meth:`command` has checked, in transactions of up to 1,000; return
        their ids.

        ``on_stored`` is called after each transaction with the ids that it stored. If a
        transaction fails or ``on_stored`` raises, the attribute ``stored_ids`` of the error lists
        the ids of all steps that were stored.
        """

        def on_batch(step_ids: list[str]) -> None:
            self._work_arrived()
            if on_stored is not None:
                on_stored(step_ids)

        if self.tracing is None:
            return submit_all(self.store, commands, on_batch, self._submitting())
        with self.tracing.sending(commands) as commands:
            return submit_all(self.store, commands, on_batch, self._submitting())

    def submit_together(self, commands: Sequence[Submit]) -> list[str]:
        """Store steps that :meth:`command` has checked in one transaction, so all of them or none;
        return their ids. Raises :class:`InvalidInput` if they are too large for the
        store."""
        if self.tracing is None:
            results = self.store.submit(commands, self._submitting())
        else:
            with self.tracing.sending(commands) as commands:
                results = self.store.submit(commands, self._submitting())
        self._work_arrived()
        return [result.step_id for result in results]

    def _insert(self, connection: object, commands: Sequence[Submit]) -> None:
        if self.tracing is None:
            on_connection.insert(connection, commands, self._connection)
            return
        with self.tracing.sending(commands) as commands:
            on_connection.insert(connection, commands, self._connection)

    def workflow(self, name: str) -> Workflow:
        """Return a new workflow, whose id begins with ``name``: steps are added to it, and
        submitted together. Raises :class:`InvalidInput` for a name that is no text, or too long."""
        return Workflow(self, name)

    def status(self, step_id: str) -> StepView:
        """Return the step as it is now. Raises ``UnknownStep``."""
        step = self.store.step(check_id(step_id, "step_id"))
        if step is None:
            raise UnknownStep(step_id)
        return StepView.of(step)

    def history(self, step_id: str) -> list[EventView]:
        """Return the events of a step, oldest first. Raises ``UnknownStep``."""
        history = self.store.history(check_id(step_id, "step_id"))
        if not history:
            raise UnknownStep(step_id)
        return [EventView.of(event) for event in history]

    def parents(self, step_id: str) -> dict[str, StepView]:
        """Return the steps that a step waits or waited for, by id, except those that were pruned.
        Raises ``UnknownStep``."""
        parents = self.store.parents(check_id(step_id, "step_id"))
        if parents is None:
            raise UnknownStep(step_id)
        return {parent.step_id: StepView.of(parent) for parent in parents}

    def cancel(self, step_id: str) -> StepView:
        """Cancel a step that is not final, and what waits for its success; return it.

        If its function runs, the pod learns of it at its next heartbeat. Raises ``UnknownStep``,
        or ``IllegalTransition`` if the step is completed or failed.
        """
        return StepView.of(self.store.cancel(check_id(step_id, "step_id"), self._acting()))

    def wait(self, step_id: str, timeout: float | None = None) -> StepView:
        """Wait until a step is final; return it. Raises ``TimeoutError`` after ``timeout`` seconds.

        The step is polled every 5 ms at first and less and less often, down to once a second.
        Called in a function of this app it raises :class:`PermanentFailure`, because the step may
        need the very slot that waits for it.
        """
        check_may_wait(self, f"step {step_id!r}")
        return self.wait_until(
            lambda: self.status(step_id),
            lambda step: step.is_final,
            timeout,
            lambda step: f"step {step_id!r} is still {step.status}",
        )

    def queue(self) -> dict[StepStatus, int]:
        """Return the number of steps in each status."""
        return self.store.counts()
