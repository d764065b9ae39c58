"""Types of arguments, variables and returned columns of procedures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from .tokens import Reader

_FAMILIES: Final = {
    "NUMBER": "fixed", "DECIMAL": "fixed", "INT": "fixed", "INTEGER": "fixed", "BIGINT": "fixed",
    "FLOAT": "real", "DOUBLE": "real",
    "VARCHAR": "text", "STRING": "text", "TEXT": "text",
    "BOOLEAN": "boolean",
    "TIMESTAMP_LTZ": "timestamp_tz", "TIMESTAMP_TZ": "timestamp_tz",
    "TIMESTAMP_NTZ": "timestamp_ntz",
    "VARIANT": "variant",
}  # fmt: skip
"""The types that procedures may use, each with its name in the protocol of drivers. DuckDB has
one type for TIMESTAMP_LTZ and TIMESTAMP_TZ."""

_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "fixed": (int, Decimal),
    "real": (int, float, Decimal),
    "text": (str,),
    "boolean": (bool,),
    "timestamp_tz": (datetime,),
    "timestamp_ntz": (datetime,),
    "variant": (),
}


@dataclass(frozen=True)
class Type:
    """A type, as it was written."""

    text: str
    family: str

    @classmethod
    def read(cls, reader: Reader) -> Type:
        """Read a type. Raises ``SnowflakeError``."""
        token = reader.read()
        family = _FAMILIES.get(token.word)
        if family is None:
            raise reader.unexpected(token, "not a type that procedures may use")
        text = token.word
        if reader.takes("("):
            sizes = [reader.read().text]
            while reader.takes(","):
                sizes.append(reader.read().text)
            reader.expect(")")
            text += f"({', '.join(sizes)})"
        return cls(text, family)

    def holds(self, value: Any) -> bool:
        """Whether a value is of this type, without a conversion."""
        if value is None:
            return True
        is_boolean = isinstance(value, bool)
        if is_boolean or self.family == "boolean":
            return is_boolean and self.family == "boolean"
        if isinstance(value, datetime) and (value.tzinfo is None) != (
            self.family == "timestamp_ntz"
        ):
            return False
        return isinstance(value, _PYTHON[self.family])

    def matches(self, sent: str) -> bool:
        """Whether a column that is sent as type ``sent`` has this type."""
        return self.family == {"timestamp_ltz": "timestamp_tz"}.get(sent, sent)
