"""Mutations: each removes one guard of the code, and a simulation has to detect that."""

from __future__ import annotations

from typing import Final

from tests.mutations.by_hand import BY_HAND
from tests.mutations.dependencies import DEPENDENCIES
from tests.mutations.guards import Mutation
from tests.mutations.inbox import INBOX
from tests.mutations.later import LATER
from tests.mutations.mailbox import MAILBOX
from tests.mutations.pods import PODS
from tests.mutations.queues import QUEUES
from tests.mutations.routes import ROUTES
from tests.mutations.schedules import SCHEDULES
from tests.mutations.steps import STEPS
from tests.mutations.store import STORE
from tests.mutations.unique_keys import UNIQUE_KEYS
from tests.mutations.worker import WORKER

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *STEPS,
    *STORE,
    *PODS,
    *WORKER,
    *BY_HAND,
    *MAILBOX,
    *QUEUES,
    *SCHEDULES,
    *INBOX,
    *LATER,
    *ROUTES,
    *UNIQUE_KEYS,
    *DEPENDENCIES,
)
