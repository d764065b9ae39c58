"""Parses API keys, in the setting and in a file.

A key is written ``NAME=ROLE:SECRET``. A bare ``SECRET`` is that of an admin, named by its position.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.roles import ROLES, Holder, Role

SETTING: Final = "FLEET_Q_API_KEYS"

MAX_FILE_BYTES: Final = 1024 * 1024
"""The largest file of keys: some ten thousand keys."""

_VISIBLE: Final = re.compile("[!-~]+")
_NAME: Final = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PADDED: Final = re.compile("[A-Za-z0-9+/_-]{22,}={1,2}")
"""A secret in Base64 of 16 bytes or more, which may end in ``=``."""

_HOW: Final = f"write NAME=ROLE:SECRET, with one of the roles {', '.join(ROLES)}"
_ROLE: Final[dict[str, Role]] = {role: role for role in ROLES}


def check_keys(entries: Sequence[str]) -> None:
    """Raise :class:`InvalidInput` if one of the entries of the setting is no key."""
    check_distinct(parse(entries))


def entries_in(file: Path, where: str) -> list[str]:
    """Return the keys of a file: one a line; a line that begins with ``#`` is a comment. Raises
    :class:`InvalidInput`, also if there is none."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{where}: {error.strerror or error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidInput(f"{where}: it has more than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{where}: it is not a text in UTF-8") from None
    lines = [line.strip() for line in text.splitlines()]
    entries = [line for line in lines if line and not line.startswith("#")]
    if not entries:  # no key would open the API to everybody
        raise InvalidInput(f"{where}: it has no key; write one a line")
    return entries


def parse(entries: Sequence[str], where: str = f"{SETTING}=***", before: int = 0) -> list[Holder]:
    """Return the holders of these keys; ``before`` is how many keys there are before them. Errors
    name the setting by ``where``. Raises :class:`InvalidInput`."""
    return [_holder(entry, where, number, before) for number, entry in enumerate(entries, 1)]


def _holder(entry: str, where: str, number: int, before: int) -> Holder:
    """The holder of a key. No error repeats a part of it: any may be secret."""

    def invalid(problem: str) -> InvalidInput:
        return InvalidInput(f"{where}: key {number}: {problem}")

    if not _VISIBLE.fullmatch(entry) or "," in entry:
        raise invalid("a key may contain visible ASCII characters only, and no comma")
    if "=" not in entry or _PADDED.fullmatch(entry):
        if entry.partition(":")[0] in ROLES:
            raise invalid(f"it has a role, but no name; {_HOW}")
        return Holder(str(before + number), "admin", digest_of(entry))
    name, _, rest = entry.partition("=")
    role, colon, secret = rest.partition(":")
    if not _NAME.fullmatch(name):
        raise invalid(f"its name must be 1 to 64 letters, digits, '.', '_' and '-'; {_HOW}")
    if role not in ROLES or not colon:
        close = difflib.get_close_matches(role.lower(), ROLES, n=1)
        meant = f"did you mean {close[0]}?" if close and colon else _HOW
        raise invalid(f"it has no valid role; {meant}")
    if not secret:
        raise invalid(f"it has no secret; {_HOW}")
    return Holder(name, _ROLE[role], digest_of(secret))


def check_distinct(holders: Sequence[Holder]) -> None:
    """Raise :class:`InvalidInput` if two holders have one name or one key."""
    names: dict[str | None, int] = {}
    secrets: dict[bytes, int] = {}
    for number, holder in enumerate(holders, 1):
        if holder.name in names:
            raise InvalidInput(
                f"{SETTING}=***: keys {names[holder.name]} and {number} have the same name"
            )
        if holder.key in secrets:
            raise InvalidInput(
                f"{SETTING}=***: keys {secrets[holder.key]} and {number} are the same; a key tells"
                " who sends a request, so give each holder another"
            )
        names[holder.name] = secrets[holder.key] = number


def digest_of(secret: str) -> bytes:
    """Return a digest of a key, by which keys are compared."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()
