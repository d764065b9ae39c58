"""The main program of a child process: it runs the steps that its pod sends, one at a time.

Functions run in the main thread. After each one, the process-wide state that would affect the next
step is restored: signal handlers, the alarm, the working directory and the logging configuration.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import signal
import socket
import sys
from typing import Final

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app import origin
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.context import StepContext, current, is_permanent
from fleet_q.services.app.description import described
from fleet_q.services.app.retries import kinds_of
from fleet_q.services.child.finder import Finder, NotFound
from fleet_q.services.child.printed import Printed
from fleet_q.services.child.to_pod import ToPod
from fleet_q.services.worker import logs
from fleet_q.services.worker.attempt import result_text, snoozed_for
from fleet_q.services.worker.parent import end_with_parent
from fleet_q.services.worker.runners.address import Address
from fleet_q.services.worker.runners.channel import Channel
from fleet_q.services.worker.runners.child_logs import LogsToPod, set_levels
from fleet_q.services.worker.runners.forked import end_if_forked, flush_output, this_process
from fleet_q.services.worker.runners.wire import (
    LOST_CONNECTION,
    Began,
    Begin,
    Ended,
    Ready,
    Run,
    Start,
)

_FOR_THE_POD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(descriptor: int) -> None:
    """Run the steps that the pod sends over the socket ``descriptor``, until the pod closes it."""
    origin.is_child = True
    end_with_parent(os.getsid(0))  # the guard, which leads the session
    channel = Channel(socket.socket(fileno=descriptor))
    start = channel.receive()
    if not isinstance(start, Start):
        return
    child = _Child(channel, start)
    try:
        while child.is_usable and isinstance(run := channel.receive(), Run):
            child.run(run)
    except OSError:  # a function has closed the socket
        sys.exit(LOST_CONNECTION)


class _Child:
    """Runs steps. Not usable after an import failed, as a module may be half imported."""

    def __init__(self, channel: Channel, start: Start) -> None:
        self.is_usable = True
        self._channel = channel
        self._start = start
        self._process = this_process()
        self._saver: ToPod | None = None
        self._cwd = os.getcwd()
        self._finder = Finder(start.preparation, self._on_app)
        self._handler = LogsToPod(channel.send, start.pod_id)
        self._printed = Printed() if start.logs_prints else None
        self._set_signals()
        self._set_logging()
        os.register_at_fork(after_in_child=self._forked)

    def run(self, run: Run) -> None:
        """Run a step and send the result to the pod."""
        context = contextvars.Context()
        try:
            ended = context.run(self._attempt, run)
        except BaseException as error:  # describing an error may raise as well
            ended = Ended(error=type(error).__name__)
        if self._printed is not None:
            context.run(self._printed.finish)
        self._restore()
        if self._saver is not None:
            self._saver.close()
        self._channel.send(ended)

    def _attempt(self, run: Run) -> Ended:
        step = run.step
        context = StepContext(step)
        context.saver = self._saver = ToPod(self._channel, self._start.settings.max_result_bytes)
        current.set(context)
        try:
            task = self._finder.task(run.address)
        except NotFound as error:
            return Ended(error=str(error), permanent=True)
        except BaseException as error:
            self.is_usable = False
            message, trace = described(error)
            message = f"importing the task in a process failed: {message}"
            return Ended(None, message, trace, permanent=isinstance(error, InvalidInput))
        self._set_logging()
        try:
            context.app = task.app
            call = task.bound(step)
            if run.asks_to_begin:
                self._channel.send(Ready())
                if not isinstance(self._channel.receive(), Begin):
                    raise OSError("the pod is gone")
            self._channel.send(Began())
            result = call()
        except BaseException as error:
            end_if_forked(self._process, error)
            if (seconds := snoozed_for(error)) is not None:
                return Ended(snooze=seconds)
            return _failed(error, permanent=is_permanent(error))
        end_if_forked(self._process)
        try:
            text = result_text(task, result, self._start.settings.max_result_bytes)
            children, detached = context.take_children()
            return Ended(text, children=list(children), detached=list(detached))
        except BaseException as error:
            return _failed(error, permanent=True)

    def _on_app(self, app: FleetQ, address: Address) -> None:
        app.use(store=address.store, settings=self._start.settings)

    def _set_logging(self) -> None:
        """Replace the handlers that modules and functions have set: the pod formats the records."""
        if logging.root.handlers != [self._handler]:
            logging.root.handlers[:] = [self._handler]
            set_levels(self._start.log_levels)

    def _set_signals(self) -> None:
        # Not SIG_IGN, as programs that the function starts would inherit it.
        for number in _FOR_THE_POD:
            signal.signal(number, lambda *_: None)

    def _forked(self) -> None:
        """Make a forked process independent of the pod: it logs to stderr, and signals end it."""
        self._channel.close_copy()
        if self._saver is not None:
            self._saver.begin_in_fork()
        if self._printed is not None:
            self._printed.restore()
        logs.configure(self._start.settings, self._start.pod_id)
        for number in _FOR_THE_POD:
            signal.signal(number, signal.SIG_DFL)

    def _restore(self) -> None:
        signal.alarm(0)
        self._set_signals()
        with contextlib.suppress(OSError):
            os.chdir(self._cwd)
        flush_output()


def _failed(error: BaseException, *, permanent: bool) -> Ended:
    message, trace = described(error)
    return Ended(None, message, trace, permanent=permanent, kinds=kinds_of(type(error)))
