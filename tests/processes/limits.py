"""A fleet under limits: its steps, and what their log says of how many ran at once."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Final

from fleet_q.core import events as ev
from fleet_q.core.ports import Store
from fleet_q.core.queues import QueueChange
from fleet_q.core.step import Submit
from tests.waiting import wait_until

QUEUES: Final = ("a", "b", "c", "d", "e")
KEYS: Final = 6
MAX_RUNNING: Final = 3
MAX_RUNNING_PER_KEY: Final = 1


def submit_under_limits(store: Store, count: int) -> None:
    """Limit five queues, and submit as many steps to each, with a few keys."""
    change = QueueChange(max_running=MAX_RUNNING, max_running_per_key=MAX_RUNNING_PER_KEY)
    for queue in QUEUES:
        store.set_queue(queue, change)
    store.submit(
        [
            Submit(
                f"step-{n:05}",
                f'{{"task_type":"nap","number":{n}}}',
                max_retries=1_000,
                unique=True,
                queue=QUEUES[n % len(QUEUES)],
                task_type="nap",
                key=f"key-{n // len(QUEUES) % KEYS}",
            )
            for n in range(count)
        ]
    )


def kill_again_and_again(
    start: Callable[[], subprocess.Popen[bytes]], store: Store, pod_id: str, times: int
) -> None:
    """Kill a pod each time as soon as it has claimed steps, unless all are completed."""
    for _ in range(times):
        before = _claims(store, pod_id)
        pod = start()
        wait_until(lambda before=before: _claims(store, pod_id) > before or _is_done(store))  # type: ignore[misc]
        pod.kill()
        pod.wait()


def assert_limits_held(store: Store) -> None:
    """Check from the log that at no instant more steps were claimed than allowed. A claim and the
    outcomes that it came with are one instant."""
    log = list(store.step_events())
    submitted = {e.stream: e.fact for e in log if isinstance(e.fact, ev.Submitted)}
    log.sort(key=lambda event: (event.at, isinstance(event.fact, ev.Claimed)))
    running: Counter[object] = Counter()
    held: set[str] = set()
    for event in log:
        step = submitted[event.stream]
        place = (step.queue, (step.queue, step.key))
        if isinstance(event.fact, ev.Claimed):
            held.add(event.stream)
            running.update(place)
            assert running[step.queue] <= MAX_RUNNING, event
            assert running[step.queue, step.key] <= MAX_RUNNING_PER_KEY, event
        elif event.stream in held:
            held.remove(event.stream)
            running.subtract(place)
    assert {step.queue for step in submitted.values()} == set(QUEUES)
    assert not held


def _claims(store: Store, pod_id: str) -> int:
    return sum(
        event.pod_id == pod_id and isinstance(event.fact, ev.Claimed)
        for event in store.step_events()
    )


def _is_done(store: Store) -> bool:
    counts = store.counts()
    return counts["pending"] + counts["claimed"] == 0
