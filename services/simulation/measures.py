"""Measurements of a run: latencies, event counts and samples of the fleet."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from fleet_q.core import events as ev
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.pod import PodChange
from fleet_q.core.retry import MICROS
from fleet_q.services.simulation.observed import Observed
from fleet_q.services.simulation.pod_process import process_of
from fleet_q.services.simulation.recording import StepChange

SAMPLES: Final = 400
"""Samples taken until the faults end; a plot has no more columns."""


class Sample(msgspec.Struct, frozen=True):
    """The state of the fleet at one time, in ``seconds`` since the start."""

    seconds: float
    processes: int
    pods_up: int
    pods_asleep: int
    pending: int
    claimed: int
    completed: int
    lock_queue: int


class Measures:
    """Latencies, counts and samples of one run."""

    def __init__(self, fleet: Observed) -> None:
        self.claim_waits = array("f")  # seconds from claimable to claimed
        self.recovery_waits = array(
            "f"
        )  # seconds from a process's death to its step being recovered
        self.counts: Counter[str] = Counter()  # events, by type
        self.recovered = 0  # steps, also those that had no try left
        self.recovered_from_living = 0
        self.declared_dead_alive: set[str] = set()  # incarnations
        self.unfinished_at_end = 0  # of the scenario
        self.first_submitted_at = math.inf
        self.last_ended_at = 0.0
        self.pruned = 0  # steps and pods
        self.samples: list[Sample] = []
        self._fleet = fleet
        self._every = fleet.scenario.seconds / SAMPLES
        self._claimable: dict[str, float] = {}

    def begin(self) -> None:
        """Start to sample the fleet."""
        self._sample()

    def committed(self, method: str, steps: Sequence[StepChange]) -> None:
        """Measure the committed changes of a call. Called before the checks update their
        records."""
        now = self._fleet.virtual_clock.now
        for event, step in steps:
            fact = event.fact
            self.counts[fact.type] += 1
            if isinstance(fact, ev.Submitted):
                self.first_submitted_at = min(self.first_submitted_at, now)
            elif step.status in FINAL:
                self.last_ended_at = now
            if isinstance(fact, ev.Claimed):
                since = self._claimable.pop(event.stream, now)
                self.claim_waits.append(now - since)
            elif step.status == "pending":
                delay = max(0, step.available_ts - event.at) / MICROS
                self._claimable[event.stream] = now + delay
            if method == "recover":
                self._recovered(event.stream)

    def pods_changed(self, pods: Sequence[PodChange]) -> None:
        """Note which of the pods that were declared dead are alive: their process runs, and was not
        frozen within the dead-pod threshold."""
        fleet = self._fleet
        for event, _ in pods:
            if event is None or not isinstance(event.fact, ev.DeclaredDead):
                continue
            process = fleet.processes[event.stream]
            since = fleet.virtual_clock.now - fleet.scenario.settings.dead_pod_threshold
            since = max(since, 0.0)
            is_its_own = process_of(event.fact.incarnation) == process.process_id
            if is_its_own and process.alive and process.frozen_until <= since:
                self.declared_dead_alive.add(event.fact.incarnation)

    def _recovered(self, step_id: str) -> None:
        self.recovered += 1
        record = self._fleet.checks.steps.get(step_id)
        if record is not None and record.held is not None:
            self.recovered_from_living += record.held.incarnation in self.declared_dead_alive
            died = self._fleet.died_at.get(process_of(record.held.incarnation))
            if died is not None:
                self.recovery_waits.append(self._fleet.virtual_clock.now - died)

    def _sample(self) -> None:
        fleet = self._fleet
        by_status = fleet.database.by_status
        pods = Counter(pod.status for pod in fleet.checks.pods.values())
        self.samples.append(
            Sample(
                seconds=fleet.virtual_clock.now,
                processes=sum(process.alive for process in fleet.processes.values()),
                pods_up=pods["up"] + pods["draining"],
                pods_asleep=pods["asleep"],
                pending=len(by_status["pending"]),
                claimed=len(by_status["claimed"]),
                completed=self.counts["completed"],
                lock_queue=fleet.server.queue_length(),
            )
        )
        if fleet.virtual_clock.now < fleet.scenario.seconds:
            fleet.virtual_clock.after(self._every, self._sample)


def quantile(values: array[float], share: float) -> float | None:
    """The value that this share of all values does not exceed; ``None`` if there are none."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
