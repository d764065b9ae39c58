"""What the doctor looks at in Snowflake, and the statement that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from statistics import median
from typing import Final

from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.diagnosis import Check, Diagnosis, Finding, examine, fail, ok, warn
from fleet_q.adapters.snowflake.errors import NO_PRIVILEGE, NO_SUCH_OBJECT, advice, number, plain
from fleet_q.adapters.snowflake.schema import SCHEMA_VERSION, Place, grants_by_table
from fleet_q.adapters.snowflake.session import Session, new_change_id
from fleet_q.adapters.snowflake.statements import identifier, quoted
from fleet_q.core.errors import StoreError

MIGHTY: Final = {
    "ACCOUNTADMIN", "GLOBALORGADMIN", "ORGADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN",
}  # fmt: skip
"""The roles that Snowflake comes with to administer it:
https://docs.snowflake.com/en/user-guide/security-access-control-overview."""

LONGEST_IDLE: Final = 60
"""Seconds that a warehouse should run on for with nothing to do. Each start bills as many:
https://docs.snowflake.com/en/user-guide/cost-understanding-compute."""

LARGEST_DIFFERENCE: Final = 10_000_000
"""Microseconds between the clocks. A key pair's sign-in is refused at 60 seconds:
https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting."""

SLOWEST: Final = 500_000
"""Microseconds for a statement; a turn of a pod is up to seven of them."""

ROUNDS: Final = 5

_APPLY: Final = "fleet-q schema --store snowflake:// --apply --role"
_CREATE_WAREHOUSE: Final = (
    "CREATE WAREHOUSE IF NOT EXISTS {} WAREHOUSE_SIZE = XSMALL"
    f" AUTO_SUSPEND = {LONGEST_IDLE} INITIALLY_SUSPENDED = TRUE"
)
_SIGN_IN: Final = "check SNOWFLAKE_ACCOUNT, and that this machine may reach it"


def examination(
    session: Session, named: Mapping[str, str], clock: Callable[[], int] = wall_clock
) -> Iterator[Finding]:
    """Look at everything, one finding after the other.

    ``named`` are the parameters of the connection of which the doctor may speak: no secrets.
    ``clock`` is this machine's, in microseconds since the Unix epoch. The warehouse is woken.
    """
    look = _Look(session, named, clock)
    signed_in = ("sign-in",)
    return examine(
        [
            Check("sign-in", look.sign_in),
            Check("role", look.role, signed_in),
            Check("warehouse", look.warehouse, signed_in),
            Check("auto-suspend", look.auto_suspend, ("warehouse",)),
            Check("database", look.database, signed_in),
            Check("schema", look.schema, ("database",)),
            Check("tables", look.tables, ("schema",)),
            Check("version", look.version, ("tables", "warehouse")),
            Check("privileges", look.privileges, ("tables", "warehouse")),
            Check("result cache", look.result_cache, signed_in),
            Check("clock", look.clock, signed_in),
            Check("latency", look.latency, ("clock",)),
        ]
    )


