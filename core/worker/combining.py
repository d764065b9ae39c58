"""How a pod sends a request: alone, or through the store's mailbox, where one pod serves all.

Under contention the transactions of all pods wait for one lock. There a pod posts its request to
the mailbox, which needs no lock, and the pod whose request is the oldest serves all of them in one
transaction. So the number of transactions depends on how long one takes, not on how many pods
there are. No pod is special: each call does what is due next, so a pod that dies is replaced by the
next one that calls.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from fleet_q.core.calls import StoreCall
from fleet_q.core.mailbox import LONGEST_WAIT, PATIENCE, Waiting, exchange, poll_intervals
from fleet_q.core.pod import Join, SendHeartbeat, Sleep
from fleet_q.core.ports import StoreTraits, SyncRequest, SyncResult
from fleet_q.core.spawning import spawning_in
from fleet_q.core.worker.pacing import ClaimPacing
from fleet_q.core.worker.store_backoff import StoreBackoff

MOST_POSTED_BYTES: Final = 256 * 1024
"""Bytes of results and errors in a request that is posted, at most. A larger request is
sent alone, so that the requests that are served together fit into one statement."""

FIRST_POLL: Final = 1.0
SECOND_POLL: Final = 0.5
"""Seconds from posting to the first poll, and from that to the second, as shares of the time that
serving takes."""

FEW_PODS: Final = 10
"""If no more pods than these are awake, each sends its claims alone until it has waited for a lock.
In a larger fleet so many notice a submission at once that the lock's queue would be full. In the
same way, the pods of a larger fleet fall asleep and wake at the same time."""

MANY_PODS: Final = 100
"""In a larger fleet, all that can wait in the mailbox is posted. There always are some pods that
have not waited yet, and if these sent their outcomes alone, each transaction that serves the others
would wait for them first."""

MANY_SLEEPERS: Final = 50
"""In a fleet of no more pods than these, each asks alone to be woken, which is answered sooner."""

LONGEST_WAIT_ASLEEP: Final = 10.0
"""Seconds between two polls of a pod that asks to be woken, at most: once it is awake, it sends no
heartbeat before it knows."""

SERVING_CALLS: Final = 4
"""Serving takes at least as long as this many polls: it has about as many statements that each wait
for a slot of the warehouse."""


class Combining:
    """Numbers a pod's requests in the mailbox, and carries out their exchange.

    ``is_posted``: the pending request may be in the mailbox, so it may be served at any time.
    ``can_combine``: the store has a mailbox.
    ``pods_awake``: the number of pods that were up when the pod last read them; ``pods``: together
    with those that were asleep, ``None`` before the pod has read them.
    ``chance`` draws numbers in [0, 1).
    """

    def __init__(
        self,
        traits: StoreTraits,
        pacing: ClaimPacing,
        backoff: StoreBackoff,
        chance: Callable[[], float],
    ) -> None:
        self.is_posted = False
        self.pods_awake = 0
        self.pods: int | None = None
        self._number = 0
        self._must_supersede = False  # a request was given up that may be in the mailbox
        self.can_combine = traits.combines
        self._pacing = pacing
        self._backoff = backoff
        self._chance = chance

    @property
    def idle_pods(self) -> int:
        """How many pods may claim at once when the change counter has changed, if they are so many
        that most of them would find nothing."""
        return self.pods_awake if self.pods_awake > MANY_PODS else 0

    def should_post(self, request: SyncRequest) -> bool:
        """Whether to send the request through the mailbox: because others are likely to wait for
        the same lock, or to make an earlier request void that was given up."""
        if self.is_posted:
            return True
        if not self.can_combine or not _can_wait(request):
            return False
        pods = self.pods or 0
        if request.only_if_claimable and pods <= MANY_SLEEPERS:
            return False
        if spawning_in(request.outcomes):
            return False
        is_small = sum(outcome.size for outcome in request.outcomes) <= MOST_POSTED_BYTES
        return is_small and (
            self._must_supersede
            or isinstance(request.pod_command, Join)
            or self._pacing.is_contended
            or pods > MANY_PODS
            or (pods > FEW_PODS and isinstance(request.pod_command, Sleep))
            or request.only_if_claimable
            or (self.pods is None and request.claim > 0)
            or (self.pods_awake > FEW_PODS and request.claim > 0 and not request.outcomes)
        )

    def exchange(
        self, request: SyncRequest, waiting: Waiting, clock: Callable[[], float]
    ) -> Generator[Any, Any, SyncResult]:
        """Post the request, and poll until it has been served. After an error, the exchange of the
        same request is continued. ``clock`` is the pod's."""
        serving_took, chance = self._pacing.serving_took, 1 + self._chance()
        is_repeated = self.is_posted and request.is_retry
        if is_repeated:
            yield from waiting(0.0)
        else:
            self._number += 1
            self.is_posted = True
        number, call_took = self._number, 0.0

        def call(is_posted: bool) -> StoreCall:
            patience = PATIENCE * max(serving_took, SERVING_CALLS * call_took) * chance
            return StoreCall("poll" if is_posted else "post", (request, number, patience))

        def on_waits(took: float) -> None:
            nonlocal call_took
            call_took = took
            self._backoff.on_answer()

        result: SyncResult = yield from exchange(
            call,
            waiting,
            intervals=poll_intervals(FIRST_POLL * serving_took, SECOND_POLL * serving_took),
            is_posted=is_repeated,
            on_waits=on_waits,
            clock=clock,
            shortest=self._pacing.shortest_sync,
            longest_wait=LONGEST_WAIT_ASLEEP if request.only_if_claimable else LONGEST_WAIT,
        )
        return result

    def on_answer(self) -> None:
        """The pending request has been answered, or its incarnation has ended: a request of that is
        not served."""
        self.is_posted = self._must_supersede = False

    def on_given_up(self) -> None:
        """The pending request is given up: the store refuses it. The next one is posted, too, which
        makes this one void."""
        self._must_supersede = self._must_supersede or self.is_posted
        self.is_posted = False


def _can_wait(request: SyncRequest) -> bool:
    """Whether the request can wait in the mailbox. A heartbeat alone needs no lock."""
    is_heartbeat = isinstance(request.pod_command, SendHeartbeat | None)
    return bool(request.outcomes or request.claim or not is_heartbeat)
