"""What faults have done to the simulated store: outages, full lock queues, waiting INSERTs."""

from __future__ import annotations

import math

from fleet_q.core.retry import micros
from fleet_q.services.simulation.virtual_clock import VirtualClock


class StoreState:
    """The state of the store as a whole. ``has_lock_queue``: statements are rejected if too many
    wait for a lock. ``longest_gap``: seconds without heartbeats that a leader leaves unnoticed."""

    def __init__(
        self, virtual_clock: VirtualClock, *, has_lock_queue: bool, longest_gap: float = math.inf
    ) -> None:
        self.disturbed_at = -math.inf  # last time of an outage or a lock of a silent client
        self.gaps: list[tuple[float, float]] = []  # without heartbeats, longer than ``longest_gap``
        self._virtual_clock = virtual_clock
        self._has_lock_queue = has_lock_queue
        self._longest_gap = longest_gap
        self._outage_until = 0.0
        self._contended_until = 0.0
        self._inserts_wait_until = 0.0
        self._early_until = 0.0
        self._repeats_until = 0.0
        self._repeat_delay = 0.0
        self._unreachable_until: dict[str, float] = {}  # the storage of results, by pod

    def begin_outage(self, seconds: float) -> None:
        """Let all calls fail for ``seconds``."""
        self._outage_until = max(self._outage_until, self._virtual_clock.now + seconds)
        self.add_gap(self._virtual_clock.now, self._outage_until)

    def begin_contention(self, seconds: float) -> None:
        """Let the lock queues be full for ``seconds``."""
        if self._has_lock_queue:
            self._contended_until = max(self._contended_until, self._virtual_clock.now + seconds)

    def begin_waiting_inserts(self, seconds: float) -> None:
        """Let INSERTs lock their tables for ``seconds``."""
        self._inserts_wait_until = max(self._inserts_wait_until, self._virtual_clock.now + seconds)

    def begin_early_timestamps(self, seconds: float) -> None:
        """Let transactions have the time before their wait for ``seconds``."""
        self._early_until = max(self._early_until, self._virtual_clock.now + seconds)

    def begin_late_repeats(self, seconds: float, delay: float) -> None:
        """Let what is inserted into the mailbox for ``seconds`` be inserted again after ``delay``
        seconds, and checkpoints be saved again."""
        self._repeats_until = max(self._repeats_until, self._virtual_clock.now + seconds)
        self._repeat_delay = delay

    @property
    def repeats_after(self) -> float | None:
        """Seconds after which a request in the mailbox is inserted again, or a checkpoint saved
        again; or ``None``."""
        return self._repeat_delay if self._virtual_clock.now < self._repeats_until else None

    def begin_unreachable_storage(self, pod_id: str, seconds: float) -> None:
        """Let the pod receive no large results for ``seconds``."""
        until = self._virtual_clock.now + seconds
        self._unreachable_until[pod_id] = max(until, self._unreachable_until.get(pod_id, 0.0))

    @property
    def is_out(self) -> bool:
        """Whether the store is unavailable."""
        return self._virtual_clock.now < self._outage_until

    @property
    def is_contended(self) -> bool:
        """Whether all lock queues are full."""
        return self._virtual_clock.now < self._contended_until

    @property
    def inserts_wait(self) -> bool:
        """Whether INSERTs need the locks of their tables."""
        return self._virtual_clock.now < self._inserts_wait_until

    def early_by(self, began: float | None) -> int:
        """By how many microseconds the timestamps of a transaction precede its commit, whose first
        statement that needs locks began at ``began``."""
        if began is None or self._virtual_clock.now >= self._early_until:
            return 0
        return micros(self._virtual_clock.now - began)

    def has_storage(self, pod_id: str) -> bool:
        """Whether the pod can fetch large results."""
        return self._virtual_clock.now >= self._unreachable_until.get(pod_id, 0.0)

    def is_undisturbed(self, is_blocked: bool) -> bool:
        """Whether no fault of the whole store is in effect. ``is_blocked``: a client that is silent
        or halted holds locks."""
        undisturbed = not (self.is_out or self.is_contended or is_blocked)
        if not undisturbed:
            self.disturbed_at = self._virtual_clock.now
        return undisturbed

    def add_gap(self, since: float, until: float) -> None:
        """Note that no heartbeat was stored in this time, if a leader notices that."""
        if until - since > self._longest_gap:
            self.gaps.append((since, until))
