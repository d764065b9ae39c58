"""The tutorial does what it says, command by command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.docs import DOCS, text_of
from tests.waiting import wait_until

TUTORIAL: Final = DOCS / "tutorial.md"

_BLOCK: Final = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STEP_ID: Final = re.compile(r"^(?:step_id +)?((?:step-|nightly@)\S+)", re.MULTILINE)
_WORKFLOW_ID: Final = re.compile(r"\bnightly-[0-9a-f]{32}\b")


class Reader:
    """Somebody who works through a tutorial: types what it says, and copies printed ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[str] = []
        """What each command has printed."""
        self._ids = {"STEP_ID": "", "WORKFLOW_ID": ""}
        self._pods = ExitStack()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}

    def follow(self, text: str) -> None:
        """Do what each block says."""
        with self._pods:
            for language, block in _BLOCK.findall(text):
                if language == "python":
                    self._write(block)
                    continue
                for line in block.splitlines():
                    self._type(line)

    def _write(self, block: str) -> None:
        name, _, how = block.splitlines()[0].removeprefix("# ").partition(", ")
        with (self.folder / name).open("a" if how else "w") as file:
            file.write(block)

    def _type(self, command: str) -> None:
        if command == "fleet-q worker":
            self._pods.close()  # the pod before it, as Ctrl-C does
            self._pods.enter_context(self._pod())
            return
        for name, value in self._ids.items():
            command = command.replace(name, value)
        run = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        may_fail = re.match(r"fleet-q (workflow )?wait", command) is not None
        assert run.returncode == 0 or may_fail, (command, run.stderr)
        self.printed.append(run.stdout)
        if ids := _STEP_ID.findall(run.stdout):
            self._ids["STEP_ID"] = ids[0]
        if match := _WORKFLOW_ID.search(run.stdout):
            self._ids["WORKFLOW_ID"] = match[0]

    @contextmanager
    def _pod(self) -> Iterator[None]:
        log = self.folder / "worker.log"
        with log.open("w") as stderr:
            pod = subprocess.Popen(
                ["fleet-q", "worker"], cwd=self.folder, env=self._environment, stderr=stderr
            )
            try:
                wait_until(lambda: "starts" in log.read_text())
                yield
            finally:
                pod.send_signal(signal.SIGINT)
                assert pod.wait() == 0


@pytest.mark.slow
def test_reader_of_the_tutorial_gets_the_report_of_a_night(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    _, _, after_installing = text_of(TUTORIAL).partition("\n## A task and a pod\n")
    reader.follow(after_installing)
    assert "60 sold in 3 shops" in reader.printed[-1]
    printed = "".join(reader.printed)
    assert re.search(r"^result +22$", printed, re.MULTILINE)
    assert re.search(r"^14$", printed, re.MULTILINE)
    assert re.search(r"report +cancelled", printed)
