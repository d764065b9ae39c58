"""A pod that serves HTTP while clients try to exhaust its descriptors."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import urllib.request
from pathlib import Path

from fleet_q import FleetQ
from tests.processes.conftest import Pods
from tests.waiting import LIMIT, wait_until

DESCRIPTORS = 100


def test_incomplete_requests_do_not_exhaust_the_descriptors_of_a_pod(
    pods: Pods, tmp_path: Path
) -> None:
    fleet = FleetQ(pods.store)
    limited = ("sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "{sys.executable}" "$@"', "sh")
    pod = pods.start("pod-1", "serve", "--port", "0", prefix=limited)
    log = pods.log("pod-1")
    wait_until(lambda: "listening on" in log.read_text())
    (port,) = re.findall(r"listening on http://127.0.0.1:(\d+)", log.read_text())
    with contextlib.ExitStack() as clients:
        for _ in range(2 * DESCRIPTORS):
            client = clients.enter_context(
                socket.create_connection(("127.0.0.1", int(port)), LIMIT)
            )
            with contextlib.suppress(ConnectionError):  # the pod may have closed it already
                client.sendall(b"POST /submit HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        pid_file = str(tmp_path / "pid_file")
        payload = {"task_type": "touch", "path": pid_file, "until": pid_file}
        step_id = fleet.submit(payload)
        assert fleet.wait(step_id, LIMIT).status == "completed"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=LIMIT) as health:
            assert health.status == 200
        pod.send_signal(signal.SIGTERM)
        assert pod.wait(LIMIT) == 0
    assert "Traceback" not in log.read_text()
