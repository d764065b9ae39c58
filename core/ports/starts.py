"""The port to the records of which functions have begun."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from fleet_q.core.ports.messages import Orphan
from fleet_q.core.step import Step


class StartRecord(Protocol):
    """Where one pod records which functions have begun, so that this is known after its death. Any
    thread may call it."""

    is_kept: bool
    """Whether what did not begin will be told from what did; after trouble with the record, or
    with the place where it is kept, that is unknown."""

    def add(self, step_id: str, claim_token: str) -> None:
        """A function begins under this claim when this returns. Raises
        :class:`~fleet_q.core.errors.StartNotRecorded` if it must not."""

    def tidy(self, held: Iterable[Step]) -> None:
        """Forget all claims but those of the steps ``held``, from time to time."""

    def begin(self, incarnation: str) -> None:
        """Record what this incarnation claims from now on; of the one before nothing is known."""

    def close(self, *, is_needed: bool) -> None:
        """Nothing begins any more. The record is removed unless it ``is_needed``, because the store
        believes that the pod holds steps."""


class StartRecords(Protocol):
    """The records of all pods on a store."""

    def open(self, incarnation: str) -> StartRecord | None:
        """A new record; ``None`` if none can be kept."""

    def never_began(self, letters: Sequence[Orphan]) -> set[str]:
        """The ids of those that certainly did not begin under their claim and never will: the
        process that held it has ended and kept a whole record, in which the claim is not."""

    def left_behind(self) -> list[str]:
        """The incarnations whose process has ended and left a record."""

    def remove(self, incarnations: Collection[str]) -> None:
        """Remove the records that these left behind."""
