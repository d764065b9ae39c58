"""The fleet as it was at any moment: what pages show with the time set back, and charts."""

from fleet_q.services.past.charts import Charts, ErrorCount, Percentiles, TypeChart
from fleet_q.services.past.lanes import AttemptView, Lane, Lanes, Reign, Stay
from fleet_q.services.past.past import LogView, Past, PastSteps, Span
from fleet_q.services.past.timeline import NeedsIndex, NotReady, Timeline

__all__ = [
    "AttemptView",
    "Charts",
    "ErrorCount",
    "Lane",
    "Lanes",
    "LogView",
    "NeedsIndex",
    "NotReady",
    "Past",
    "PastSteps",
    "Percentiles",
    "Reign",
    "Span",
    "Stay",
    "Timeline",
    "TypeChart",
]
