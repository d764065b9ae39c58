"""A child process signs in to Snowflake itself, and does not sign its parent out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.standin.client import Schema
from tests.waiting import LIMIT

SCRIPT = """
import json, os, sys
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements

session = Session(json.loads(sys.argv[1]), Statements())
query = "SELECT CURRENT_SESSION()"
before = session.execute(query)
connection = session._connection
pid = os.fork()
if not pid:
    assert session._connection is None
    session.execute(query)
    assert session._connection is not connection
    sys.exit()  # with all exit handlers and destructors
status = os.waitpid(pid, 0)[1]
print(status, session.execute(query) == before, session._connection is connection)
"""


@pytest.mark.slow
def test_child_that_ends_does_not_end_its_parents_session(schema: Schema) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(schema.parameters)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0 True True\n", "")
