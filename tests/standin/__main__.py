"""The stand-in as a process. It prints its URL and ends when its standard input is closed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import socket
import sys
import threading
from pathlib import Path

import uvicorn

from .app import App

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
    given = options.parse_args()
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


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
