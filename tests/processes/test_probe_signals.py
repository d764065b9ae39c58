"""``fleet-q doctor --probe`` as a process that a signal ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.standin.client import Schema
from tests.standin.helpers import Driver
from tests.waiting import LIMIT, wait_until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_probe_drops_its_tables_when_a_signal_ends_it(
    schema: Schema, number: signal.Signals
) -> None:
    probe = subprocess.Popen(
        [sys.executable, "-m", "fleet_q", "doctor", "--probe", "--yes", "--store", "snowflake://"],
        env=os.environ | schema.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: probe.poll() is not None or _has_tables(schema))
    probe.send_signal(number)
    out, err = probe.communicate(timeout=LIMIT)
    assert (probe.returncode, out) == (128 + number, "")
    assert "could not drop" not in err
    with Driver(schema) as driver:
        assert driver.run("SHOW TABLES") == []
        assert driver.run("SHOW PROCEDURES IN SCHEMA") == []


def _has_tables(schema: Schema) -> bool:
    """Whether the probe's store and other tables exist."""
    texts = [statement.text for statement in schema.log() if statement.ended]
    return all(any(part in text for text in texts) for part in ("CREATE OR REPLACE", "LOCKS_OTHER"))
