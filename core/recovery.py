"""The leader's recovery cycle: declare silent pods dead, recover their steps, and cancel steps that
were not begun in time.

A cycle may be interrupted after any store call, repeated, or run by two pods at once: each recovery
carries the claim token that the orphan was found under, so it takes effect once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from fleet_q.core.calls import Calls, call
from fleet_q.core.leadership import is_leader
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Orphan, PodList, RecoveryQueue, StartRecords, Store
from fleet_q.core.step import Recover, Step

BATCH: Final = 500
"""Orphans read or recovered in one transaction, so few that heartbeats get through in between."""

EXPIRE_BATCH: Final = 500
"""Expired steps that one transaction cancels, at most."""

BATCH_SIZE: Final = 4 * 1024 * 1024
"""About how many bytes the steps recovered in one transaction have, at most. This also bounds
the leader's memory. A larger step is recovered alone."""


def is_orphan(step: Step, pods: Mapping[str, Pod]) -> bool:
    """Whether the step is claimed by an incarnation that has ended or does not exist.

    This does not depend on time: a silent pod is declared dead first and cannot claim afterwards,
    so an orphan stays one until it is recovered.
    """
    if step.status != "claimed" or step.claimed_by is None:
        return False
    pod = pods.get(step.claimed_by)
    return pod is None or pod.incarnation != step.incarnation or pod.status == "down"


class RecoveryStats(msgspec.Struct):
    """Counts of what one cycle did, under the names of the quickstart's HTTP API."""

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
    on_recovered: Callable[[Sequence[Step]], object] = lambda steps: None,
) -> Calls[bool]:
    """Run one recovery cycle, in short store calls so that heartbeats get through in between.
    Returns false if it did nothing, since another pod leads.

    ``silent`` receives the current pods and returns those to declare dead. ``by`` is the acting
    pod; with ``only_as_leader`` the cycle does nothing unless this pod is the leader, among the
    pods whose last heartbeat is less than ``dead_after`` microseconds old. ``stats`` is updated as
    the cycle proceeds, and ``on_recovered`` is called with the steps that were recovered. Orphans
    are kept in ``table``, so memory stays bounded; it is created if there are any, and dropped at
    the end, also if the cycle is interrupted.

    A step on its last try is released instead of failed if the records of ``starts`` prove that its
    function never began. Records are removed once no orphan is left that needs them.
    """
    pod_list = yield from call(Store.pods)
    to_declare = silent(pod_list)
    if only_as_leader and not is_leader(by, pod_list.pods, pod_list.at, dead_after):
        return False
    if to_declare:
        stats.dead_pods += len((yield from call(Store.declare_dead, to_declare, by)))
    page = yield from call(Store.orphans, "", BATCH)
    if page:
        yield from _recover(table, page, starts, by, stats, on_recovered)
    # The process of a left-behind record has ended, so an incarnation that is down, or is not the
    # current one, gets no new steps. Without orphans its record is no longer needed.
    if starts is not None and (left_behind := starts.left_behind()):
        pod_list = yield from call(Store.pods)
        living = {pod.incarnation for pod in pod_list.pods if pod.status != "down"}
        if not (yield from call(Store.orphans, "", 1)):
            starts.remove([incarnation for incarnation in left_behind if incarnation not in living])
    # Last, since steps are to be recovered even if this fails.
    while (yield from call(Store.fold_heartbeats)):
        yield from call(Store.expire, EXPIRE_BATCH, by)
    return True


def _recover(
    table: RecoveryQueue,
    page: Sequence[Orphan],
    starts: StartRecords | None,
    by: str | None,
    stats: RecoveryStats,
    on_recovered: Callable[[Sequence[Step]], object],
) -> Calls[None]:
    """Recover the orphans of the first ``page``, and all that follow."""
    table.create()
    try:
        while page:
            table.add(page)
            stats.total_orphans += len(page)
            page = yield from call(Store.orphans, page[-1].step_id, BATCH)
        while orphans := table.take(BATCH):
            for batch in _batches(orphans, starts):
                recovered = yield from call(Store.recover, batch, by)
                on_recovered(recovered)
                for step in recovered:
                    if step.status == "failed":
                        stats.terminal_failures += 1
                    else:
                        stats.resubmitted += 1
    finally:
        table.drop()


def _batches(orphans: Sequence[Orphan], starts: StartRecords | None) -> Iterator[list[Recover]]:
    never_began = _never_began(starts, orphans)
    batch: list[Recover] = []
    size = 0
    for orphan in orphans:
        if batch and size + orphan.size > BATCH_SIZE:
            yield batch
            batch, size = [], 0
        batch.append(Recover(orphan.step_id, orphan.claim_token, orphan.step_id in never_began))
        size += orphan.size
    yield batch


def _never_began(starts: StartRecords | None, batch: Sequence[Orphan]) -> set[str]:
    on_last_try = [orphan for orphan in batch if not orphan.has_tries_left]
    return starts.never_began(on_last_try) if starts is not None and on_last_try else set()
