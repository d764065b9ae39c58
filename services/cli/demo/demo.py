"""The demo: three pods run as processes on one SQLite file, and one is killed while it works."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.audit import Audit, audit
from fleet_q.core.errors import FleetQError
from fleet_q.core.lifecycle import FINAL
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.settings import Settings
from fleet_q.services.cli.options import pods_app
from fleet_q.services.cli.output import err, print_json, print_record, say
from fleet_q.services.cli.signals import ending_at_once

APP: Final = "fleet_q.services.cli.demo.tasks:app"
PODS: Final = ("pod-1", "pod-2", "pod-3")
VICTIM: Final = "pod-2"
TIME_LIMIT: Final = 60.0
"""Seconds after which the demo fails; twice what it takes on a slow machine."""

_SETTINGS: Final = {
    "FLEET_Q_HEARTBEAT_INTERVAL": "0.5",
    "FLEET_Q_CLAIM_INTERVAL": "0.2",
    "FLEET_Q_RECOVERY_INTERVAL": "1",
    "FLEET_Q_DEAD_POD_THRESHOLD": "2",
    "FLEET_Q_RETRY_BASE_DELAY": "0.3",
    "FLEET_Q_SHUTDOWN_GRACE": "5",
    "FLEET_Q_LOG_LEVEL": "warning",
}
_TASK_TYPES: Final = (  # by the last digit of a step's number: the type, and its first digit
    ("resize_image", 0),
    ("send_mail", 5),
    ("crunch_numbers", 7),
)


class Report(msgspec.Struct):
    """The result of the demo."""

    steps: int
    killed_pod: str
    orphaned: int
    audit: Audit
    tables_equal_log: bool
    seconds: float

    @property
    def faults(self) -> list[str]:
        """The guarantees that were violated."""
        faults = list(self.audit.faults)
        if self.audit.steps != self.steps:
            faults.append(f"{self.steps} steps were submitted, but the log has {self.audit.steps}")
        if self.audit.unfinished:
            faults.append(f"{self.audit.unfinished} steps are not final")
        if not self.orphaned:
            faults.append("the killed pod had claimed no step")
        if not self.tables_equal_log:
            faults.append("the tables differ from the log")
        return faults


def run_demo(steps: int, json: bool) -> None:
    """Run the demo and show it live. Raises :class:`FleetQError` if a guarantee was violated."""
    with ending_at_once(), tempfile.TemporaryDirectory(prefix="fleet-q-demo-") as folder:
        store = SqliteStore(Path(folder, "demo.db"))
        try:
            report = _run(FleetQ(store), store, Path(folder), steps, quiet=json)
        finally:
            store.close()
    if json:
        print_json({**msgspec.to_builtins(report), "faults": report.faults})
    else:
        _print_report(report)
    if report.faults:
        raise FleetQError("the demo found faults: " + "; ".join(report.faults[:3]))


def _run(fleet: FleetQ, store: SqliteStore, folder: Path, steps: int, *, quiet: bool) -> Report:
    began = time.monotonic()
    app = pods_app(APP, _url(folder), Settings())
    app.submit_many(_payload(number) for number in range(steps))
    app.close()
    with contextlib.ExitStack() as stack:
        pods = {pod_id: stack.enter_context(_pod(pod_id, folder)) for pod_id in PODS}
        live = stack.enter_context(_Screen(fleet, steps, quiet))
        orphaned = 0
        while (queue := fleet.queue())["pending"] + queue["claimed"]:
            if time.monotonic() - began > TIME_LIMIT:
                raise FleetQError(f"the demo did not finish within {TIME_LIMIT:.0f} s: {queue}")
            for pod_id, pod in pods.items():
                if pod.poll() is not None and not (pod_id == VICTIM and orphaned):
                    raise FleetQError(f"{pod_id} exited unexpectedly: {_tail(folder / pod_id)}")
            if not orphaned and queue["completed"] >= steps // 4:
                orphaned = _kill(pods[VICTIM], store)
                live.note = f"{VICTIM} was killed while it had {orphaned} steps claimed"
            live.show(orphaned > 0)
            time.sleep(0.1)
        live.show(orphaned > 0)
    return Report(
        steps=steps,
        killed_pod=VICTIM,
        orphaned=orphaned,
        audit=audit(store.step_events()),
        tables_equal_log=store.rebuild(check=True).equal,
        seconds=round(time.monotonic() - began, 1),
    )


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'demo.db'}"


def _payload(number: int) -> dict[str, Any]:
    if number % 50 == 7:
        task_type = "read_scan"
    elif number % 50 == 29:
        task_type = "parse_report"
    else:
        task_type = next(name for name, digit in reversed(_TASK_TYPES) if number % 10 >= digit)
    return {"task_type": task_type, "number": number}


@contextlib.contextmanager
def _pod(pod_id: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "fleet_q.services.cli.demo.pod", "worker"]
    command += ["--app", APP, "--store", _url(folder)]
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("FLEET_Q_")}
    env = {**inherited, **_SETTINGS, "FLEET_Q_POD_ID": pod_id}
    with open(folder / pod_id, "wb") as log:
        # In a session of its own the pod does not receive Ctrl-C: the demo stops its pods itself.
        pod = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    assert pod.stdin is not None
    try:
        yield pod
    finally:
        pod.stdin.close()  # makes the pod drain
        try:
            pod.wait(10)
        except subprocess.TimeoutExpired:
            pod.kill()
            pod.wait()


def _kill(pod: subprocess.Popen[bytes], store: SqliteStore) -> int:
    """Kill the pod as soon as it has claimed steps; return how many it had claimed."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        os.kill(
            pod.pid, signal.SIGSTOP
        )  # so that its claims do not change between the count and the kill
        claimed = _claimed_by(VICTIM, store)
        if claimed:
            pod.kill()
            pod.wait()
            return claimed
        os.kill(pod.pid, signal.SIGCONT)
        time.sleep(0.02)
    raise FleetQError(f"{VICTIM} never claimed a step")


