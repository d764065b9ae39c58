"""Runs a pod as a process: the command ``worker``."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.signals import SIGNAL_CHECK_INTERVAL, Ended
from fleet_q.services.worker.loop_thread import LoopThread
from fleet_q.services.worker.pod_thread import Pod
from fleet_q.services.worker.signals import ending_with_its_pod


def run_worker(app: FleetQ) -> None:
    """Run a pod until a signal stops it. Raises :class:`Ended` if a second signal did, and the
    error that ended the pod otherwise.

    The process must exit afterwards; if it has not after some seconds, it is killed.
    """
    run_pod(app, contextlib.nullcontext())


def run_pod(
    app: FleetQ,
    server: AbstractContextManager[object],
    leasing: AbstractContextManager[Pod] | None = None,
) -> None:
    """Like :func:`run_worker`, with a ``server`` that serves until the pod has drained. The pod is
    that of ``leasing``, if given, and runs no functions."""
    with ending_with_its_pod() as stopping, LoopThread() as thread:
        with leasing or app.running_on(thread.loop) as pod:
            stopping.govern(pod)
            with server:
                while not pod.ended.wait(SIGNAL_CHECK_INTERVAL):
                    pass
        if stopping.second_signal is not None:
            raise Ended(stopping.second_signal)
        if pod.error is not None:
            raise pod.error
