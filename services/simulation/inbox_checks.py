"""Checks that each row of the inbox is taken in once, and in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet_q.core import events as ev
from fleet_q.services.simulation.payloads import row_in, work_of
from fleet_q.services.simulation.recording import StepChange, TakenIn
from fleet_q.services.simulation.records import Records, require
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.unique_key_checks import UniqueKeyChecks
from fleet_q.services.simulation.violation import Violation


class InboxChecks:
    """What becomes of rows. Each is deleted in the transaction that stores its step or a dead
    letter with the row, or in which another step has its unique key."""

    def __init__(
        self, records: Records, work: Mapping[str, Work], unique_keys: UniqueKeyChecks
    ) -> None:
        self._records = records
        self._work = work
        self._unique_keys = unique_keys
        self.waiting: list[str] = []  # the ids in the rows that no sync has taken in, in order
        self._inserted: set[str] = set()
        self._owners: dict[str, str] = {}  # the statuses of steps with unique keys, by key

    def inserted(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows were inserted."""
        step_ids = [row["step_id"] for row in rows]
        self.waiting += step_ids
        self._inserted.update(step_ids)

    def will_be_taken(self, rows: Sequence[TakenIn]) -> None:
        """Note which steps have the unique keys of these rows before they are taken in. One that
        has changed since the rows were read may have been pending then or not."""
        self._owners.clear()
        for row, at in rows:
            if row.unique_key is not None:
                owner = self._unique_keys.owner_when_read(row.unique_key, at)
                if owner is not None:
                    record = self._records.steps[owner]
                    self._owners[row.unique_key] = "changing" if record.at > at else record.status

    def check(self, rows: Sequence[TakenIn], steps: Sequence[StepChange]) -> None:
        """Check a transaction that deletes ``rows``, after all that it does. Raises
        :class:`Violation`."""
        stored: list[str] = []  # whose rows were taken in
        dead_letters: dict[int, str] = {}
        contents: set[str] = set()  # what the steps do that were stored or replaced
        for event, _ in steps:
            fact = event.fact
            if not isinstance(fact, ev.Submitted | ev.Replaced):
                continue
            row_id = row_in(fact.payload)
            if row_id is not None:
                require(
                    row_id not in dead_letters, "inbox", event.stream, "is a second dead letter"
                )
                dead_letters[row_id] = event.stream
                continue
            contents.add(work_of(fact.payload, self._work, event.stream).step_id)
            if isinstance(fact, ev.Submitted) and event.stream in self._inserted:
                stored.append(event.stream)
        for row, _ in rows:
            step_id = str(row.step_id)
            is_next = bool(self.waiting) and self.waiting.pop(0) == step_id
            require(is_next, "inbox", step_id, "was taken in out of order")
            dead_letter = dead_letters.pop(row.row_id, None)
            if stored and stored[0] == step_id:
                require(dead_letter is None, "inbox", step_id, "is a step and a dead letter")
                key = self._work[stored.pop(0)].unique_key
                self._owners |= {} if key is None else {key: "pending"}
            else:
                self._check_without_step(self._work[step_id], dead_letter, contents)
        for step_id in (*stored, *dead_letters.values()):
            raise Violation("inbox", step_id, "was taken in out of order, or twice")

    def _check_without_step(self, work: Work, dead_letter: str | None, contents: set[str]) -> None:
        """Check a row that has become no step of its own."""
        step_id, is_letter = work.step_id, dead_letter is not None
        if not work.is_valid:
            require(is_letter, "inbox", step_id, "is invalid, and was taken in")
            return
        status = self._owners.get(work.unique_key or "")
        require(status is not None, "inbox", step_id, "was deleted, and has become no step")
        is_refused = work.on_conflict == "error"
        require(
            is_refused == is_letter, "inbox", step_id, "has become the dead letter {}", dead_letter
        )
        if work.on_conflict == "replace" and status == "pending":
            is_done = any(self._work[name].unique_key == work.unique_key for name in contents)
            require(is_done, "inbox", step_id, "did not replace the step with its unique key")
