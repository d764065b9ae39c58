"""A pod as a process: the reference worker, with or without HTTP, and what signals do to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app import FleetQ
from fleet_q.services.http import create_http
from fleet_q.services.pod import Pod

log = logging.getLogger("fleet_q.process")

STOP_AT_ONCE: Final = 3.0
"""Seconds that a pod has to hand its steps back after a second signal."""


def run_worker(app: FleetQ) -> None:
    """Run a pod until it is told to stop. Raises what ended it, if it was not that."""
    asyncio.run(_live(app, None))


def run_server(app: FleetQ, host: str, port: int) -> None:
    """Run a pod with its HTTP API on ``host:port`` until it is told to stop.

    Raises :class:`InvalidInput` if nothing can listen there.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port"
        ) from None
    with listener:
        asyncio.run(_live(app, listener))


async def _live(app: FleetQ, listener: socket.socket | None) -> None:
    async with app.running() as pod:
        with _signals(pod):
            serving = asyncio.ensure_future(_serve(app, listener, pod))
            await asyncio.to_thread(pod.ended.wait)
            await serving
    if pod.error is not None:
        raise pod.error


async def _serve(app: FleetQ, listener: socket.socket | None, pod: Pod) -> None:
    """Answer requests until the pod has ended, also while it drains."""
    if listener is None:
        return
    config = uvicorn.Config(
        create_http(app), log_config=None, access_log=False, timeout_graceful_shutdown=3
    )
    server = _Server(config)
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await asyncio.to_thread(pod.ended.wait)
    server.should_exit = True
    await serving


class _Server(uvicorn.Server):
    """Leaves the signals to the pod: requests are answered until it has drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _signals(pod: Pod) -> Iterator[None]:
    """The first SIGTERM or SIGINT drains the pod; the second makes it release all and go."""
    loop = asyncio.get_running_loop()
    received = 0

    def on_signal(number: int) -> None:
        nonlocal received
        received += 1
        name = signal.Signals(number).name
        if received == 1:
            log.info("%s: finishing what runs; once more to stop at once", name)
            pod.drain()
        else:
            log.warning("%s again: stopping at once", name)
            pod.drain(0)
            loop.call_later(STOP_AT_ONCE, os._exit, 128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
