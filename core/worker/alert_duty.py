"""What a pod does about alerts: it looks for them while it leads, and records which were told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fleet_q.core.alerting import look_for_alerts, record_told
from fleet_q.core.alerts import Alert, AlertRules
from fleet_q.core.calls import Calls
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings


class AlertDuty:
    """``send`` begins to send an alert; ``None``: nobody is to be told. ``on_postponed`` is called
    with the error of a look, or of a record, that could not be carried out."""

    def __init__(
        self,
        settings: PodSettings,
        send: Callable[[Alert], object] | None,
        on_postponed: Callable[[Exception], object],
    ) -> None:
        self._rules = AlertRules(micros(settings.alert_oldest), micros(settings.alert_after))
        self._dead_after = micros(settings.dead_pod_threshold)
        self._send = send
        self._on_postponed = on_postponed
        self._told: deque[Alert] = deque()

    def then_look(self, recovery: Calls[bool]) -> Calls[bool]:
        """A recovery cycle, after which a leader looks for alerts. An error ends only the look."""
        has_led = yield from recovery
        if has_led and self._send is not None:
            try:
                yield from look_for_alerts(self._rules, self._dead_after, self._send)
            except Exception as error:
                self._on_postponed(error)
        return has_led

    def on_told(self, alert: Alert) -> None:
        """The receiver has accepted an alert."""
        self._told.append(alert)

    def record(self) -> Calls[None]:
        """Record the alerts that were told; again later if the store is unavailable."""
        while self._told:
            alert = self._told.popleft()
            try:
                yield from record_told(alert)
            except Exception as error:
                self._on_postponed(error)
                if isinstance(error, StoreUnavailable):
                    self._told.appendleft(alert)
                    return
