"""An app in memory with short intervals, and a way to run it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from fleet_q.services import FleetQ, Settings
from fleet_q.services.views import StepView

QUICK = Settings(
    pod_id="pod-1",
    heartbeat_interval=0.02,
    claim_interval=0.02,
    recovery_interval=0.05,
    dead_pod_threshold=5,
    retry_base_delay=0.001,
    retry_max_delay=0.01,
    shutdown_grace=5,
)


@pytest.fixture
def app() -> FleetQ:
    return FleetQ("memory://", settings=QUICK)


@pytest.fixture
def run(app: FleetQ) -> Callable[..., list[StepView]]:
    """Run a pod of ``app`` until the given steps have ended; how they ended."""

    def run(*step_ids: str) -> list[StepView]:
        return asyncio.run(ended(app, step_ids))

    return run


async def ended(app: FleetQ, step_ids: Iterable[str]) -> list[Any]:
    async with app.running():
        waiting = [asyncio.to_thread(app.wait, step_id, 10) for step_id in step_ids]
        return list(await asyncio.gather(*waiting))
