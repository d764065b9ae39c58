"""Tls, the certificate that a server shows, read anew when its files change."""

from __future__ import annotations

import re
import ssl
import threading
from pathlib import Path
from typing import NoReturn

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.file_signature import signature_of
from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.http")


class Tls:
    """Makes the TLS contexts of new connections from files in PEM: a certificate with those that
    lead to a trusted one, its key, and optionally the certificates of those who may sign the
    clients'. Connections that are open keep what they began with.

    Files that do not fit together later do not count: the certificate that was read before stays,
    and the log says why. Raises :class:`InvalidInput`.
    """

    def __init__(self, cert: str, key: str, client_ca: str | None = None) -> None:
        self._cert = Path(cert).absolute()
        self._key = Path(key).absolute()
        self._client_ca = None if client_ca is None else Path(client_ca).absolute()
        self._files = [each for each in (self._cert, self._key, self._client_ca) if each]
        self._lock = threading.Lock()
        self._seen = self._signature()
        self._context = self._read()

    @classmethod
    def of(cls, settings: Settings) -> Tls | None:
        """Make that of the settings; ``None`` if they name no certificate."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)

    def context(self) -> ssl.SSLContext:
        """Return the context of a new connection."""
        with self._lock:
            signature = self._signature()
            if signature != self._seen:
                self._seen = signature  # files that cannot be used are reported once
                self._read_again()
            return self._context

    def _read_again(self) -> None:
        try:
            self._context = self._read()
        except InvalidInput as error:
            log.warning("%s; the certificate that was there before stays", error)
        else:
            log.info("read the certificate %s anew", self._cert)

    def _read(self) -> ssl.SSLContext:
        for setting, file in self._named():
            _check_pem(setting, file)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, self._refuse_to_ask)
        except ssl.SSLError as error:
            pair = f"FLEET_Q_TLS_CERT={self._cert} and FLEET_Q_TLS_KEY={self._key}"
            if error.reason == "KEY_VALUES_MISMATCH":
                raise InvalidInput(f"{pair} do not belong together") from None
            raise InvalidInput(f"{pair} cannot be used: {_reason(error)}") from None
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except ssl.SSLError as error:
                raise InvalidInput(
                    f"FLEET_Q_TLS_CLIENT_CA={self._client_ca} cannot be used: {_reason(error)}"
                ) from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _named(self) -> list[tuple[str, Path]]:
        names = ("FLEET_Q_TLS_CERT", "FLEET_Q_TLS_KEY", "FLEET_Q_TLS_CLIENT_CA")
        return list(zip(names, self._files, strict=False))

    def _refuse_to_ask(self) -> NoReturn:
        raise InvalidInput(
            f"FLEET_Q_TLS_KEY={self._key}: it is encrypted; store it without a passphrase"
        )

    def _signature(self) -> list[tuple[int, ...]]:
        return [signature_of(file) for file in self._files]


def _check_pem(setting: str, file: Path) -> None:
    """Raise :class:`InvalidInput` if a file cannot be read, or is not what the setting names."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{setting}={file}: {error.strerror or error}") from None
    what = "private key" if setting == "FLEET_Q_TLS_KEY" else "certificate"
    if not re.search(rb"^-----BEGIN [A-Z ]*" + what.upper().encode() + b"-----", content, re.M):
        raise InvalidInput(f"{setting}={file}: it has no {what} in PEM format")


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
