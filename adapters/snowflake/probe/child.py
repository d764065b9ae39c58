"""A client in a process of its own, which the probe can kill: ``python -m
fleet_q.adapters.snowflake.probe.child``.

It reads one JSON object from its standard input, the parameters of the connector's ``connect`` and
the statements to run. It writes one line for the sign-in and for each statement, and then waits for
the end of its input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import snowflake.connector


def main() -> None:
    given = json.loads(sys.stdin.readline())
    connection = snowflake.connector.connect(**given["connection"])
    _tell({"signed_in": True})
    for text in given["statements"]:
        cursor = connection.cursor()
        cursor.execute(text)
        rows = cursor.fetchall()
        characters = sum(len(value) for row in rows for value in row if isinstance(value, str))
        first = str(rows[0][0])[:100] if rows else None
        _tell({"rows": len(rows), "characters": characters, "first": first})
    sys.stdin.read()


def _tell(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
