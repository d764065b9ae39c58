"""What operators do with an app: look after its pods and its dead letters, prune what has ended."""

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
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.pruning import PRUNED_BY_DEFAULT, PruneStats, prune_cycle
from fleet_q.core.recovery import RecoveryStats, recovery_cycle
from fleet_q.core.retry import micros
from fleet_q.core.submission import check_id, check_seconds
from fleet_q.services.app.base import AppBase
from fleet_q.services.app.bulk import replay_all
from fleet_q.services.app.pruning import prune_gently
from fleet_q.services.app.recovery import watch_silent_pods
from fleet_q.services.app.views import DeadLettersView, LeaderView, PodView, StepView

LONGEST_PAGE: Final = 1_000
"""Dead letters in a page, at most."""


class Admin(AppBase):
    """The part of an app that is about its pods, and about steps that have ended."""

    def pods(self) -> list[PodView]:
        """All pods that ever joined, the living first, oldest first."""
        fleet = self.store.pods()
        dead_after = micros(self.settings.dead_pod_threshold)
        live = live_pods(fleet.pods, fleet.at, dead_after)
        head = leader(fleet.pods, fleet.at, dead_after)
        gone = sorted(
            (pod for pod in fleet.pods if pod not in live), key=lambda pod: -pod.last_heartbeat_ts
        )
        return [PodView.of(pod, alive=pod in live, leader=pod == head) for pod in [*live, *gone]]

    def leader(self) -> LeaderView:
        """The oldest live pod, and whether it is the one that runs here."""
        pods = self.pods()
        head = next((pod.pod_id for pod in pods if pod.leader), None)
        here = pod.pod_id if (pod := self.pod) is not None else None
        alive = [pod.pod_id for pod in pods if pod.alive]
        return LeaderView(head, here, head is not None and head == here, len(alive), alive)

    def recover(self, on_wait: Callable[[str], object] = lambda line: None) -> RecoveryStats:
        """Run one recovery cycle now, whoever leads: what it does, it can only do once. With a pod
        running here, that pod knows which others are silent. Without, those that seem to be are
        watched for two heartbeat intervals first; ``on_wait`` is called with a line about it."""
        stats = RecoveryStats()
        pod, store = self.pod, self.store
        cycle = recovery_cycle(
            SqliteRecoveryQueue(),
            silent=lambda fleet: (
                pod.silent_pods()
                if pod is not None
                else watch_silent_pods(store, fleet, self.settings, on_wait)
            ),
            starts=store.starts,
            dead_after=micros(self.settings.dead_pod_threshold),
            by=pod.pod_id if pod is not None else None,
            only_as_leader=False,
            stats=stats,
        )
        run(store, cycle)
        return stats

    def dead_letters(self, limit: int = 100, before: str | None = None) -> DeadLettersView:
        """A page of up to 1,000 of the steps that failed for good, newest first."""
        if not 1 <= limit <= LONGEST_PAGE:
            raise InvalidInput(f"limit must be between 1 and {LONGEST_PAGE}")
        page = self.store.dead_letters(limit, _parse_cursor(before))
        cursor = None if page.before is None else f"{page.before[0]}:{page.before[1]}"
        return DeadLettersView([StepView.of(step) for step in page.steps], cursor)

    def replay(self, step_ids: Iterable[str]) -> list[str]:
        """Give failed or cancelled steps all their tries again; all of them, or none."""
        ids = list(dict.fromkeys(check_id(step_id, "step_id") for step_id in step_ids))
        replayed = [step.step_id for step in self.store.replay(ids)]
        self._work_arrived()
        return replayed

    def replay_all(self, on_replayed: Callable[[int], object] = lambda count: None) -> int:
        """Replay every dead letter that there is now, page by page; how many this call replayed.

        Those that somebody else replays or prunes meanwhile are left out. After each page
        ``on_replayed`` is called with the number of its steps.
        """

        def replayed(count: int) -> None:
            self._work_arrived()
            on_replayed(count)

        return replay_all(self.store, replayed)

    def prune(
        self,
        older_than: float,
        *,
        failed: bool = False,
        archive: Path | None = None,
        dry_run: bool = False,
        stats: PruneStats | None = None,
        told: Callable[[], object] = lambda: None,
    ) -> PruneStats:
        """Delete the steps that were completed or cancelled ``older_than`` seconds ago or earlier,
        with ``failed`` the dead letters too, and the pods that are down or asleep and were heard
        of no later; all with their events, which are appended to the file ``archive`` first.

        The id of a step that was pruned is free: submitted again, it is a new step. So keep steps
        for longer than anybody goes on trying to submit one. A ``dry_run`` only counts. After each
        batch ``stats`` has been added to and ``told`` is called, which may end it by raising.
        """
        check_seconds(older_than, "older_than")
        stats = PruneStats() if stats is None else stats
        store = self.store
        with nullcontext() if archive is None or dry_run else Archive(archive) as kept:
            cycle = prune_cycle(
                older_than=micros(older_than),
                prune_batch=store.traits.prune_batch,
                stats=stats,
                statuses=FINAL if failed else PRUNED_BY_DEFAULT,
                archive=kept,
                dry_run=dry_run,
                by=pod.pod_id if (pod := self.pod) is not None else None,
            )
            prune_gently(store, Cycle(cycle, time.monotonic), told)
        return stats


def _parse_cursor(before: str | None) -> tuple[int, str] | None:
    if before is None:
        return None
    cursor = re.fullmatch("(-?[0-9]{1,18}):(.*)", before, re.DOTALL)
    if cursor is None:
        raise InvalidInput(f"{before!r} is no cursor; hand back the 'before' of the page in front")
    return int(cursor[1]), check_id(cursor[2], "the cursor's step_id")
