"""The cloud's storage, from which drivers fetch large results.

Snowflake answers a statement with the first rows of its result, if any, and with URLs of the rest
on another host, which a pod may not be allowed to reach.
"""

from __future__ import annotations

import itertools
import socket
from collections import OrderedDict
from typing import Any, Final

PREFIX: Final = "/storage/"
KEPT: Final = 64
"""How many results are kept; the oldest ones are dropped."""


class Storage:
    """Results that are too large for an answer."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, bytes] = OrderedDict()
        self._numbers = itertools.count(1)
        self._closed = socket.socket()  # bound, but not listening
        self._closed.bind(("127.0.0.1", 0))

    def keep(self, content: bytes, mode: str, host: str) -> str:
        """Keep a result, and return the URL at which drivers fetch it, by the mode of storage."""
        if mode == "refuses":
            host = f"127.0.0.1:{self._closed.getsockname()[1]}"
        path = f"{PREFIX}{mode}/{next(self._numbers)}"
        self._results[path] = content
        if len(self._results) > KEPT:
            self._results.popitem(last=False)
        return f"http://{host}{path}"

    def get(self, path: str) -> bytes | None:
        """The result at a path; ``None`` if it is not answered."""
        return None if path.startswith(f"{PREFIX}hangs") else self._results.get(path)


def moved(answer: dict[str, Any], rows: bytes, url: str) -> dict[str, Any]:
    """The answer to a statement with its rows at a URL."""
    data = answer["data"]
    chunk = {
        "url": url,
        "rowCount": data["total"],
        "uncompressedSize": len(rows),
        "compressedSize": len(rows),
    }
    return {**answer, "data": {**data, "rowsetBase64": "", "chunks": [chunk], "chunkHeaders": {}}}
