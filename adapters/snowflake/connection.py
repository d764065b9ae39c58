"""How to sign in to Snowflake: from ``SNOWFLAKE_*`` variables and ``snowflake://`` URLs to the
parameters of the connector."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from fleet_q.adapters.snowflake.traits import LOCK_TIMEOUT
from fleet_q.core.errors import InvalidInput

PREFIX: Final = "SNOWFLAKE_"

PARAMETERS: Final = frozenset(
    {
        "account", "user", "password", "database", "schema", "warehouse", "role",
        "authenticator", "private_key_file", "private_key_file_pwd", "token", "token_file_path",
        "oauth_client_id", "oauth_client_secret", "oauth_token_request_url", "oauth_scope",
        "workload_identity_provider", "workload_identity_entra_resource", "connection_name",
        "connections_file_path", "host", "port", "protocol", "region", "passcode",
    }
)  # fmt: skip
"""The connector's own parameters that a variable ``SNOWFLAKE_<NAME>``, or a URL's query, may give:
https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api."""

SECRET: Final = frozenset(
    {"password", "private_key_file_pwd", "token", "oauth_client_secret", "passcode"}
)

LOGIN_TIMEOUT: Final = 60
NETWORK_TIMEOUT: Final = 60
"""Seconds after which the connector gives a sign-in, or a request, up; a pod tries again itself."""


def is_configured(env: Mapping[str, str]) -> bool:
    """Whether the environment says where Snowflake is."""
    return any(env.get(f"{PREFIX}{name}", "").strip() for name in ("ACCOUNT", "CONNECTION_NAME"))


def connection_parameters(
    url: str, *, tag: str, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The connector's parameters for ``snowflake://[account[/database[/schema]]][?name=value]``.

    What the URL does not say, the ``SNOWFLAKE_*`` variables of ``env`` (the process's environment)
    do. ``tag`` is the sessions' ``QUERY_TAG``. Raises :class:`InvalidInput`, never showing a
    secret, if it is not said whom to sign in to.
    """
    parameters = _given(url, env)
    if "account" not in parameters and "connection_name" not in parameters:
        raise InvalidInput(
            "it is not said where Snowflake is; set SNOWFLAKE_ACCOUNT, or SNOWFLAKE_CONNECTION_NAME"
            " for an entry of connections.toml"
        )
    if not str(parameters.get("port", 1)).isdigit():
        raise InvalidInput("SNOWFLAKE_PORT must be a number")
    return {
        **parameters,
        "application": "FLEET_Q",
        "paramstyle": "qmark",
        "login_timeout": LOGIN_TIMEOUT,
        "network_timeout": NETWORK_TIMEOUT,
        "session_parameters": {
            "QUERY_TAG": tag,
            "TIMEZONE": "UTC",
            "LOCK_TIMEOUT": LOCK_TIMEOUT,
        },
        "enable_server_session_keep_alive_auto_detection": False,  # 5.x asks for a word on it
    }


def named(url: str, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Those of the parameters of which one may speak: no secrets."""
    return {name: value for name, value in _given(url, env).items() if name not in SECRET}


def _given(url: str, env: Mapping[str, str] | None) -> dict[str, str]:
    return _from_env(os.environ if env is None else env) | _from_url(urlsplit(url))


def _from_env(env: Mapping[str, str]) -> dict[str, str]:
    given = {name: env.get(f"{PREFIX}{name.upper()}", "").strip() for name in PARAMETERS}
    return {name: value for name, value in given.items() if value}


def _from_url(url: SplitResult) -> dict[str, str]:
    if url.username or url.password:
        raise InvalidInput(
            "a snowflake:// URL holds no user and no secret; set SNOWFLAKE_USER and the like"
        )
    database, _, schema = url.path.strip("/").partition("/")
    where = {"account": url.hostname or "", "database": database, "schema": schema}
    found = {name: unquote(value) for name, value in where.items() if value}
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        if name not in PARAMETERS - SECRET:
            raise InvalidInput(f"{name!r} is nothing that a snowflake:// URL may say")
        found[name] = value
    return found
