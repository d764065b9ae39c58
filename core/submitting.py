"""How steps are submitted whose ids or unique keys have to be checked, where requests are served
together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fleet_q.core import dependencies, uniqueness
from fleet_q.core import step as steps
from fleet_q.core.calls import Calls, StoreCall
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.core.mailbox import PATIENCE, Waiting, exchange, poll_intervals
from fleet_q.core.ports import (
    CheckedReplacement,
    CheckedSubmission,
    StoreTraits,
    SubmissionResult,
    SubmitResult,
)
from fleet_q.core.retry import backoff
from fleet_q.core.step import Step, Submit

SERVING_TAKES: Final = 2.0
"""Seconds that a client expects serving to take: the sum of the measured times of its statements
(``adapters/snowflake/times.py``). A pod knows better, from its own exchanges."""

RETRY_BASE: Final = 0.1
RETRY_CAP: Final = 5.0
"""Seconds between the tries of a store that did not answer, see
:func:`~fleet_q.core.retry.backoff`."""


class Submitting:
    """Submits steps through the mailbox of a store with these ``traits``.

    ``new_id`` makes ids of submissions, ``chance`` draws numbers in [0, 1). ``waiting`` waits.
    ``may_retry``: whether to try again if the store has not answered; ``may_wait``: whether to go
    on if the submission waits to be served. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        traits: StoreTraits,
        *,
        new_id: Callable[[], str],
        chance: Callable[[], float],
        waiting: Waiting,
        may_retry: Callable[[], bool],
        may_wait: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._traits = traits
        self._new_id = new_id
        self._chance = chance
        self._waiting = waiting
        self._may_retry = may_retry
        self._may_wait = may_wait
        self._clock = clock

    def submit(
        self, new: Sequence[Submit], pod_id: str | None, *, is_retry: bool = False
    ) -> Calls[list[SubmitResult]]:
        """See :meth:`fleet_q.core.ports.Store.submit`. ``is_retry``: an earlier attempt, outside
        of the mailbox, may have stored those of the steps whose ids are unique."""
        merged = uniqueness.merged(new)
        dependencies.check_no_circle(merged)
        fresh = first_by_id(uniqueness.with_owners_as_parents(new, merged, {}, ()))
        replacements: dict[str, CheckedReplacement] = {}  # by the id of the submission
        results: dict[str, SubmitResult] = {}
        while fresh or replacements:
            steps_to_store = tuple(fresh.values())
            result, was_lost = yield from self._store(
                steps_to_store, tuple(replacements.values()), pod_id
            )
            is_retry |= was_lost
            if result.is_stored:
                results |= {step_id: SubmitResult(step_id, is_new=True) for step_id in fresh}
                break
            if not result.existing:
                self._check_may_wait()
                yield from self._waiting(self._traits.shortest_sync)
            for replacement in replacements.values():  # the steps may have changed
                fresh[replacement.by.step_id] = replacement.by
            replacements.clear()
            standing = _standing(fresh, result.existing)
            if standing:
                stands_for = {step_id: owner.step_id for step_id, owner in standing.items()}
                fresh = {
                    step_id: uniqueness.with_standing_parents(item, stands_for)
                    for step_id, item in fresh.items()
                }
            for step in result.existing:
                item = fresh.pop(step.step_id, None)
                if item is not None:
                    results[item.step_id] = _found(step, item, is_retry=is_retry)
            for step_id, owner in standing.items():
                item = fresh.pop(step_id)
                if uniqueness.replacement(owner, item) is not None:
                    replacement = CheckedReplacement(owner.step_id, owner.version, item)
                    replacements[step_id] = replacement
                results[step_id] = SubmitResult(owner.step_id, is_new=False)
        return uniqueness.results_of(new, results)

    def _store(
        self,
        new: tuple[Submit, ...],
        replacements: tuple[CheckedReplacement, ...],
        pod_id: str | None,
    ) -> Calls[tuple[SubmissionResult, bool]]:
        """Store and replace all of the steps, or none if some of their ids or unique keys are
        taken, or those to replace have changed. Also return whether a call was not answered: it may
        have stored them, and the result may not show it yet."""
        submission = CheckedSubmission(self._new_id(), new, pod_id, replacements)
        patience = PATIENCE * SERVING_TAKES * (1 + self._chance())
        shortest = self._traits.shortest_sync
        is_posted, failures = False, 0
        while True:
            try:
                result: SubmissionResult = yield from exchange(
                    lambda is_posted: StoreCall(
                        "submit_checked", (submission, patience), {"is_posted": is_posted}
                    ),
                    self._waiting,
                    intervals=poll_intervals(shortest, shortest),
                    is_posted=is_posted,
                    on_waits=lambda took: self._check_may_wait(),
                    clock=self._clock,
                    shortest=shortest,
                )
                return result, failures > 0
            except StoreUnavailable:
                if not self._may_retry():
                    raise
            is_posted = True
            failures += 1
            yield from self._waiting(backoff(failures, RETRY_BASE, RETRY_CAP, self._chance()))

    def _check_may_wait(self) -> None:
        if not self._may_wait():
            raise StoreUnavailable(
                "the submission still waits to be served; it may be stored later"
            )


def first_by_id(new: Sequence[Submit]) -> dict[str, Submit]:
    """The first submission under each id. Raises ``StepConflict`` if another one differs."""
    first: dict[str, Submit] = {}
    for item in new:
        steps.decide(steps.as_stored(first.setdefault(item.step_id, item), at=0), item, at=0)
    return first


def _standing(new: Mapping[str, Submit], existing: Sequence[Step]) -> dict[str, Step]:
    """The existing steps that stand for new ones because of their unique keys, by the ids of
    these."""
    owners = uniqueness.first_owners(existing)
    ids = {step.step_id for step in existing}
    return {
        step_id: owners[item.unique_key]
        for step_id, item in new.items()
        if item.unique_key is not None and item.unique_key in owners and step_id not in ids
    }


def _found(step: Step, item: Submit, *, is_retry: bool) -> SubmitResult:
    """The result of a submission whose id a step has. If that id is unique, an earlier attempt must
    have stored the step, or :class:`StoreError` is raised."""
    if item.unique and not is_retry:
        raise StoreError(f"step {item.step_id!r} exists, though its id should be unique")
    steps.decide(step, item, at=0)  # raises if the submissions differ
    return SubmitResult(item.step_id, is_new=item.unique)
