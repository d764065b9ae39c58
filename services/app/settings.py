"""Settings from ``FLEET_Q_*`` variables."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from fleet_q.adapters.open import shown
from fleet_q.adapters.snowflake.connection import is_configured
from fleet_q.adapters.sqlite.store import Durability
from fleet_q.core.errors import InvalidInput
from fleet_q.core.settings import PREFIX, Count, PodSettings, convert_setting
from fleet_q.core.submission import MAX_PAYLOAD_BYTES, MAX_RESULT_BYTES, check_id
from fleet_q.services.app.hosts import is_host

DEFAULT_STORE: Final = "sqlite:///fleet-q.db"
SNOWFLAKE_STORE: Final = "snowflake://"


class Settings(PodSettings, frozen=True, kw_only=True):
    """All settings of a pod; every field is the variable ``FLEET_Q_`` and its name in capitals.

    ``pod_id``: the pod's name; unset, one is made from the host's. ``max_processes``: how many
    functions with a process run at once; unset, as many as there are cores. ``durability``: what a
    commit to a SQLite file survives, the kill of any process or a power cut too. ``table_prefix``:
    what the names of the tables in Snowflake begin with. ``api_keys``: separated by commas, of
    visible ASCII characters; empty, the HTTP API asks for none. ``allowed_hosts``: what the HTTP
    API may be called, separated by commas, with or without a port; ``*`` is any name.
    """

    pod_id: str | None = None
    store: str = DEFAULT_STORE
    durability: Durability = "process"
    app: str | None = None
    max_processes: Count | None = None
    max_payload_bytes: Annotated[int, Meta(ge=2)] = MAX_PAYLOAD_BYTES
    max_result_bytes: Annotated[int, Meta(ge=4)] = MAX_RESULT_BYTES
    table_prefix: str = ""
    api_keys: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pod_id is not None:
            check_id(self.pod_id, "FLEET_Q_POD_ID")
        if not all(re.fullmatch("[!-~]+", key) for key in self.api_keys):
            raise InvalidInput("FLEET_Q_API_KEYS=***: a key has visible ASCII characters only")
        for host in self.allowed_hosts:
            if not is_host(host):
                raise InvalidInput(
                    f"FLEET_Q_ALLOWED_HOSTS: {host!r} is not the name or address of a host; write"
                    " queue.example.com, [::1], or * for any"
                )

    def __rich_repr__(self) -> Any:
        """Every field, without secrets; ``repr`` shows the same."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "api_keys" and value:
                value = "***"
            yield name, shown(value) if name == "store" else value

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Settings({fields})"


def from_env(env: Mapping[str, str] | None = None) -> Settings:
    """The settings that ``env`` (the process's environment) asks for.

    An empty variable counts as unset. Without ``FLEET_Q_STORE``, the store is Snowflake if the
    ``SNOWFLAKE_*`` variables say where that is. Raises :class:`InvalidInput`, naming the
    variable, for a value that cannot be one, and for a variable that looks like a setting
    misspelt. Other ``FLEET_Q_*`` variables are let be: Kubernetes makes some for a service named
    ``fleet-q``.
    """
    given = os.environ if env is None else env
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in given.items():
        if not name.startswith(PREFIX) or not text.strip():
            continue
        field = fields.get(name.removeprefix(PREFIX).lower())
        if field is None:
            _refuse_typo(name, [PREFIX + known.upper() for known in fields])
            continue
        values[field.name] = _convert(name, text.strip(), field.type)
    if "store" not in values and is_configured(given):
        values["store"] = SNOWFLAKE_STORE
    return Settings(**values)


def _refuse_typo(name: str, known: list[str]) -> None:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
    if close:
        raise InvalidInput(f"there is no setting {name}; did you mean {close[0]}?")


def _convert(name: str, text: str, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip())
        if not parts:  # or the API would be open to all, which was not meant
            what = "key" if name.endswith("API_KEYS") else "host"
            raise InvalidInput(f"{name}=***: there is no {what} between the commas")
        return parts
    return convert_setting(name.removeprefix(PREFIX).lower(), text, kind, strict=False)
