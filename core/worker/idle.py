"""When an idle pod polls the change counter, falls asleep, and wakes.

All times are seconds on the machine's clock.
"""

from __future__ import annotations

import math
from typing import Final

from fleet_q.core.ports import StoreTraits, SyncResult
from fleet_q.core.retry import MICROS
from fleet_q.core.settings import PodSettings

POLL_BACKOFF: Final = 2.0
"""Factor by which the time between two polls of a sleeping pod grows with each poll. With the
default settings a pod polls 5, 10 and 20 s after one another, and then every 30 s."""


def longest_sleep_poll(settings: PodSettings) -> float:
    """Return the longest time between two polls of a sleeping pod, in seconds."""
    return max(settings.claim_interval, settings.sleep_poll_interval)


class IdleTracker:
    """Tracks the last change counter, since when the pod has been idle, and what wakes it."""

    def __init__(self, settings: PodSettings, traits: StoreTraits) -> None:
        self.next_poll = -math.inf
        self.wake_at = math.inf
        """When a sleeping pod syncs, and wakes if there is a step to claim."""
        self.leader_check_at = math.inf
        """When a sleeping pod checks that an awake pod leads."""
        self._settings = settings
        self._traits = traits
        self.change_counter: int | None = None
        self._changed_at = -math.inf
        self._idle_since = math.inf
        self._claimed_at = -math.inf
        self._awake_until = -math.inf
        self._sleep_poll_after = settings.claim_interval

    @property
    def may_poll(self) -> bool:
        """Whether an idle pod polls between its claims: polling is cheap, or much cheaper than
        claiming."""
        return self.writes_are_billed or self._traits.poll_interval is not None

    @property
    def writes_are_billed(self) -> bool:
        """Whether sleeping saves anything."""
        return self._traits.writes_are_billed

    @property
    def relies_on_polls(self) -> bool:
        """Whether the pod claims only after it has read that the change counter has changed."""
        return self.writes_are_billed and self.change_counter is not None

    def poll_now(self) -> None:
        """Poll with the next plan."""
        self.next_poll = -math.inf

    def schedule_poll(self, now: float) -> None:
        """The pod polls now; schedule the next poll."""
        self.next_poll = now + (self._traits.poll_interval or self._settings.claim_interval)

    def schedule_sleep_poll(self, now: float) -> None:
        """The sleeping pod polls now; schedule the next poll, later each time: every poll costs
        cloud services, which an idle warehouse does not pay for."""
        self.next_poll = now + self._sleep_poll_after
        longer = self._sleep_poll_after * POLL_BACKOFF
        self._sleep_poll_after = min(longer, longest_sleep_poll(self._settings))

    def has_changed(self, change_counter: int, now: float) -> bool:
        """Record the change counter. True if it differs from the last one; false for the first."""
        last, self.change_counter = self.change_counter, change_counter
        if change_counter == last:
            return False
        self._changed_at = now
        return last is not None

    def next_claim(self, now: float) -> float:
        """When to claim again if the change counter stays the same and no step becomes due: at the
        next claim interval, or never where writes are billed and the counter is known."""
        return math.inf if self.relies_on_polls else now + self._settings.claim_interval

    def on_work(self) -> None:
        """The pod is not idle."""
        self._idle_since = math.inf

    def on_nothing_claimed(
        self, result: SyncResult, now: float, *, looks_again: bool = True
    ) -> None:
        """A claim has found no step. While other pods hold steps, a sleeping pod has to check that
        another pod leads, so that the steps of a dead pod are recovered. Claims do not postpone
        that check, or frequent changes would prevent it.

        If the change counter has just changed, claim once more after a claim interval: a store may
        show the change before it shows the step, since one session need not see at once what
        another has committed (Snowflake's documentation of READ_CONSISTENCY_MODE). Not if many
        pods claim for one change, at different times: then some look later (``looks_again``).
        """
        self._idle_since = min(self._idle_since, now)
        self._claimed_at = now
        self.wake_at = math.inf
        if not result.any_claimed:
            self.leader_check_at = math.inf
        elif self.leader_check_at == math.inf:
            self.schedule_leader_check(now)
        if result.next_due is not None:
            self.wake_at = now + (result.next_due - result.at) / MICROS
        if looks_again and now - self._changed_at < self._settings.claim_interval:
            self.wake_at = min(self.wake_at, now + self._settings.claim_interval)

    def schedule_leader_check(self, now: float) -> None:
        """Check after a dead-pod threshold that another pod leads."""
        self.leader_check_at = now + self._settings.dead_pod_threshold

    def sleep_at(self) -> float:
        """When to fall asleep if nothing happens.

        Never before the change counter is known, and not if a step becomes due so soon that
        sleeping would save no heartbeat.
        """
        at = max(self._idle_since + self._settings.sleep_after, self._claimed_at, self._awake_until)
        saves_heartbeat = at + self._settings.heartbeat_interval < self.wake_at
        may_sleep = self.writes_are_billed and self.change_counter is not None and saves_heartbeat
        return at if may_sleep else math.inf

    def stay_awake(self, until: float) -> None:
        """Do not fall asleep before that time."""
        self._awake_until = until

    def on_asleep(self, now: float) -> None:
        """The pod has fallen asleep: its polls begin at the claim interval. While awake it checked
        for a leader by its recovery cycles."""
        self._sleep_poll_after = self._settings.claim_interval
        if self.leader_check_at < math.inf:
            self.schedule_leader_check(now)

    def on_awake(self, now: float) -> None:
        """The pod is awake, and idle from now on."""
        self._idle_since = now
        self.wake_at = self.leader_check_at = math.inf
