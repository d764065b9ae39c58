"""The overview: what waits, runs and fails, and how that came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from fleet_q.core.errors import InvalidInput
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.retry import MICROS
from fleet_q.services.app.queue_stats import QueueStatsView
from fleet_q.services.dashboard.charts import Chart, Numbers, chart
from fleet_q.services.dashboard.pages import Pages
from fleet_q.services.dashboard.render import count, duration
from fleet_q.services.dashboard.visit import Visit
from fleet_q.services.past import Charts, NotReady

SPANS: Final = {"1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
"""Seconds of the charts, by the names of their links."""

POINTS: Final = 60
MOST_ERRORS: Final = 10
MOST_TYPES: Final = 100
LONG: Final = 600.0
"""Seconds after which a step that is due has waited for long."""


Drawn = tuple[str, str, Numbers]


@dataclass(frozen=True)
class Concern:
    """Something to look at: a sentence, and the page that shows it."""

    text: str
    page: str
    query: dict[str, str]


def add_overview(pages: Pages) -> None:
    """Add the overview."""

    @pages.page("", "Overview")
    def overview(visit: Visit) -> Response:
        span = visit.query("span") or "1h"
        if span not in SPANS:
            raise InvalidInput(f"span must be one of {', '.join(SPANS)}, not {span!r}")
        at = visit.at
        stats = visit.read_at("queue_stats", visit.reader.queue_stats, visit.past.stats)
        until = visit.now if at is None else at
        found, unread = None, None
        try:
            found = visit.read(
                ("charts", span),
                lambda: visit.past.charts(until - SPANS[span] * MICROS, until, POINTS),
            )
        except NotReady as error:
            unread = error
        return visit.render(
            "overview.html",
            stats=stats,
            statuses=STEP_STATUSES,
            concerns=_concerns(stats),
            types=sorted(stats.queues, key=lambda q: -(q.pending + q.claimed))[:MOST_TYPES],
            charts=[] if found is None else _charts(found),
            found=found,
            unread=unread,
            errors=[] if found is None else visit.shown(found.errors[:MOST_ERRORS]),
            span=span,
            spans=list(SPANS),
        )


def _charts(found: Charts) -> list[Chart]:
    events, statuses = found.events, found.statuses

    def draw(title: str, kind: str, *series: Drawn, wholes: Numbers | None = None) -> Chart:
        is_time = kind == "line"
        return chart(title, kind, found.since, found.times, series, is_time=is_time, wholes=wholes)

    return [
        draw(
            "Steps that ended",
            "bars",
            ("completed", "completed", events["completed"]),
            ("failed", "failed", events["failed"]),
            ("retried", "pending", events["retried"]),
            ("cancelled", "cancelled", events["cancelled"]),
            wholes=[sum(events[name]) for name in ("completed", "failed", "retried", "cancelled")],
        ),
        draw(
            "Steps that have not ended",
            "area",
            ("claimed", "claimed", statuses["claimed"]),
            ("pending", "pending", statuses["pending"]),
            ("waiting", "waiting", statuses["waiting"]),
        ),
        draw(
            "From due to claimed",
            "line",
            ("95 of 100 within", "high", found.wait_p95),
            ("half within", "low", found.wait_p50),
            wholes=(found.waits.p95, found.waits.p50),
        ),
        draw(
            "From claimed to ended",
            "line",
            ("95 of 100 within", "high", found.run_p95),
            ("half within", "low", found.run_p50),
            wholes=(found.runs.p95, found.runs.p50),
        ),
    ]


def _concerns(stats: QueueStatsView) -> list[Concern]:
    """What somebody should look at, the most urgent first."""
    concerns = []
    for each in stats.queues:
        name = each.task_type or "steps without a type"
        query = {"queue": each.queue, "task_type": each.task_type or ""}
        if each.unserved:
            concerns.append(
                Concern(
                    f"No live pod takes {name} from the queue {each.queue}:"
                    f" {count(each.pending)} wait.",
                    "steps",
                    {**query, "status": "pending"},
                )
            )
        elif each.oldest_age is not None and each.oldest_age >= LONG and not each.paused:
            concerns.append(
                Concern(
                    f"{name} in the queue {each.queue}: the oldest has been due for"
                    f" {duration(each.oldest_age)}.",
                    "steps",
                    {**query, "status": "pending"},
                )
            )
    for queue in sorted({each.queue for each in stats.queues if each.paused}):
        waiting = sum(each.pending for each in stats.queues if each.queue == queue)
        text = f"The queue {queue} is paused: {count(waiting)} wait."
        concerns.append(Concern(text, "queue", {"name": queue}))
    return concerns
