"""AppBase, the state that the parts of an app share: store, settings, tasks and running pod."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from fleet_q.core.errors import ClaimLost, StaleClaim
from fleet_q.core.ports import Store
from fleet_q.core.step import SaveCheckpoint
from fleet_q.services.app.acting import actor
from fleet_q.services.app.connection import Connection
from fleet_q.services.app.middleware import Middleware
from fleet_q.services.app.polling import poll
from fleet_q.services.app.queues import user
from fleet_q.services.app.running import Run
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.submitter import NewStep
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.pod_thread import Pod

if TYPE_CHECKING:
    from fleet_q.services.app.tracing import Tracing  # needs OpenTelemetry

T = TypeVar("T")


class AppBase:
    """The base class of :class:`fleet_q.services.app.app.FleetQ` and its parts."""

    def __init__(self, store: str | Store | None, settings: Settings | None) -> None:
        self._registry = Registry()
        self._connection = Connection(store, settings, self._retries_of)
        self._run: Run | None = None

    @property
    def tracing(self) -> Tracing | None:
        """What makes spans of the app's steps, if :meth:`FleetQ.trace` was called."""
        return self._registry.tracing

    @property
    def settings(self) -> Settings:
        """The settings that were given, else those of the environment and, where it is silent, of
        the file ``.env`` in the folder in which the app was made. Read at the first use."""
        return self._connection.settings

    @property
    def has_own_settings(self) -> bool:
        """Whether the app was made with settings, or has read those of the environment."""
        return self._connection.has_own_settings

    @property
    def where(self) -> str | Store:
        """The URL of the app's store, or the open store that the app was made with."""
        return self._connection.where

    @property
    def url(self) -> str | None:
        """The URL of the app's store, or ``None`` if other processes cannot open it."""
        return self._connection.url

    @property
    def around(self) -> Middleware:
        """The app's middleware."""
        return self._registry.middleware

    @property
    def store(self) -> Store:
        """The app's store; opened if it is not open yet."""
        return self._connection.store()

    @property
    def pod(self) -> Pod | None:
        """The pod that this app runs now, in this process; ``None`` if it runs none."""
        run = self._run
        return None if run is None or (run.is_draining and run.ended.is_set()) else run.pod

    @property
    def max_checkpoint_bytes(self) -> int:
        """The largest checkpoint, in bytes of JSON."""
        return self.settings.max_result_bytes

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None) -> None:
        """Store the checkpoint of a step that a function of this app works on; for
        :meth:`StepContext.save`. If the claim is lost, raises ``ClaimLost``, and the pod stops the
        function."""
        store_checkpoint(self.store, self.pod, save, pod_id)

    def report_progress(self, step_id: str, claim_token: str, progress: str) -> None:
        """Let the next sync of the pod record what a function reports; for
        :meth:`StepContext.progress`."""
        pod = self.pod
        if pod is not None:
            pod.machine.report_progress(step_id, claim_token, progress)

    def traced(self, steps: Collection[NewStep]) -> Collection[NewStep]:
        """The steps, with the current trace context if the app is traced; for
        :meth:`StepContext.spawn`."""
        if self.tracing is None or not all(isinstance(step, NewStep) for step in steps):
            return steps
        commands = self.tracing.carrying([step.command for step in steps])
        return [replace(step, command=new) for step, new in zip(steps, commands, strict=True)]

    def _acting(self) -> str:
        """Who makes a change: who is named by :func:`acting_as`, or the pod of this process, or
        else its user."""
        return self._submitting() or user()

    def _submitting(self) -> str | None:
        """Who submits a step; ``None`` for a process without a pod, to which it costs nothing."""
        return actor() or (None if (pod := self.pod) is None else pod.pod_id)

    @property
    def _is_tested(self) -> bool:
        """Whether a store in memory stands in for the app's own, which no connection reaches."""
        return self._run is not None and self._run.is_shared

    def wait_until(
        self,
        read: Callable[[], T],
        is_over: Callable[[T], bool],
        timeout: float | None,
        describe: Callable[[T], str],
    ) -> T:
        """Read until what was read ``is_over``; see :func:`~fleet_q.services.app.polling.poll`."""
        if self._run is not None:
            timeout = self._run.before_wait(timeout, lambda: is_over(read()))
        return poll(read, is_over, timeout, describe)

    def _retries_of(self, task_type: str) -> int | None:
        task = self._registry.named(task_type)
        return None if task is None else task.max_retries

    def _work_arrived(self) -> None:
        """Wake the pod of this process, so that it claims at once what was just stored."""
        if self._run is not None and (pod := self.pod) is not None:
            pod.work_arrived()


def store_checkpoint(
    store: Store, pod: Pod | None, save: SaveCheckpoint, pod_id: str | None
) -> None:
    """Store a checkpoint. If the claim is lost, raises ``ClaimLost``, and ``pod``, which held it,
    looks which of its claims are lost."""
    try:
        store.save_checkpoint(save, pod_id)
    except StaleClaim:
        if pod is not None:
            pod.tell(pod.machine.must_confirm)
        raise ClaimLost(save.step_id) from None
