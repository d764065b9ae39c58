"""A pod that leases steps to clients over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ, Settings
from tests.docs.test_by_hand import examples
from tests.processes.conftest import Pods
from tests.waiting import LIMIT, wait_until

needs_curl = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")), reason="the example calls curl and jq"
)


class Sidecar:
    """A running pod with leases, named ``pod-1``."""

    def __init__(self, pods: Pods) -> None:
        self.fleet = FleetQ(pods.store)
        self.process = pods.start("pod-1", "serve", "--lease", "--port", "0")
        log = pods.log("pod-1")
        wait_until(lambda: "listening on" in log.read_text())
        (port,) = re.findall(r"listening on http://127.0.0.1:(\d+)", log.read_text())
        self.port = int(port)
        self.url = f"http://127.0.0.1:{port}"

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def claim(self, **options: Any) -> dict[str, Any]:
        """Claim until there is a step; one request waits for at most a minute."""

        def steps() -> Any:
            code, answer = self.post("/claim", wait=60, **options)
            assert code == 200
            return answer["steps"]

        (step,) = wait_until(steps)
        return dict(step)


@pytest.fixture
def sidecar(pods: Pods) -> Sidecar:
    return Sidecar(pods)


@needs_curl
def test_example_in_shell_counts_the_lines_of_files(sidecar: Sidecar, tmp_path: Path) -> None:
    _, script = examples("sh")
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    good = sidecar.fleet.submit({"file": str(tmp_path / "a.txt")}, step_id="a/b c?")
    bad = sidecar.fleet.submit({"file": str(tmp_path / "missing.txt")})
    for _ in range(2):
        environment = {**os.environ, "POD": sidecar.url}
        run = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=True)
        assert b'"lease":60' in run.stdout
    assert sidecar.fleet.status(good).result == 2
    assert sidecar.fleet.status(bad).status == "failed"
    assert sidecar.fleet.status(bad).error == "the file cannot be read"


def test_clients_in_several_languages_claim_what_they_know(sidecar: Sidecar) -> None:
    kinds = ["python", "go", "shell"]
    with ThreadPoolExecutor() as threads:
        claims = {kind: threads.submit(sidecar.claim, task_types=[kind]) for kind in kinds}
        unknown = sidecar.fleet.submit({"task_type": "rust"}, priority=5)
        for kind in kinds:
            step_id = sidecar.fleet.submit({"task_type": kind}, queue=f"{kind}-queue")
            step = claims[kind].result(LIMIT)
            assert step["step_id"] == step_id
            body = {"claim_token": step["claim_token"], "result": kind}
            assert sidecar.post(f"/steps/{step_id}/complete", **body)[0] == 200
            assert sidecar.fleet.status(step_id).result == kind
    assert sidecar.post("/claim", queues=["python-queue"]) == (200, {"steps": []})
    assert [event.type for event in sidecar.fleet.history(unknown)] == ["submitted"]


@pytest.mark.slow
def test_step_of_a_client_that_closed_its_connection_goes_to_the_next(
    pods: Pods, sidecar: Sidecar
) -> None:
    body = b'{"wait": 60, "lease": 3600}'
    with contextlib.closing(socket.create_connection(("127.0.0.1", sidecar.port), LIMIT)) as gone:
        gone.sendall(
            b"POST /claim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
    step_id = sidecar.fleet.submit({}, max_retries=0)
    step = sidecar.claim()
    assert (step["step_id"], step["attempt"]) == (step_id, 1)
    assert "Traceback" not in pods.log("pod-1").read_text()


@pytest.mark.slow
def test_pod_that_drains_lets_its_clients_end_their_steps(sidecar: Sidecar) -> None:
    step_id = sidecar.fleet.submit({})
    step = sidecar.claim()
    sidecar.process.send_signal(signal.SIGTERM)
    wait_until(lambda: sidecar.fleet.pods()[0].status == "draining")
    assert sidecar.post("/claim")[0] == 503
    body = {"claim_token": step["claim_token"], "result": "in time"}
    assert sidecar.post(f"/steps/{step_id}/complete", **body)[0] == 200
    assert sidecar.process.wait(LIMIT) == 0
    assert sidecar.fleet.status(step_id).result == "in time"


@pytest.mark.slow
def test_steps_of_a_killed_pod_with_leases_are_recovered(pods: Pods, sidecar: Sidecar) -> None:
    quick = Settings(heartbeat_interval=0.2, recovery_interval=0.3, dead_pod_threshold=1)
    step_id = sidecar.fleet.submit({})
    assert sidecar.claim()["step_id"] == step_id
    sidecar.process.kill()
    with FleetQ(pods.store, settings=quick).consumer() as consumer:
        (step,) = consumer.claim_steps(wait=LIMIT)
        assert (step.step_id, step.attempt) == (step_id, 2)
