"""When a pod listens for work, and when it has had none for so long that it may sleep.

All times are seconds on the machine's clock.
"""

from __future__ import annotations

import math

from fleet_q.core.ports import Answer, Manners
from fleet_q.core.retry import MICROS
from fleet_q.core.settings import PodSettings


class Quiet:
    """The store's bell as it was heard last, since when there has been nothing to do, and when
    there will be, for all that is known."""

    def __init__(self, settings: PodSettings, manners: Manners) -> None:
        self.next_listen = -math.inf
        self.wake_at = math.inf
        self._settings = settings
        self._manners = manners
        self._bell: int | None = None
        self._since = math.inf

    @property
    def watches(self) -> bool:
        """Whether listening is so cheap that an idle pod may do it all the time, or so much cheaper
        than claiming that it should."""
        return self.dear or self._manners.watch_interval is not None

    @property
    def dear(self) -> bool:
        """Whether it is worth sleeping."""
        return self._manners.dear

    def has_rung(self, bell: int, now: float) -> bool:
        """Take note of the bell; whether it has rung since it was heard last."""
        self.next_listen = now + (self._manners.watch_interval or self._settings.claim_interval)
        rung = self._bell is not None and bell != self._bell
        self._bell = bell
        return rung

    def next_claim(self, now: float) -> float:
        """When to claim again if the bell does not ring and nothing falls due. Where it is worth
        sleeping, only the bell is gone by."""
        goes_by_bell = self.dear and self._bell is not None
        return math.inf if goes_by_bell else now + self._settings.claim_interval

    def disturbed(self) -> None:
        """There is something to do."""
        self._since = math.inf

    def nothing_claimed(self, answer: Answer, now: float) -> None:
        """A claim has found nothing. While another pod holds steps, somebody has to look whether
        it still lives."""
        self._since = min(self._since, now)
        self.wake_at = math.inf
        if answer.held:
            self.wake_at = now + self._settings.dead_pod_threshold
        if answer.next_due is not None:
            self.wake_at = min(self.wake_at, now + (answer.next_due - answer.at) / MICROS)

    def sleep_at(self) -> float:
        """When to fall asleep if nothing happens; never without having listened, and not for what
        would be no sleep at all."""
        at = self._since + self._settings.sleep_after
        return at if self.dear and self._bell is not None and at < self.wake_at else math.inf

    def woken(self, now: float) -> None:
        """The pod is awake again, and waits anew."""
        self._since = now
        self.wake_at = math.inf
