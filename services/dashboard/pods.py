"""The pages about pods: which there are, and what ran where and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from fleet_q.core.durations import parse_duration
from fleet_q.core.errors import InvalidInput
from fleet_q.core.retry import MICROS
from fleet_q.core.search import StepFilter
from fleet_q.services.app.search import StepRow
from fleet_q.services.app.views import EventView, PodView
from fleet_q.services.dashboard.lanes import draw
from fleet_q.services.dashboard.pages import Pages
from fleet_q.services.dashboard.visit import Visit
from fleet_q.services.past import AttemptView, Lanes

WINDOWS: Final = ("15m", "1h", "6h", "24h", "7d")
"""How long ago the lanes may begin."""

LONGEST_WINDOW: Final = 366 * 86_400
"""The most seconds of a window: beyond, its axis would be longer than a page."""

MOST_ATTEMPTS: Final = 600
"""The most attempts that the lanes show."""

LISTED: Final = 20
"""How many of the latest attempts are also in a table."""

HELD: Final = 100
"""The most steps that a pod holds which its page lists."""


@dataclass(frozen=True)
class Ran:
    """An attempt, and the pod that made it."""

    pod_id: str
    attempt: AttemptView

    @property
    def seconds(self) -> float | None:
        """How long it took; ``None``: it has not ended."""
        if self.attempt.to_ts is None:
            return None
        return (self.attempt.to_ts - self.attempt.from_ts) / MICROS


def add_pods(pages: Pages) -> None:
    """Add the pages about pods."""

    @pages.page("pods", "Pods")
    def pods(visit: Visit) -> Response:
        window, lanes = _lanes(visit)
        return visit.render(
            "pods.html",
            pods=_pods(visit),
            window=window,
            windows=WINDOWS,
            picture=draw(lanes),
            is_cut=lanes.is_cut,
            attempts=_latest(lanes),
        )

    @pages.page("pod", under="pods")
    def pod(visit: Visit) -> Response:
        pod_id = visit.query("id")
        if pod_id is None:
            raise InvalidInput("the address of this page names no pod")
        window, lanes = _lanes(visit)
        return visit.render(
            "pod.html",
            pod_id=pod_id,
            pod=next((each for each in _pods(visit) if each.pod_id == pod_id), None),
            window=window,
            windows=WINDOWS,
            held=_held(visit, pod_id),
            history=_history(visit, pod_id)[::-1],
            attempts=[each for each in _latest(lanes, most=None) if each.pod_id == pod_id][:LISTED],
        )


def _lanes(visit: Visit) -> tuple[str, Lanes]:
    window = visit.query("window") or "1h"
    until = visit.now if visit.at is None else visit.at
    seconds = parse_duration(window)
    if seconds > LONGEST_WINDOW:
        raise InvalidInput(f"window must be at most 366d, not {window!r}")
    since = until - round(seconds * MICROS)
    lanes = visit.read(("lanes", window), lambda: visit.past.lanes(since, until, MOST_ATTEMPTS))
    return window, lanes


def _latest(lanes: Lanes, most: int | None = LISTED) -> list[Ran]:
    """The attempts of all lanes that began last, the latest first."""
    ran = [Ran(lane.pod_id, attempt) for lane in lanes.lanes for attempt in lane.attempts]
    ran.sort(key=lambda each: -each.attempt.from_ts)
    return ran[:most]


def _pods(visit: Visit) -> list[PodView]:
    return visit.read_at("pods", visit.reader.pods, visit.past.pods)


def _history(visit: Visit, pod_id: str) -> list[EventView]:
    events = visit.read(
        ("pod_history", pod_id), lambda: list(visit.reader.store.pod_history(pod_id))
    )
    return [EventView.of(event) for event in events if visit.at is None or event.at <= visit.at]


def _held(visit: Visit, pod_id: str) -> list[StepRow]:
    """The steps that the pod holds."""
    selected = StepFilter(statuses=("claimed",), pod_id=pod_id)
    return visit.read_at(
        ("held", pod_id),
        lambda: visit.reader.steps(limit=HELD, status="claimed", pod_id=pod_id).steps,
        lambda at: visit.past.steps(at, selected, HELD).steps,
    )
