"""The reference of the Python API: every public name, described by its docstring."""

from __future__ import annotations

from typing import Final

import fleet_q

_APP: Final = "fleet_q.services.app"

GROUPS: Final = {
    "The app": ("FleetQ", "Task", "NewStep", "Settings", "create_http", "with_backoff"),
    "Queues, schedules, workflows": (
        f"{_APP}.queues.Queues",
        f"{_APP}.schedules.Schedules",
        f"{_APP}.workflows.Workflows",
        "Workflow",
        "Steps",
    ),
    "In a function": ("current_step", "StepContext", "Snooze", "PermanentFailure"),
    "Hooks and middleware": ("HookEvent",),
    "Steps by hand": ("Consumer", "AsyncConsumer", "ClaimedStep"),
    "Testing": (
        "fleet_q.testing.fixture",
        "fleet_q.testing.isolated",
        "fleet_q.testing.Fleet",
        "fleet_q.testing.PodKilled",
    ),
    "What is returned": (),
    "Errors": (),
}
"""The headings and what stands below them; views and errors are found by their classes. What has a
path is an attribute of the app or in ``fleet_q.testing``; the rest is imported from ``fleet_q``."""

INTERNAL: Final = (
    "around|bound|change_allowed|checked|command|defaults|encode_result|has_own_settings|leases|leasing"
    "|max_checkpoint_bytes|of|on_store_with|payload_of|registered|report_progress|result_to_json"
    "|runs_steps|save_checkpoint|some_as_json|spawn_together|state|store|submit_commands"
    "|submit_together|take_children|task_types|use|wait_until"
)
"""Members that only other parts of FLEET-Q call."""


def groups() -> dict[str, list[str]]:
    """Every public name, below its heading."""
    result = {heading: list(names) for heading, names in GROUPS.items()}
    placed = {name for names in GROUPS.values() for name in names}
    for name in fleet_q.__all__:
        if name in placed:
            continue
        value = getattr(fleet_q, name)
        is_error = isinstance(value, type) and issubclass(value, Exception)
        result["Errors" if is_error else "What is returned"].append(name)
    return result


def page() -> str:
    """The page: mkdocstrings puts a description in the place of each ``:::``."""
    parts = [
        "# Python",
        "What has no other path is imported from `fleet_q`: `from fleet_q import FleetQ`; what is"
        " below *Testing*, from `fleet_q.testing`. The [settings](settings.md) have a page of their"
        " own. The guides say how all of it is used.",
    ]
    for heading, names in groups().items():
        parts.append(f"## {heading}")
        for name in names:
            path = name if "." in name else f"fleet_q.{name}"
            options = f'    options: {{filters: ["!^_", "!^({INTERNAL})$"]}}'
            parts.append(f"::: {path}\n{options}")
    return "\n\n".join(parts) + "\n"
