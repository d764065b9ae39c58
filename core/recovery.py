"""What the leader does about pods that died: find their steps and give them back.

A cycle may be cut off after any call of the store, run again, or run by two pods at once: what it
does to a step carries the claim token that the step was found under, so it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from fleet_q.core.calls import Calls, call
from fleet_q.core.leadership import leader
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Orphan, PodList, RecoveryQueue, StartRecords, Store
from fleet_q.core.step import Recover, Step

BATCH: Final = 500
"""Orphans read, or given back, in one transaction: short enough for a heartbeat to come between."""

BATCH_SIZE: Final = 4 * 1024 * 1024
"""Characters of steps given back in one transaction, about, for the same reason and so that a
leader needs little memory for it; a single step may have more."""


def is_orphan(step: Step, pods: Mapping[str, Pod]) -> bool:
    """Whether the step is claimed by an incarnation that has ended or never was.

    Time plays no part: a silent pod is declared dead first, and from then on it cannot claim, so
    what is an orphan once stays one.
    """
    if step.status != "claimed" or step.claimed_by is None:
        return False
    pod = pods.get(step.claimed_by)
    return pod is None or pod.incarnation != step.incarnation or pod.status == "down"


class RecoveryStats(msgspec.Struct):
    """What one cycle did, in the words of the HTTP API."""

    dead_pods: int = 0
    total_orphans: int = 0
    resubmitted: int = 0
    terminal_failures: int = 0


def recovery_cycle(
    table: RecoveryQueue,
    *,
    silent: Callable[[PodList], Sequence[Pod]],
    starts: StartRecords | None,
    dead_after: int,
    by: str | None,
    only_as_leader: bool,
    stats: RecoveryStats,
) -> Calls[None]:
    """One cycle, in calls of the store between which a heartbeat can come.

    ``silent`` is given the pods as they are now, and says which of them to declare dead. ``by`` is
    the pod that acts; with ``only_as_leader`` nothing is done unless it leads, and ``dead_after``
    microseconds without a heartbeat make another one lead. ``stats`` is added to as the cycle
    goes. The orphans wait in ``table``, so memory stays bounded however many there are; the table
    is dropped at the end, and also when the cycle is given up.

    A step on its last try whose function certainly did not begin, by the records of ``starts``, is
    released; the records are removed when no orphan is left that they could tell of.
    """
    fleet = yield from call(Store.pods)
    to_declare = silent(fleet)
    if only_as_leader:
        head = leader(fleet.pods, fleet.at, dead_after)
        if head is None or head.pod_id != by:
            return
    if to_declare:
        stats.dead_pods += len((yield from call(Store.declare_dead, to_declare, by)))
    table.create()
    try:
        after = ""
        while page := (yield from call(Store.orphans, after, BATCH)):
            table.add(page)
            stats.total_orphans += len(page)
            after = page[-1].step_id
        while letters := table.take(BATCH):
            for batch in _batches(letters, starts):
                for step in (yield from call(Store.recover, batch, by)):
                    if step.status == "failed":
                        stats.terminal_failures += 1
                    else:
                        stats.resubmitted += 1
    finally:
        table.drop()
    # Whose process had ended before the pods are read holds nothing that will not be an orphan.
    if starts is not None and (left_behind := starts.left_behind()):
        fleet = yield from call(Store.pods)
        present = {pod.incarnation for pod in fleet.pods if pod.status != "down"}
        if not (yield from call(Store.orphans, "", 1)):
            starts.remove([each for each in left_behind if each not in present])


def _batches(letters: Sequence[Orphan], starts: StartRecords | None) -> Iterator[list[Recover]]:
    never_began = _never_began(starts, letters)
    batch: list[Recover] = []
    size = 0
    for letter in letters:
        if batch and size + letter.size > BATCH_SIZE:
            yield batch
            batch, size = [], 0
        batch.append(Recover(letter.step_id, letter.claim_token, letter.step_id in never_began))
        size += letter.size
    yield batch


def _never_began(starts: StartRecords | None, batch: Sequence[Orphan]) -> set[str]:
    on_last_try = [orphan for orphan in batch if not orphan.has_tries_left]
    return starts.never_began(on_last_try) if starts is not None and on_last_try else set()
