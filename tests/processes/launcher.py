"""Pods as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
QUICK: Final = {
    "FLEET_Q_HEARTBEAT_INTERVAL": "0.2",
    "FLEET_Q_CLAIM_INTERVAL": "0.1",
    "FLEET_Q_RECOVERY_INTERVAL": "0.3",
    "FLEET_Q_DEAD_POD_THRESHOLD": "1",
}


class Launcher:
    """Starts pods of an app on a store, and sees to it that none outlives its test.

    ``env`` is what all of them have in their environment besides that of the tests.
    """

    def __init__(self, folder: Path, url: str, app: str, env: Mapping[str, str]) -> None:
        self.url = url
        self._folder = folder
        self._app = app
        self._env = env
        self._all: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        pod_id: str,
        *words: str,
        log: Path | None = None,
        prefix: Sequence[str] = (sys.executable,),
        **settings: str,
    ) -> subprocess.Popen[bytes]:
        """Start a pod: ``fleet-q worker``, or the command that ``words`` are; ``prefix`` is what
        runs Python with the arguments that follow."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        own = {**self._env, **settings, "FLEET_Q_POD_ID": pod_id, "PYTHONPATH": path}
        command = [*prefix, "-m", "fleet_q", *(words or ("worker",))]
        command += ["--app", self._app, "--store", self.url]
        with open(log or self.log(pod_id), "ab") as file:
            pod = subprocess.Popen(
                command,
                env={**os.environ, **own},
                stderr=file,
                cwd=self._folder,
                process_group=0,  # by which the processes that it starts are known too
            )
        self._all.append(pod)
        return pod

    def log(self, pod_id: str) -> Path:
        """Where a pod's stderr goes, if no other place is named."""
        return self._folder / f"{pod_id}.log"

    def close(self) -> None:
        """End all that still run."""
        for pod in self._all:
            if pod.poll() is None:
                pod.kill()
            pod.wait()
