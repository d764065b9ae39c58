"""Completions with children: calls of the procedure ``spawn``, apart from the rest of a sync."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import MAX_BYTES, outcomes_json
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.adapters.snowflake.session import new_change_id
from fleet_q.adapters.snowflake.submit import encoded
from fleet_q.core import step as steps
from fleet_q.core import uniqueness
from fleet_q.core.dependencies import check_no_circle, parents_of
from fleet_q.core.errors import (
    InvalidInput,
    StepConflict,
    StoreUnavailable,
    UniqueKeyTaken,
    UnknownStep,
)
from fleet_q.core.ports import CheckedReplacement, CheckedSubmission, SubmitResult
from fleet_q.core.spawning import (
    attached_steps,
    in_a_circle,
    needed_outside,
    refusal,
)
from fleet_q.core.step import Complete, Fail, Step, Submit

TRIES: Final = 5
"""How often completions are tried, at most: again if steps have ids or unique keys of the children
that others have submitted since. The pod repeats its request."""

_NOT_HELD: Final = 0
_STORED: Final = 2
_CIRCLE: Final = 3


class Spawned(msgspec.Struct, frozen=True):
    """What became of completions: the ids of the steps whose claims were ``refused``, and those
    that ``failed``, which are not recorded yet."""

    refused: list[str]
    failed: list[Fail]


class Spawning:
    """Completes steps with their children."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._session = calls.session

    def spawn(self, completions: Sequence[Complete], pod_id: str) -> Spawned:
        """Complete the steps whose claims are current. Raises :class:`StoreUnavailable`."""
        spawned = Spawned([], [])
        for batch in _batches(completions):
            failed, refused = self._spawn(batch, pod_id)
            spawned.refused.extend(refused)
            spawned.failed.extend(failed)
        return spawned

    def _spawn(self, batch: Sequence[Complete], pod_id: str) -> tuple[list[Fail], list[str]]:
        refused: list[str] = []
        existing: dict[str, Step] | None = None
        at = 0
        for _ in range(TRIES):
            try:
                plan = _Plan(batch, existing, at)
            except (InvalidInput, StepConflict, UniqueKeyTaken, UnknownStep) as error:
                return [refusal(batch[0], error)], refused
            answer = self._session.call("spawn", **plan.values(pod_id))
            state, at = int(answer[0][0]), answer[0][1]
            if state == _STORED:
                return [], refused
            if state == _CIRCLE:
                return [refusal(batch[0], in_a_circle(batch[0].step_id))], refused
            if state == _NOT_HELD:
                current = self._calls.steps([complete.step_id for complete in batch])
                held = [c for c in batch if _is(current, c, Step.is_claimed_under)]
                refused += (
                    c.step_id
                    for c in batch
                    if c not in held and not _is(current, c, Step.is_completed_under)
                )
                batch = held
                if not batch:
                    return [], refused
            else:
                existing = by_id([row[2:] for row in answer if row[2] is not None])
        raise StoreUnavailable("Snowflake: others change steps that completions have to do with")


class _Plan:
    """What a call stores. ``existing`` are the steps that have ids or unique keys of the children,
    or are their parents; ``None`` if they are not known. Raises what a submission raises."""

    def __init__(
        self, batch: Sequence[Complete], existing: dict[str, Step] | None, at: int
    ) -> None:
        self._batch = batch
        self._new: list[Submit] = []
        self._replacements: list[CheckedReplacement] = []
        self._attached: list[dict[str, str]] = []
        self._outside: set[str] = set()
        for complete in batch:
            self._add(complete, existing, at)

    def values(self, pod_id: str) -> dict[str, Any]:
        """The arguments of the procedure."""
        change_id = new_change_id()
        submission = CheckedSubmission(
            change_id, tuple(self._new), pod_id, tuple(self._replacements)
        )
        stored = _with_replaced(self._new, submission)
        return {
            "outcomes": outcomes_json(self._batch, pod_id),
            "outcome_count": len(self._batch),
            "submissions": encoded(submission),
            "attached": rows.encode(self._attached),
            "outside": rows.encode(sorted(self._outside)),
            "is_checked": not all(new.is_independent for new in stored),
            "with_parents": any(new.parents is not None for new in self._new),
            "replacing": len(self._replacements),
            "change_id": change_id,
        }

    def _add(self, complete: Complete, existing: dict[str, Step] | None, at: int) -> None:
        known = existing or {}
        children = complete.children
        merged = uniqueness.merged(children)
        check_no_circle(merged)
        owners = uniqueness.owners(known.values(), at)
        ids = {child.step_id for child in children}
        merged = uniqueness.with_owners_as_parents(children, merged, owners, ids & known.keys())
        results: dict[str, SubmitResult] = {}
        new: list[Submit] = []
        for submit in merged:
            step_id = submit.step_id
            owner = owners.get(submit.unique_key) if submit.unique_key is not None else None
            if step_id in known:
                steps.decide(known[step_id], submit, at=0)  # raises if the submissions differ
                results[step_id] = SubmitResult(step_id, is_new=False)
            elif owner is None:
                new.append(submit)
                results[step_id] = SubmitResult(step_id, is_new=True)
            else:
                if uniqueness.replacement(owner, submit) is not None:
                    replacement = CheckedReplacement(owner.step_id, owner.version, submit)
                    self._replacements.append(replacement)
                results[step_id] = SubmitResult(owner.step_id, is_new=False)
        if existing is not None:
            _check_parents(new, known.keys() | ids)
        self._new += new
        attached = attached_steps(complete, uniqueness.results_of(children, results))
        self._attached += (
            {"spawner": complete.step_id, "child_id": step_id, "text": rows.encode(step_id)}
            for step_id in attached
        )
        with_parents = [submit for submit in new if submit.parents is not None]
        new_ids = {submit.step_id for submit in new}
        self._outside |= needed_outside(attached, with_parents) - new_ids - {complete.step_id}


def _with_replaced(new: Sequence[Submit], submission: CheckedSubmission) -> Iterable[Submit]:
    return (*new, *(replacement.by for replacement in submission.replacements))


def _check_parents(new: Sequence[Submit], known: Iterable[str]) -> None:
    """Raise :class:`UnknownStep` for a parent that does not exist."""
    known_ids = set(known)
    for submit in new:
        for parent_id in parents_of(submit.parents):
            if parent_id not in known_ids:
                raise UnknownStep(parent_id)


def _batches(completions: Sequence[Complete]) -> Iterator[list[Complete]]:
    """The completions in batches of about ``MAX_BYTES``. Each whose children others might stand in
    the way of is alone, so that it alone fails."""
    batch: list[Complete] = []
    size = 0
    for complete in completions:
        if not all(child.is_independent for child in complete.children):
            yield [complete]
            continue
        if batch and (
            size + complete.size > MAX_BYTES
            or any(other.step_id == complete.step_id for other in batch)
        ):
            yield batch
            batch, size = [], 0
        batch.append(complete)
        size += complete.size
    if batch:
        yield batch


def _is(current: dict[str, Step], complete: Complete, has: Any) -> bool:
    step = current.get(complete.step_id)
    return step is not None and bool(has(step, complete.claim_token))
