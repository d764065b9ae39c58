"""Starts pods as processes, with ``fleet-q worker`` or another command."""

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
    "FLEET_Q_RETRY_BASE_DELAY": "0.2",
}


class Launcher:
    """Starts pods of an app on a store; :meth:`close` kills those that still run.

    ``env`` is added to the environment of every pod.
    """

    def __init__(self, folder: Path, url: str, app: str, env: Mapping[str, str]) -> None:
        self.url = url
        self._folder = folder
        self._app = app
        self._env = env
        self._pods: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        pod_id: str,
        *words: str,
        log: Path | None = None,
        prefix: Sequence[str] = (sys.executable,),
        **settings: str,
    ) -> subprocess.Popen[bytes]:
        """Start a pod with ``fleet-q worker``, or with the command ``words``. ``prefix`` is the
        command that runs Python. ``settings`` are environment variables."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        variables = {**self._env, **settings, "FLEET_Q_POD_ID": pod_id, "PYTHONPATH": path}
        command = [*prefix, "-m", "fleet_q", *(words or ("worker",))]
        command += ["--app", self._app, "--store", self.url]
        with open(log or self.log(pod_id), "ab") as file:
            pod = subprocess.Popen(
                command,
                env={**os.environ, **variables},
                stderr=file,
                cwd=self._folder,
                process_group=0,  # the tests find its child processes by the group
            )
        self._pods.append(pod)
        return pod

    def log(self, pod_id: str) -> Path:
        """The file that a pod's stderr is written to by default."""
        return self._folder / f"{pod_id}.log"

    def close(self) -> None:
        """Kill the pods that still run."""
        for pod in self._pods:
            if pod.poll() is None:
                pod.kill()
            pod.wait()
