"""The ports: the interfaces between the core and stores.

Pods and apps use only :class:`Store`, and pods its mailbox if it is a :class:`CombiningStore`.
:class:`fleet_q.core.event_store.EventStore` implements it over a :class:`Database`, which begins
transactions. A :class:`Transaction` reads and writes rows and performs operations on many steps.
:class:`fleet_q.core.step_by_step.StepByStep` implements these operations one step at a time; a
database overrides those that it can perform on all steps at once. A database with expensive round
trips implements :class:`Store` itself.
"""

from fleet_q.core.ports.database import Database, Transaction
from fleet_q.core.ports.messages import (
    Backlog,
    CheckedReplacement,
    CheckedSubmission,
    FinalStep,
    FinalStepPage,
    Orphan,
    PodList,
    Pruned,
    RebuildReport,
    StepPage,
    SubmissionResult,
    SubmitResult,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.ports.recovery_queue import RecoveryQueue
from fleet_q.core.ports.starts import StartRecord, StartRecords
from fleet_q.core.ports.store import CombiningStore, Store, StoreTraits

__all__ = [
    "Backlog",
    "CheckedReplacement",
    "CheckedSubmission",
    "CombiningStore",
    "Database",
    "FinalStep",
    "FinalStepPage",
    "Orphan",
    "PodList",
    "Pruned",
    "RebuildReport",
    "RecoveryQueue",
    "StartRecord",
    "StartRecords",
    "StepPage",
    "Store",
    "StoreTraits",
    "SubmissionResult",
    "SubmitResult",
    "SyncRequest",
    "SyncResult",
    "Transaction",
]
