"""What the simulated store counts."""

from __future__ import annotations

from array import array


class ServerStats:
    """Counts of calls, requests and statements; those that a lock rejected because of a fault are
    counted apart."""

    def __init__(self) -> None:
        self.calls = 0
        self.syncs = 0
        self.requests = 0
        self.statements = 0  # also those of procedures
        self.rejections = 0  # of statements, because of a full lock queue
        self.rejected_syncs = 0  # not because of a fault
        self.fault_rejections = 0  # of syncs, because of a fault
        self.timeouts = 0  # of statements that waited for a lock
        self.slot_timeouts = 0  # of statements that waited for a slot of the warehouse
        self.deadlocks = 0
        self.waits = array("f")  # seconds waited for locks that were granted
        self.lock_seconds = 0.0  # in which transactions held locks

    def on_rejected(self, method: str, *, by_fault: bool) -> None:
        """A lock queue was full for a statement of this call."""
        self.rejections += 1
        if method in ("sync", "post", "poll"):
            self.fault_rejections += by_fault
            self.rejected_syncs += not by_fault
