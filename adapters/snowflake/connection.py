"""Turns ``SNOWFLAKE_*`` variables and ``snowflake://`` URLs into the connector's parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

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
"""The connector's parameters that a variable ``SNOWFLAKE_<NAME>`` or a URL's query may set:
https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api."""

SECRET: Final = frozenset(
    {"password", "private_key_file_pwd", "token", "oauth_client_secret", "passcode"}
)

LOGIN_TIMEOUT: Final = 60
NETWORK_TIMEOUT: Final = 60
"""Seconds after which the connector gives up a sign-in or a request. Pods retry by themselves."""


def is_configured(env: Mapping[str, str]) -> bool:
    """Whether the environment names a Snowflake account."""
    return any(env.get(f"{PREFIX}{name}", "").strip() for name in ("ACCOUNT", "CONNECTION_NAME"))


def connection_parameters(
    url: str, *, tag: str, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The connector's parameters for ``snowflake://[account[/database[/schema]]][?name=value]``.

    What the URL does not set is taken from the ``SNOWFLAKE_*`` variables of ``env``, by default the
    process's environment. ``tag`` is the sessions' ``QUERY_TAG``. Raises :class:`InvalidInput`,
    without secrets in its message, if no account is named or a value is invalid.
    """
    parameters = _given(url, env)
    if "account" not in parameters and "connection_name" not in parameters:
        raise InvalidInput(
            "no Snowflake account is configured: set SNOWFLAKE_ACCOUNT, or"
            " SNOWFLAKE_CONNECTION_NAME for an entry of connections.toml"
        )
    if not str(parameters.get("port", 1)).isdigit():
        raise InvalidInput(f"SNOWFLAKE_PORT must be a number, not {parameters['port']!r}")
    return {
        **parameters,
        "application": "FLEET_Q",
        "paramstyle": "qmark",
        "login_timeout": LOGIN_TIMEOUT,
        "network_timeout": NETWORK_TIMEOUT,
        "session_parameters": {"QUERY_TAG": tag, "TIMEZONE": "UTC"},
        "enable_server_session_keep_alive_auto_detection": False,  # 5.x warns if it is not set
    }


def named(url: str, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The connector's parameters without the secrets, for messages."""
    return {name: value for name, value in _given(url, env).items() if name not in SECRET}


def _given(url: str, env: Mapping[str, str] | None) -> dict[str, str]:
    return _from_env(os.environ if env is None else env) | _from_url(urlsplit(url))


def _from_env(env: Mapping[str, str]) -> dict[str, str]:
    given = {name: env.get(f"{PREFIX}{name.upper()}", "").strip() for name in PARAMETERS}
    return {name: value for name, value in given.items() if value}


def _from_url(url: SplitResult) -> dict[str, str]:
    if url.username or url.password:
        raise InvalidInput(
            "a snowflake:// URL may contain no user and no secret; set SNOWFLAKE_USER and the like"
        )
    database, _, schema = url.path.strip("/").partition("/")
    parts = {"account": url.hostname or "", "database": database, "schema": schema}
    parameters = {name: unquote(value) for name, value in parts.items() if value}
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        if name not in PARAMETERS - SECRET:
            raise InvalidInput(f"{name!r} is not a parameter that a snowflake:// URL may set")
        parameters[name] = value
    return parameters
