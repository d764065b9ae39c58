"""Form, the fields of a form that a page has sent."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.datastructures import MultiDict
from starlette.requests import Request

from fleet_q.core.errors import InvalidInput

FORM_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 5_000
"""The most fields of a form: more than the steps that a page lists."""


class Form:
    """The fields of a form. A field that is absent or empty is ``None``."""

    def __init__(self, fields: MultiDict) -> None:
        self._fields = fields

    def get(self, name: str) -> str | None:
        """The last value of a field."""
        return self._fields.get(name) or None

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for value in self._fields.getlist(name) if value]

    def __getitem__(self, name: str) -> str:
        """The last value of a field. Raises :class:`InvalidInput` if there is none."""
        value = self.get(name)
        if value is None:
            raise InvalidInput(f"the field {name!r} is missing")
        return value


async def read_form(request: Request) -> Form:
    """Read the form in the body of ``request``. Raises :class:`InvalidInput`."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != FORM_TYPE:
        raise InvalidInput(f"the body must be a form, {FORM_TYPE}")
    body = await request.body()
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise InvalidInput("the form cannot be read") from None
    return Form(MultiDict(fields))
