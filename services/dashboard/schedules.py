"""The pages about schedules: when they fire, what they submitted, and who changed them."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Final

from starlette.responses import Response

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core.errors import InvalidInput, UnknownSchedule
from fleet_q.core.retry import MICROS
from fleet_q.core.schedules import Schedule, times_after
from fleet_q.core.search import StepFilter
from fleet_q.services.app.schedules import ScheduleEventView, ScheduleView
from fleet_q.services.app.search import StepRow
from fleet_q.services.dashboard.forms import Form
from fleet_q.services.dashboard.pages import Done, Pages
from fleet_q.services.dashboard.render import duration
from fleet_q.services.dashboard.visit import Visit

NEXT_TIMES: Final = 10
LATEST_STEPS: Final = 20
"""How many times to come, and how many steps of earlier ones, the page of a schedule shows."""


def add_schedules(pages: Pages) -> None:
    """Add the pages about schedules, and what pauses, resumes and triggers them."""

    @pages.page("schedules", "Schedules")
    def schedules(visit: Visit) -> Response:
        return visit.render("schedules.html", schedules=_schedules(visit), rule=rule_in_words)

    @pages.page("schedule", under="schedules")
    def schedule(visit: Visit) -> Response:
        name = visit.query("name")
        if name is None:
            raise InvalidInput("the address of this page names no schedule")
        row = next((each for each in _schedules(visit) if each.schedule == name), None)
        history = _history(visit, name)
        return visit.render(
            "schedule.html",
            rule=rule_in_words,
            name=name,
            schedule=row,
            history=history[::-1],
            times=[] if row is None else _times(row),
            steps=_steps(visit, name),
        )

    @pages.action("pause-schedule")
    def pause(visit: Visit, form: Form) -> Done:
        name = form["name"]
        visit.fleet.schedules.pause(name)
        return Done(f"Schedule {name} is paused: it fires no more until it is resumed.")

    @pages.action("resume-schedule")
    def resume(visit: Visit, form: Form) -> Done:
        name = form["name"]
        visit.fleet.schedules.resume(name)
        return Done(f"Schedule {name} is resumed, from its next time on.")

    @pages.action("trigger-schedule")
    def trigger(visit: Visit, form: Form) -> Done:
        name = form["name"]
        step_id = visit.fleet.schedules.trigger(name)
        return Done(f"Schedule {name} has fired: step {step_id} is submitted.")


def rule_in_words(schedule: ScheduleView | ScheduleEventView) -> str:
    """When a schedule fires: ``0 2 * * * Europe/Berlin`` or ``every 15 min``."""
    if schedule.every is not None:
        return f"every {duration(schedule.every)}"
    return f"{schedule.cron} {schedule.tz}"


def _schedules(visit: Visit) -> list[ScheduleView]:
    return visit.read_at("schedules", visit.reader.schedules.all, visit.past.schedules)


def _history(visit: Visit, name: str) -> list[ScheduleEventView]:
    at = visit.at
    key = ("schedule_history", name)
    if at is None:
        return visit.read(key, lambda: visit.reader.schedules.history(name))
    events = visit.read(key, lambda: visit.past.schedule_history(name, at))
    if not events:
        raise UnknownSchedule(name)
    return events


def _times(schedule: ScheduleView) -> list[str]:
    """The next times of a schedule; none while it is paused."""
    if schedule.next is None:
        return []
    rule = Schedule(
        schedule.schedule,
        "",
        cron=schedule.cron,
        every=None if schedule.every is None else round(schedule.every * MICROS),
        tz=schedule.tz,
    )
    first = round(datetime.fromisoformat(schedule.next).timestamp()) * MICROS
    return [
        CALENDAR.text(time) for time in islice(times_after(rule, first - 1, CALENDAR), NEXT_TIMES)
    ]


def _steps(visit: Visit, name: str) -> list[StepRow]:
    """The latest steps of a schedule, whose ids begin with its name."""
    prefix = f"{name}@"
    return visit.read_at(
        ("steps_of_schedule", name),
        lambda: visit.reader.steps(limit=LATEST_STEPS, id_prefix=prefix).steps,
        lambda at: visit.past.steps(at, StepFilter(id_prefix=prefix), LATEST_STEPS).steps,
    )
