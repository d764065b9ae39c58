"""Keys, the API keys of an app: their holders and roles, from the settings and from a file."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.file_signature import signature_of
from fleet_q.services.app.key_list import SETTING, check_distinct, digest_of, entries_in, parse
from fleet_q.services.app.roles import Holder
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.http")

FILE_SETTING: Final = f"{SETTING}_FILE"


class Keys:
    """The keys in ``entries`` and in ``file``, which is read anew when it changes.

    A file that becomes invalid, empty or unreadable later does not count: the keys that it had
    before stay, and the log says why. Raises :class:`InvalidInput`.
    """

    def __init__(self, entries: Sequence[str] = (), file: str | None = None) -> None:
        self._entries = tuple(entries)
        self._file = None if file is None else Path(file).absolute()
        self._lock = threading.Lock()
        self._seen = self._signature()
        self._holders = self._read()

    def __bool__(self) -> bool:
        """Whether there are keys, so that requests need one."""
        return bool(self._holders)

    def holder(self, secret: str) -> Holder | None:
        """Return the holder of a key; ``None`` if it is no key."""
        return self._holder_of(digest_of(secret))

    def renewed(self, holder: Holder) -> Holder | None:
        """Return the holder of the same key as it is now; ``None`` if the key is gone."""
        return self._holder_of(holder.key)

    def _holder_of(self, digest: bytes) -> Holder | None:
        # Compares the digests of all keys, so that timing reveals nothing about them.
        matches = [each for each in self._current() if hmac.compare_digest(digest, each.key)]
        return matches[0] if matches else None

    def _current(self) -> tuple[Holder, ...]:
        """The holders, after reading the file if it has changed."""
        if self._file is not None and self._signature() != self._seen:
            with self._lock:
                if (signature := self._signature()) != self._seen:
                    self._seen = signature  # a file that cannot be used is reported once
                    self._read_again()
        return self._holders

    def _read_again(self) -> None:
        try:
            self._holders = self._read()
        except InvalidInput as error:
            log.warning("%s; the keys that were there before stay", error)
        else:
            log.info("read the API keys in %s anew: %d keys", self._file, len(self._holders))

    def _read(self) -> tuple[Holder, ...]:
        holders = parse(self._entries)
        if self._file is not None:
            where = f"{FILE_SETTING}={self._file}"
            holders += parse(entries_in(self._file, where), where, len(holders))
        check_distinct(holders)
        return tuple(holders)

    def _signature(self) -> tuple[int, ...]:
        return () if self._file is None else signature_of(self._file)
