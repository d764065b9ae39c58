"""The command line and what its streams may be."""

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
from tests.processes.conftest import Pods
from tests.waiting import LIMIT

Shell = Callable[..., tuple[int, str, str]]

COMMAND = [sys.executable, "-m", "fleet_q"]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a line of shell in which ``$Q`` is the command line."""

    def shell(line: str, **env: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["sh", "-c", line.replace("$Q", " ".join(COMMAND))],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, **env},
            timeout=LIMIT,
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return shell


def test_without_a_stdout_nothing_is_begun(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("$Q submit '{}' >&-")
    assert (code, err.count("\n"), "stdout is closed" in err) == (1, 1, True)
    assert not (tmp_path / "fleet-q.db").exists()
    assert shell("$Q queue >&- 2>&-") == (1, "", "")


FUNCTIONS = """
import os, signal, subprocess, sys
from fleet_q import FleetQ

app = FleetQ("sqlite:///q.db")

@app.task("print")
def print_everywhere():
    print("printed")
    for number in (1, 2):
        os.write(number, b"written")
    os.kill(os.getpid(), signal.SIGTERM)
    return subprocess.call(["sh", "-c", "echo told; echo told >&2"])
"""


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_pod_runs_without_streams_and_what_is_written_to_them_harms_no_file(
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


def test_without_a_stdin_no_steps_are_read(shell: Shell) -> None:
    code, out, err = shell("$Q submit - <&-")
    assert (code, out, err.count("\n"), "stdin is closed" in err) == (1, "", 1, True)
    code, out, err = shell("printf '[\\377]' | $Q submit -")
    assert (code, out, err.count("\n"), "line 1 is not JSON" in err) == (1, "", 1, True)


@pytest.fixture
def store(shell: Shell) -> None:
    """A store that is there already, about which nothing is said."""
    assert shell("$Q submit '{}'")[0] == 0


@pytest.mark.usefixtures("store")
def test_what_the_streams_encoding_has_not_is_escaped(shell: Shell) -> None:
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
def test_a_reader_that_has_gone_is_no_error_worth_a_word(shell: Shell, unbuffered: str) -> None:
    """With a buffer it shows when that is flushed, without one already when it is written to."""
    line = "{ $Q submit '{}'; echo $? >&2; } | true"
    assert shell(line, PYTHONUNBUFFERED=unbuffered) == (0, "", "1\n")


@pytest.mark.usefixtures("store")
def test_a_full_disk_is_one(shell: Shell) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no device that is always full")
    code, _, err = shell("$Q submit '{}' >/dev/full", PYTHONUNBUFFERED="")
    assert (code, err.count("\n"), "No space left" in err) == (1, 1, True)


@pytest.mark.usefixtures("store")
def test_ids_that_nobody_reads_any_more_are_told_on_stderr(shell: Shell, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:
        done = subprocess.run(
            [*COMMAND, "submit", "-"],
            input=b"{}\n{}\n",
            stdout=nobody,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=LIMIT,
            check=False,
        )
    said, _, ids = done.stderr.decode().partition("; stored, but not printed: ")
    assert said == "fleet-q: 2 of 2 steps were stored, then: [Errno 32] Broken pipe"
    assert (done.returncode, ids.count("\n"), len(ids.split())) == (1, 1, 2)
    for step_id in ids.split():
        assert shell(f"$Q status {step_id}")[0] == 0


def test_a_pod_whose_logs_nobody_reads_works_and_leaves(pods: Pods) -> None:
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
