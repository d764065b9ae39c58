"""Mutations: each removes one guard of the code, and a simulation has to detect that."""

from __future__ import annotations

from typing import Final

from tests.mutations.alerts import ALERTS
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
    *ALERTS,
    *INBOX,
    *LATER,
    *ROUTES,
    *UNIQUE_KEYS,
    *DEPENDENCIES,
)

PROMISES: Final = {
    "orphans are looked for": "orphans are recovered",
    "a sleeping pod notices a change of the change counter": "claimable steps are claimed",
    "a sleeping pod leads if no other pod does": "some pod leads",
    "a prefetched step that would wait for long is released": "no step waits in vain",
    "a step that has waited begins only under a confirmed claim": "only claimed steps begin",
    "a retried sync is not done twice": "held steps are run",
    "a pod stops if its store fails for too long": "pods give up",
}
"""Guards, with a promise that breaks without them: of the liveness checks, each at least once."""