def _claimed_by(pod_id: str, store: SqliteStore) -> int:
    last_events = {event.stream: event for event in store.step_events()}
    return sum(e.fact.type == "claimed" and e.pod_id == pod_id for e in last_events.values())


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it logged nothing"


class _Screen:
    """The live table of pods and the progress bar below it."""

    def __init__(self, fleet: FleetQ, steps: int, quiet: bool) -> None:
        self.note = "three pods share one SQLite file"
        self._fleet = fleet
        self._progress = Progress(
            TextColumn("final steps"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._bar = self._progress.add_task("steps", total=steps)
        self._live = None if quiet else Live(console=err, refresh_per_second=10)

    def __enter__(self) -> _Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            if not err.is_terminal:
                err.print()  # its last line has no end there

    def show(self, killed: bool) -> None:
        if self._live is None:
            return
        queue = self._fleet.queue()
        final = sum(queue[status] for status in FINAL)
        self._progress.update(self._bar, completed=final)
        pods = Table(box=None, pad_edge=False)
        for column in ("pod", "state", "last heartbeat"):
            pods.add_column(column)
        for pod in sorted(self._fleet.pods(), key=lambda pod: pod.pod_id):
            state = f"{pod.status}, leader" if pod.leader and pod.alive else pod.status
            dead = killed and pod.pod_id == VICTIM
            state = (
                f"[red]killed, {'declared dead' if state == 'down' else 'not detected yet'}"
                if dead
                else state
            )
            pods.add_row(pod.pod_id, state, pod.last_heartbeat_ts)
        counts = "   ".join(f"{name} {count}" for name, count in queue.items())
        self._live.update(Group(self.note, pods, counts, self._progress))


def _print_report(report: Report) -> None:
    counts = report.audit
    print_record(
        {
            "steps submitted": report.steps,
            "completed": counts.completed,
            "dead-lettered": counts.failed,
            "attempts retried": counts.retried,
            f"claimed by {report.killed_pod} when killed": report.orphaned,
            "recovered by the leader": counts.recovered,
            "seconds": report.seconds,
        }
    )
    if not report.faults:
        say("The event log shows: no step was lost, and none completed twice.", style="green")
