"""The page that lists steps, and what it does to those that are selected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from starlette.responses import Response

from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import Cancel, Change, Replay, Reprioritize
from fleet_q.core.submission import MAX_PRIORITY, check_id, check_priority
from fleet_q.services.app.app import FleetQ
from fleet_q.services.dashboard.forms import Form
from fleet_q.services.dashboard.pages import Done, Pages
from fleet_q.services.dashboard.selection import Found, Selection, search
from fleet_q.services.dashboard.visit import Visit

PER_PAGE: Final = 50
"""Steps on a page."""

MOST_CHANGED: Final = 10_000
"""How many steps one press of a button changes at most, so that its answer comes in time."""


class _Enough(Exception):
    """As many steps were changed or counted as one request may."""


def add_steps(pages: Pages) -> None:
    """Add the list of steps."""

    @pages.page("steps", "Steps")
    def steps(visit: Visit) -> Response:
        selection = Selection.of_visit(visit)
        selected, cursor = selection.filter, visit.query("cursor")
        found = visit.read(
            ("steps", selected, cursor),
            lambda: search(visit, selected, PER_PAGE, cursor),
        )
        found = Found(visit.shown(found.steps), found.cursor, found.searched)
        return visit.render(
            "steps.html", selection=selection, found=found, cursor=cursor, per_page=PER_PAGE
        )

    @pages.page("change-steps", under="steps")
    def confirm(visit: Visit) -> Response:
        selection = Selection.of_visit(visit)
        what = visit.query("what") or ""
        priority = visit.query("priority")
        change = _all_of(visit.reader, what, priority)
        count, is_all = _limited(partial(change, dry_run=True, **selection.conditions))
        return visit.render(
            "change-steps.html",
            selection=selection,
            what=what,
            priority=priority,
            count=count,
            is_all=is_all,
            most=MOST_CHANGED,
        )

    def add(action: str, done: str, command_of: Callable[[str, int], Change]) -> None:
        @pages.action(f"{action}-steps")
        def change_steps(visit: Visit, form: Form) -> Done:
            if form.get("all"):
                change = _all_of(visit.fleet, action, form.get("priority"))
                selection = Selection.of_form(form)
                count, is_all = _limited(partial(change, **selection.conditions))
                more = "" if is_all else " There may be more: change them again for the rest."
                return Done(f"{_steps(count)} {done}.{more}", "steps", dict(selection.texts))
            ids = [check_id(step_id, "step_id") for step_id in form.all("step_id")]
            if not ids:
                raise InvalidInput("no step is ticked; tick those to change")
            priority = priority_of(form.get("priority")) if action == "reprioritize" else 0
            commands = [command_of(step_id, priority) for step_id in ids]
            count = len(visit.fleet.change_allowed(commands))
            rest = len(ids) - count
            left = f" {_steps(rest)} did not allow it." if rest else ""
            return Done(f"{_steps(count)} {done}.{left}")

    add("cancel", "cancelled", lambda step_id, _: Cancel(step_id))
    add("replay", "replayed", lambda step_id, _: Replay(step_id))
    add("reprioritize", "reprioritized", Reprioritize)


def _all_of(fleet: FleetQ, what: str, priority: str | None) -> Callable[..., int]:
    """The method that changes all steps that a filter selects."""
    match what:
        case "cancel":
            return fleet.cancel_steps
        case "replay":
            return fleet.replay_steps
        case "reprioritize":
            return partial(fleet.reprioritize_steps, priority_of(priority))
    raise InvalidInput(f"{what!r} is nothing that can be done to steps")


def priority_of(text: str | None) -> int:
    """The priority in a field. Raises :class:`InvalidInput`."""
    try:
        priority = int(text or "")
    except ValueError:
        raise InvalidInput(
            f"the priority must be a number between -{MAX_PRIORITY} and {MAX_PRIORITY}"
        ) from None
    check_priority(priority)
    return priority


def _limited(change: Callable[..., int]) -> tuple[int, bool]:
    """How many steps were changed, and whether these were all."""
    total = 0

    def on_batch(count: int) -> None:
        nonlocal total
        total += count
        if total >= MOST_CHANGED:
            raise _Enough

    try:
        change(on_batch=on_batch)
    except _Enough:
        return total, False
    return total, True


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"
