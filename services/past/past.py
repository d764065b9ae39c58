"""Past, which shows the fleet as it was at a moment, with the views that show it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import past, schedules
from fleet_q.core.activity import MINUTE
from fleet_q.core.dependencies import parents_of
from fleet_q.core.errors import InvalidInput, UnknownStep, UnknownWorkflow
from fleet_q.core.events import DeclaredDead, StepEvent
from fleet_q.core.leadership import leads_by_log
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.log import LogEntry, LogFilter
from fleet_q.core.pod import Pod, seniority
from fleet_q.core.ports import Store
from fleet_q.core.queue_stats import WINDOW, QueueStats, TypeStats
from fleet_q.core.schedules import Schedule
from fleet_q.core.search import StepFilter
from fleet_q.core.step import Step
from fleet_q.core.unserved import unserved
from fleet_q.core.workflows import Moment, WorkflowState, WorkflowStep
from fleet_q.services.app.queue_stats import QueueStatsView
from fleet_q.services.app.queues import QueueEventView, QueueView
from fleet_q.services.app.schedules import ScheduleEventView, ScheduleView
from fleet_q.services.app.search import StepRow
from fleet_q.services.app.views import EventView, PodView, StepView
from fleet_q.services.app.workflows import MOST_STEPS, PAGE, WorkflowView
from fleet_q.services.past.charts import Charts, charts
from fleet_q.services.past.lanes import Lanes, lanes
from fleet_q.services.past.timeline import NotReady, Timeline

MOST_ATTEMPTS: Final = 2_000
"""The most attempts that lanes show at once."""


@dataclass(frozen=True)
class Span:
    """From when to when the past is known, in microseconds. Counts and charts are there when it
    ``is_ready``; until then, ``progress`` is the part of the log that has been read."""

    first: int
    last: int
    is_ready: bool
    progress: float


@dataclass(frozen=True)
class PastSteps:
    """Steps, the latest submission first. ``cursor`` continues the list; ``None``: it is complete.
    With a cursor it may have few or no steps: ``searched`` were looked at."""

    steps: list[StepRow]
    cursor: str | None
    searched: int


@dataclass(frozen=True)
class LogView:
    """A page of the log; ``cursor`` continues it."""

    entries: list[LogEntry]
    cursor: str | None


class Past:
    """The past of ``store``. Moments are microseconds since 1970 by the store's clock; one of the
    future is now. Any thread may use it; it writes nothing.

    ``progress`` of steps and heartbeats of pods are not in the log, and what was pruned is unknown.
    """

    def __init__(
        self, store: Store, kept: float | None = None, patience: float | None = None
    ) -> None:
        """``kept``: for how many seconds the counts of now are not read again, by default half a
        second, or ten where every query is billed. ``patience``: see :class:`Timeline`."""
        self._store = store
        self.timeline = Timeline(store, kept, patience)

    def span(self) -> Span:
        """Return from when to when the past is known; nothing of it while an index is made."""
        try:
            last = self.timeline.now().at
        except NotReady as error:
            now = self._store.pods().at
            return Span(now, now, is_ready=False, progress=error.progress)
        first = self.timeline.first()
        progress = self.timeline.progress()
        return Span(last if first is None else first, last, progress == 1.0, progress)

    def first(self) -> int | None:
        """Return when the first event happened; ``None``: nothing did. It is read once."""
        return self.timeline.first()

    # Steps

    def step(self, step_id: str, at: int) -> StepView:
        """Return a step as it was. Raises ``UnknownStep`` if it was submitted later."""
        return StepView.of(self._step(step_id, at))

    def history(self, step_id: str, at: int) -> list[EventView]:
        """Return the events of a step until then, oldest first. Raises ``UnknownStep``."""
        history = self._history(step_id, at)
        return [EventView.of(event) for event in history]

    def parents(self, step_id: str, at: int) -> dict[str, StepView]:
        """Return the steps that a step waited for, as they were, by id. Raises ``UnknownStep``."""
        parents = parents_of(self._step(step_id, at).parents)
        by_id = self._steps(list(parents), at) if parents else {}
        return {each: StepView.of(by_id[each]) for each in parents if each in by_id}

    def steps(
        self, at: int, selected: StepFilter, limit: int = 50, cursor: str | None = None
    ) -> PastSteps:
        """Return a page of the steps that a filter selects, as they were. Raises
        :class:`InvalidInput` for an invalid cursor."""
        try:
            page = self._store.steps_at(at, selected, limit, cursor)
        except (ValueError, OverflowError):
            raise InvalidInput(
                f"cursor={cursor!r} is not a cursor; pass the 'cursor' of the previous page"
            ) from None
        rows = [StepRow.of(step, min(at, page.at)) for step in page.steps]
        return PastSteps(rows, page.cursor, page.searched)

    def workflow(self, workflow_id: str, at: int, limit: int | None = None) -> WorkflowView:
        """Return a workflow as it was. Raises ``UnknownWorkflow`` if it was submitted later."""
        steps: list[WorkflowStep] = []
        moments: list[Moment] = []
        cursor: str | None = None
        while True:
            page = self._store.workflow_steps(workflow_id, PAGE, cursor)
            cursor = page.cursor
            later = [s.step_id for s in page.steps if s.created_ts <= at < s.last_update_ts]
            before = self._steps(later, at) if later else {}
            for step in page.steps:
                if step.step_id in before:
                    steps.append(WorkflowStep.of(before[step.step_id]))
                elif step.last_update_ts <= at:
                    steps.append(step)
            moments += (moment for moment in page.moments if moment.at <= at)
            if cursor is None or len(steps) >= MOST_STEPS:
                break
        if not steps:
            raise UnknownWorkflow(workflow_id)
        state = WorkflowState.of(min(at, page.at), steps, moments)
        return WorkflowView.of(workflow_id, state, limit)

    def _history(self, step_id: str, at: int) -> list[StepEvent]:
        history = past.until(self._store.history(step_id), at)
        if not history:
            raise UnknownStep(step_id)
        return history

    def _step(self, step_id: str, at: int) -> Step:
        step = past.step_at(self._history(step_id, at), at)
        assert step is not None
        return step

    def _steps(self, step_ids: list[str], at: int) -> dict[str, Step]:
        events = self._store.events_of_steps(step_ids)
        return {step.step_id: step for step in past.steps_at(events, at)}

    # Counts

    def counts(self, at: int) -> dict[StepStatus, int]:
        """Return the number of steps in each status."""
        return self.timeline.at(at).statuses

    def stats(self, at: int) -> QueueStatsView:
        """Return the number of steps in each status, and of each task type of each queue, and what
        ended in the ten minutes before."""
        counts = self.timeline.at(at)
        at = counts.at
        ended: dict[tuple[str, str], dict[str, int]] = {}
        first: dict[tuple[str, str], int] = {}
        for change in self.timeline.minutes(at - WINDOW, at):
            if change.type in ("completed", "failed"):
                pair = (change.queue, change.task_type)
                numbers = ended.setdefault(pair, {"completed": 0, "failed": 0})
                numbers[change.type] += change.number
                begin = max(change.minute * MINUTE, at - WINDOW)
                first[pair] = min(first.get(pair, begin), begin)
        paused = {q.queue for q in past.queues_at(self._store.queue_events(), at) if q.paused}
        types = []
        for pair in sorted({*counts.types, *ended}):
            of_type = counts.types[pair]
            lately = ended.get(pair, {"completed": 0, "failed": 0})
            if any(of_type.values()) or any(lately.values()):
                types.append(
                    TypeStats(
                        *pair,
                        is_paused=pair[0] in paused,
                        delayed=0,
                        oldest=None,
                        completed_lately=lately["completed"],
                        failed_lately=lately["failed"],
                        first_ended=first.get(pair),
                        pending=of_type["pending"],
                        waiting=of_type["waiting"],
                        claimed=of_type["claimed"],
                        failed=of_type["failed"],
                    )
                )
        waiting = [(each.queue, each.task_type) for each in types if each.pending]
        stats = QueueStats(at, at - WINDOW, counts.statuses, tuple(types))
        return QueueStatsView.of(stats, self._unserved(waiting, at) if waiting else [])

    def _unserved(self, waiting: list[tuple[str, str]], at: int) -> list[tuple[str, str]]:
        found = (pod for pod, _ in past.pods_at(self._store.pod_events(), at))
        described = (pod.described for pod in found if pod.status in ("up", "asleep"))
        return unserved(waiting, [each.routes for each in described if each is not None])

    def charts(
        self,
        since: int,
        until: int,
        points: int = 60,
        queue: str | None = None,
        task_type: str | None = None,
    ) -> Charts:
        """Return what happened in a span of time, with about so many points."""
        return charts(self.timeline, since, until, points, queue, task_type)

    # Queues and schedules

    def queues(self, at: int) -> list[QueueView]:
        """Return the queues that had, or had had, limits, ordered by name."""
        found = past.queues_at(self._store.queue_events(), at)
        return [QueueView.of(queue) for queue in found]

    def queue_history(self, queue: str, at: int) -> list[QueueEventView]:
        """Return the changes of a queue's limits until then, oldest first."""
        history = past.until(self._store.queue_history(queue), at)
        return [QueueEventView.of(event) for event in history]

    def schedules(self, at: int) -> list[ScheduleView]:
        """Return the schedules that were not deleted, ordered by name. When they were to fire next
        is worked out from their times."""
        found = past.schedules_at(self._store.schedule_events(), at)
        return [
            ScheduleView.of(self._with_times(row, at)) for row in found if row.status != "deleted"
        ]

    def schedule_history(self, schedule: str, at: int) -> list[ScheduleEventView]:
        """Return the changes of a schedule until then, oldest first."""
        history = past.until(self._store.schedule_history(schedule), at)
        return [ScheduleEventView.of(event) for event in history]

    def _with_times(self, row: Schedule, at: int) -> Schedule:
        next_ts = schedules.next_time(row, at, CALENDAR) if row.status == "active" else None
        last_ts = last_step_id = None
        if not self._store.traits.writes_are_billed:  # a query for each schedule
            selected = StepFilter(id_prefix=f"{row.schedule}@")
            for step in self._store.steps_at(at, selected, 1).steps:
                last_ts, last_step_id = step.created_ts, step.step_id
        return schedules.at_moment(row, next_ts, last_ts, last_step_id)

    # Pods

    def pods(self, at: int) -> list[PodView]:
        """Return the pods that had started by then: those that were not down, oldest first, then
        the others. Which of them were silent is unknown."""
        found = list(past.pods_at(self._store.pod_events(), at))
        leading = leads_by_log([pod for pod, _ in found])
        dead = {pod.pod_id for pod, last in found if isinstance(last.fact, DeclaredDead)}

        def order(pod: Pod) -> tuple[bool, int, str]:
            is_down = pod.status == "down"
            return (is_down, -pod.last_heartbeat_ts if is_down else seniority(pod)[0], pod.pod_id)

        return [
            PodView.of(
                pod,
                alive=pod.status != "down",
                leader=pod == leading,
                declared_dead=pod.pod_id in dead,
            )
            for pod in sorted((pod for pod, _ in found), key=order)
        ]

    def lanes(self, since: int, until: int, limit: int = MOST_ATTEMPTS) -> Lanes:
        """Return what ran on each pod from ``since`` until before ``until``. Raises
        ``NotReady``."""
        self.timeline.prepare()
        found = self._store.attempts(since, until, limit)
        events = list(self._store.pod_events())
        return lanes(events, found.attempts, since, until, is_cut=found.is_cut)

    # The log

    def log(self, selected: LogFilter, limit: int = 100, cursor: str | None = None) -> LogView:
        """Return a page of the log. Raises :class:`InvalidInput` for an invalid cursor, and
        ``NotReady``."""
        self.timeline.prepare()
        page = self._store.log(selected, limit, cursor)
        return LogView(list(page.entries), page.cursor)
