"""The port to start records: which functions a pod began."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from fleet_q.core.ports.messages import Orphan
from fleet_q.core.step import Step


class StartRecord(Protocol):
    """Records which functions one pod began, so that this is known after it has died. Any thread
    may call it."""

    is_kept: bool
    """Whether the record is complete. After an error with the record or its location it is not, and
    whether a function began is unknown."""

    def add(self, step_id: str, claim_token: str) -> None:
        """Record that a function is about to begin under this claim. Raises
        :class:`~fleet_q.core.errors.StartNotRecorded` if it must not begin."""

    def tidy(self, held: Iterable[Step]) -> None:
        """Drop all claims but those of the steps ``held``. An implementation may do so only now and
        then."""

    def begin(self, incarnation: str) -> None:
        """Start the record of a new incarnation, which replaces that of the previous one."""

    def close(self, *, is_needed: bool) -> None:
        """Close the record: no more functions begin. It is deleted unless it ``is_needed`` because,
        as far as the store knows, the pod still holds steps."""


class StartRecords(Protocol):
    """The start records of all pods of a store."""

    def open(self, incarnation: str) -> StartRecord | None:
        """Create a record; ``None`` if that is not possible."""

    def never_began(self, orphans: Sequence[Orphan]) -> set[str]:
        """The ids of the orphans whose functions did not begin under their claim and never will:
        the claiming process has ended and left a complete record without the claim."""

    def left_behind(self) -> list[str]:
        """The incarnations whose process has ended and whose record still exists."""

    def remove(self, incarnations: Collection[str]) -> None:
        """Delete the records of these incarnations."""
