"""Runs a pod as a process, with or without HTTP: the commands ``worker`` and ``serve``."""

from __future__ import annotations

import contextlib
import socket
from contextlib import AbstractContextManager

from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.serving import serving
from fleet_q.services.cli.signals import SIGNAL_CHECK_INTERVAL, Ended
from fleet_q.services.http.api import create_http
from fleet_q.services.http.listener import listen
from fleet_q.services.worker.loop_thread import LoopThread
from fleet_q.services.worker.signals import ending_with_its_pod


def run_worker(app: FleetQ) -> None:
    """Run a pod until a signal stops it. Raises :class:`Ended` if a second signal did, and the
    error that ended the pod otherwise.

    The process must exit afterwards; if it has not after some seconds, it is killed.
    """
    _run(app, contextlib.nullcontext())


def run_server(app: FleetQ, host: str, port: int) -> None:
    """Run a pod with its HTTP API on ``host:port``, otherwise like :func:`run_worker`.

    Raises :class:`InvalidInput` if the address cannot be listened on.
    """
    with listen(host, port) as listener:
        _run(app, _serving(app, host, listener))


def _serving(app: FleetQ, host: str, listener: socket.socket) -> AbstractContextManager[None]:
    """Serve the HTTP API of ``app`` while the body runs."""
    return serving(
        lambda hosts: create_http(app, allowed_hosts=hosts),
        app.settings,
        host,
        listener,
        exposed="submit, read and cancel steps",
    )


def _run(app: FleetQ, server: AbstractContextManager[object]) -> None:
    with ending_with_its_pod() as stopping, LoopThread() as thread:
        with app.running_on(thread.loop) as pod:
            stopping.govern(pod)
            with server:  # it serves until the pod has drained
                while not pod.ended.wait(SIGNAL_CHECK_INTERVAL):
                    pass
        if stopping.second_signal is not None:
            raise Ended(stopping.second_signal)
        if pod.error is not None:
            raise pod.error
