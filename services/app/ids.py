"""Generates unique ids: of pods and claims."""

from __future__ import annotations

import os
import re
import secrets
import socket


def new_token() -> str:
    """Return a claim token or an incarnation id: 96 random bits in 16 characters.

    It is shorter than a UUID because it is stored four times a step.
    """
    return secrets.token_urlsafe(12)


def new_pod_id() -> str:
    """Return a pod id: the host's name, the process id and six random hex digits."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "pod"
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
