"""How much memory steps with large payloads and results need."""

from __future__ import annotations

from fleet_q import FleetQ
from tests.waiting import wait_until

from .conftest import Pods

LARGE = "x" * (2**20 - 200)  # and the rest of its payload, a MiB at most
STEPS = 150
MOST = 300 * 1024


def test_pod_passes_steps_of_a_mebibyte_in_little_memory(
    pods: Pods,
) -> None:
    """Small steps come first, so that many are prefetched when the large ones begin."""
    client = FleetQ(pods.url)
    client.submit_many(({"task_type": "echo", "text": ""} for _ in range(3_000)), priority=1)
    client.submit_many({"task_type": "echo", "text": LARGE} for _ in range(STEPS))
    last = client.submit({"task_type": "peak memory"}, priority=-1)
    pods.start("pod", FLEET_Q_MAX_PARALLELISM="2")

    wait_until(lambda: client.status(last).is_final)

    counts = client.queue()
    assert counts["completed"] == sum(counts.values())
    peak = client.status(last).result
    client.close()
    assert isinstance(peak, int)
    assert peak < MOST
