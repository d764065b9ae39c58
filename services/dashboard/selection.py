"""Selection, which steps a page lists: the conditions of ``fleet-q steps list``, in an address."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fleet_q.core.errors import InvalidInput
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.search import StepFilter
from fleet_q.services.app.labels import parse_labels
from fleet_q.services.app.moments import parse_moment
from fleet_q.services.app.search import StepRow, step_filter
from fleet_q.services.dashboard.forms import Form
from fleet_q.services.dashboard.visit import Visit
from fleet_q.services.past import PastSteps

SEVERAL: Final = ("status", "task_type", "queue", "key", "label")
"""The conditions that may be given several times."""

SINGLE: Final = ("pod_id", "workflow_id", "id_prefix", "since", "until")

SEARCH_WITHIN: Final = 0.15
"""Seconds after which a search shows what it has found; it can be continued."""


@dataclass(frozen=True)
class Selection:
    """Conditions as texts, by their names; those that are not given are absent."""

    texts: dict[str, list[str]]

    @classmethod
    def of_visit(cls, visit: Visit) -> Selection:
        """The conditions in the address of a page. Raises :class:`InvalidInput` if the viewer may
        not see what they are about."""
        selection = cls._of(visit.queries)
        if not visit.viewer.sees_payloads and {"key", "label"} & selection.texts.keys():
            raise InvalidInput("your key sees no keys and labels, so it cannot select by them")
        return selection

    @classmethod
    def of_form(cls, form: Form) -> Selection:
        """The conditions in a form."""
        return cls._of(form.all)

    @classmethod
    def _of(cls, read: Callable[[str], list[str]]) -> Selection:
        texts = {name: [text.strip() for text in read(name)] for name in (*SEVERAL, *SINGLE)}
        return cls({name: values for name, values in texts.items() if any(values)})

    def first(self, name: str) -> str:
        """The first text of a condition, or an empty one."""
        return self.texts.get(name, [""])[0]

    def has(self, name: str, text: str) -> bool:
        """Whether this is one of the texts of a condition."""
        return text in self.texts.get(name, ())

    @property
    def has_rare(self) -> bool:
        """Whether any condition is given besides the status and the beginning of the id."""
        return bool(self.texts.keys() - {"status", "id_prefix", "task_type", "queue"})

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions as the methods of an app take them. Raises :class:`InvalidInput`."""
        conditions: dict[str, Any] = {}
        for name, texts in self.texts.items():
            if name == "label":
                conditions["labels"] = parse_labels(texts)
            elif name in ("since", "until"):
                conditions[name] = parse_moment(texts[0])
            elif name in SINGLE:
                conditions[name] = texts[0]
            else:
                conditions[name] = texts
        return conditions

    @property
    def filter(self) -> StepFilter:
        """The steps that are selected. Raises :class:`InvalidInput`."""
        return step_filter(**self.conditions)

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that a page offers."""
        return STEP_STATUSES


@dataclass(frozen=True)
class Found:
    """A page of a list: ``cursor`` continues it, after ``searched`` steps."""

    steps: list[StepRow]
    cursor: str | None
    searched: int


def search(visit: Visit, selected: StepFilter, limit: int, cursor: str | None) -> Found:
    """Find up to ``limit`` steps at the time of the page, the latest submission first, in about
    ``SEARCH_WITHIN``. Raises :class:`InvalidInput` for an invalid cursor."""
    rows: list[StepRow] = []
    searched, until = 0, time.monotonic() + SEARCH_WITHIN
    while True:
        page = _page(visit, selected, limit - len(rows), cursor)
        rows += page.steps
        searched += page.searched
        cursor = page.cursor
        if cursor is None or len(rows) >= limit or time.monotonic() >= until:
            return Found(rows, cursor, searched)


def _page(visit: Visit, selected: StepFilter, limit: int, cursor: str | None) -> PastSteps:
    if visit.at is not None:
        return visit.past.steps(visit.at, selected, limit, cursor)
    try:
        page = visit.reader.store.list_steps(selected, limit, cursor)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{cursor!r} is no cursor of a list; open the list anew") from None
    rows = [StepRow.of(step, page.at) for step in page.steps]
    return PastSteps(rows, page.cursor, page.searched)