class _Look:
    def __init__(
        self, session: Session, named: Mapping[str, str], clock: Callable[[], int]
    ) -> None:
        self._session = session
        self._named = named
        self._clock = clock
        self._took: list[int] = []

    def sign_in(self) -> Diagnosis:
        try:
            self._user, account, *where = self._session.query("signed_in")[0]
        except StoreError as error:
            return fail(plain(error), advice(error) or _SIGN_IN)
        self._role, self._warehouse, self._database, self._schema = where
        return ok(f"as {self._user}, account {account}")

    def role(self) -> Diagnosis:
        if not self._role:
            return fail(
                "the session has none", f"{self._grant_role()}; export SNOWFLAKE_ROLE=FLEET_Q"
            )
        if self._role in MIGHTY:
            return warn(
                f"{self._role} administers the account, and whoever gets at a pod gets at that",
                f"{_APPLY} FLEET_Q; {self._grant_role()}; export SNOWFLAKE_ROLE=FLEET_Q",
            )
        return ok(self._role)

    def warehouse(self) -> Diagnosis:
        if not self._warehouse:
            return self._missing("warehouse", _CREATE_WAREHOUSE)
        return ok(self._warehouse)

    def auto_suspend(self) -> Diagnosis:
        shown = self._session.show("show_warehouses")
        row = next((row for row in shown if row["name"] == self._warehouse), None)
        alter = f"ALTER WAREHOUSE {quoted(self._warehouse)} SET"
        if row is None:
            return warn(f"{self._role} may not see it", f"{alter} AUTO_SUSPEND = {LONGEST_IDLE}")
        if str(row["auto_resume"]).lower() == "false":
            return fail(
                "once the warehouse is suspended, it stays so and every statement fails",
                f"{alter} AUTO_RESUME = TRUE",
            )
        idle = int(row["auto_suspend"] or 0)
        if not 0 < idle <= LONGEST_IDLE:
            runs = f"for {idle} s" if idle else "for ever"
            return warn(
                f"with nothing to do, the warehouse runs on {runs}, and is billed for that",
                f"{alter} AUTO_SUSPEND = {LONGEST_IDLE}",
            )
        return ok(f"after {idle} s with nothing to do; size {row['size']}")

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
        shown = {quoted(row["name"]): row for row in self._session.show("show_tables")}
        missing = [name for name in self._session.statements.names.values() if name not in shown]
        if missing:
            return fail(
                f"{', '.join(missing)}: not there, or not for {self._role} to see", self._apply()
            )
        hybrid = [row for row in shown.values() if row.get("is_hybrid") == "Y"]
        return ok(f"all {len(self._session.statements.names)}{', two hybrid' if hybrid else ''}")

    def version(self) -> Diagnosis:
        try:
            found = [int(row[0]) for row in self._session.query("schema_version")]
        except StoreError as error:
            return fail(plain(error), self._apply())
        if len(found) != 1:
            return fail("the tables were not made to the end", self._apply())
        if found[0] < SCHEMA_VERSION:
            return fail(f"{found[0]}, and this FLEET-Q needs {SCHEMA_VERSION}", self._apply())
        if found[0] > SCHEMA_VERSION:
            return fail(
                f"{found[0]}, and this FLEET-Q knows {SCHEMA_VERSION}", "pip install -U fleet-q"
            )
        return ok(str(found[0]))

    def privileges(self) -> Diagnosis:
        needed = grants_by_table(self._session.statements, self._place())
        refused = {
            table: self._refused(table, privileges) for table, (_, privileges) in needed.items()
        }
        lacking = {table: each for table, each in refused.items() if each}
        if not lacking:
            return ok("all that a pod needs, each tried and taken back")
        return fail(
            f"{self._role} has not "
            + "; nor ".join(f"{' and '.join(each)} on {table}" for table, each in lacking.items()),
            "; ".join(needed[table][0] for table in lacking),
        )

    def result_cache(self) -> Diagnosis:
        shown = self._session.show("show_result_cache")
        if any(str(row["value"]).lower() == "false" for row in shown):
            return warn(
                "off, so that a fleet which sleeps may need the warehouse for every look",
                f"ALTER USER {quoted(self._user)} SET USE_CACHED_RESULT = TRUE",
            )
        return ok("on")

    def clock(self) -> Diagnosis:
        differences = []
        for _ in range(ROUNDS):
            sent = self._clock()
            theirs = int(self._session.query("clock")[0][0])
            took = self._clock() - sent
            self._took.append(took)
            differences.append((took, theirs - sent - took // 2))
        _, difference = min(differences)
        side = "ahead of" if difference > 0 else "behind"
        says = f"{_seconds(abs(difference))} {side} this machine's"
        if abs(difference) > LARGEST_DIFFERENCE:
            return warn(
                f"{says}; from 60 s on a key pair's sign-in is refused",
                "set this machine's clock by NTP",
            )
        return ok(says)

    def latency(self) -> Diagnosis:
        typical = int(median(self._took))
        says = f"{_seconds(typical)} a statement"
        if typical > SLOWEST:
            return warn(
                f"{says}; a pod's claim keeps the table locked for several of them",
                "run pods in the region of the account",
            )
        return ok(says)

    def _refused(self, table: str, privileges: Sequence[str]) -> list[str]:
        """Which of the privileges the role has not. Each is tried on no row, and rolled back; one
        table after the other, so that no two are locked at once."""
        refused = []
        with suppress(_TakeBack), self._session.transaction(new_change_id()):
            for privilege in privileges:
                try:
                    self._session.execute(self._attempt(privilege, table))
                except StoreError as error:
                    if number(error) not in (NO_PRIVILEGE, NO_SUCH_OBJECT):
                        raise
                    refused.append(privilege)
            raise _TakeBack
        return refused

    def _attempt(self, privilege: str, table: str) -> str:
        statements = self._session.statements
        column = "submissions" if table == statements.names["fleet_q"] else "version"
        return statements.text(f"try_{privilege.lower()}", table=table, column=column)

    def _missing(self, what: str, create: str, within: str = "") -> Diagnosis:
        """The session has no such thing, which is all that Snowflake says of one that it does not
        know, or that the role may not use."""
        variable = f"SNOWFLAKE_{what.upper()}"
        named = self._named.get(what)
        if named is None:
            return fail("none is named", f"export {variable}=...")
        name = within + identifier(named)
        grant = f"GRANT USAGE ON {what.upper()} {name} TO ROLE {quoted(self._role or '')}"
        return fail(
            f"{variable} names {named}, which is not there, or not for {self._role} to use",
            f"{create.format(name)}; {grant}",
        )

    def _place(self) -> Place:
        names = (self._warehouse, self._database, self._schema, self._role)
        return Place(*(quoted(name or "") for name in names))

    def _apply(self) -> str:
        return f"{_APPLY} {self._role}"

    def _grant_role(self) -> str:
        return f"GRANT ROLE FLEET_Q TO USER {quoted(self._user)}"


class _TakeBack(Exception):
    """Ends a transaction without its changes."""


def _seconds(microseconds: int) -> str:
    return (
        f"{microseconds / 1_000_000:.2f} s"
        if microseconds > 999_499
        else f"{microseconds // 1_000} ms"
    )
