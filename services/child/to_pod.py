"""ToPod, which has the pod store the checkpoints and the progress of a child process."""

from __future__ import annotations

import threading
from contextlib import suppress

from fleet_q.core.errors import ClaimLost, StoreError, StoreUnavailable
from fleet_q.core.step import SaveCheckpoint
from fleet_q.services.worker.runners.channel import Channel
from fleet_q.services.worker.runners.wire import Reported, Save, Saved


class ToPod:
    """Sends the checkpoints of one attempt to the pod, from any thread, until it is closed."""

    def __init__(self, channel: Channel, max_checkpoint_bytes: int) -> None:
        self.max_checkpoint_bytes = max_checkpoint_bytes
        self._channel = channel
        self._lock = threading.Lock()  # held until the answer has come, so no other reads it
        self._is_closed = False

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None) -> None:
        """See :class:`fleet_q.services.app.checkpoint.Saver`."""
        with self._lock:
            if self._is_closed:
                raise ClaimLost(save.step_id)
            try:
                self._channel.send(Save(save.checkpoint, save.version))
                saved = self._channel.receive()
            except OSError as error:
                raise StoreUnavailable(
                    f"the process has no connection to its pod: {error}"
                ) from None
        if not isinstance(saved, Saved):
            raise StoreUnavailable("the process has lost its pod")
        if saved.is_lost:
            raise ClaimLost(save.step_id)
        if saved.error is not None:
            raise (StoreUnavailable if saved.is_unavailable else StoreError)(saved.error)

    def report_progress(self, step_id: str, claim_token: str, progress: str) -> None:
        """See :class:`fleet_q.services.app.checkpoint.Saver`."""
        with self._lock, suppress(OSError):  # of a socket that was closed, as the end will show
            if not self._is_closed:
                self._channel.send(Reported(progress))

    def close(self) -> None:
        """The attempt has ended: wait until no thread saves, and refuse all later saves."""
        with self._lock:
            self._is_closed = True

    def begin_in_fork(self) -> None:
        """Refuse all saves in a forked process, where a thread of the parent may hold the lock."""
        self._lock = threading.Lock()
        self._is_closed = True
