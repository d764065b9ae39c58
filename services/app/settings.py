"""Settings, the settings of an app and its pod, read from ``FLEET_Q_*`` variables."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from fleet_q.adapters.open import shown
from fleet_q.adapters.snowflake.connection import is_configured
from fleet_q.adapters.sqlite.store import Durability
from fleet_q.core.errors import InvalidInput
from fleet_q.core.settings import PREFIX, Count, PodSettings, convert_setting
from fleet_q.core.submission import (
    MAX_PAYLOAD_BYTES,
    MAX_RESULT_BYTES,
    check_id,
    check_queue,
)
from fleet_q.services.app.hosts import is_host
from fleet_q.services.app.key_list import check_keys
from fleet_q.services.app.roles import ACTOR_PREFIX
from fleet_q.services.app.webhook import check_webhook, shown_webhook

DEFAULT_STORE: Final = "sqlite:///fleet-q.db"
SNOWFLAKE_STORE: Final = "snowflake://"


class Settings(PodSettings, frozen=True, kw_only=True):
    """All settings of a pod; each field is read from ``FLEET_Q_`` and its name in capitals.

    - ``pod_id``: the pod's name; unset, one is made of the host's name, see ``new_pod_id``.
    - ``version``: that of the application, which a pod tells the fleet; unset, that of the
      distribution to which the app's module belongs.
    - ``queues``: the queues from which the pod claims, separated by commas; empty, all.
    - ``store``: the URL of the store. ``app``: ``module:app``, what ``--app`` names.
    - ``durability``: what a commit to a SQLite file survives: ``process``, the kill of any process;
      ``power``, a power cut too.
    - ``max_processes``: functions that run in a process of their own at once; unset, one per core.
    - ``max_payload_bytes``, ``max_result_bytes``: of UTF-8, as JSON.
    - ``table_prefix``: the prefix of the tables' names in Snowflake.
    - ``api_keys``: ``NAME=ROLE:SECRET`` each, separated by commas; empty, the HTTP API requires
      none. ``api_keys_file``: a file with more of them, read anew when it changes.
    - ``tls_cert``, ``tls_key``: files in PEM with the certificate of the HTTP API and its key, read
      anew when they change; unset, it speaks HTTP. ``tls_client_ca``: with the certificates of
      those who sign clients' certificates; a client then needs one.
    - ``allowed_hosts``: the hosts, with or without a port, by which requests may call the HTTP API,
      separated by commas; ``*`` allows any.
    - ``alert_webhook``: the address that the leader sends alerts to; unset, it sends none.
    """

    pod_id: str | None = None
    version: str | None = None
    queues: tuple[str, ...] = ()
    store: str = DEFAULT_STORE
    durability: Durability = "process"
    app: str | None = None
    max_processes: Count | None = None
    max_payload_bytes: Annotated[int, Meta(ge=2)] = MAX_PAYLOAD_BYTES
    max_result_bytes: Annotated[int, Meta(ge=4)] = MAX_RESULT_BYTES
    table_prefix: str = ""
    api_keys: tuple[str, ...] = ()
    api_keys_file: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    alert_webhook: str | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pod_id is not None:
            check_id(self.pod_id, "FLEET_Q_POD_ID")
            if self.pod_id.startswith(ACTOR_PREFIX):
                raise InvalidInput(
                    f"FLEET_Q_POD_ID={self.pod_id!r}: {ACTOR_PREFIX} begins the names of"
                    " keys in the log; choose another id"
                )
        if self.version is not None:
            check_id(self.version, "FLEET_Q_VERSION")
        for queue in self.queues:
            try:
                check_queue(queue)
            except InvalidInput as error:
                raise InvalidInput(f"FLEET_Q_QUEUES: {error}") from None
        check_keys(self.api_keys)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidInput("FLEET_Q_TLS_CERT and FLEET_Q_TLS_KEY belong together: set both")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise InvalidInput("FLEET_Q_TLS_CLIENT_CA needs FLEET_Q_TLS_CERT and FLEET_Q_TLS_KEY")
        if self.alert_webhook is not None:
            check_webhook(self.alert_webhook)
        for host in self.allowed_hosts:
            if not is_host(host):
                raise InvalidInput(
                    f"FLEET_Q_ALLOWED_HOSTS: {host!r} is not the name or address of a host; write"
                    " queue.example.com, [::1], or * for any"
                )

    @property
    def has_keys(self) -> bool:
        """Whether the HTTP API requires keys."""
        return bool(self.api_keys) or self.api_keys_file is not None

    def __rich_repr__(self) -> Any:
        """Yield every field, with secrets replaced by ``***``; ``repr`` shows the same."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "api_keys" and value:
                value = "***"
            if name == "alert_webhook" and value:
                value = shown_webhook(value)
            yield name, shown(value) if name == "store" else value

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Settings({fields})"


def from_env(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``env``, by default the process's environment.

    An empty variable counts as unset. If ``FLEET_Q_STORE`` is unset and the ``SNOWFLAKE_*``
    variables name an account, the store is Snowflake. Raises :class:`InvalidInput`, naming the
    variable, for an invalid value and for a variable that looks like a misspelt setting. Other
    ``FLEET_Q_*`` variables are ignored: Kubernetes sets some for a service named ``fleet-q``.
    """
    variables = os.environ if env is None else env
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in variables.items():
        if not name.startswith(PREFIX) or not text.strip():
            continue
        field = fields.get(name.removeprefix(PREFIX).lower())
        if field is None:
            _reject_typo(name, [PREFIX + field_name.upper() for field_name in fields])
            continue
        values[field.name] = _convert(name, text.strip(), field.type)
    if "store" not in values and is_configured(variables):
        values["store"] = SNOWFLAKE_STORE
    return Settings(**values)


_ITEMS: Final = {
    f"{PREFIX}API_KEYS": "key",
    f"{PREFIX}ALLOWED_HOSTS": "host",
    f"{PREFIX}QUEUES": "queue",
}
"""What the settings list that are lists."""


def _reject_typo(name: str, settings: list[str]) -> None:
    close = difflib.get_close_matches(name, settings, n=1, cutoff=0.9)
    if close:
        raise InvalidInput(f"there is no setting {name}; did you mean {close[0]}?")


def _convert(name: str, text: str, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip())
        if not parts:  # an empty list would open the API to everybody, or all queues to the pod
            what = _ITEMS[name]
            raise InvalidInput(
                f"{name}=***: it names no {what}; separate {what}s by commas, or unset it"
            )
        return parts
    return convert_setting(name.removeprefix(PREFIX).lower(), text, kind, strict=False)
