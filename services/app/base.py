"""What the parts of an app share: its store and settings, its tasks, and the pod that runs here."""

from __future__ import annotations

from fleet_q.core.ports import Store
from fleet_q.services.app.connection import Connection
from fleet_q.services.app.running import Run
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.pod_thread import Pod


class AppBase:
    """An app without anything to do. See :class:`fleet_q.services.app.app.FleetQ`."""

    def __init__(self, store: str | Store | None, settings: Settings | None) -> None:
        self._connection = Connection(store, settings)
        self._registry = Registry()
        self._run: Run | None = None

    @property
    def settings(self) -> Settings:
        """The settings given, or those of the environment, read at the first use."""
        return self._connection.settings

    @property
    def where(self) -> str | Store:
        """The URL of the app's store, or the open store that it was given."""
        return self._connection.where

    @property
    def url(self) -> str | None:
        """The URL of the app's store, if other processes can open it too."""
        return self._connection.url

    @property
    def store(self) -> Store:
        """The app's open store."""
        return self._connection.store()

    @property
    def pod(self) -> Pod | None:
        """The pod that runs here now."""
        run = self._run
        return None if run is None or (run.is_leaving and run.over.is_set()) else run.pod

    def _work_arrived(self) -> None:
        if self._run is not None and (pod := self.pod) is not None:
            pod.work_arrived()
