"""The checks of ``fleet-q doctor`` for a Snowflake store, each with a statement or command as
fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from statistics import median
from typing import Any, Final
from urllib.request import getproxies

import msgspec

from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.diagnosis import Check, Diagnosis, Finding, examine, fail, ok, warn
from fleet_q.adapters.snowflake import egress
from fleet_q.adapters.snowflake.errors import NO_PRIVILEGE, NO_SUCH_OBJECT, advice, number, plain
from fleet_q.adapters.snowflake.migrate import missing_procedures
from fleet_q.adapters.snowflake.schema import SCHEMA_VERSION, Place, grants_by_object
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import identifier, quoted
from fleet_q.adapters.snowflake.times import SLOTS
from fleet_q.core.errors import StoreError

ADMIN_ROLES: Final = {
    "ACCOUNTADMIN", "GLOBALORGADMIN", "ORGADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN",
}  # fmt: skip
"""Snowflake's built-in roles for administration:
https://docs.snowflake.com/en/user-guide/security-access-control-overview."""

LONGEST_IDLE: Final = 60
"""Seconds without a statement after which a warehouse should suspend. Each start is billed for as
many: https://docs.snowflake.com/en/user-guide/cost-understanding-compute."""

LARGEST_DIFFERENCE: Final = 10_000_000
"""Microseconds between the clocks. Key pair authentication fails from 60 seconds on:
https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting."""

SLOWEST: Final = 500_000
"""Microseconds for a statement. A pod's sync is one request."""

ROUNDS: Final = 5

KEPT_TABLES: Final = ("step_events", "pod_events", "queue_events", "schedule_events", "fleet_q")
"""The tables that cannot be made anew, for which Time Travel is as good as it costs: the logs, to
which rows are only added, and a table with one row."""

_APPLY: Final = "fleet-q schema --store snowflake:// --apply --role"
_CREATE_WAREHOUSE: Final = (
    "CREATE WAREHOUSE IF NOT EXISTS {} WAREHOUSE_SIZE = XSMALL"
    f" AUTO_SUSPEND = {LONGEST_IDLE} INITIALLY_SUSPENDED = TRUE"
)
_SIGN_IN: Final = "check SNOWFLAKE_ACCOUNT, and that this machine may reach it"


def examination(
    session: Session, named: Mapping[str, str], clock: Callable[[], int] = wall_clock
) -> Iterator[Finding]:
    """Run all checks and yield their findings. This resumes the warehouse.

    ``named`` are the connection's parameters without secrets. ``clock`` is this machine's, in
    microseconds since the Unix epoch.
    """
    checks = _Checks(session, named, clock)
    signed_in = ("sign-in",)
    return examine(
        [
            Check("sign-in", checks.sign_in),
            Check("role", checks.role, signed_in),
            Check("warehouse", checks.warehouse, signed_in),
            Check("auto-suspend", checks.auto_suspend, ("warehouse",)),
            Check("slots", checks.slots, ("warehouse",)),
            Check("database", checks.database, signed_in),
            Check("schema", checks.schema, ("database",)),
            Check("tables", checks.tables, ("schema",)),
            Check("retention", checks.retention, ("tables",)),
            Check("version", checks.version, ("tables", "warehouse")),
            Check("procedures", checks.procedures, ("version",)),
            Check("privileges", checks.privileges, ("tables", "warehouse")),
            Check("result cache", checks.result_cache, signed_in),
            Check("consistency", checks.consistency, signed_in),
            Check("egress", checks.egress, signed_in),
            Check("clock", checks.clock, signed_in),
            Check("latency", checks.latency, ("clock",)),
        ]
    )


