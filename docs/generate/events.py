"""The reference of the log: the events of steps and pods, from ``core/events.py``."""

from __future__ import annotations

from inspect import getdoc
from typing import Any, get_args

import msgspec

from docs.generate.markdown import prose, table
from fleet_q.core.events import JSON_FIELDS, PodFact, StepFact
from fleet_q.core.lifecycle import EFFECTS


def page() -> str:
    """The page."""
    parts = [
        "# Events",
        "Everything that happens to a step or a pod is an event in the log, and never changes."
        " `fleet-q history STEP_ID` prints those of a step. What each changes in the row of the"
        " step, and from which statuses it may come: [architecture](../architecture.md).",
        "## Of steps",
        *(_event(fact) for fact in get_args(StepFact)),
        "## Of pods",
        *(_event(fact) for fact in get_args(PodFact)),
    ]
    return "\n\n".join(parts)


def _event(fact: Any) -> str:
    name = str(fact.__struct_config__.tag)
    parts = [f"### {name}", prose(getdoc(fact))]
    if name in EFFECTS:
        effect = EFFECTS[name]
        parts.append(f"{' or '.join(effect.sources)} → **{effect.status}**")
    rows = [(f"`{field.name}`", _kind(field)) for field in msgspec.structs.fields(fact)]
    parts.append(table(("field", ""), rows))
    return "\n\n".join(part for part in parts if part)


def _kind(field: msgspec.structs.FieldInfo) -> str:
    kinds = {part.__name__ for part in get_args(field.type) or (field.type,)}
    optional = ", or null" if "NoneType" in kinds else ""
    if field.name in JSON_FIELDS:
        return f"JSON{optional}"
    if field.name.endswith("_ts"):
        return f"microseconds since 1970{optional}"
    return ("whole number" if "int" in kinds else "text") + optional
