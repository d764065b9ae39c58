"""What the pages of queues, workflows, schedules and pods read and show."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.core.step import Submit
from fleet_q.services.app.search import StepRow
from fleet_q.services.dashboard.workflows import MOST_READS, WORKFLOWS, latest
from fleet_q.services.http.api import create_http
from fleet_q.services.past import NeedsIndex, NotReady, Past


@pytest.fixture
def page(app: FleetQ) -> TestClient:
    return TestClient(create_http(app, dashboard=True))


def in_workflow(app: FleetQ, workflow_id: str, number: int) -> None:
    app.store.submit(
        [Submit(f"{workflow_id}/{place}", "{}", workflow_id=workflow_id) for place in range(number)]
    )


@pytest.mark.parametrize("path", ["queues?at=1h", "queue?name=default&at=1h", "pods"])
def test_page_shows_how_much_of_the_log_was_read(
    page: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def raise_(error: NotReady) -> None:
        raise error

    for error, text in ((NotReady(0.25), "25 %"), (NeedsIndex(), "needs an index")):
        monkeypatch.setattr(Past, "stats", lambda *_, error=error: raise_(error))
        monkeypatch.setattr(Past, "lanes", lambda *_, error=error: raise_(error))
        assert text in page.get(f"/dashboard/{path}").text


def test_list_of_workflows_counts_the_steps_that_were_read(app: FleetQ) -> None:
    in_workflow(app, "nightly-1", 3)
    in_workflow(app, "nightly-2", 2)

    def read(cursor: str | None) -> tuple[list[StepRow], str | None]:
        found = app.steps(limit=4, cursor=cursor, in_workflow=True)
        return found.steps, found.cursor

    found = latest(read, None)
    assert [(each.workflow_id, each.size) for each in found.workflows] == [
        ("nightly-2", 2), ("nightly-1", 3),
    ]  # fmt: skip
    assert (found.searched, found.cursor) == (5, None)


def test_list_of_workflows_ends_after_enough_workflows_or_reads(app: FleetQ) -> None:
    reads = 0

    def read(cursor: str | None) -> tuple[list[StepRow], str | None]:
        nonlocal reads
        reads += 1
        found = app.steps(limit=10, cursor=cursor, in_workflow=True)
        return found.steps, found.cursor

    in_workflow(app, "large-1", 50)
    assert latest(read, None).cursor is not None
    assert reads == MOST_READS
    for number in range(WORKFLOWS):
        in_workflow(app, f"small-{number}", 1)
    reads = 0
    found = latest(read, None)
    assert (len(found.workflows) >= WORKFLOWS, reads) == (True, 3)


def test_pages_of_unknown_things_say_so(page: TestClient) -> None:
    for path, status, text in (
        ("workflow?id=no-1", 404, "There is no such workflow"),
        ("schedule?name=no", 404, "There is no such schedule"),
        ("schedule?name=no&at=1h", 404, "There is no such schedule"),
        ("pod?id=no", 200, "There is no pod with this id"),
        ("queue?name=no", 200, "No step of this queue waits"),
        ("queue", 422, "names no queue"),
        ("pods?window=long", 422, "length of time"),
        ("pods?window=999999999d", 422, "at most 366d"),
    ):
        answer = page.get(f"/dashboard/{path}")
        assert (answer.status_code, text in answer.text) == (status, True), path
