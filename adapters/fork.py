"""Locks and connections that survive a fork of the process.

A child process has a copy of its parent's memory, but only the thread that forked: a lock that
another thread held is never released there. A connection still belongs to the parent: anything that
a child does with it, even closing it, ends the parent's locks or session.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

from fleet_q.adapters.descriptors import open_files

FORK_PATIENCE: Final = 10.0
"""Seconds that a fork waits for running transactions of other threads."""


class Forkable(Protocol):
    """An object that :func:`register` accepts. Its methods run in the thread that forks."""

    def before_fork(self, until: float) -> None:
        """Keep other threads out of critical sections; wait for them until ``until`` (monotonic
        seconds) at most."""

    def after_fork(self, in_child: bool) -> None:
        """Release the locks; ``in_child``: replace locks and connections by the child's own."""


class Closable(Protocol):
    """A connection that :class:`OwnedConnection` can hold."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class ForkLock:
    """A ``lock`` that a fork acquires first, so that no other thread holds it during the fork. It
    is free in the child."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_held_by_fork = False

    def before_fork(self, until: float) -> None:
        """Acquire the lock, waiting until ``until`` (monotonic seconds) at most."""
        self.is_held_by_fork = self.lock.acquire(timeout=max(0.0, until - time.monotonic()))

    def after_fork(self, in_child: bool) -> None:
        """Release the lock. If the fork could not acquire it, the child gets a new one."""
        if self.is_held_by_fork:
            self.is_held_by_fork = False
            self.lock.release()
        elif in_child:
            self.lock = threading.RLock()


class OwnedConnection(ForkLock, Generic[C]):
    """A ``connection``, used under ``lock``, that belongs to the process that opened it.

    A forked child has none: it closes its copy of the parent's connection, which must be of a kind
    that a child may close, or leaves it alone if another thread was using it.
    """

    def __init__(self, connection: C | None = None) -> None:
        super().__init__()
        self.connection = connection

    def close(self) -> None:
        """Close the connection, if one is open."""
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
    """Call the object's methods at every fork, as long as the object exists."""
    key = id(forkable)
    with _gate:
        _registered[key] = weakref.ref(forkable, lambda _: _registered.pop(key, None))


def call_in_child(method: Callable[[], None]) -> None:
    """Call a bound method in every forked child, after the registered objects' ``after_fork``, as
    long as its object exists."""
    key = id(method.__self__)  # type: ignore[attr-defined]
    # No WeakMethod: it raises if the object exists until the interpreter's shutdown.
    owner = weakref.ref(method.__self__, lambda _: _in_children.pop(key, None))  # type: ignore[attr-defined]
    _in_children[key] = owner, method.__func__  # type: ignore[attr-defined]


def keep_forever(inherited: object) -> None:
    """Never run the destructor of an object of the parent, not even when the child exits."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def is_inherited(file: tuple[int, int]) -> bool:
    """Whether a file, given by device and inode, was still open in this process right after it was
    forked, that is, opened by code that does not use this module."""
    return file in _inherited


_registered: Final[dict[int, weakref.ref[Forkable]]] = {}
_in_children: Final[dict[int, tuple[weakref.ref[object], Callable[[object], None]]]] = {}
_gate = threading.RLock()  # no object is registered during a fork
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
    if not _forking:  # _before was not called: no lock is held
        _gate = threading.RLock()
        _gate.acquire()
        _forking.extend(f for r in list(_registered.values()) if (f := r()) is not None)
    try:
        _after(in_child=True)
        for owner, function in list(_in_children.values()):
            if (instance := owner()) is not None:
                function(instance)
    finally:
        _record_open_files()


def _record_open_files() -> None:
    _inherited.clear()
    with suppress(OSError):
        _inherited.update(file for _, file in open_files())


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
