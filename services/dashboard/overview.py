"""The overview: what waits, runs and fails."""

from __future__ import annotations

from starlette.responses import Response

from fleet_q.services.dashboard.pages import Pages
from fleet_q.services.dashboard.visit import Visit


def add_overview(pages: Pages) -> None:
    """Add the overview."""

    @pages.page("", "Overview")
    def overview(visit: Visit) -> Response:
        stats = visit.read("queue_stats", visit.reader.queue_stats)
        return visit.render("overview.html", stats=stats)
