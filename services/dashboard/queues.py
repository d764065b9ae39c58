"""The pages about queues: what waits and runs in them, their limits, and who changed these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.queue_stats import TypeStatsView
from fleet_q.services.app.queues import QueueEventView, QueueView
from fleet_q.services.dashboard.forms import Form
from fleet_q.services.dashboard.pages import Done, Pages
from fleet_q.services.dashboard.visit import Visit


@dataclass(frozen=True)
class QueueRow:
    """A queue: the steps of all its task types, and its limits; ``None``: it never had any."""

    queue: str
    types: list[TypeStatsView]
    limits: QueueView | None

    def total(self, column: str) -> int:
        """The sum of a column over the task types."""
        return sum(getattr(each, column) for each in self.types)

    @property
    def oldest_age(self) -> float | None:
        """For how many seconds the step has been due that has been for longest."""
        ages = [each.oldest_age for each in self.types if each.oldest_age is not None]
        return max(ages, default=None)

    @property
    def is_paused(self) -> bool:
        """Whether no step of it is claimed."""
        return self.limits is not None and self.limits.paused

    @property
    def unserved(self) -> list[str]:
        """The task types of which steps wait and no live pod takes them."""
        return [each.task_type or "(none)" for each in self.types if each.unserved]

    @property
    def limits_in_words(self) -> list[str]:
        """Its limits, each in a few words."""
        limits = self.limits
        if limits is None:
            return []
        words = []
        if limits.max_running is not None:
            words.append(f"{limits.max_running} at once")
        if limits.max_running_per_key is not None:
            words.append(f"{limits.max_running_per_key} per key")
        if limits.rate is not None:
            words.append(limits.rate)
        return words


def rows_of(types: Iterable[TypeStatsView], limits: Iterable[QueueView]) -> list[QueueRow]:
    """The queues that have steps or limits, by name."""
    by_queue: dict[str, list[TypeStatsView]] = {}
    for each in types:
        by_queue.setdefault(each.queue, []).append(each)
    limits_of = {each.queue: each for each in limits}
    names = sorted(by_queue.keys() | limits_of.keys())
    return [QueueRow(name, by_queue.get(name, []), limits_of.get(name)) for name in names]


def add_queues(pages: Pages) -> None:
    """Add the pages about queues, and what changes their limits."""

    @pages.page("queues", "Queues")
    def queues(visit: Visit) -> Response:
        return visit.render("queues.html", queues=_rows(visit))

    @pages.page("queue", under="queues")
    def queue(visit: Visit) -> Response:
        name = _name(visit.query("name"))
        row = next((row for row in _rows(visit) if row.queue == name), QueueRow(name, [], None))
        return visit.render("queue.html", queue=row, history=_history(visit, name)[::-1])

    @pages.action("pause-queue")
    def pause(visit: Visit, form: Form) -> Done:
        name = form["name"]
        visit.fleet.queues.pause(name)
        return Done(f"Queue {name} is paused: steps that run go on, and none is claimed.")

    @pages.action("resume-queue")
    def resume(visit: Visit, form: Form) -> Done:
        name = form["name"]
        visit.fleet.queues.resume(name)
        return Done(f"Queue {name} is resumed.")

    @pages.action("set-queue")
    def set_limits(visit: Visit, form: Form) -> Done:
        name = form["name"]
        limits: dict[str, Any] = {
            field: _whole(form.get(field), field)
            for field in ("max_running", "max_running_per_key")
        }
        rate = form.get("rate")
        visit.fleet.queues.set(name, **limits, rate=None if rate is None else rate.strip())
        return Done(f"The limits of queue {name} are set. They hold from the next claim on.")


def _rows(visit: Visit) -> list[QueueRow]:
    stats = visit.read_at("queue_stats", visit.reader.queue_stats, visit.past.stats)
    limits = visit.read_at("queues", visit.reader.queues.all, visit.past.queues)
    return rows_of(stats.queues, limits)


def _history(visit: Visit, name: str) -> list[QueueEventView]:
    return visit.read_at(
        ("queue_history", name),
        lambda: visit.reader.queues.history(name),
        lambda at: visit.past.queue_history(name, at),
    )


def _name(name: str | None) -> str:
    if name is None:
        raise InvalidInput("the address of this page names no queue")
    return name


def _whole(text: str | None, field: str) -> int | None:
    if text is None or not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"{field} must be a whole number, not {text!r}") from None
