"""Starts the pod of an app and logs its first line."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import fields

from fleet_q.adapters.open import described
from fleet_q.core.capacity import slots
from fleet_q.core.pod import PodDescription
from fleet_q.core.ports import Store
from fleet_q.core.routing import Routes, named
from fleet_q.core.schedules import Definition
from fleet_q.core.settings import DURATIONS
from fleet_q.core.worker.observer import Observer
from fleet_q.services.app.connection import Connection
from fleet_q.services.app.ids import new_pod_id
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.tasks import Registry
from fleet_q.services.app.version import app_version, installed_version
from fleet_q.services.worker.alert_sender import AlertSender
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.by_hand import PodByHand
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.guarded_observer import GuardedObserver
from fleet_q.services.worker.hook_observer import HookObserver, WatchedAttempt, WatchedAttempts
from fleet_q.services.worker.pod_metrics import PodMetrics
from fleet_q.services.worker.pod_thread import Pod
from fleet_q.services.worker.runners import Runners

log = CarefulLogger("fleet_q.pod")

_NAMED_APART: Final = {"pod_id", "store", "queues", "app", "max_parallelism", "capacity_threshold"}
"""The settings that the first line of a pod's log says in other words."""


class AppParts(NamedTuple):
    """What an app makes its pod of: its store and settings, its functions, and the schedules that
    its code declares."""

    connection: Connection
    registry: Registry
    declared: Sequence[Definition]


def start_pod(
    connection: Connection,
    registry: Registry,
    loop: asyncio.AbstractEventLoop,
    declared: Sequence[Definition] = (),
    metrics: PodMetrics | None = None,
) -> Pod:
    """Start a pod that runs the functions of ``registry``, async ones on ``loop``, and puts the
    schedules that the code has ``declared``. ``metrics`` counts what happens to it.

    Raises what opening the store and starting the pod raise.
    """
    settings = connection.settings
    pod_id = settings.pod_id or new_pod_id()
    store, is_own = connection.open_for(pod_id)
    count = slots(settings.max_parallelism, settings.capacity_threshold)
    watched = WatchedAttempts()
    observers = _observers(registry, pod_id, loop, watched, metrics)

    def new_functions(pod: Pod) -> Runners:
        return Runners(
            registry,
            retry_policy=pod.machine.retry_policy,
            on_outcome=pod.tell,
            on_began=pod.on_began,
            loop=loop,
            max_running=count,
            on_unconfirmed=partial(pod.tell, pod.machine.must_confirm),
            pod_id=pod_id,
            settings=settings,
            record_start=None if pod.starts is None else pod.starts.add,
            new_attempt=Attempt if registry.hooks.is_empty else partial(WatchedAttempt, watched),
            times=None if metrics is None else metrics.times,
        )

    queues = settings.queues or None
    pod = Pod(
        pod_id,
        store,
        settings,
        new_functions,
        loop=loop,
        routes=partial(registry.routes, queues),
        describe=lambda: _description(connection, count, registry.routes(queues)),
        closes_store=is_own,
        declared=declared,
        observers=observers,
        alerts=_alerts(connection, pod_id),
    )
    work = f"{count} slots, queues: {', '.join(queues or ('all',))}"
    work += f", task types: {registry.described()}"
    _start(pod, connection, store, is_own, work)
    return pod


def start_pod_by_hand(
    connection: Connection,
    registry: Registry,
    most: int,
    routes: Routes,
    pod_id: str | None = None,
    metrics: PodMetrics | None = None,
    spans: Sequence[Observer] = (),
) -> PodByHand:
    """Start a pod whose steps callers take, those that ``routes`` serve, at most ``most`` at once.
    It calls the hooks of ``registry``, and gets a new id by default. ``metrics`` counts what
    happens to it, and ``spans`` make spans of it.

    Raises what opening the store and starting the pod raise.
    """
    pod_id = pod_id or new_pod_id()
    store, is_own = connection.open_for(pod_id)
    pod = PodByHand(
        pod_id,
        store,
        connection.settings,
        most=most,
        routes=routes,
        describe=lambda: _description(connection, most, routes),
        closes_store=is_own,
        observers=_observers(registry, pod_id, None, WatchedAttempts(), metrics, spans),
        alerts=_alerts(connection, pod_id),
    )
    queues, types = routes.queues or ("all",), routes.task_types or ("all",)
    work = f"up to {most} steps by hand, task types: {named(types)}"
    _start(pod, connection, store, is_own, f"{work}, queues: {', '.join(queues)}")
    return pod


def _observers(
    registry: Registry,
    pod_id: str,
    loop: asyncio.AbstractEventLoop | None,
    watched: WatchedAttempts,
    metrics: PodMetrics | None,
    spans: Sequence[Observer] = (),
) -> list[Observer]:
    careful = [*spans] if metrics is None else [metrics, *spans]
    observers: list[Observer] = [GuardedObserver(observer) for observer in careful]
    if not registry.hooks.is_empty:
        observers.append(HookObserver(pod_id, registry.hooks, loop, watched))
    return observers


def _alerts(connection: Connection, pod_id: str) -> AlertSender | None:
    url = connection.settings.alert_webhook
    if url is None:
        return None
    return AlertSender(url, pod_id, described(connection.where, connection.environment))


def _description(connection: Connection, count: int, routes: Routes) -> PodDescription:
    """What a pod with so many slots tells the fleet when it joins."""
    version = connection.settings.version or app_version(connection.app_module)
    return PodDescription(
        host=_valid(socket.gethostname()),
        version=None if version is None else _valid(version),
        slots=count,
        queues=routes.queues,
        task_types=routes.task_types,
    )


def _valid(text: str) -> str:
    """The text without characters that no store accepts."""
    return text.encode("utf-8", "replace").decode()


def _unusual(settings: Settings) -> str:
    """The settings that the line does not name otherwise and that differ from their defaults,
    without secrets."""
    defaults = dict(Settings().__rich_repr__())
    kinds = {field.name: field.type for field in fields(Settings)}
    parts = [
        f"{name}={f'{value:g}s' if kinds[name] in DURATIONS else _plain(value)}"
        for name, value in settings.__rich_repr__()
        if name not in _NAMED_APART and value != defaults[name]
    ]
    return f", settings: {', '.join(parts)}" if parts else ""


def _plain(value: object) -> str:
    return "|".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _start(pod: Pod, connection: Connection, store: Store, is_own: bool, work: str) -> None:
    """Start the pod and log what explains an idle one: the store it uses, whether that is new, the
    ``work`` that it takes, and which settings are not the default."""
    where = described(connection.where, connection.environment)
    is_new = getattr(store, "was_created", False)
    log.info(
        "pod %s starts: fleet-q %s, store %s, %s%s",
        pod.pod_id,
        installed_version(),
        f"{where}, which is new" if is_new else where,
        work,
        _unusual(connection.settings),
        extra={"pod": pod.pod_id},
    )
    try:
        pod.start()
    except BaseException:
        if is_own:
            store.close()
        raise
