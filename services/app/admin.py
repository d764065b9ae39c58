"""Admin, the methods of an app for operators: pods, recovery, dead letters and pruning."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from fleet_q.adapters.archive import Archive
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core.calls import run
from fleet_q.core.cycle import Cycle
from fleet_q.core.errors import InvalidInput
from fleet_q.core.leadership import leader, live_pods
from fleet_q.core.pod import Pod
from fleet_q.core.ports import PodList
from fleet_q.core.pruning import PruneStats, prune_cycle, statuses_to_prune
from fleet_q.core.queue_stats import WINDOW
from fleet_q.core.recovery import RecoveryStats, recovery_cycle
from fleet_q.core.retry import micros
from fleet_q.core.submission import check_id, check_seconds
from fleet_q.core.unserved import unserved_among
from fleet_q.services.app.alerts import AlertView
from fleet_q.services.app.base import AppBase
from fleet_q.services.app.bulk import replay_all
from fleet_q.services.app.pruning import run_prune
from fleet_q.services.app.queue_stats import QueueStatsView
from fleet_q.services.app.queues import Queues
from fleet_q.services.app.recovery import watch_silent_pods
from fleet_q.services.app.views import DeadLettersView, LeaderView, PodView, StepView

LONGEST_PAGE: Final = 1_000
"""The most dead letters in a page."""


class Admin(AppBase):
    """The methods of an app about pods, about steps that are final, and about queues."""

    @property
    def queues(self) -> Queues:
        """The limits of the app's queues."""
        return Queues(lambda: self.store, self._acting, self._work_arrived)

    def queue_stats(self) -> QueueStatsView:
        """Return the number of steps in each status, and for each task type of each queue what
        waits and runs, how much ended in the last ten minutes, how much time is left, and whether
        any live pod takes its steps."""
        stats = self.store.queue_stats(WINDOW)
        waiting = [(each.queue, each.task_type) for each in stats.types if each.pending]
        dead_after = micros(self.settings.dead_pod_threshold)
        return QueueStatsView.of(stats, run(self.store, unserved_among(waiting, dead_after)))

    def alerts(self, *, only_raised: bool = True) -> list[AlertView]:
        """Return the alerts that are raised, or, unless ``only_raised``, also those of the last 30
        days that are over. There are none while no pod has ``FLEET_Q_ALERT_WEBHOOK``."""
        rows = self.store.alerts().alerts
        if only_raised:
            rows = tuple(row for row in rows if row.status == "raised")
        return [AlertView.of(row) for row in rows if row.since_ts]

    def pods(self, *, only_live: bool = False) -> list[PodView]:
        """Return all pods that ever started and are not pruned: the live ones, oldest first, then,
        unless ``only_live``, the others, by their last heartbeat, newest first."""
        pod_list = self.store.described_pods()
        live, leading = self._live(pod_list)
        others = sorted(
            (pod for pod in pod_list.pods if not only_live and pod not in live),
            key=lambda pod: -pod.last_heartbeat_ts,
        )
        is_any_down = any(pod.status == "down" for pod in others)
        dead = self.store.declared_dead() if is_any_down else set()
        return [
            PodView.of(
                pod, alive=pod in live, leader=pod == leading, declared_dead=pod.pod_id in dead
            )
            for pod in [*live, *others]
        ]

    def leader(self) -> LeaderView:
        """Return the leader, the oldest live pod, and whether it is the pod that runs here."""
        live, oldest = self._live(self.store.pods())
        leading = None if oldest is None else oldest.pod_id
        here = pod.pod_id if (pod := self.pod) is not None else None
        alive = [pod.pod_id for pod in live]
        return LeaderView(leading, here, leading is not None and leading == here, len(alive), alive)

    def _live(self, pod_list: PodList) -> tuple[list[Pod], Pod | None]:
        """Return the live pods, oldest first, and the leader."""
        dead_after = micros(self.settings.dead_pod_threshold)
        live = live_pods(pod_list.pods, pod_list.at, dead_after)
        return live, leader(pod_list.pods, pod_list.at, dead_after)

    def recover(self, on_wait: Callable[[str], object] = lambda line: None) -> RecoveryStats:
        """Run one recovery cycle now, whichever pod leads; two at once do no harm, because each
        orphan is recovered by one transaction.

        If a pod runs here, it knows which pods are silent. Otherwise the pods that seem silent are
        watched for two heartbeat intervals first, and ``on_wait`` is called with a message.
        """
        stats = RecoveryStats()
        pod, store = self.pod, self.store
        cycle = recovery_cycle(
            SqliteRecoveryQueue(),
            silent=lambda pod_list: (
                pod.silent_pods()
                if pod is not None
                else watch_silent_pods(store, pod_list, self.settings, on_wait)
            ),
            starts=store.starts,
            dead_after=micros(self.settings.dead_pod_threshold),
            by=self._acting(),
            only_as_leader=False,
            stats=stats,
        )
        run(store, cycle)
        return stats

    def dead_letters(self, limit: int = 100, before: str | None = None) -> DeadLettersView:
        """Return a page of dead letters, newest first: up to ``limit``, at most 1,000.

        ``before`` is the cursor of the page, taken from the page before it.
        """
        if not 1 <= limit <= LONGEST_PAGE:
            raise InvalidInput(f"limit must be between 1 and {LONGEST_PAGE}, not {limit}")
        page = self.store.dead_letters(limit, _parse_cursor(before))
        cursor = None if page.before is None else f"{page.before[0]}:{page.before[1]}"
        return DeadLettersView([StepView.of(step) for step in page.steps], cursor)

    def replay(self, step_ids: Iterable[str]) -> list[str]:
        """Make failed or cancelled steps pending again with all their tries; all of them or none.

        Returns the ids. Raises ``UnknownStep``, or ``IllegalTransition`` for another status.
        """
        ids = list(dict.fromkeys(check_id(step_id, "step_id") for step_id in step_ids))
        replayed = [step.step_id for step in self.store.replay(ids, self._acting())]
        self._work_arrived()
        return replayed

    def replay_all(self, on_replayed: Callable[[int], object] = lambda count: None) -> int:
        """Replay every dead letter that exists now; return the number of steps replayed.

        Steps that another caller replays or prunes meanwhile are skipped. ``on_replayed`` is
        called after each transaction with the number of its steps.
        """

        def on_batch(count: int) -> None:
            self._work_arrived()
            on_replayed(count)

        return replay_all(self.store, on_batch, self._acting())

    def prune(
        self,
        older_than: float,
        *,
        failed: bool = False,
        archive: Path | None = None,
        dry_run: bool = False,
        stats: PruneStats | None = None,
        on_batch: Callable[[], object] = lambda: None,
    ) -> PruneStats:
        """Delete old final steps and old pods, with their events; return the numbers deleted.

        A step is old if it was completed or cancelled (with ``failed``, also if it failed)
        ``older_than`` seconds ago or earlier; a pod, if it is down or asleep and its last
        heartbeat was then or earlier. Events are appended to the file ``archive`` first. A
        ``dry_run`` only counts. ``on_batch`` is called after each batch, when ``stats`` includes
        it, and may raise to end the prune.

        The id of a pruned step can be used again: submitted once more, it is a new step. So keep
        steps for longer than any client retries a submission.
        """
        check_seconds(older_than, "older_than")
        stats = PruneStats() if stats is None else stats
        store = self.store
        with nullcontext() if archive is None or dry_run else Archive(archive) as archive_file:
            cycle = prune_cycle(
                older_than=micros(older_than),
                prune_batch=store.traits.prune_batch,
                stats=stats,
                statuses=statuses_to_prune(failed=failed),
                archive=archive_file,
                dry_run=dry_run,
                by=self._acting(),
            )
            run_prune(store, Cycle(cycle, time.monotonic), on_batch)
        return stats


def _parse_cursor(before: str | None) -> tuple[int, str] | None:
    if before is None:
        return None
    cursor = re.fullmatch("(-?[0-9]{1,18}):(.*)", before, re.DOTALL)
    if cursor is None:
        raise InvalidInput(
            f"before={before!r} is not a cursor; pass the 'before' of the previous page"
        )
    return int(cursor[1]), check_id(cursor[2], "the cursor's step_id")
