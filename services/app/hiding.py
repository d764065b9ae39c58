"""Hides what steps contain from those who may see only that they exist and how they fare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from fleet_q.core.dependencies import CANCELLED, FAILED
from fleet_q.core.step import DIED, EXPIRED

V = TypeVar("V")

HIDDEN: Final = "(hidden)"
"""Stands for what is not shown."""

_TOLD: Final = re.compile(
    "|".join(
        re.escape(text).replace(re.escape("{}"), r"[^\n]*")
        for text in (DIED, EXPIRED, FAILED, CANCELLED)
    )
)
"""Errors that are the store's own, and contain nothing of a step."""

_CLASS: Final = re.compile(
    r"[A-Z][A-Za-z0-9_]{0,99}(?:Error|Exception|Failure|Timeout|Exit)(?=:|$)"
)
"""The class of an exception, with which the error of a function begins."""

_SHOWN_OF_EVENTS: Final = frozenset(
    {
        "type", "priority", "max_retries", "available_ts", "queue", "task_type", "unique_until_ts",
        "timeout", "parents", "workflow_id", "spawned_by", "start_by_ts", "incarnation",
        "description", "error",
    }
)  # fmt: skip
"""The data of events that are shown; those of later versions are not."""


def without_contents(view: V) -> V:
    """Return a view, or a list of views, without what steps contain: payloads, results,
    checkpoints, errors, tracebacks, the texts of labels and progress, and keys.

    Of an error, the class of the exception stays.
    """
    match view:
        case list() | tuple():
            return type(view)(map(without_contents, view))
        case dict():
            return type(view)({name: without_contents(value) for name, value in view.items()})
        case _ if is_dataclass(view) and not isinstance(view, type):
            changes = {field.name: _shown(field.name, getattr(view, field.name))
                       for field in fields(view) if field.init}  # fmt: skip
            return replace(view, **changes)
        case _:
            return view


def _shown(name: str, value: Any) -> Any:
    """What is shown of a field of a view."""
    if value is None:
        return None
    match name:
        case "payload":
            return {HIDDEN: True}
        case "result" | "checkpoint" | "traceback" | "key" | "unique_key":
            return HIDDEN
        case "error" if isinstance(value, str):
            return hidden_error(value)
        case "labels" if isinstance(value, Mapping):
            return dict.fromkeys(value, HIDDEN)
        case "progress" if isinstance(value, Mapping):
            return {**value, "text": HIDDEN} if value.get("text") else value
        case "data" if isinstance(value, Mapping):
            return {
                field: _shown(field, content)
                for field, content in value.items()
                if field in _SHOWN_OF_EVENTS
            }
        case _:
            return without_contents(value)


def hidden_error(error: str) -> str:
    """Return what is shown of an error: the class of the exception, or a text of the store's."""
    if _TOLD.fullmatch(error):
        return error
    found = _CLASS.match(error)
    if found is None:
        return HIDDEN
    return error if found[0] == error else f"{found[0]}: {HIDDEN}"
