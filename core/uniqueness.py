"""Unique keys: which steps have one, and which step stands for a submission with one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from fleet_q.core.dependencies import Kind, parents_json, parents_of
from fleet_q.core.errors import InvalidInput, UniqueKeyTaken
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.ports import SubmitResult
from fleet_q.core.step import Replace, Step, Submit, as_stored, decide, has_parents_of


def has_unique_key(step: Step, at: int) -> bool:
    """Whether ``step`` has its unique key at store time ``at``: until it is final, and until its
    ``unique_until_ts``."""
    return step.unique_key is not None and (
        step.status not in FINAL or (step.unique_until_ts or 0) > at
    )


def owners(steps: Iterable[Step], at: int) -> dict[str, Step]:
    """The steps that have unique keys at store time ``at``, by key."""
    return first_owners(step for step in steps if has_unique_key(step, at))


def first_owners(steps: Iterable[Step]) -> dict[str, Step]:
    """Steps that have unique keys, by key. A replay is no submission, so it may give a second step
    the same key; then the one that was submitted first has it."""
    by_key: dict[str, Step] = {}
    for step in sorted(steps, key=lambda step: (step.created_ts, step.step_id)):
        if step.unique_key is not None:
            by_key.setdefault(step.unique_key, step)
    return by_key


def replacement(owner: Step, submit: Submit) -> Replace | None:
    """What becomes of ``owner`` by a submission with its unique key, which is not stored; ``None``:
    nothing. Raises :class:`UniqueKeyTaken`."""
    if submit.on_conflict == "error":
        raise UniqueKeyTaken(str(submit.unique_key), owner.step_id)
    if submit.on_conflict == "replace" and owner.status == "pending":
        _check_parents(owner, submit)
        return Replace(owner.step_id, submit)
    return None


def _check_parents(owner: Step, submit: Submit) -> None:
    """Raise :class:`UniqueKeyTaken` if ``submit`` has parents that ``owner`` does not have, for
    which it would not wait."""
    if not has_parents_of(owner, submit):
        raise UniqueKeyTaken(str(submit.unique_key), owner.step_id, is_replacement=True)


def merged(new: Sequence[Submit]) -> list[Submit]:
    """The submissions of one call, of which those with one unique key are merged into the first.

    Raises :class:`UniqueKeyTaken` if one of the others allows no other step, ``StepConflict`` if
    two with one id differ, and :class:`InvalidInput` if they have ids of their own, each of which
    is to find its own step, or if one with a unique key has the id of another.
    """
    count = Counter(submit.step_id for submit in new)
    repeated: dict[str, Step] = {}
    for submit in new:
        if count[submit.step_id] == 1:
            continue
        if submit.unique_key is not None:
            raise InvalidInput(
                f"step {submit.step_id!r} with a unique key is submitted twice; submit it once"
            )
        if submit.step_id in repeated:
            decide(repeated[submit.step_id], submit, at=0)
        else:
            repeated[submit.step_id] = as_stored(submit, at=0)
    first: dict[str, int] = {}
    result: list[Submit] = []
    for submit in new:
        place = len(result)
        if submit.unique_key is not None:
            place = first.setdefault(submit.unique_key, place)
        if place == len(result):
            result.append(submit)
            continue
        earlier = result[place]
        result[place] = _merged(earlier, submit)
    return result


def with_owners_as_parents(
    new: Sequence[Submit],
    merged: list[Submit],
    owners: Mapping[str, Step],
    existing: Collection[str],
) -> list[Submit]:
    """The :func:`merged` submissions with the parents that they get: for a submission of the same
    call that is not stored, because of its unique key, the step that stands for it. ``existing``
    are the ids of the call that steps have."""
    if all(submit.parents is None for submit in merged):
        return merged
    firsts = {submit.unique_key: submit.step_id for submit in merged if submit.unique_key}
    stands_for: dict[str, str] = {}
    for submit in new:
        if submit.unique_key is None or submit.step_id in existing:
            continue
        owner = owners.get(submit.unique_key)
        first = firsts[submit.unique_key]
        stands_for[submit.step_id] = first if owner is None or first in existing else owner.step_id
    return [with_standing_parents(submit, stands_for) for submit in merged]


def with_standing_parents(submit: Submit, stands_for: Mapping[str, str]) -> Submit:
    """The submission with the steps that stand for its parents, by the ids of those. A step that is
    one twice must end with success if either must."""
    if submit.parents is None:
        return submit
    result: dict[str, Kind] = {}
    for parent_id, kind in parents_of(submit.parents).items():
        standing = stands_for.get(parent_id, parent_id)
        result[standing] = "success" if result.get(standing) == "success" else kind
    return replace(submit, parents=parents_json(result))


def _merged(earlier: Submit, later: Submit) -> Submit:
    unique_key = str(later.unique_key)
    if not (earlier.unique and later.unique):
        raise InvalidInput(
            f"two steps with ids of their own and the unique key {unique_key!r} are submitted"
            " together; submit them apart"
        )
    if later.on_conflict == "error":
        raise UniqueKeyTaken(unique_key, earlier.step_id)
    if later.on_conflict == "existing":
        return earlier
    _check_parents(as_stored(earlier, at=0), later)
    return replaced(earlier, later)


def replaced(earlier: Submit, later: Submit) -> Submit:
    """A submission that a later one with its unique key replaces, before the step is stored."""
    return replace(
        earlier,
        payload=later.payload,
        priority=later.priority,
        delay=later.delay,
        task_type=later.task_type,
        labels=later.labels,
        start_by=later.start_by,
        on_conflict="error" if earlier.on_conflict == "error" else "replace",
    )


def results_of(new: Sequence[Submit], by_id: dict[str, SubmitResult]) -> list[SubmitResult]:
    """The results of the submissions of one call, from those of the :func:`merged` ones by id."""
    by_key = {
        submit.unique_key: by_id[submit.step_id]
        for submit in reversed(new)
        if submit.unique_key is not None and submit.step_id in by_id
    }
    results: list[SubmitResult] = []
    seen: set[str] = set()
    for submit in new:
        result = by_id.get(submit.step_id) or by_key[str(submit.unique_key)]
        is_first = submit.step_id in by_id and submit.step_id not in seen
        seen.add(submit.step_id)
        results.append(result if is_first else SubmitResult(result.step_id, is_new=False))
    return results
