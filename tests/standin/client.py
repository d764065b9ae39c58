"""The stand-in's process and its schemas, as tests use them."""

from __future__ import annotations

import atexit
import importlib.metadata
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from tests.waiting import LIMIT

from .log import Entry

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = "FLEET_Q_STANDIN_PYTHON"
"""Names an interpreter with fakesnow and connector 4.x, for tests that run with 5.x."""

_GIVEN: Final = os.environ.get(PYTHON)  # read at import, since tests delete such variables

NO_CLOUD_DETECTION: Final = ("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
"""A variable that keeps the driver from asking the network at login which cloud it is in."""

QUICK_RETRIES: Final[dict[str, Any]] = {"backoff_policy": lambda: itertools.repeat(0.05)}
"""Parameters that make connector 4.x wait only 50 ms before it repeats a request, instead of a
second or more; 5.x is as quick by itself."""

DATABASE: Final = "FLEET_Q"
_numbers: Final = itertools.count(1)


def interpreter() -> str | None:
    """The interpreter that can run the stand-in; ``None`` if there is none."""
    if _GIVEN:
        return _GIVEN
    if importlib.util.find_spec("fakesnow") is None:
        return None
    version = importlib.metadata.version("snowflake-connector-python")
    return sys.executable if version.startswith("4.") else None


NO_INTERPRETER: Final = (
    f"the stand-in needs fakesnow and snowflake-connector-python 4.x; set {PYTHON} to a Python"
    " that has them"
)


@cache
def shared() -> Standin:
    """The stand-in that the tests of this process share: starting one takes about a second."""
    standin = Standin()
    standin.start()
    atexit.register(standin.stop)
    return standin


class Standin:
    """A stand-in in a child process, which ends with this process at the latest.

    With a folder ``data`` it can be restarted after it was stopped or killed, with the same URL and
    the committed data.
    """

    def __init__(self, data: Path | None = None) -> None:
        self.url = ""
        self._data = data
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Standin:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it. Raises ``RuntimeError`` if there is nothing that can run it."""
        python = interpreter()
        if python is None:
            raise RuntimeError(NO_INTERPRETER)
        where, own = [], {"PYTHONPATH": str(ROOT)}
        if self._data is not None:
            where = ["--data", str(self._data)]
            own["TMPDIR"] = str(self._data)  # temporary files stay with the data
        self._process = subprocess.Popen(
            [python, "-m", "tests.standin", "--port", str(urlsplit(self.url).port or 0), *where],
            cwd=ROOT,
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C leaves it to those who use it
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        if not self.url:
            raise RuntimeError(f"the stand-in ended with {self._process.wait()}")

    def stop(self) -> None:
        """Stop it."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def schema(self, name: str | None = None) -> Schema:
        """A schema of this server that nobody else has, made by whoever signs in to it first."""
        return Schema(self.url, DATABASE, name or f"S{os.getpid()}_{next(_numbers)}")


@dataclass(frozen=True)
class Schema:
    """One schema: how to sign in to it, and what is to happen there."""

    server: str
    database: str
    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the connector's ``connect``."""
        return {
            "account": "standin",
            "user": "fleet",
            "password": "secret",
            "host": urlsplit(self.server).hostname,
            "port": urlsplit(self.server).port,
            "protocol": "http",
            "database": self.database,
            "schema": self.name,
            "warehouse": "QUEUE",
            "role": "FLEET",
            "paramstyle": "qmark",
        }

    @property
    def url(self) -> str:
        """The store URL of the schema; user and password come from the environment."""
        where = {name: self.parameters[name] for name in ("host", "port", "protocol")}
        return f"snowflake://standin/{self.database}/{self.name}?{urlencode(where)}"

    @property
    def environment(self) -> dict[str, str]:
        """The ``SNOWFLAKE_*`` variables for the schema."""
        variables = {
            f"SNOWFLAKE_{name.upper()}": str(value)
            for name, value in self.parameters.items()
            if name != "paramstyle"
        }
        return variables | dict([NO_CLOUD_DETECTION])

    def set(self, **settings: Any) -> None:
        """Change settings; see :class:`tests.standin.scene.Settings`."""
        self._call("PUT", "settings", settings)

    def fault(self, kind: str, **description: Any) -> None:
        """Add a fault; see :class:`tests.standin.faults.Fault`."""
        self._call("POST", "faults", {"kind": kind, **description})

    def no_faults(self) -> None:
        """Remove all faults."""
        self._call("DELETE", "faults")

    def log(self, wanted: Callable[[Entry], bool] | None = None) -> list[Entry]:
        """The statements that arrived since the log was cleared, in order."""
        entries = [Entry(**entry) for entry in self._call("GET", "log")]
        return [entry for entry in entries if wanted is None or wanted(entry)]

    def forget(self) -> None:
        """Clear the log."""
        self._call("DELETE", "log")

    def sessions(self) -> list[dict[str, Any]]:
        """The open sessions, with the locks that they hold and wait for."""
        sessions: list[dict[str, Any]] = self._call("GET", "sessions")
        return sessions

    def end_sessions(self, session: int | None = None) -> None:
        """End one session, or all, as Snowflake does when they expire."""
        self._call("DELETE", "sessions" if session is None else f"sessions/{session}")

    def keep_rows(self) -> None:
        """Remember the rows of its tables for :meth:`reset`."""
        self._call("PUT", "rows")

    def reset(self) -> None:
        """End its sessions, restore the rows that it was to keep, and forget everything else."""
        self._call("DELETE", "rows")

    def drop(self) -> None:
        """Drop the schema, and end its sessions."""
        self._call("DELETE", "")

    def _call(self, method: str, what: str, body: Any = None) -> Any:
        url = f"{self.server}/standin/{self.database}/{self.name}/{what}".rstrip("/")
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data, method=method)
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return json.loads(answer.read())
