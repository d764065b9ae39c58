"""Connection, the store and the settings of an app: opens and closes the store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

from fleet_q.adapters.ids import new_step_id
from fleet_q.adapters.open import absolute, current_folder, is_shared, open_store
from fleet_q.core.errors import InvalidInput
from fleet_q.core.inbox import Intake
from fleet_q.core.ports import Store
from fleet_q.services.app import origin
from fleet_q.services.app.env_file import NAME, EnvFile, settings_of
from fleet_q.services.app.settings import Settings, from_env


class Connection:
    """The store of an app and its settings, opened and read at the first use.

    A relative path is resolved against the directory that is current when the path is given.
    ``retries_of`` returns the retries of a task type, ``None`` for those of the settings.
    """

    def __init__(
        self,
        store: str | Store | None,
        settings: Settings | None,
        retries_of: Callable[[str], int | None],
    ) -> None:
        self.app_module: str | None = None
        """The module that made the app."""
        self._retries_of = retries_of
        self._settings = settings
        self._folder = current_folder()
        self._where = absolute(store, self._folder) if isinstance(store, str) else store
        self._create = True
        self._client: Store | None = None
        self._lock = threading.Lock()

    @property
    def settings(self) -> Settings:
        """The settings that were given, else those of the environment and, where it is silent, of
        the file ``.env`` in the folder in which the app was made. Read at the first use."""
        if self._settings is None:
            file = self._env_file()
            try:
                self._settings = from_env({**file.variables, **os.environ})
            except InvalidInput as error:
                raise InvalidInput(file.located(str(error))) from None
        return self._settings

    @property
    def has_own_settings(self) -> bool:
        """Whether the app was made with settings, or has read those of the environment."""
        return self._settings is not None

    @property
    def where(self) -> str | Store:
        """The URL of the store, or the open store that was given."""
        if self._where is None:
            return absolute(self.settings.store, self._folder)
        return self._where

    @property
    def url(self) -> str | None:
        """The URL of the store, or ``None`` if other processes cannot open it."""
        return self.where if isinstance(self.where, str) and is_shared(self.where) else None

    @property
    def environment(self) -> Mapping[str, str] | None:
        """The variables that say how to sign in to Snowflake; ``None`` for another store."""
        if not isinstance(self.where, str) or not self.where.startswith("snowflake:"):
            return None
        return {**self._env_file().variables, **os.environ}

    def use(self, store: str | None, settings: Settings | None, create: bool) -> None:
        """Replace the store or the settings, before the first use. With ``create`` false, a store
        that does not exist is an error."""
        if store is not None:
            self._where = absolute(store, current_folder())
        if settings is not None:
            self._settings = settings
            self._folder = current_folder()
        self._create = create

    def on(self, store: Callable[[Intake], Store]) -> Connection:
        """Return a connection with the same settings to the open store that ``store`` makes."""
        other = Connection(None, self._settings, self._retries_of)
        other.app_module = self.app_module
        other._folder = self._folder
        other._where = store(other.intake)
        return other

    @property
    def intake(self) -> Intake:
        """What rows of the inbox become. Reads the settings."""
        return Intake(new_step_id, self._max_retries, self.settings.max_payload_bytes)

    def store(self) -> Store:
        """Return the store that the app's methods use; open it if it is not open yet."""
        with self._lock:
            if self._client is None:
                self._client = self._open("client")
            return self._client

    def open_for(self, pod_id: str) -> tuple[Store, bool]:
        """Return a store for a pod, and whether the pod must close it. The pod gets a store of its
        own if the URL can be opened more than once, else it shares the app's."""
        if self.url is None:
            return self.store(), False
        return self._open(pod_id, for_pod=True), True

    def close(self) -> None:
        """Close the store, unless the caller passed it open."""
        with self._lock:
            if self._client is not None and self._client is not self._where:
                self._client.close()
            self._client = None

    def begin_in_child(self) -> None:
        """Replace the lock after a fork: a thread of the parent may have held it."""
        self._lock = threading.Lock()

    def _env_file(self) -> EnvFile:
        return settings_of(self._folder / NAME)

    def _max_retries(self, task_type: str) -> int:
        of_task = self._retries_of(task_type)
        return self.settings.max_retries if of_task is None else of_task

    def _open(self, client: str, *, for_pod: bool = False) -> Store:
        where = self.where
        if not isinstance(where, str):
            return where
        if origin.is_child and not is_shared(where):
            raise InvalidInput(
                "a function in a child process cannot use memory://, which exists only in the pod's"
                " process; use a sqlite:// or snowflake:// store"
            )
        return open_store(
            where,
            env=self.environment,
            create=self._create,
            client=client,
            for_pod=for_pod,
            table_prefix=self.settings.table_prefix,
            durability=self.settings.durability,
            intake=self.intake,
        )
