"""The webhook that alerts are sent to: an address that may be a secret, and one request to it."""

from __future__ import annotations

import re
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.services.app.version import installed_version

ANSWER_WITHIN: Final = 10.0
"""Seconds for each part of a request: connecting, sending, and waiting for the answer."""


class NotAccepted(FleetQError):
    """The receiver of an alert has not accepted it; the message tells why, and not the address."""


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: an answer may not send an alert, or a secret path, to another host."""

    def redirect_request(self, *args: Any) -> None:
        return None


_open = build_opener(_NoRedirects).open


def check_webhook(url: str) -> None:
    """Raise :class:`InvalidInput`, without the address, unless it is one to send alerts to."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or "@" in parts.netloc or not re.fullmatch("[!-~]+", url):
        raise InvalidInput(
            "FLEET_Q_ALERT_WEBHOOK=***: it must be an address such as https://example.com/hook, in"
            " ASCII, without a user and a password"
        )


def shown_webhook(url: str) -> str:
    """The address for people: its host without its path, which is often a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/***"


def post(url: str, body: bytes, notice_id: str) -> int:
    """Send a JSON ``body``; return the status of the answer. Raises :class:`NotAccepted` unless it
    is from 200 to 299."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"fleet-q/{installed_version()}",
        "Idempotency-Key": notice_id,
    }
    request = Request(url, body, headers, method="POST")
    try:
        with _open(request, timeout=ANSWER_WITHIN) as response:
            status: int = response.status
            return status
    except HTTPError as error:
        error.close()
        advice = "; redirects are not followed" if 300 <= error.code < 400 else ""
        raise NotAccepted(f"the webhook answered {error.code}{advice}") from None
    except URLError as error:
        raise NotAccepted(f"the webhook cannot be reached: {error.reason}") from None
    except TimeoutError:
        raise NotAccepted(f"the webhook has not answered for {ANSWER_WITHIN:g} s") from None
    except (OSError, HTTPException, ValueError) as error:  # the text may contain the address
        raise NotAccepted(f"the webhook's answer is invalid: {type(error).__name__}") from None
