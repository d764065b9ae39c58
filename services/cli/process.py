"""Runs a pod as a process: the command ``worker``."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.signals import SIGNAL_CHECK_INTERVAL, Ended
from fleet_q.services.worker.loop_thread import LoopThread
from fleet_q.services.worker.signals import ending_with_its_pod


def run_worker(app: FleetQ) -> None:
    """Run a pod until a signal stops it. Raises :class:`Ended` if a second signal did, and the
    error that ended the pod otherwise.

    The process must exit afterwards; if it has not after some seconds, it is killed.
    """
    run_pod(app, contextlib.nullcontext())


def run_pod(app: FleetQ, server: AbstractContextManager[object], *, lease: bool = False) -> None:
    """Like :func:`run_worker`, with a ``server`` that serves until the pod has drained. With
    ``lease``, the pod runs no functions: clients of the API claim steps and end them."""
    with ending_with_its_pod() as stopping, LoopThread() as thread:
        with app.leasing() if lease else app.running_on(thread.loop) as pod:
            stopping.govern(pod)
            with server:
                while not pod.ended.wait(SIGNAL_CHECK_INTERVAL):
                    pass
        if stopping.second_signal is not None:
            raise Ended(stopping.second_signal)
        if pod.error is not None:
            raise pod.error
