"""Starts the pod of an app and logs its first line."""

from __future__ import annotations

import asyncio

from fleet_q.adapters.open import described
from fleet_q.core.capacity import slots
from fleet_q.services.app.connection import Connection
from fleet_q.services.app.ids import new_pod_id
from fleet_q.services.app.tasks import Registry
from fleet_q.services.app.version import installed_version
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.pod_thread import Pod

log = CarefulLogger("fleet_q.pod")


def start_pod(connection: Connection, registry: Registry, loop: asyncio.AbstractEventLoop) -> Pod:
    """Start a pod that runs the functions of ``registry``, async ones on ``loop``.

    Raises what opening the store and starting the pod raise.
    """
    settings = connection.settings
    pod_id = settings.pod_id or new_pod_id()
    store, is_own = connection.open_for(pod_id)
    pod = Pod(pod_id, store, registry, settings, loop, closes_store=is_own)
    _log_start(pod_id, connection, registry, is_new=getattr(store, "was_created", False))
    try:
        pod.start()
    except BaseException:
        if is_own:
            store.close()
        raise
    return pod


def _log_start(pod_id: str, connection: Connection, registry: Registry, *, is_new: bool) -> None:
    """Log what explains an idle pod: the store it uses, whether that is new, and its task types."""
    settings = connection.settings
    where = described(connection.where, connection.environment)
    log.info(
        "pod %s starts: fleet-q %s, store %s, %d slots, task types: %s",
        pod_id,
        installed_version(),
        f"{where}, which is new" if is_new else where,
        slots(settings.max_parallelism, settings.capacity_threshold),
        registry.described(),
        extra={"pod": pod_id},
    )
