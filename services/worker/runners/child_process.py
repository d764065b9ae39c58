"""The pod's side of a child process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from multiprocessing import spawn, util
from typing import Final

from fleet_q.services.app.description import message_of
from fleet_q.services.worker.runners import guard
from fleet_q.services.worker.runners.child_logs import handle
from fleet_q.services.worker.runners.wire import (
    LENGTH_BYTES,
    LOST_CONNECTION,
    Began,
    Begin,
    Ended,
    FromChild,
    Logged,
    Ready,
    Reported,
    Run,
    Save,
    Saved,
    Start,
    decode_from_child,
    frame,
)

log = logging.getLogger("fleet_q.process")

STATUS_WITHIN: Final = 5.0
"""Seconds to wait for the wait status of a child that has closed its socket."""

EOF_WITHIN: Final = 0.5
"""Seconds to read the last messages of a child that has ended, as a fork of it may hold the socket
open."""

LEAVE_WITHIN: Final = 1.0
"""Seconds that an idle child has to run its exit handlers before it is killed."""

_CHILD: Final = """\
import sys
sys.path += sys.argv[2:]
from fleet_q.services.child.main import main
main(int(sys.argv[1]))
"""
_LOST: Final = "the process lost its connection to the pod; the function may have closed the socket"
_STATUS: Final = struct.Struct("!i")

_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
"""The pod's ends, which forked processes close: a guard takes the pod for running while a copy of
its socket is open."""


def _close_copies() -> None:
    for copy in list(_sockets):
        copy.close()


os.register_at_fork(after_in_child=_close_copies)


class ChildEnded(Exception):
    """The child ended before it sent a result; the message tells how."""

    def __init__(self, message: str, *, before_function: bool) -> None:
        super().__init__(message)
        self.before_function = before_function


class ChildProcess:
    """A child and its guard, controlled from the running event loop. ``on_end`` is called when both
    have ended."""

    def __init__(self, on_end: Callable[[ChildProcess], None]) -> None:
        self.is_new = True
        self.is_open = True
        self._on_end = on_end
        self._lock = threading.Lock()
        self._status: int | None = None
        self._reason: str | None = None
        self._on_ready: Callable[[], None] = _nothing
        self._on_began: Callable[[], None] | None = None  # until it has begun
        self._on_save: Callable[[Save], Saved] = _not_saved
        self._on_progress: Callable[[str], object] = lambda progress: None
        self._may_have_begun = False
        self._result: asyncio.Future[Ended] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, start: Start) -> None:
        """Start guard and child. Raises ``OSError`` if no process can be started."""
        message = frame(start)
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            to_child, of_child = _socket_pair(ours, theirs)
            self._to_guard, of_guard = _socket_pair(ours, theirs)
            python = [os.fsdecode(spawn.get_executable()), *_flags()]
            # -P, and the pod's sys.path last: modules of the application must not hide modules of
            # the standard library that the child imports at its start.
            child = [*python, "-P", "-c", _CHILD, str(of_child.fileno()), *map(str, sys.path)]
            self._process = subprocess.Popen(
                [python[0], "-S", "-P", guard.__file__, str(of_guard.fileno()), *child],
                stdin=subprocess.DEVNULL,
                pass_fds=(of_child.fileno(), of_guard.fileno()),
                start_new_session=True,
            )
            ours.pop_all()
        reader, self._writer = await asyncio.open_connection(sock=to_child)
        self._writer.write(message)
        loop = asyncio.get_running_loop()
        status = loop.create_task(self._read_status())
        self._life_task = loop.create_task(self._live(reader, status))

    async def run(
        self,
        run: Run,
        on_ready: Callable[[], None],
        on_began: Callable[[], None],
        on_save: Callable[[Save], Saved],
        on_progress: Callable[[str], object],
    ) -> Ended:
        """Run a step and return its result. ``on_ready`` is called before the function begins, if
        ``run.asks_to_begin``; ``on_began`` when it begins; ``on_save``, in a thread of its own,
        when it saves a checkpoint; ``on_progress`` with the progress that it reports. Raises what
        ``on_ready`` raises, :class:`ChildEnded`, or ``OSError`` if the guard could not start the
        child."""
        self.is_new = False
        self._on_ready = on_ready
        self._on_began = on_began
        self._on_save = on_save
        self._on_progress = on_progress
        self._may_have_begun = False
        self._result = asyncio.get_running_loop().create_future()
        self._writer.write(frame(run))
        if self._life_task.done():
            self._fail()
        return await self._result

    def kill(self, reason: str | None = None) -> None:
        """Kill the child and the programs that it started. Can be called from any thread."""
        self._reason = self._reason or reason
        with self._lock, contextlib.suppress(OSError):  # the socket is closed
            self._to_guard.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """End an idle child: close its socket, and kill it if it has not ended in time."""
        self.is_open = False
        self._writer.close()
        asyncio.get_running_loop().call_later(LEAVE_WITHIN, self.kill)

    async def _live(self, reader: asyncio.StreamReader, status: asyncio.Task[None]) -> None:
        """Read messages until the child has ended, then reap it."""
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
                self._on_message(decode_from_child(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        except Exception as error:
            cause = f"the function may have written to the socket: {error}"
            self.kill(f"the process sent an invalid message; {cause}")
        self.is_open = False
        await asyncio.wait([status], timeout=STATUS_WITHIN)
        if not status.done():
            self.kill(_LOST)
        await asyncio.wait([status], timeout=STATUS_WITHIN)
        status.cancel()
        self._writer.close()
        self._process.kill()  # if it has not ended
        with self._lock:
            self._to_guard.close()
        pause = 0.001
        while self._process.poll() is None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.1)
        self._fail()
        self._on_end(self)

    def _on_message(self, message: FromChild) -> None:
        match message:
            case Logged(record):
                try:
                    handle(record)
                except BaseException as error:  # of a log handler in the pod
                    log.debug("a log handler failed with a record of a child process: %s", error)
            case Ready():
                self._begin()
            case Began():
                self._may_have_begun = True
                if self._on_began is not None:
                    self._on_began()
                    self._on_began = None
            case Reported(progress):
                self._on_progress(progress)
            case Save():
                loop, save = asyncio.get_running_loop(), partial(self._save, self._on_save, message)
                threading.Thread(target=save, args=[loop], name="fleet-q-save", daemon=True).start()
            case Ended():
                if self._result is not None and not self._result.done():
                    self._result.set_result(message)

    def _begin(self) -> None:
        try:
            self._on_ready()
        except Exception as error:
            if self._result is not None and not self._result.done():
                self._result.set_exception(error)
            self.is_open = False
            self.kill()
        else:
            self._may_have_begun = True  # the start is recorded
            self._writer.write(frame(Begin()))

    def _save(
        self, on_save: Callable[[Save], Saved], save: Save, loop: asyncio.AbstractEventLoop
    ) -> None:
        try:
            saved = on_save(save)
        except Exception as error:
            saved = Saved(error=message_of(error))
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._answer, saved)

    def _answer(self, saved: Saved) -> None:
        if self.is_open:
            self._writer.write(frame(saved))

    async def _read_status(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            data = await loop.sock_recv(self._to_guard, _STATUS.size)
            if len(data) == _STATUS.size:
                self._status = _STATUS.unpack(data)[0]
        loop.call_later(EOF_WITHIN, self._writer.transport.abort)

    def _fail(self) -> None:
        if self._result is None or self._result.done():
            return
        if self._status is not None and self._status < 0:
            self._result.set_exception(OSError(-self._status, os.strerror(-self._status)))
        else:
            before_function = not self._may_have_begun
            when = " before its function began" if before_function else ""
            message = self._reason or _ending(self._status) + when
            self._result.set_exception(ChildEnded(message, before_function=before_function))


def _nothing() -> None: ...


def _not_saved(_: Save) -> Saved:
    return Saved(error="no function runs")


def _ending(status: int | None) -> str:
    if status is None:
        return "the process was ended, and its guard too"
    code = os.waitstatus_to_exitcode(status)
    if code == LOST_CONNECTION:
        return _LOST
    if code >= 0:
        return f"the process exited with code {code}"
    perhaps = ", perhaps by the kernel for lack of memory" if -code == signal.SIGKILL else ""
    return f"the process was ended by {_signal_name(-code)}{perhaps}"


def _socket_pair(
    ours: contextlib.ExitStack, theirs: contextlib.ExitStack
) -> tuple[socket.socket, socket.socket]:
    our, their = socket.socketpair()
    ours.enter_context(our)
    theirs.enter_context(their)
    our.setblocking(False)
    _sockets.add(our)
    return our, their


def _flags() -> list[str]:
    """This interpreter's own, such as ``-O`` and ``-X``."""
    flags: list[str] = util._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
