"""The command line with streams that are closed, full or unread."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_q import FleetQ
from fleet_q.adapters.sqlite.store import SqliteStore
from tests.processes.conftest import Pods
from tests.waiting import LIMIT

Shell = Callable[..., tuple[int, str, str]]

COMMAND = [sys.executable, "-m", "fleet_q"]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a shell command; ``$Q`` is ``fleet-q``. Returns its exit code, stdout and stderr."""

    def shell(line: str, **env: str) -> tuple[int, str, str]:
        completed = subprocess.run(
            ["sh", "-c", line.replace("$Q", " ".join(COMMAND))],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, **env},
            timeout=LIMIT,
            check=False,
        )
        return completed.returncode, completed.stdout.decode(), completed.stderr.decode()

    return shell


def test_command_with_a_closed_stdout_does_nothing(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("$Q submit '{}' >&-")
    assert (code, err.count("\n"), "stdout is closed" in err) == (1, 1, True)
    assert not (tmp_path / "fleet-q.db").exists()
    assert shell("$Q queue >&- 2>&-") == (1, "", "")


FUNCTIONS = """
import os, signal, subprocess, sys
from fleet_q import FleetQ
from fleet_q.adapters.sqlite.store import SqliteStore

app = FleetQ("sqlite:///q.db")

@app.task("print")
def print_everywhere():
    print("printed")
    for number in (1, 2):
        os.write(number, b"written")
    os.kill(os.getpid(), signal.SIGTERM)
    return subprocess.call(["sh", "-c", "echo text; echo text >&2"])
"""


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_pod_runs_with_closed_streams_and_output_damages_no_file(
    shell: Shell, tmp_path: Path, closed: str
) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    url = f"sqlite:///{tmp_path}/q.db"
    assert shell('$Q submit \'{"task_type": "print"}\' --step-id one --store ' + url)[0] == 0
    line = f"$Q worker --app functions:app --store {url} {closed}"
    code, _, err = shell(line, FLEET_Q_SHUTDOWN_GRACE="3600")
    assert code == 0, err
    step = FleetQ(url).status("one")
    assert (step.status, step.result) == ("completed", 0)


def test_submit_rejects_a_closed_stdin_and_invalid_json(shell: Shell) -> None:
    code, out, err = shell("$Q submit - <&-")
    assert (code, out, err.count("\n"), "stdin is closed" in err) == (1, "", 1, True)
    code, out, err = shell("printf '[\\377]' | $Q submit -")
    assert (code, out, err.count("\n"), "line 1 is not JSON" in err) == (1, "", 1, True)


@pytest.fixture
def store(tmp_path: Path) -> None:
    """The store of the settings exists already, so that no command reports its creation."""
    SqliteStore(tmp_path / "fleet-q.db").close()


@pytest.mark.usefixtures("store")
def test_characters_missing_in_the_streams_encoding_are_escaped(shell: Shell) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    code, out, err = shell("$Q submit '{\"é\": \"😀\"}' --step-id 'é😀'", **ascii_only)
    assert (code, out, err) == (0, "\\xe9\\U0001f600\n", "")
    code, out, err = shell("$Q status 'é😀' --json", **ascii_only)
    assert (code, err) == (0, "")
    assert json.loads(out)["payload"] == {"é": "😀"}
    code, out, err = shell("$Q status 'é😀'", **ascii_only)
    assert (code, err, "\\U0001f600" in out) == (0, "", True)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_broken_pipe_on_stdout_is_not_an_error(shell: Shell, unbuffered: str) -> None:
    """A buffered stdout fails when it is flushed, an unbuffered one when it is written to."""
    line = "{ $Q submit '{}'; echo $? >&2; } | true"
    assert shell(line, PYTHONUNBUFFERED=unbuffered) == (0, "", "1\n")


@pytest.mark.usefixtures("store")
def test_full_disk_is_an_error(shell: Shell) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no device that is always full")
    code, _, err = shell("$Q submit '{}' >/dev/full", PYTHONUNBUFFERED="")
    assert (code, err.count("\n"), "No space left" in err) == (1, 1, True)


@pytest.mark.usefixtures("store")
def test_ids_that_cannot_be_printed_are_written_to_stderr(shell: Shell, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed_pipe:
        completed = subprocess.run(
            [*COMMAND, "submit", "-"],
            input=b"{}\n{}\n",
            stdout=closed_pipe,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=LIMIT,
            check=False,
        )
    message, _, ids = completed.stderr.decode().partition("; stored, but not printed: ")
    assert message == "fleet-q: 2 of 2 steps were stored, then: [Errno 32] Broken pipe"
    assert (completed.returncode, ids.count("\n"), len(ids.split())) == (1, 1, 2)
    for step_id in ids.split():
        assert shell(f"$Q status {step_id}")[0] == 0


def test_pod_works_and_leaves_while_its_log_pipe_is_full(pods: Pods) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\0" * 65_536)
    os.set_blocking(writing, True)
    try:
        pod = pods.start("pod-1", log=Path(f"/dev/fd/{writing}"))
        app = FleetQ(pods.store)
        for number in (1, 2):
            step = app.wait(app.submit({"task_type": "nap", "number": number}), timeout=LIMIT)
            assert step.result == number
        pod.terminate()
        assert pod.wait(LIMIT) == 0
    finally:
        os.close(reading)
        os.close(writing)
