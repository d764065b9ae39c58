"""Another program that uses a store's file: ``python hog.py FILE LONGEST SEED``.

Until it is killed it holds the write lock, reads, or checkpoints the WAL, each for a random time of
at most ``LONGEST`` seconds."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from random import Random

_PAUSE = 0.01


def main(path: str, longest: float, seed: str) -> None:
    """Use the file until killed."""
    chance = Random(seed)
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    while True:
        with contextlib.suppress(sqlite3.OperationalError):  # a pod has the lock
            match chance.choice(["write", "write", "read", "checkpoint"]):
                case "write":
                    connection.execute("BEGIN IMMEDIATE")
                    time.sleep(chance.uniform(longest / 2, longest))
                    connection.execute("ROLLBACK")
                case "read":
                    connection.execute("BEGIN")
                    connection.execute("SELECT count(*) FROM step_tracker").fetchone()
                    time.sleep(chance.uniform(longest / 2, longest))
                    connection.execute("ROLLBACK")
                case "checkpoint":
                    mode = chance.choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
                    connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        time.sleep(chance.uniform(0, _PAUSE))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
