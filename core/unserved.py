"""Which pending steps no pod of the fleet may take, so that they wait for one that knows them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from fleet_q.core.calls import Calls, call
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Store
from fleet_q.core.routing import Routes

Pair = tuple[str, str]
"""A queue and a task type."""


def routes_of(pods: Iterable[Pod], at: int, dead_after: int) -> Iterator[Routes]:
    """Which steps the pods take that live at store time ``at`` and are up or asleep. A pod that has
    told nothing counts as taking none: it belongs to an earlier version, which a migration ends."""
    for pod in pods:
        description = pod.described
        if (
            description is not None
            and pod.status in ("up", "asleep")
            and pod.is_live(at, dead_after)
        ):
            yield description.routes


def unserved(waiting: Iterable[Pair], routes: Iterable[Routes]) -> list[Pair]:
    """Those of the pairs that none of ``routes`` serves, in order."""
    distinct = set(routes)
    return sorted(pair for pair in set(waiting) if not any(r.serve(*pair) for r in distinct))


def find_unserved(dead_after: int) -> Calls[list[Pair]]:
    """The pairs of pending steps that no live pod serves."""
    return (yield from unserved_among((yield from call(Store.pending_types)), dead_after))


def unserved_among(waiting: Collection[Pair], dead_after: int) -> Calls[list[Pair]]:
    """Those of the pairs that no live pod serves. ``dead_after`` is the dead-pod threshold in
    microseconds. The pods are read only if there are pairs."""
    if not waiting:
        return []
    pod_list = yield from call(Store.described_pods)
    return unserved(waiting, routes_of(pod_list.pods, pod_list.at, dead_after))


class UnservedTracker:
    """Remembers the pairs that a leader has found, so that it reports each once.

    A pair is reported if two looks in a row have found it, and again only after a look that did
    not: when a fleet starts, the pods that serve a pair may join after its first leader looks.
    """

    def __init__(self) -> None:
        self._found: set[Pair] = set()
        self._reported: set[Pair] = set()

    def on_found(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs to report, given those that are unserved now."""
        new = [pair for pair in pairs if pair in self._found and pair not in self._reported]
        self._found = set(pairs)
        self._reported = (self._reported & self._found) | set(new)
        return new


def then_find_unserved(
    recovery: Calls[bool], dead_after: int, on_found: Callable[[list[Pair]], object]
) -> Calls[bool]:
    """A recovery cycle, after which a leader reports the pairs that are unserved."""
    has_led = yield from recovery
    if has_led:
        on_found((yield from find_unserved(dead_after)))
    return has_led
