"""Tasks of ``process=True``, which child processes find by importing this module."""

from __future__ import annotations

import functools
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fleet_q import ClaimLost, FleetQ, InvalidInput, PermanentFailure, Snooze, current_step
from tests.services import library_of_functions as library

app = FleetQ("memory://")
log = logging.getLogger("mine")


@app.task("pid", process=True)
def pid() -> dict[str, int]:
    return {"pid": os.getpid(), "attempt": current_step().attempt}


@app.task("hang", process=True, timeout=1, max_retries=0)
def hang() -> None:
    time.sleep(600)


@app.task("await file", process=True)
def await_file(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.01)


@app.task("start", process=True)
def start(pid_file: str) -> None:
    """Write the ids of this process and of a program that it starts, then sleep."""
    other = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    part = Path(f"{pid_file}.part")
    part.write_text(f"{os.getpid()} {other.pid}")
    part.rename(pid_file)
    time.sleep(600)


@app.task("spawn", process=True)
def spawn(count: int) -> None:
    """Spawn steps, and of these the last is detached."""
    for number in range(count):
        current_step().spawn(
            pid.options(step_id=f"spawned {number}").step(), detached=number == count - 1
        )


@app.task("crash", process=True, max_retries=0)
def crash() -> None:
    os._exit(7)


@app.task("killed", process=True, max_retries=0)
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task("snooze", process=True)
def snooze() -> None:
    raise Snooze(0.001)


@app.task("refuse", process=True)
def refuse() -> None:
    raise PermanentFailure("no")


@app.task("odd", process=True)
def odd() -> object:
    return object()


@app.task("leave", process=True)
def leave(error: str) -> None:
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[error]("bye")


@app.task("half built", process=True)
def half_built() -> None:
    class HalfBuilt(Exception):
        def __getattr__(self, name: str) -> Any:
            return getattr(self.response, name)  # a missing attribute: RecursionError

    raise HalfBuilt("no route to host")


@app.task("forks", process=True)
def forks() -> int:
    """Fork; both processes return from the function."""
    forked = os.fork()
    if forked:
        os.waitpid(forked, 0)
    return forked and 1


@app.task("closes", process=True)
def closes() -> None:
    os.closerange(3, 256)


@app.task("disturbs", process=True)
def disturbs() -> int:
    """Change the signal handlers, set an alarm and change the working directory."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    os.chdir("/")
    return os.getpid()


@app.task("terminated", process=True)
def terminated() -> list[Any]:
    """Send this process the signals that a service manager sends to all processes of a service."""
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    started = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    started.terminate()
    return [os.getpid(), os.getcwd() != "/", started.wait()]


@app.task("submits", process=True)
def submits() -> str:
    return app.submit({"task_type": "pid"})


@app.task("saves", process=True)
def saves() -> list[Any]:
    """Save in the first attempt, crash, and return what the second one finds."""
    step = current_step()
    value = step.once("x", lambda: "x" if step.attempt == 1 else "again")
    if step.attempt == 1:
        step.save({"page": 1})
        os._exit(7)
    found = step.saved
    try:
        step.save(object())
    except InvalidInput as error:
        return [found, value, str(error)[:26]]
    return []


@app.task("saves a set", process=True)
def saves_a_set() -> None:
    current_step().save({1})


@app.task("saves a set in a thread")
def saves_a_set_in_a_thread() -> None:
    current_step().once("a set", lambda: {1})


@app.task("reports", process=True)
def reports(path: str) -> None:
    current_step().progress(0.5, "half")
    await_file.function(path)


@app.task("saves late", process=True)
def saves_late(folder: str) -> None:
    """Save once the step was cancelled, and sleep."""
    files = Path(folder)
    part = files / "part"
    part.write_text(str(os.getpid()))
    part.rename(files / "pid")
    while not (files / "go").exists():
        time.sleep(0.01)
    with suppress(ClaimLost):
        current_step().save(1)
    time.sleep(600)


@app.task("logs", process=True)
def logs() -> None:
    log.info("hello\n%s", "x" * 10_000)
    try:
        raise ValueError("inner")
    except ValueError:
        log.exception("careful")


def twice(function: Any) -> Any:
    @functools.wraps(function)
    def called_twice(**arguments: Any) -> list[Any]:
        return [function(**arguments), function(**arguments)]

    return called_twice


app.task("in a thread")(library.square)
app.task("square", process=True)(library.square)
app.task("square again", process=True)(library.square)
app.task("square twice", process=True)(twice(library.square))
app.task("lambda", process=True)(lambda: "lambda")
app.task("alike 1", process=True)(library.make("one"))
app.task("alike 2", process=True)(library.make("two"))


async def _coroutine() -> None: ...


@app.task("return coroutine", process=True)
def return_coroutine() -> Any:
    return _coroutine()


class Refusal(ValueError):
    """An exception of a child process."""


@app.task("gives up", process=True, give_up_on=Refusal)
def gives_up() -> None:
    raise Refusal("no")


@app.task("gives up elsewhere", process=True, retry_on=ConnectionError)
def gives_up_elsewhere() -> None:
    raise Refusal("no")


@app.task("killed, with policy", process=True, max_retries=1, retry_on=ConnectionError)
def killed_with_policy() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
