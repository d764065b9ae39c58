"""Functions for processes of their own, which import this module to find them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from fleet_q.services import FleetQ, PermanentFailure, current_step

app = FleetQ("memory://")


@app.task("pid", process=True)
def pid() -> dict[str, int]:
    return {"pid": os.getpid(), "attempt": current_step().attempt}


@app.task("hang", process=True, timeout=1, max_retries=0)
def hang(sign: str) -> None:
    Path(sign).write_text(str(os.getpid()))
    time.sleep(600)


@app.task("crash", process=True, max_retries=0)
def crash() -> None:
    os._exit(7)


@app.task("refuse", process=True)
def refuse() -> None:
    raise PermanentFailure("no")


@app.task("odd", process=True)
def odd() -> object:
    return object()


@app.task("leave", process=True)
def leave(error: str) -> None:
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[error]("bye")