class _Checks:
    def __init__(
        self, session: Session, named: Mapping[str, str], clock: Callable[[], int]
    ) -> None:
        self._session = session
        self._named = named
        self._clock = clock
        self._durations: list[int] = []

    def sign_in(self) -> Diagnosis:
        try:
            self._user, account, *context = self._session.query("signed_in")[0]
        except StoreError as error:
            return fail(plain(error), advice(error) or _SIGN_IN)
        self._role, self._warehouse, self._database, self._schema = context
        return ok(f"as {self._user}, account {account}")

    def role(self) -> Diagnosis:
        if not self._role:
            return fail(
                "the session has no role", f"{self._grant_role()}; export SNOWFLAKE_ROLE=FLEET_Q"
            )
        if self._role in ADMIN_ROLES:
            return warn(
                f"{self._role} can administer the account, and so can anybody who controls a pod",
                f"{_APPLY} FLEET_Q; {self._grant_role()}; export SNOWFLAKE_ROLE=FLEET_Q",
            )
        return ok(self._role)

    def warehouse(self) -> Diagnosis:
        if not self._warehouse:
            return self._missing("warehouse", _CREATE_WAREHOUSE)
        return ok(self._warehouse)

    def auto_suspend(self) -> Diagnosis:
        row = self._shown_warehouse
        alter = f"ALTER WAREHOUSE {quoted(self._warehouse)} SET"
        if row is None:
            return warn(
                f"{self._role} is not allowed to see the warehouse's settings",
                f"{alter} AUTO_SUSPEND = {LONGEST_IDLE}",
            )
        if str(row["auto_resume"]).lower() == "false":
            return fail(
                "the warehouse does not resume: once it is suspended, every statement fails",
                f"{alter} AUTO_RESUME = TRUE",
            )
        idle = int(row["auto_suspend"] or 0)
        if not 0 < idle <= LONGEST_IDLE:
            duration = f"for {idle} s" if idle else "for ever"
            return warn(
                f"without statements, the warehouse runs on {duration} and is billed for it",
                f"{alter} AUTO_SUSPEND = {LONGEST_IDLE}",
            )
        return ok(f"after {idle} s without statements; size {row['size']}")

    def slots(self) -> Diagnosis:
        """How many statements the warehouse runs at a time."""
        warehouse = quoted(self._warehouse)
        try:
            shown = self._session.show("show_slots", warehouse=warehouse)
        except StoreError as error:
            return ok(f"not visible to {self._role}: {plain(error)}")
        slots = int(shown[0]["value"]) if shown else SLOTS
        clusters = int((self._shown_warehouse or {}).get("max_cluster_count") or 1)
        message = f"{slots} statements at a time"
        if clusters > 1:
            message += f" on each of at most {clusters} clusters"
        if slots < SLOTS:
            return warn(
                f"{message}; others queue, also those that hold a lock",
                f"ALTER WAREHOUSE {warehouse} SET MAX_CONCURRENCY_LEVEL = {SLOTS}",
            )
        return ok(message)

    def database(self) -> Diagnosis:
        if not self._database:
            return self._missing("database", "CREATE DATABASE IF NOT EXISTS {}")
        return ok(self._database)

    def schema(self) -> Diagnosis:
        if not self._schema:
            within = f"{quoted(self._database)}."
            return self._missing("schema", "CREATE SCHEMA IF NOT EXISTS {}", within)
        return ok(self._schema)

    def tables(self) -> Diagnosis:
        shown = self._shown_tables
        missing = [name for name in self._session.statements.names.values() if name not in shown]
        if missing:
            return fail(
                f"{', '.join(missing)}: missing, or not visible to {self._role}", self._apply()
            )
        hybrid = [row for row in shown.values() if row.get("is_hybrid") == "Y"]
        return ok(f"all {len(self._session.statements.names)}{', two hybrid' if hybrid else ''}")

    def retention(self) -> Diagnosis:
        """Whether Snowflake keeps old partitions of the tables that change all the time."""
        shown = self._shown_tables
        names = self._session.statements.names
        changing = [shown[name] for table, name in names.items() if table not in KEPT_TABLES]
        standard = [row for row in changing if row.get("is_hybrid") != "Y"]
        kept = [row["name"] for row in standard if int(row.get("retention_time") or 0)]
        if kept:
            return warn(
                f"old versions of {', '.join(kept)} are kept for Time Travel, and billed",
                "; ".join(
                    f"ALTER TABLE {quoted(name)} SET DATA_RETENTION_TIME_IN_DAYS = 0"
                    for name in kept
                ),
            )
        permanent = [row["name"] for row in standard if row["kind"] == "TABLE"]
        if permanent:
            return ok(f"none, but 7 days of Fail-safe of {', '.join(permanent)}")
        return ok("none of the tables that change")

    def version(self) -> Diagnosis:
        try:
            versions = [int(row[0]) for row in self._session.query("schema_version")]
        except StoreError as error:
            return fail(plain(error), self._apply())
        if len(versions) != 1:
            return fail("creating the tables was interrupted", self._apply())
        if versions[0] < SCHEMA_VERSION:
            return fail(f"{versions[0]}, and this FLEET-Q needs {SCHEMA_VERSION}", self._apply())
        if versions[0] > SCHEMA_VERSION:
            return fail(
                f"{versions[0]}, and this FLEET-Q knows {SCHEMA_VERSION}", "pip install -U fleet-q"
            )
        return ok(str(versions[0]))

    def procedures(self) -> Diagnosis:
        missing = [procedure.name for procedure in missing_procedures(self._session)]
        needed = grants_by_object(self._session.statements, self._place())
        if lacking := [name for name in missing if name in needed]:
            return fail(
                f"{' and '.join(lacking)} missing, outdated, or not to be called by {self._role}",
                self._apply(),
            )
        return ok("all that a pod calls")

    def privileges(self) -> Diagnosis:
        needed = grants_by_object(self._session.statements, self._place())
        tables = self._session.statements.names.values()
        lacking = [table for table in tables if not self._may_read(table)]
        if not lacking:
            return ok("every table may be read")
        return fail(
            f"{self._role} lacks SELECT on {' and '.join(lacking)}",
            "; ".join(needed[table] for table in lacking),
        )

    def result_cache(self) -> Diagnosis:
        shown = self._session.show("show_result_cache")
        if any(str(row["value"]).lower() == "false" for row in shown):
            return warn(
                "off: polls of an idle fleet may need the warehouse every time",
                f"ALTER USER {quoted(self._user)} SET USE_CACHED_RESULT = TRUE",
            )
        return ok("on")

    def consistency(self) -> Diagnosis:
        """The account's READ_CONSISTENCY_MODE. FLEET-Q is right in both."""
        try:
            shown = self._session.show("show_read_consistency")
        except StoreError as error:
            return ok(f"not visible to {self._role}: {plain(error)}")
        mode = str(shown[0]["value"]).upper() if shown else "SESSION"
        if mode == "GLOBAL":
            return ok(f"{mode}: a commit is seen by all sessions at once")
        return ok(f"{mode}: other sessions may see a commit a moment later")

    def egress(self) -> Diagnosis:
        """Whether this machine reaches the hosts that the account names."""
        if getproxies().get("https"):
            return ok("by a proxy, behind which single hosts cannot be tried")
        try:
            listed = egress.hosts(self._session.query("allowlist")[0][0])
        except (StoreError, msgspec.MsgspecError) as error:
            return ok(f"the account does not name its hosts: {error}")
        if not listed:
            return ok("the account names no hosts")
        lacking = egress.unreachable(listed)
        if not lacking:
            return ok(f"all {len(listed)} hosts of SYSTEM$ALLOWLIST() can be reached")
        message = f"cannot be reached: {', '.join(map(str, lacking))}"
        fix = f"allow outgoing connections to {' '.join(map(str, lacking))}"
        if any(host.type == egress.STORAGE for host in lacking):
            return fail(f"{message}; large results come from storage, and would not arrive", fix)
        return warn(message, fix)

    def clock(self) -> Diagnosis:
        samples = []
        for _ in range(ROUNDS):
            started = self._clock()
            server_time = int(self._session.query("clock")[0][0])
            duration = self._clock() - started
            self._durations.append(duration)
            samples.append((duration, server_time - started - duration // 2))
        _, difference = min(samples)  # the fastest one is the most accurate
        side = "ahead of" if difference > 0 else "behind"
        message = f"{_seconds(abs(difference))} {side} this machine's"
        if abs(difference) > LARGEST_DIFFERENCE:
            return warn(
                f"{message}; from 60 s on key pair authentication fails",
                "set this machine's clock by NTP",
            )
        return ok(message)

    def latency(self) -> Diagnosis:
        typical = int(median(self._durations))
        message = f"{_seconds(typical)} a statement"
        if typical > SLOWEST:
            return warn(
                f"{message}; every sync and every poll takes as long",
                "run pods in the region of the account",
            )
        return ok(message)

    @cached_property
    def _shown_warehouse(self) -> dict[str, Any] | None:
        """The session's warehouse, as SHOW WAREHOUSES has it; ``None`` if the role may not see
        it."""
        shown = self._session.show("show_warehouses")
        return next((row for row in shown if row["name"] == self._warehouse), None)

    @cached_property
    def _shown_tables(self) -> dict[str, dict[str, Any]]:
        """The tables of the schema, as SHOW TABLES has them, by their quoted names."""
        return {quoted(row["name"]): row for row in self._session.show("show_tables")}

    def _may_read(self, table: str) -> bool:
        try:
            self._session.execute(self._session.statements.text("try_select", table=table))
        except StoreError as error:
            if number(error) not in (NO_PRIVILEGE, NO_SUCH_OBJECT):
                raise
            return False
        return True

    def _missing(self, what: str, create: str, within: str = "") -> Diagnosis:
        """The diagnosis for a warehouse, database or schema that the session does not have.
        Snowflake does not tell whether it is missing or the role may not use it."""
        variable = f"SNOWFLAKE_{what.upper()}"
        named = self._named.get(what)
        if named is None:
            return fail("not configured", f"export {variable}=...")
        name = within + identifier(named)
        grant = f"GRANT USAGE ON {what.upper()} {name} TO ROLE {quoted(self._role or '')}"
        return fail(
            f"{variable} is {named}, which does not exist, or which {self._role} may not use",
            f"{create.format(name)}; {grant}",
        )

    def _place(self) -> Place:
        names = (self._warehouse, self._database, self._schema, self._role)
        return Place(*(quoted(name or "") for name in names))

    def _apply(self) -> str:
        return f"{_APPLY} {self._role}"

    def _grant_role(self) -> str:
        return f"GRANT ROLE FLEET_Q TO USER {quoted(self._user)}"


def _seconds(microseconds: int) -> str:
    return (
        f"{microseconds / 1_000_000:.2f} s"
        if microseconds > 999_499
        else f"{microseconds // 1_000} ms"
    )
