"""The tasks that the pods of these tests run."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fleet_q import FleetQ, current_step

ENDLESS = 1_000
"""So many retries that no step runs out of them, however often its pod is killed."""

app = FleetQ()


@app.task("nap")
def nap(number: int) -> int:
    """Return ``number`` after 20 ms, so that every pod gets steps, or after ``NAP_SECONDS``."""
    time.sleep(float(os.environ.get("NAP_SECONDS", "0.02")))
    return number


@app.task("branch")
def branch(numbers: list[list[int]]) -> None:
    """Spawn a branch for each of several lists, or a nap for each number of a single one."""
    if len(numbers) > 1:
        for one in numbers:
            current_step().spawn(branch.options(max_retries=ENDLESS).step([one]))
    else:
        for number in numbers[0]:
            current_step().spawn(nap.options(max_retries=ENDLESS).step(number))


@app.task("total")
def total() -> int:
    """Return the sum of what the steps that it waited for returned."""
    return sum(parent.result or 0 for parent in current_step().parents.values())


@app.task("echo")
def echo(text: str) -> str:
    return text


@app.task("peak memory")
def peak_memory() -> int:
    """Return the peak memory of this process, in KiB."""
    if sys.platform == "linux":  # where ru_maxrss includes the parent process
        return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@app.task("touch")
def touch(path: str, until: str) -> str:
    """Append this process's id to the file ``path``, then wait until the file ``until`` exists."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    while not os.path.exists(until):
        time.sleep(0.01)
    return "done"


@app.task("kill pod once")
async def kill_pod_once(path: str) -> None:
    """Append the step's id to the file ``path``. The first step kills its pod, before the event
    loop begins another one."""
    context = current_step()
    is_first = not os.path.exists(path)
    with open(path, "a") as file:
        file.write(f"{context.step_id}\n")
    if is_first:
        os.kill(os.getpid(), signal.SIGKILL)


@app.task("kill process pod once", process=True)
def kill_process_pod_once(path: str) -> None:
    """The same in a child process, of which the pod runs one at a time."""
    is_first = not os.path.exists(path)
    with open(path, "a") as file:
        file.write(f"{current_step().step_id}\n")
    if is_first:
        guard = Path(f"/proc/{os.getppid()}/stat").read_text()
        os.kill(int(guard.rpartition(")")[2].split()[1]), signal.SIGKILL)
        threading.Event().wait()  # until the guard kills this process


@app.task("block")
async def block(path: str, until: str) -> str:
    """The same in an async function, so that it blocks the event loop."""
    return touch(path, until)


@app.task("clutter")
def clutter(path: str, until: str) -> None:
    """Leave a thread, an executor and an exit handler that would prevent the interpreter's exit."""
    never = threading.Event()
    ThreadPoolExecutor(1).submit(never.wait)
    threading.Thread(target=never.wait, daemon=False).start()
    atexit.register(never.wait)
    Path(path).touch()


@app.task("hold", process=True)
def hold(path: str) -> None:
    """Start a program, then hold the interpreter lock for longer than any test waits."""
    program = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    Path(path).write_text(f"{os.getpid()}\n{program.pid}\n")
    sum(range(10**13))


@app.task("await file", process=True)
def await_file(path: str, file: str) -> str:
    print("awaiting\nthe", end=" ")
    print("file")
    Path(path).write_text(f"{os.getpid()}\n")
    while not Path(file).exists():
        time.sleep(0.01)
    return "done"


@app.task("orphan")
def orphan(path: str) -> int:
    """Leave an orphan that exits at once, then run a child process. Returns its exit code."""
    code = "import os; p = os.fork(); p and os.write(1, b'%d\\n' % p); os._exit(0)"
    printed = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, check=True)
    Path(path).write_bytes(printed.stdout)
    return subprocess.call([sys.executable, "-S", "-c", "raise SystemExit(3)"])


@app.task("terminate")
def terminate() -> int | None:
    """Terminate a forked process as soon as it runs. Returns its exit code."""
    reading, writing = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=write_and_wait, args=(writing,))
    process.start()
    os.read(reading, 1)
    process.terminate()
    process.join()
    return process.exitcode


def write_and_wait(descriptor: int) -> None:
    os.write(descriptor, b"x")
    threading.Event().wait()
