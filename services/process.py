"""A pod as a process: the reference worker, with or without HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app import FleetQ
from fleet_q.services.http import create_http
from fleet_q.services.pod import Pod
from fleet_q.services.signals import ending_with_its_pod

log = logging.getLogger("fleet_q.process")


def run_worker(app: FleetQ) -> None:
    """Run a pod until it is told to stop. Raises what ended it, if it was not that."""
    _run(app, None)


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
        _run(app, listener)


def _run(app: FleetQ, listener: socket.socket | None) -> None:
    with ending_with_its_pod() as govern:
        asyncio.run(_live(app, listener, govern))


async def _live(app: FleetQ, listener: socket.socket | None, govern: Callable[[Pod], None]) -> None:
    async with app.running() as pod:
        govern(pod)
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
