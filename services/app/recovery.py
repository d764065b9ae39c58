"""Detects dead pods for a recovery that an operator starts in a process that runs no pod."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from fleet_q.core.leadership import silent_pods
from fleet_q.core.pod import Pod
from fleet_q.core.ports import PodList, Store
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.silence import SilenceTracker, longest_gap

INTERVALS: Final = 2
"""Heartbeat intervals for which a pod that seems dead is watched."""

POLLS_PER_INTERVAL: Final = 4
"""How often the pods are read in each of those intervals."""


def watch_silent_pods(
    store: Store, pod_list: PodList, settings: PodSettings, on_wait: Callable[[str], object]
) -> list[Pod]:
    """Return the pods that are silent by the store's clock and send no heartbeat while watched.

    Watching takes two heartbeat intervals during which the store is available, or no time if no
    pod seems silent. ``on_wait`` is called with a message before it begins.
    """
    candidates = silent_pods(pod_list.pods, pod_list.at, micros(settings.dead_pod_threshold))
    if not candidates:
        return []
    interval = settings.heartbeat_interval
    names = ", ".join(pod.pod_id for pod in candidates[:3]) + ", ..." * (len(candidates) > 3)
    watched = INTERVALS * interval
    on_wait(f"watching for {watched:g} s whether silent pods send a heartbeat: {names}")
    tracker = SilenceTracker(watched, longest_gap(interval, watched))
    while True:
        store.declare_dead(
            []
        )  # takes the write lock, so a store too busy for heartbeats delays this too
        unchanged = [pod for pod in store.pods().pods if pod in candidates]
        tracker.on_heartbeat(now := time.monotonic())
        tracker.on_pods(unchanged, now)
        silent = tracker.silent()
        if len(silent) == len(unchanged):
            return silent
        time.sleep(interval / POLLS_PER_INTERVAL)
