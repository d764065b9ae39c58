"""All exceptions that FLEET-Q raises. Each message is one line."""

from __future__ import annotations

from collections.abc import Sequence


class FleetQError(Exception):
    """Base class of all exceptions raised by FLEET-Q.

    If a submission of many steps is interrupted, ``stored_ids`` holds the ids of the steps already
    stored. Exceptions of other classes that interrupt one get the same attribute.
    """

    stored_ids: Sequence[str] = ()


class InvalidInput(FleetQError, ValueError):
    """An argument, setting or payload is invalid; nothing was stored."""


class UnknownStep(FleetQError, LookupError):
    """No step has this id."""

    def __init__(self, step_id: str) -> None:
        super().__init__(f"no step has the id {step_id!r}")
        self.step_id = step_id


class UnknownWorkflow(FleetQError, LookupError):
    """No step belongs to this workflow."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"no step belongs to workflow {workflow_id!r}")
        self.workflow_id = workflow_id


class WorkflowNotCompleted(FleetQError):
    """A workflow ended as ``status``: not all of its steps were completed."""

    def __init__(self, workflow_id: str, status: str, counts: str) -> None:
        super().__init__(f"workflow {workflow_id!r} is {status}: {counts}")
        self.workflow_id = workflow_id
        self.status = status


class UnknownSchedule(FleetQError, LookupError):
    """There is no schedule of this name."""

    def __init__(self, schedule: str) -> None:
        super().__init__(f"there is no schedule {schedule!r}")
        self.schedule = schedule


class LastStepNotEnded(FleetQError):
    """A schedule may submit no step now, because its last one has not ended."""

    def __init__(self, schedule: str, step_id: str, overlap: str) -> None:
        super().__init__(
            f"schedule {schedule!r} submits no step now: {step_id!r} has not ended, and its overlap"
            f" is {overlap}"
        )
        self.schedule = schedule
        self.step_id = step_id


class StepConflict(FleetQError):
    """A step with this id exists and has a different payload, or waits or waited for others."""

    def __init__(self, step_id: str, what: str = "payload") -> None:
        super().__init__(
            f"step {step_id!r} already exists with a different {what}; use another step_id"
        )
        self.step_id = step_id


class StepNotCompleted(FleetQError):
    """A step has no result: it was cancelled, or it failed with ``error``."""

    def __init__(self, step_id: str, status: str, error: str | None) -> None:
        super().__init__(f"step {step_id!r} is {status}" + (f": {error}" if error else ""))
        self.step_id = step_id
        self.status = status
        self.error = error


class UniqueKeyTaken(FleetQError):
    """The step ``step_id`` has the ``unique_key`` of a submission that allows no other, or that
    would replace it and has other parents: ``is_replacement``."""

    def __init__(self, unique_key: str, step_id: str, *, is_replacement: bool = False) -> None:
        message = f"step {step_id!r} has the unique key {unique_key!r}"
        if is_replacement:
            message += " and a different after, which cannot be replaced; cancel it first"
        super().__init__(message)
        self.unique_key = unique_key
        self.step_id = step_id


class IllegalTransition(FleetQError):
    """The lifecycle does not allow ``trigger`` in the current ``status``. ``name`` is the id of the
    step or pod; ``is_known`` is false if this version does not know the status."""

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


class ParentNotReplayed(FleetQError):
    """A step cannot be replayed while a parent is ``status`` that must succeed before it."""

    def __init__(self, step_id: str, parent_id: str, status: str) -> None:
        super().__init__(
            f"step {step_id!r} cannot be replayed: its parent {parent_id!r} is {status};"
            " replay that"
        )
        self.step_id = step_id
        self.parent_id = parent_id
        self.status = status


class StaleClaim(FleetQError):
    """A command carried a claim token that is not the current one of the step."""

    def __init__(self, step_id: str) -> None:
        super().__init__(f"step {step_id!r} is not claimed under this claim token")
        self.step_id = step_id


class ClaimLost(FleetQError):
    """The step was claimed, and is not any more: what its holder did is not recorded."""

    def __init__(self, step_id: str) -> None:
        super().__init__(
            f"the claim of step {step_id!r} is lost: it was ended or cancelled, recovered by the"
            " leader, or its lease ended"
        )
        self.step_id = step_id


class ConsumerEnded(FleetQError):
    """The consumer has left the fleet, and claims no more steps."""


class IncarnationEnded(FleetQError):
    """A pod acted as an incarnation that has ended.

    If ``superseded``, another process has joined under the same pod id; otherwise this incarnation
    was declared dead or has left, and the pod may join again as a new incarnation.
    """

    def __init__(self, pod_id: str, *, superseded: bool) -> None:
        super().__init__(
            f"another process has joined as pod {pod_id!r}; give every pod its own FLEET_Q_POD_ID"
            if superseded
            else f"pod {pod_id!r} was declared dead; it must join again"
        )
        self.pod_id = pod_id
        self.superseded = superseded


class StartNotRecorded(FleetQError):
    """The start of a step on its last try cannot be recorded, so its function must not begin."""


class CorruptLog(FleetQError):
    """The event log is inconsistent: a gap in the versions, or a wrong first event."""


class StoreError(FleetQError):
    """The store reported an error that retrying does not resolve."""


class UnknownToThisVersion(StoreError):
    """The store contains data of a newer version of FLEET-Q, which this one cannot read."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}, which this version does not know; upgrade fleet-q")


class DataRefused(StoreError):
    """The store cannot hold a value, for example because it is too large; nothing was changed. The
    store still accepts other data."""


class StoreUnavailable(StoreError):
    """The store did not answer; the call may or may not have taken effect. Retry later."""


class UnknownStoreError(StoreUnavailable):
    """The store reported an error that FLEET-Q does not know. It may pass, so the call is retried;
    it may also concern one value of the call."""


class StoreContended(StoreUnavailable):
    """The store rejected the call: too many others wait for its lock. Nothing was changed."""


class StoreGivenUp(StoreError):
    """No sync of a pod succeeded within ``FLEET_Q_STORE_GIVE_UP_AFTER``; the pod stops."""
