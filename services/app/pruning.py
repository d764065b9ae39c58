"""Pruning: a batch now and then beside a leader's work, or all at once for an operator."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator

from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.core.ports import Store
from fleet_q.core.pruning import PruneStats, pause, prune_cycle
from fleet_q.core.retry import micros
from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.pod")


class LeadersPrune:
    """What a pod does about old steps while it leads. ``next_at`` is when, on the monotonic clock,
    its next call of the store is due."""

    def __init__(self, pod_id: str, store: Store, settings: Settings) -> None:
        self.next_at = math.inf
        self._pod_id = pod_id
        self._store = store
        self._settings = settings
        self._cycle: Iterator[None] | None = None
        self._stats = PruneStats()

    def begin(self) -> None:
        """Begin a prune, unless one is under way."""
        if self._cycle is not None or self._settings.prune_after is None:
            return
        self._stats = PruneStats()
        self._cycle = prune_cycle(
            self._store,
            older_than=micros(self._settings.prune_after),
            stats=self._stats,
            by=self._pod_id,
            dead_after=micros(self._settings.dead_pod_threshold),
        )
        self.next_at = time.monotonic()

    def go_on(self) -> None:
        """Take it one batch further, if that is due. What a store refuses is no reason for the pod
        to stop: it may not have been granted to delete."""
        began = time.monotonic()
        if self._cycle is None or began < self.next_at:
            return
        try:
            next(self._cycle)
        except StopIteration:
            if self._stats != PruneStats():
                log.info("pruned %d steps, %d pods", self._stats.steps, self._stats.pods,
                         extra={"pod": self._pod_id})  # fmt: skip
        except StoreError as error:
            level = logging.WARNING if isinstance(error, StoreUnavailable) else logging.ERROR
            log.log(level, "pruning is put off: %s", error, extra={"pod": self._pod_id})
        except Exception:
            log.exception("pruning is put off: unexpected error", extra={"pod": self._pod_id})
        else:
            now = time.monotonic()
            self.next_at = now + pause(now - began)
            return
        self._cycle, self.next_at = None, math.inf


def prune_gently(cycle: Iterator[None], told: Callable[[], object]) -> None:
    """Go through a prune with pauses, so that the fleet goes on; after each batch, ``told`` is
    called, and may raise to end it there."""
    began = time.monotonic()
    for _ in cycle:
        told()
        time.sleep(pause(time.monotonic() - began))
        began = time.monotonic()
    told()
