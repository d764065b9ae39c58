"""A prune that is killed while pods work loses no step."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from fleet_q import FleetQ
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Submit
from tests.processes.conftest import Pods
from tests.waiting import wait_until

KILLED = """
import os, signal, sys, time
from fleet_q.services.cli.commands import main

name, left = sys.argv.pop(1), int(sys.argv.pop(1))
module = os if name == "fsync" else time
real = getattr(module, name)

def call(value):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(value)

setattr(module, name, call)
main()
"""
"""Runs the command line and kills it at a call of ``fsync``, after events were archived and before
they are deleted, or of ``sleep``, between two batches."""


def test_every_step_is_in_the_store_or_complete_in_the_archive_after_killed_prunes(
    pods: Pods, tmp_path: Path
) -> None:
    fleet = FleetQ(pods.store)
    old = [f"old {number}" for number in range(4_000)]
    _complete(pods, old)
    new = fleet.submit_many({"task_type": "nap", "number": n} for n in range(300))
    worker = pods.start("worker")
    wait_until(lambda: fleet.queue()["completed"] > len(old))
    archive = tmp_path / "archive.jsonl"

    for call, number in (("fsync", 2), ("sleep", 1), ("fsync", 3)):
        assert _prune(pods, archive, call, number) == -signal.SIGKILL
        assert pods.store.rebuild(check=True).equal
    assert _prune(pods, archive) == 0

    wait_until(lambda: fleet.queue()["pending"] + fleet.queue()["claimed"] == 0)
    assert worker.poll() is None
    archived: dict[str, dict[int, str]] = defaultdict(dict)
    for line in archive.read_text().splitlines():
        event = json.loads(line)
        if "step_id" in event:
            archived[event["step_id"]][event["version"]] = event["type"]
    in_store = {event.stream for event in pods.store.step_events()}
    assert all(_is_complete(archived[step_id]) for step_id in old)
    assert in_store.isdisjoint(old)
    assert all(step_id in in_store or _is_complete(archived[step_id]) for step_id in new)
    assert "ERROR" not in pods.log("worker").read_text()


def _is_complete(history: dict[int, str]) -> bool:
    """Whether ``history`` has every event of a step, up to its completion."""
    return sorted(history) == [*range(1, len(history) + 1)] and history[len(history)] == "completed"


def _complete(pods: Pods, step_ids: list[str]) -> None:
    pods.store.sync(SyncRequest("first", "one", Join("first", "one")))
    for step_id in step_ids:
        pods.store.submit([Submit(step_id, json.dumps({"text": "x" * 200}))])
    while claimed := pods.store.sync(
        SyncRequest("first", "one", claim=500, claim_token="t")
    ).claimed:
        done = tuple(Complete(step.step_id, "t", "null") for step in claimed)
        pods.store.sync(SyncRequest("first", "one", outcomes=done))


def _prune(pods: Pods, archive: Path, *killed: str | int) -> int:
    words = ["prune", "--older-than", "0s", "--store", pods.url, "--archive", str(archive)]
    program = ["-c", KILLED, *map(str, killed)] if killed else ["-m", "fleet_q"]
    command = [sys.executable, *program, *words]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
