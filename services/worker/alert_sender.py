"""Sends alerts to a webhook, in threads of their own, so that no receiver can hold up the pod."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from fleet_q.core.alerts import Alert
from fleet_q.services.app import webhook
from fleet_q.services.app.alerts import encoded, notice, notice_id
from fleet_q.services.app.description import message_of
from fleet_q.services.worker.careful_log import CarefulLogger

log: Final = CarefulLogger("fleet_q.alerts")

MOST_AT_ONCE: Final = 4
"""The most requests at once. More alerts wait for their next try: a receiver that sends its answer
byte by byte may keep a thread for long."""


class AlertSender:
    """Sends alerts to the address ``url``; ``store`` says for people which fleet it is about.

    An alert is tried once; the leader sends it again, later and later, until the receiver has
    accepted it. Then :attr:`on_told` is called, in a thread of the sender.
    """

    def __init__(self, url: str, pod_id: str, store: str) -> None:
        self.on_told: Callable[[Alert], object] = lambda alert: None
        self._url = url
        self._pod_id = pod_id
        self._store = store
        self._free = threading.Semaphore(MOST_AT_ONCE)

    def send(self, alert: Alert) -> None:
        """Begin to send an alert. Does not wait, and raises nothing."""
        if not self._free.acquire(blocking=False):
            self._log(alert, "others are still being sent")
            return
        name = "fleet-q-alert"
        try:
            threading.Thread(target=self._send, args=[alert], name=name, daemon=True).start()
        except (RuntimeError, MemoryError, OSError) as error:
            self._free.release()
            self._log(alert, f"no thread can be started: {error}")

    def _send(self, alert: Alert) -> None:
        try:
            body = encoded(notice(alert, self._pod_id, self._store))
            webhook.post(self._url, body, notice_id(alert))
        except webhook.NotAccepted as error:
            self._log(alert, str(error))
        except BaseException as error:
            self._log(alert, message_of(error))
        else:
            log.info("alert sent: %s %s", alert.alert, alert.status, extra=self._tags())
            self.on_told(alert)
        finally:
            self._free.release()

    def _log(self, alert: Alert, reason: str) -> None:
        log.warning(
            "alert not sent: %s %s: %s; trying again later",
            alert.alert,
            alert.status,
            reason,
            extra=self._tags(),
        )

    def _tags(self) -> dict[str, object]:
        return {"pod": self._pod_id}
