"""The public names of FLEET-Q: everything that users call or catch.

Each name is imported at its first use, so that importing a subpackage, for example
``fleet_q.core``, imports nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fleet_q.core.errors import (
        ClaimLost,
        ConsumerEnded,
        CorruptLog,
        DataRefused,
        FleetQError,
        IllegalTransition,
        InvalidInput,
        LastStepNotEnded,
        StepConflict,
        StepNotCompleted,
        StoreContended,
        StoreError,
        StoreUnavailable,
        UniqueKeyTaken,
        UnknownSchedule,
        UnknownStep,
        UnknownToThisVersion,
    )
    from fleet_q.services.app.app import FleetQ
    from fleet_q.services.app.claimed_step import ClaimedStep
    from fleet_q.services.app.consumer import AsyncConsumer, Consumer
    from fleet_q.services.app.context import PermanentFailure, Snooze, StepContext, current_step
    from fleet_q.services.app.hooks import HookEvent
    from fleet_q.services.app.search import StepRow, StepsView
    from fleet_q.services.app.settings import Settings
    from fleet_q.services.app.submitter import NewStep
    from fleet_q.services.app.tasks import Task
    from fleet_q.services.app.views import (
        DeadLettersView,
        EventView,
        LeaderView,
        PodView,
        StepView,
    )
    from fleet_q.services.app.workflow import Steps, Workflow
    from fleet_q.services.backoff import with_backoff
    from fleet_q.services.http.api import create_http

_MODULES: Final = {
    "fleet_q.core.errors": (
        "ClaimLost",
        "ConsumerEnded",
        "CorruptLog",
        "DataRefused",
        "FleetQError",
        "IllegalTransition",
        "InvalidInput",
        "LastStepNotEnded",
        "StepConflict",
        "StepNotCompleted",
        "StoreContended",
        "StoreError",
        "StoreUnavailable",
        "UniqueKeyTaken",
        "UnknownSchedule",
        "UnknownStep",
        "UnknownToThisVersion",
    ),
    "fleet_q.services.app.app": ("FleetQ",),
    "fleet_q.services.app.claimed_step": ("ClaimedStep",),
    "fleet_q.services.app.consumer": ("AsyncConsumer", "Consumer"),
    "fleet_q.services.app.context": (
        "PermanentFailure",
        "Snooze",
        "StepContext",
        "current_step",
    ),
    "fleet_q.services.app.hooks": ("HookEvent",),
    "fleet_q.services.app.search": ("StepRow", "StepsView"),
    "fleet_q.services.app.settings": ("Settings",),
    "fleet_q.services.app.submitter": ("NewStep",),
    "fleet_q.services.app.tasks": ("Task",),
    "fleet_q.services.app.views": (
        "DeadLettersView",
        "EventView",
        "LeaderView",
        "PodView",
        "StepView",
    ),
    "fleet_q.services.app.workflow": ("Steps", "Workflow"),
    "fleet_q.services.backoff": ("with_backoff",),
    "fleet_q.services.http.api": ("create_http",),
}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AsyncConsumer",
    "ClaimLost",
    "ClaimedStep",
    "Consumer",
    "ConsumerEnded",
    "CorruptLog",
    "DataRefused",
    "DeadLettersView",
    "EventView",
    "FleetQ",
    "FleetQError",
    "HookEvent",
    "IllegalTransition",
    "InvalidInput",
    "LastStepNotEnded",
    "LeaderView",
    "NewStep",
    "PermanentFailure",
    "PodView",
    "Settings",
    "Snooze",
    "StepConflict",
    "StepContext",
    "StepNotCompleted",
    "StepRow",
    "StepView",
    "Steps",
    "StepsView",
    "StoreContended",
    "StoreError",
    "StoreUnavailable",
    "Task",
    "UniqueKeyTaken",
    "UnknownSchedule",
    "UnknownStep",
    "UnknownToThisVersion",
    "Workflow",
    "create_http",
    "current_step",
    "with_backoff",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
