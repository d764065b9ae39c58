"""What a fork of the process means for locks and connections.

A child process has its parent's memory, but of its threads only the one that forked: a lock that
another thread held is never released there. A connection stays the parent's: whatever a child does
with it, closing it included, takes the parent's locks or session away.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

FORK_PATIENCE: Final = 10.0
"""Seconds that a fork waits for transactions that are under way in other threads."""


class Forkable(Protocol):
    """What :func:`register` is called with. Its methods run in the thread that forks."""

    def before_fork(self, until: float) -> None:
        """Let no other thread be in the middle of something; wait until then at the latest."""

    def after_fork(self, in_child: bool) -> None:
        """Go on: in the parent, or ``in_child`` with locks and connections of the child's own."""


class Closable(Protocol):
    """What :class:`OwnedConnection` holds."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class ForkLock:
    """A ``lock`` that a fork waits for, so that no other thread is inside it; free in the child."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_held_by_fork = False

    def before_fork(self, until: float) -> None:
        """Wait for the lock, at most until then."""
        self.is_held_by_fork = self.lock.acquire(timeout=max(0.0, until - time.monotonic()))

    def after_fork(self, in_child: bool) -> None:
        """Release it. A child whose parent did not get it has another one."""
        if self.is_held_by_fork:
            self.is_held_by_fork = False
            self.lock.release()
        elif in_child:
            self.lock = threading.RLock()


class OwnedConnection(ForkLock, Generic[C]):
    """A ``connection``, used under ``lock``, of the process that opened it: a child has none.

    The child closes its parent's, which must be one that may be closed there, unless another
    thread was using it.
    """

    def __init__(self, connection: C | None = None) -> None:
        super().__init__()
        self.connection = connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def after_fork(self, in_child: bool) -> None:
        if in_child and self.is_held_by_fork:
            self.close()
        elif in_child and self.connection is not None:
            keep_forever(self.connection)
            self.connection = None
        super().after_fork(in_child)


def register(forkable: Forkable) -> None:
    """Call the object's methods at every fork, for as long as it lives."""
    key = id(forkable)
    with _gate:
        _registered[key] = weakref.ref(forkable, lambda _: _registered.pop(key, None))


def call_in_child(method: Callable[[], None]) -> None:
    """Call an object's method in every child, after what is registered, while the object lives."""
    key = id(method.__self__)  # type: ignore[attr-defined]
    # A WeakMethod complains if the object lives until the interpreter has almost ended.
    owner = weakref.ref(method.__self__, lambda _: _in_children.pop(key, None))  # type: ignore[attr-defined]
    _in_children[key] = owner, method.__func__  # type: ignore[attr-defined]


def keep_forever(inherited: object) -> None:
    """Never run the destructor of something that is the parent's, not even when the child ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def is_inherited(file: tuple[int, int]) -> bool:
    """Whether a file, given by device and inode, was open when this process was forked, by
    something that is not registered here."""
    return file in _inherited


_registered: Final[dict[int, weakref.ref[Forkable]]] = {}
_in_children: Final[dict[int, tuple[weakref.ref[object], Callable[[object], None]]]] = {}
_gate = threading.RLock()  # no new object may come while the process forks
_forking: list[Forkable] = []
_inherited: set[tuple[int, int]] = set()


def _before() -> None:
    _gate.acquire()
    until = time.monotonic() + FORK_PATIENCE
    for reference in list(_registered.values()):
        forkable = reference()
        if forkable is not None:
            _forking.append(forkable)
            forkable.before_fork(until)


def _after(in_child: bool) -> None:
    forked = _forking[::-1]
    _forking.clear()
    try:
        for forkable in forked:
            forkable.after_fork(in_child)
    finally:
        _gate.release()


def _in_parent() -> None:
    _after(in_child=False)


def _in_child() -> None:
    global _gate
    if not _forking:  # a fork that was not announced: nothing waited for the other threads
        _gate = threading.RLock()
        _gate.acquire()
        _forking.extend(f for r in list(_registered.values()) if (f := r()) is not None)
    try:
        _after(in_child=True)
        for owner, function in list(_in_children.values()):
            if (living := owner()) is not None:
                function(living)
    finally:
        _note_open_files()


def _note_open_files() -> None:
    _inherited.clear()
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return
    for name in names:
        try:
            found = os.stat(int(name))
        except (OSError, ValueError):
            continue
        _inherited.add((found.st_dev, found.st_ino))


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
