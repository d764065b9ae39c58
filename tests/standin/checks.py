"""What a statement may do: privileges, and the sizes of values."""

from __future__ import annotations

from typing import Any, Final

import pyarrow
import pyarrow.compute

from . import errors
from .answers import Result
from .plans import Plan
from .procedures import Procedure
from .sessions import Session

_PRIVILEGES: Final = {"select": "SELECT", "insert": "INSERT", "update": "UPDATE",
                      "delete": "DELETE", "truncate": "TRUNCATE", "merge": "UPDATE"}  # fmt: skip


def check_result(session: Session, result: Result) -> None:
    """Raise an error for a value of a result that is larger than Snowflake's largest."""
    most = session.scene.most_bytes
    if result.table is None or result.table.nbytes <= most:
        return
    for column in result.table.columns:
        if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
            size = pyarrow.compute.max(pyarrow.compute.binary_length(column)).as_py() or 0
            if size > most:
                raise errors.too_large_result(size, most)


def check_values(session: Session, values: list[Any]) -> None:
    """Raise an error for a bound value that is larger than Snowflake's largest."""
    most = session.scene.most_bytes
    for value in values:
        if isinstance(value, str) and len(value) * 4 > most and len(value.encode()) > most:
            raise errors.too_large_value(len(value.encode()), most)


def check_usage(session: Session, procedure: Procedure) -> None:
    """A role without USAGE on a procedure does not see it."""
    if session.scene.denies("USAGE", procedure.name):
        raise errors.no_procedure(f"{procedure.database}.{procedure.schema}.{procedure.name}")


def check_privileges(session: Session, plan: Plan) -> None:
    if session.has_owner_rights:
        return
    wanted = {("SELECT", table.name.upper()) for table in plan.reads}
    if plan.target is not None:
        wanted.discard(("SELECT", plan.target.name.upper()))
        wanted.add((_PRIVILEGES[plan.kind], plan.target.name.upper()))
    for privilege, table in sorted(wanted):
        if session.scene.denies(privilege, table):
            raise errors.no_privilege(table)
