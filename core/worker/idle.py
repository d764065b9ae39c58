"""When a pod listens for work, and when it has had none for so long that it may sleep.

All times are seconds on the machine's clock.
"""

from __future__ import annotations

import math

from fleet_q.core.ports import StoreTraits, SyncResult
from fleet_q.core.retry import MICROS
from fleet_q.core.settings import PodSettings


class IdleTracker:
    """The store's bell as it was heard last, since when there has been nothing to do, and when
    there will be, for all that is known."""

    def __init__(self, settings: PodSettings, traits: StoreTraits) -> None:
        self.next_poll = -math.inf
        self.wake_at = math.inf  # to look whether there is a step, and to stay awake for it
        self.look_at = math.inf  # at the fleet: whether somebody looks after what others hold
        self._settings = settings
        self._traits = traits
        self._bell: int | None = None
        self._since = math.inf
        self._claimed_at = -math.inf
        self._awake_until = -math.inf

    @property
    def may_poll(self) -> bool:
        """Whether listening is so cheap that an idle pod may do it all the time, or so much cheaper
        than claiming that it should."""
        return self.writes_are_billed or self._traits.poll_interval is not None

    @property
    def writes_are_billed(self) -> bool:
        """Whether it is worth sleeping."""
        return self._traits.writes_are_billed

    def schedule_poll(self, now: float) -> None:
        """The bell is asked for."""
        self.next_poll = now + (self._traits.poll_interval or self._settings.claim_interval)

    def has_changed(self, change_counter: int) -> bool:
        """Take note of the bell; whether it has rung since it was heard last."""
        rung = self._bell is not None and change_counter != self._bell
        self._bell = change_counter
        return rung

    def next_claim(self, now: float) -> float:
        """When to claim again if the bell does not ring and nothing falls due. Where it is worth
        sleeping, only the bell is gone by."""
        goes_by_bell = self.writes_are_billed and self._bell is not None
        return math.inf if goes_by_bell else now + self._settings.claim_interval

    def on_work(self) -> None:
        """There is something to do."""
        self._since = math.inf

    def nothing_claimed(self, answer: SyncResult, now: float) -> None:
        """A claim has found nothing. While another pod holds steps, somebody has to look whether
        it still lives."""
        self._since = min(self._since, now)
        self._claimed_at = now
        self.wake_at = self.look_at = math.inf
        if answer.any_claimed:
            self.schedule_leader_check(now)
        if answer.next_due is not None:
            self.wake_at = now + (answer.next_due - answer.at) / MICROS

    def schedule_leader_check(self, now: float) -> None:
        """Whether somebody looks after what is held is found out now, and then again."""
        self.look_at = now + self._settings.dead_pod_threshold

    def sleep_at(self) -> float:
        """When to fall asleep if nothing happens; never without having listened, and not for a nap
        that would save no heartbeat."""
        at = max(self._since + self._settings.sleep_after, self._claimed_at, self._awake_until)
        is_worth_it = at + self._settings.heartbeat_interval < self.wake_at
        return at if self.writes_are_billed and self._bell is not None and is_worth_it else math.inf

    def stay_awake(self, until: float) -> None:
        """There is more to do than to claim steps."""
        self._awake_until = until

    def on_asleep(self, now: float) -> None:
        """Until now, the pod looked after what others hold as everybody does who is awake."""
        if self.look_at < math.inf:
            self.schedule_leader_check(now)

    def on_awake(self, now: float) -> None:
        """The pod is awake again, and waits anew."""
        self._since = now
        self.wake_at = self.look_at = math.inf
