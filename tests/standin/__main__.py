"""The stand-in as a process. It prints its URL and ends when its standard input is closed.

With a command, it runs the command with variables that name the stand-in as the Snowflake account,
and ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn import Server

HOST = "127.0.0.1"


def main() -> None:
    options = argparse.ArgumentParser(prog="tests.standin", description=__doc__)
    options.add_argument("--port", type=int, default=0, help="0: any free port")
    options.add_argument(
        "--data", type=Path, help="the folder for the data; without it, data is in memory"
    )
    options.add_argument(
        "--stay", action="store_true", help="keep running when the standard input is closed"
    )
    options.add_argument(
        "--measured-times",
        action="store_true",
        help="with a command: let statements take as long as they were measured on Snowflake",
    )
    options.add_argument("command", nargs=argparse.REMAINDER, help="for example: sh")
    given = options.parse_args()
    if given.command:
        sys.exit(_run(given.command, given.data, given.measured_times))
    _serve(given)


def _run(command: list[str], data: Path | None, has_measured_times: bool) -> int:
    """Run a command with a stand-in; returns its exit status. The server itself needs neither
    FLEET-Q nor what this imports."""
    import msgspec

    from fleet_q.adapters.snowflake.times import MEASURED, SLOTS

    from .client import Standin

    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
    with Standin(data) as standin:
        schema = standin.schema("QUEUE")
        if has_measured_times:
            schema.set(times=msgspec.to_builtins(MEASURED), slots=SLOTS)
        process = subprocess.Popen(command, env=os.environ | schema.environment)
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the command receives it, too
                return process.wait()


def _serve(given: argparse.Namespace) -> None:
    """Serve until the end of the input; this needs fakesnow, which a command does not."""
    import uvicorn

    from .app import App

    gc.freeze()  # what was imported stays
    gc.set_threshold(100_000)  # every syntax tree is full of cycles
    logging.getLogger("sqlglot").setLevel(
        logging.ERROR
    )  # it warns of commands that the stand-in handles
    # asyncio disables Nagle's algorithm only on sockets whose protocol is TCP
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # so that it can restart on this port
        listening.bind((HOST, given.port))
        listening.listen(1_024)
        server = uvicorn.Server(
            uvicorn.Config(
                App(given.data),
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        if not given.stay:
            threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
        print(f"http://{HOST}:{listening.getsockname()[1]}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(server.serve(sockets=[listening]))


def _stop_at_end_of_input(server: Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
