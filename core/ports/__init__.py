"""The ports: what the core needs of a store, and what a database must do to become one.

:class:`Store` is all that pods and apps talk to. :class:`fleet_q.core.event_store.EventStore`
implements it over a :class:`Database`, which begins transactions. A :class:`Transaction` reads and
writes rows, and performs operations on many steps, for which
:class:`fleet_q.core.step_by_step.StepByStep` has defaults; a database overrides those that it can
perform for all steps at once. A database whose round trips are expensive implements :class:`Store`
itself.
"""

from fleet_q.core.ports.database import Database, Transaction
from fleet_q.core.ports.messages import (
    FinalStep,
    FinalStepPage,
    Orphan,
    PodList,
    Pruned,
    RebuildReport,
    StepPage,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.ports.recovery_queue import RecoveryQueue
from fleet_q.core.ports.starts import StartRecord, StartRecords
from fleet_q.core.ports.store import Store, StoreTraits

__all__ = [
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
    "SyncRequest",
    "SyncResult",
    "Transaction",
]
