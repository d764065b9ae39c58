"""Opens a store in Snowflake. Importing this module raises :class:`StoreError` if the connector is
not installed, so it is imported only when needed."""

from __future__ import annotations

from collections.abc import Mapping

from fleet_q.adapters.ids import INTAKE
from fleet_q.adapters.snowflake.connection import connection_parameters
from fleet_q.adapters.snowflake.deadline import FETCH_TIMEOUT
from fleet_q.core.errors import StoreError
from fleet_q.core.inbox import Intake

try:
    from fleet_q.adapters.snowflake.store import PATIENCE, SnowflakeStore
except ModuleNotFoundError as error:
    if error.name is None or not error.name.startswith("snowflake"):
        raise
    raise StoreError(
        "the Snowflake connector is not installed: pip install 'fleet-q[snowflake]'"
    ) from None


def open_snowflake(
    url: str,
    *,
    tag: str,
    table_prefix: str,
    for_pod: bool = False,
    env: Mapping[str, str] | None = None,
    intake: Intake = INTAKE,
) -> SnowflakeStore:
    """The store that ``url`` names. It signs in when it is first used. ``for_pod``: each call is
    tried once, and its result must arrive within :data:`FETCH_TIMEOUT`, since a pod has a backoff
    of its own, and one thread for its store. ``env`` is that of :func:`connection_parameters`,
    ``intake`` for rows of the inbox."""
    return SnowflakeStore(
        connection_parameters(url, tag=tag, env=env),
        prefix=table_prefix,
        patience=0.0 if for_pod else PATIENCE,
        fetch_timeout=FETCH_TIMEOUT if for_pod else None,
        intake=intake,
    )
