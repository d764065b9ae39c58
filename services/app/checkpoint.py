"""Checkpoint, what a function saves for the later attempts of its step; and its progress."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar, overload

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from fleet_q.adapters import fork
from fleet_q.core.errors import InvalidInput, StoreUnavailable
from fleet_q.core.step import SaveCheckpoint, Step
from fleet_q.core.submission import to_json
from fleet_q.services.app.callables import is_awaitable

T = TypeVar("T")

MAX_NAME_LENGTH: Final = 200
"""The maximum number of characters of a name under which a function runs once."""

MAX_PROGRESS_LENGTH: Final = 200
"""The maximum number of characters of the text that a function reports as its progress: a line."""


class Saver(Protocol):
    """What stores checkpoints."""

    @property
    def max_checkpoint_bytes(self) -> int:
        """The largest checkpoint, in bytes of JSON."""

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None) -> None:
        """Store a checkpoint. Raises ``ClaimLost`` if the step is not claimed any more as it was,
        ``StoreUnavailable`` and ``StoreError``."""

    def report_progress(self, step_id: str, claim_token: str, progress: str) -> None:
        """Let the next sync of the pod record what a function reports, a JSON text."""


class _Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON in the column ``checkpoint``: what was ``saved``, and by name the results of what
    ran ``once``, those of awaitables apart."""

    saved: Raw | UnsetType = UNSET
    once: dict[str, Raw] = {}
    awaited: dict[str, Raw] = {}


_encode = msgspec.json.Encoder().encode
_decode_content = msgspec.json.Decoder(_Content).decode


class Checkpoint:
    """The checkpoint of ``step``, a claimed one, which ``saver`` stores. Any thread may use it."""

    def __init__(self, step: Step, saver: Saver) -> None:
        self._step = step
        self._saver = saver
        self._version = step.version
        self._content = _Content() if step.checkpoint is None else _decode_content(step.checkpoint)
        self._unknown: tuple[SaveCheckpoint, StoreUnavailable] | None = None
        self._lock = threading.Lock()
        self._calls: dict[str, threading.RLock] = {}  # held while the function of a name runs
        self._awaits: dict[tuple[str, asyncio.AbstractEventLoop], asyncio.Lock] = {}
        fork.call_in_child(self._begin_in_child)

    @property
    def saved(self) -> Any:
        """A copy of what was saved last; ``None`` if nothing was."""
        saved = self._content.saved
        return None if saved is UNSET else msgspec.json.decode(saved)

    def save(self, value: object) -> None:
        """Save ``value``."""
        saved = self._json(value, "the checkpoint")
        with self._lock:
            self._store(replace(self._content, saved=saved))

    @overload
    def once(self, name: str, function: Callable[[], Awaitable[T]]) -> Awaitable[T]: ...
    @overload
    def once(self, name: str, function: Callable[[], T]) -> T: ...
    def once(self, name: str, function: Callable[[], Any]) -> Any:
        """The result of ``function``, which is called unless its result is in the checkpoint. Who
        calls at the same time waits for that."""
        _check_name(name)
        with self._calls.setdefault(name, threading.RLock()):
            content = self._content
            if name in content.once:
                return msgspec.json.decode(content.once[name])
            if name in content.awaited:
                return _given(msgspec.json.decode(content.awaited[name]))
            result = function()
            if not is_awaitable(result):
                return self._keep(name, result, is_awaited=False)
        return self._await(name, result)

    async def _await(self, name: str, awaitable: Awaitable[object]) -> Any:
        key = name, asyncio.get_running_loop()
        async with self._awaits.setdefault(key, asyncio.Lock()):
            if name in self._content.awaited:
                if inspect.iscoroutine(awaitable):
                    awaitable.close()
                return msgspec.json.decode(self._content.awaited[name])
            result = await awaitable
            return await asyncio.to_thread(self._keep, name, result, is_awaited=True)

    def _keep(self, name: str, result: object, *, is_awaited: bool) -> Any:
        text = self._json(result, f"the result of {name!r}")
        with self._lock:
            content = self._content
            if is_awaited:
                content = replace(content, awaited={**content.awaited, name: text})
            else:
                content = replace(content, once={**content.once, name: text})
            self._store(content)
        return msgspec.json.decode(text)

    def _json(self, value: object, what: str) -> Raw:
        return Raw(to_json(value, what, self._saver.max_checkpoint_bytes))

    def _store(self, content: _Content) -> None:
        """Store ``content``. After a call without an answer, which the store may still carry out,
        it is not known which checkpoint is stored, so only the same may follow in this attempt."""
        encoded, most = _encode(content), self._saver.max_checkpoint_bytes
        if len(encoded) > most:
            raise InvalidInput(f"the checkpoint has {len(encoded)} bytes; the limit is {most}")
        step = self._step
        assert step.claim_token is not None
        save = SaveCheckpoint(step.step_id, step.claim_token, encoded.decode(), self._version)
        if self._unknown is not None and self._unknown[0] != save:
            raise StoreUnavailable(
                f"step {step.step_id!r}: it is not known whether the last checkpoint was stored:"
                f" {self._unknown[1]}"
            )
        try:
            self._saver.save_checkpoint(save, step.claimed_by)
        except StoreUnavailable as error:
            self._unknown = save, error
            raise
        self._unknown = None
        self._version += 1
        self._content = content

    def _begin_in_child(self) -> None:
        self._lock = threading.Lock()  # a thread of the parent may have held it
        self._calls = {}


def _check_name(name: str) -> None:
    if type(name) is not str:
        raise InvalidInput(f"the name of what runs once must be a text, not {name!r}")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInput(
            f"the name of what runs once has {len(name)} characters; the limit is {MAX_NAME_LENGTH}"
        )
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the name of what runs once is no Unicode text: {error}") from None


def saved_of(step: Step) -> Any:
    """What was saved of ``step`` last; ``None`` if nothing was."""
    if step.checkpoint is None:
        return None
    saved = _decode_content(step.checkpoint).saved
    return None if saved is UNSET else msgspec.json.decode(saved)


def progress_json(fraction: float | None, text: str | None) -> str:
    """The JSON of what a function reports. Raises :class:`InvalidInput`."""
    if fraction is not None and (
        isinstance(fraction, bool)
        or not isinstance(fraction, int | float)
        or not 0 <= fraction <= 1
    ):
        raise InvalidInput(f"fraction must be a number from 0 to 1, not {fraction!r}")
    if text is not None and not isinstance(text, str):
        raise InvalidInput(f"the text of the progress must be a string, not {text!r}")
    if text is not None and len(text) > MAX_PROGRESS_LENGTH:
        raise InvalidInput(
            f"the text of the progress has {len(text)} characters; the limit is"
            f" {MAX_PROGRESS_LENGTH}"
        )
    return to_json({"fraction": fraction, "text": text}, "the progress")


async def _given(value: T) -> T:
    return value
