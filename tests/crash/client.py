"""The client of a round: submits its steps and cancels some, whatever state the store is in."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from fleet_q.core.errors import IllegalTransition, StoreUnavailable
from fleet_q.core.ports import Store
from fleet_q.core.step import Submit
from tests.crash.plan import Plan

_PAUSE: Final = 0.05


class Client(threading.Thread):
    """Repeats requests until the store answers. ``faults`` lists requests that failed otherwise."""

    def __init__(self, open_store: Callable[[], Store], plan: Plan) -> None:
        super().__init__(name="client", daemon=True)
        self.faults: list[str] = []
        self.cancelled: set[str] = set()
        """The ids of the steps that it tried to cancel; the cancellation may have been stored."""
        self._open = open_store
        self._request = threading.Lock()
        self._store: Store | None = None
        self._requests = self._requests_of(plan)

    def run(self) -> None:
        began = time.monotonic()
        for at, request in self._requests:
            time.sleep(max(began + at - time.monotonic(), 0))
            try:
                self._repeat(request)
            except Exception as error:
                self.faults.append(f"a client's request: {type(error).__name__}: {error}")
        self.close()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While the body runs, the client is idle and has no store open."""
        with self._request:
            self._close()
            yield

    def close(self) -> None:
        """Close the store."""
        with self._request:
            self._close()

    def _requests_of(self, plan: Plan) -> list[tuple[float, Callable[[Store], None]]]:
        requests: list[tuple[float, Callable[[Store], None]]] = []
        for at, burst in plan.bursts:
            commands = [work.command for work in burst]
            requests.append((at, partial(self._submit, commands)))
        for at, step_id in plan.cancellations:
            requests.append((at, partial(self._cancel, step_id)))
        return sorted(requests, key=lambda request: request[0])

    def _submit(self, commands: Sequence[Submit], store: Store) -> None:
        store.submit(commands)

    def _cancel(self, step_id: str, store: Store) -> None:
        self.cancelled.add(step_id)
        with contextlib.suppress(IllegalTransition):  # the step is final
            store.cancel(step_id)

    def _repeat(self, request: Callable[[Store], None]) -> None:
        while True:
            with self._request:
                try:
                    if self._store is None:
                        self._store = self._open()
                    request(self._store)
                    return
                except StoreUnavailable:
                    self._close()
            time.sleep(_PAUSE)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
