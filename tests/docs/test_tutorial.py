"""The tutorial does what it says, command by command."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest

from tests.docs import DOCS, text_of
from tests.waiting import wait_until

TUTORIAL: Final = DOCS / "tutorial.md"

_BLOCK: Final = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STEP_ID: Final = re.compile(r"^(?:step_id +)?((?:step-|nightly@)\S+)", re.MULTILINE)
_WORKFLOW_ID: Final = re.compile(r"\bnightly-[0-9a-f]{32}\b")
_POD: Final = re.compile("fleet-q (worker|serve)")
_MAY_FAIL: Final = re.compile("fleet-q (workflow )?wait")


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


class Reader:
    """Somebody who works through a tutorial: types what it says, and copies printed ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[str] = []
        """What each command has printed."""
        self.ports = {"8000": free_port(), "9000": free_port()}
        self._ids = {"STEP_ID": "", "WORKFLOW_ID": ""}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
        self._pod, self._others = ExitStack(), ExitStack()

    def close(self) -> None:
        """End what runs in the other terminals."""
        with self._others, self._pod:
            pass

    def follow(self, text: str) -> None:
        """Do what each block says."""
        for language, block in _BLOCK.findall(text):
            if language == "python":
                self._write(block)
                continue
            for line in block.splitlines():
                self._type(line)

    def output(self, name: str) -> str:
        """What a program in another terminal has printed."""
        return (self.folder / f"{name}.out").read_text()

    def _write(self, block: str) -> None:
        name, _, how = block.splitlines()[0].removeprefix("# ").partition(", ")
        with (self.folder / name).open("a" if how else "w") as file:
            file.write(block.replace("9000", self.ports["9000"]))

    def _type(self, command: str) -> None:
        for name, value in {**self._ids, "9000": self.ports["9000"]}.items():
            command = command.replace(name, value)
        if _POD.match(command):
            self._pod.close()  # as Ctrl-C does
            port = f" --port {self.ports['8000']}" if command.endswith("serve") else ""
            self._pod.enter_context(self._running("pod", command + port))
            wait_until(lambda: "starts" in self.output("pod"))
        elif command == "python chat.py":
            self._others.enter_context(self._running("chat", command))
            wait_until(lambda: is_open(self.ports["9000"]))
        else:
            self._run(command)

    def _run(self, command: str) -> None:
        run = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        may_fail = _MAY_FAIL.match(command) is not None
        assert run.returncode == 0 or may_fail, (command, run.stderr)
        self.printed.append(run.stdout)
        if ids := _STEP_ID.findall(run.stdout):
            self._ids["STEP_ID"] = ids[0]
        if match := _WORKFLOW_ID.search(run.stdout):
            self._ids["WORKFLOW_ID"] = match[0]

    @contextmanager
    def _running(self, name: str, command: str) -> Iterator[None]:
        """A program in another terminal, until Ctrl-C."""
        with (self.folder / f"{name}.out").open("w") as output:
            program = subprocess.Popen(
                command.split(),
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=output,
                text=True,
            )
        try:
            yield
        finally:
            program.send_signal(signal.SIGINT)
            program.wait()


def is_open(port: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(port))) == 0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.close()


@pytest.mark.slow
def test_reader_of_the_tutorial_is_told_of_the_dead_letter_and_gets_the_report(
    reader: Reader,
) -> None:
    _, _, after_installing = text_of(TUTORIAL).partition("\n## A task and a pod\n")
    before, morning, rest = after_installing.partition("\n## The morning after\n")
    reader.follow(before)
    wait_until(lambda: "1 dead letter" in reader.output("chat"))
    with urlopen(f"http://127.0.0.1:{reader.ports['8000']}/") as page:
        assert "FLEET-Q" in page.read().decode()

    reader.follow(morning + rest)
    printed = "".join(reader.printed)
    assert re.search(r"^result +22$", printed, re.MULTILINE)
    assert re.search(r"^14$", printed, re.MULTILINE)
    assert re.search(r"report +cancelled", printed)
    assert "60 sold in 3 shops" in reader.printed[-1]
