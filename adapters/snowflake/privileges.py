"""Whether the role of a session may call what pods call."""

from __future__ import annotations

from fleet_q.adapters.snowflake.errors import CREATE_PROCEDURES
from fleet_q.adapters.snowflake.procedures import Procedure
from fleet_q.adapters.snowflake.schema import Place, grants_by_object
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import quoted
from fleet_q.core.errors import StoreError, StoreUnavailable

_ANYWHERE = Place("", "", "", "")


def check_privileges(session: Session) -> None:
    """Raise :class:`StoreError`, with what to do, if a procedure that pods call is missing or the
    role may not call it.

    Most procedures are called only by the leader, so a pod without the privilege would notice
    nothing until it leads, and then no dead pod's steps would be recovered. A procedure that
    Snowflake does not list is called so that it changes nothing, before it counts as missing.
    """
    needed = grants_by_object(session.statements, _ANYWHERE)
    listed = {quoted(row["name"]) for row in session.show("show_procedures")}
    lacking = [
        procedure.name
        for name, procedure in session.statements.procedures.items()
        if procedure.name in needed.keys() - listed and not _can_be_called(session, name, procedure)
    ]
    if lacking:
        raise StoreError(
            f"Snowflake: {', '.join(lacking)} missing, or not to be called by this role"
            f" ({CREATE_PROCEDURES})"
        )


def _can_be_called(session: Session, name: str, procedure: Procedure) -> bool:
    try:
        session.call(name, **procedure.harmless_values)
    except StoreUnavailable:
        raise
    except StoreError:
        return False
    return True
