"""The routes by which tests control the stand-in: ``/standin/<database>/<schema>/``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import rows
from .names import unquoted
from .scene import Scene
from .sessions import Session

if TYPE_CHECKING:
    from .app import App


class Control:
    """Settings, faults, sessions and the log of each schema."""

    prefix: Final = "/standin/"

    def __init__(self, app: App) -> None:
        self._app = app

    def handle(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Handle a request; returns the HTTP status and the content of the answer."""
        parts = path.removeprefix(self.prefix).split("/")
        where = parts[0].upper(), parts[1].upper()
        scene = self._app.scenes[where]
        match method, parts[2:]:
            case "GET", ["log"]:
                return 200, [entry.as_json() for entry in scene.log]
            case "DELETE", ["log"]:
                scene.log.clear()
            case "PUT", ["settings"]:
                scene.set(body)
            case "POST", ["faults"]:
                scene.faults.add(body)
            case "DELETE", ["faults"]:
                scene.faults.clear()
            case "GET", ["sessions"]:
                return 200, [self._describe(session) for session in self._sessions(scene)]
            case "DELETE", ["sessions", *which]:
                for session in self._sessions(scene):
                    if not which or str(session.id) in which:
                        self._app.end(session)
            case "PUT", ["rows"]:
                scene.rows = rows.read(self._app.database.fakesnow.duck_conn, *where)
                scene.kept_retention = scene.retention.copy()
            case "DELETE", ["rows"]:
                self._reset(scene)
            case "DELETE", []:
                self._drop(where, scene)
            case _:
                return 404, {"error": f"{method} {path} is not a route of the stand-in"}
        return 200, {}

    def _sessions(self, scene: Scene) -> list[Session]:
        return [s for s in self._app.sessions.values() if s.scene is scene]

    def _describe(self, session: Session) -> dict[str, Any]:
        locks = self._app.database.locks
        transaction = session.transaction
        both = [session] if session.callee is None else [session, session.callee]
        return {
            "id": session.id,
            "user": session.user,
            "query_tag": session.query_tag,
            "parameters": session.parameters,
            "transaction": transaction.id if transaction is not None else None,
            "locks": [unquoted(table) for each in both for table in locks.held_by(each)],
            "waiting_for": [
                unquoted(table)
                for table, _, waiters in locks.all()
                if any(each in waiters for each in both)
            ],
            "idle_for": session.idle_for,
        }

    def _reset(self, scene: Scene) -> None:
        for session in self._sessions(scene):
            self._app.end(session)
        scene.reset()
        database = self._app.database
        rows.restore(database.fakesnow.duck_conn, scene.rows)
        database.note_changes(scene.rows)

    def _drop(self, where: tuple[str, str], scene: Scene) -> None:
        for session in self._sessions(scene):
            self._app.end(session)
        database, schema = where
        duck = self._app.database.fakesnow.duck_conn
        self._app.database.drop(database, schema)
        if duck.execute(
            "SELECT 1 FROM information_schema.schemata WHERE upper(catalog_name) = ?"
            " AND upper(schema_name) = ?",
            [database, schema],
        ).fetchone():
            duck.execute(f'DROP SCHEMA "{database}"."{schema}" CASCADE')
        del self._app.scenes[where]
