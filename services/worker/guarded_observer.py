"""GuardedObserver, an observer whose errors harm no pod."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleet_q.core.worker.observer import Observer
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.pod")


class Guarded:
    """Calls a function. Of its errors, the first is logged, and none is raised."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self._has_failed = False

    def __call__(self, *args: Any, **by_name: Any) -> None:
        try:
            self._function(*args, **by_name)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                log.exception("the pod goes on without some of its metrics")


class GuardedObserver(Observer):
    """Passes everything on to ``observer``. Of the errors of each method, the first is logged."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        for name in vars(Observer):
            if name.startswith("on_") or name == "close":
                setattr(self, name, Guarded(getattr(observer, name)))

    @property
    def wants_completions(self) -> bool:
        return self._observer.wants_completions

    @property
    def wants_unserved(self) -> bool:
        return self._observer.wants_unserved

    @property
    def wants_ended(self) -> bool:
        return self._observer.wants_ended
