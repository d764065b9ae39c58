"""The memory that a pod needs for steps with large payloads and results."""

from __future__ import annotations

from fleet_q import FleetQ
from tests.waiting import wait_until

from .conftest import Pods

LARGE = "x" * (2**20 - 200)  # its payload has almost 1 MiB
STEPS = 150
MAX_KIB = 300 * 1024


def test_pod_runs_150_steps_of_one_mebibyte_within_300_mebibytes(
    pods: Pods,
) -> None:
    """Small steps come first, so that the pod prefetches many when the large ones begin."""
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
    assert peak < MAX_KIB
