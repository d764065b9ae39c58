"""Every error that FLEET-Q raises; each message is one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence


class FleetQError(Exception):
    """The root of all errors raised by FLEET-Q.

    When a submission of many steps breaks off, ``stored_ids`` are those of the steps that are
    stored; errors of other classes that end one have it too.
    """

    stored_ids: Sequence[str] = ()


class InvalidInput(FleetQError, ValueError):
    """A value from outside that cannot be taken as it is; nothing was stored."""


class UnknownStep(FleetQError, LookupError):
    """No step has this id."""

    def __init__(self, step_id: str) -> None:
        super().__init__(f"no step has the id {step_id!r}")
        self.step_id = step_id


class StepConflict(FleetQError):
    """A step id that is taken was submitted again with another payload."""

    def __init__(self, step_id: str) -> None:
        super().__init__(f"step {step_id!r} exists with another payload; choose another step_id")
        self.step_id = step_id


class IllegalTransition(FleetQError):
    """A lifecycle forbids what was tried in the state that holds; ``name`` is the id of what was
    to be changed. ``is_known``: whether this version knows the status."""

    def __init__(
        self,
        lifecycle: str,
        trigger: str,
        status: str,
        name: str | None = None,
        *,
        is_known: bool = True,
    ) -> None:
        message = (
            f"a {lifecycle} that is {status} cannot be {trigger}"
            if name is None
            else f"{lifecycle} {name!r} is {status} and cannot be {trigger}"
        )
        if not is_known:
            message += "; this version does not know that status: upgrade fleet-q"
        super().__init__(message)
        self.name = name
        self.trigger = trigger
        self.status = status


class StaleClaim(FleetQError):
    """A change carried a claim token that is not, or no longer, the step's."""

    def __init__(self, step_id: str) -> None:
        super().__init__(f"step {step_id!r} is no longer held under this claim")
        self.step_id = step_id


class IncarnationEnded(FleetQError):
    """A pod acted as an incarnation that the store no longer counts as living.

    ``superseded`` tells the two causes apart: another process joined under the same pod id, or
    this one was declared dead and may join again as a new incarnation.
    """

    def __init__(self, pod_id: str, *, superseded: bool) -> None:
        super().__init__(
            f"another process has joined as pod {pod_id!r}; give every pod its own FLEET_Q_POD_ID"
            if superseded
            else f"pod {pod_id!r} was declared dead; it has to join again"
        )
        self.pod_id = pod_id
        self.superseded = superseded


class StartNotRecorded(FleetQError):
    """A function must not begin, because that it begins can be neither recorded nor be unknown."""


class CorruptLog(FleetQError):
    """The event log contradicts itself: a gap in the versions, or a first event that is not one."""


class StoreError(FleetQError):
    """The store refuses for good: trying again without a change will not help."""


class UnknownToThisVersion(StoreError):
    """The store holds what a newer version has written, and this one does not know."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}, which this version does not know; upgrade fleet-q")


class DataRefused(StoreError):
    """The store cannot keep a value, which is too large for it; nothing was done. The store goes on
    to work for other data."""


class StoreUnavailable(StoreError):
    """The store did not answer this time; what was tried may or may not have been done."""


class StoreContended(StoreUnavailable):
    """So many wait for the store's lock that it lets no more do so; nothing was done."""
