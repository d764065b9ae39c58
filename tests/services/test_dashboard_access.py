"""Who may do what on the dashboard: every page and action by every role."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from fastapi import FastAPI
from msgspec.structs import replace
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.services.app.roles import ROLES, Role
from fleet_q.services.dashboard.roles import OPEN, PAGES
from fleet_q.services.http.api import create_http
from tests.services.conftest import QUICK
from tests.services.test_access import KEYED, SECRET, fleet_full_of_secrets, paths_of, with_key_of

STREAM: Final = "GET /dashboard/changes"
"""It does not end."""

MAY: Final = {
    "read": {page for page in PAGES if page.startswith("GET")} - {"GET /dashboard/change-steps"},
    "submit": {
        "POST /dashboard/cancel-step", "POST /dashboard/cancel-workflow",
        "POST /dashboard/trigger-schedule",
    },
}  # fmt: skip
"""What each role may do that those before it may not; an admin may do everything."""


EMPTY: Final = create_http(FleetQ("memory://", settings=KEYED), dashboard=True)
"""An API without steps."""


def client_of(http: FastAPI, role: str) -> TestClient:
    """A client that has signed in."""
    client = TestClient(http)
    answer = client.post("/dashboard/sign-in", data={"key": with_key_of(role)["X-API-Key"]})
    assert answer.status_code == 200
    return client


@pytest.mark.parametrize("role", ROLES)
def test_every_page_and_action_answers_only_the_roles_that_may_call_it(role: Role) -> None:
    client = client_of(EMPTY, role)
    (token, *_) = re.findall(r'name="token" value="([^"]+)"', client.get("/").text)
    may = set(PAGES) if role == "admin" else set[str]()
    for each in ROLES[: ROLES.index(role) + 1]:
        may |= MAY.get(each, set())
    for endpoint in sorted(set(PAGES) - {STREAM}):
        method, path = endpoint.split()
        form = {"token": token} if method == "POST" else None
        answer = client.request(method, path, data=form)
        assert (answer.status_code == 403) == (endpoint not in may), (endpoint, answer.text)


def test_every_page_and_action_leads_to_sign_in_without_a_key() -> None:
    client = TestClient(EMPTY)
    for endpoint in PAGES:
        method, path = endpoint.split()
        answer = client.request(method, path, data={"token": ""}, follow_redirects=False)
        if endpoint == STREAM:
            assert answer.status_code in (303, 401, 403)
            continue
        assert answer.status_code == 303, endpoint
        assert "sign-in" in answer.headers["Location"], endpoint


def test_roles_are_those_of_existing_pages() -> None:
    made = {f"{method} {path}" for method, path in paths_of(EMPTY.routes)}
    assert {path for path in made if path == "GET /" or "/dashboard/" in path} == set(PAGES) | OPEN


def test_role_read_sees_no_contents_on_any_page() -> None:
    with fleet_full_of_secrets() as (app, ids):
        http = create_http(app, dashboard=True)
        wall, reader = client_of(http, "read"), client_of(http, "read+payloads")
        addresses = [
            *(page.split()[1] for page in MAY["read"] - {STREAM}),
            *(f"/dashboard/step?id={step_id}" for step_id in ids["step_id"]),
            *(f"/dashboard/workflow?id={each}" for each in ids["workflow_id"]),
            "/dashboard/schedule?name=nightly", "/dashboard/queue?name=default",
            *(f"/dashboard/pod?id={pod.pod_id}" for pod in app.pods()),
        ]  # fmt: skip
        shown = set()
        for address in (f"{each}{at}" for each in addresses for at in ("", "at=0s")):
            path = address.replace("at=", "&at=" if "?" in address else "?at=")
            seen, whole = wall.get(path), reader.get(path)
            assert (seen.status_code, SECRET in seen.text) == (whole.status_code, False), path
            shown |= {path.partition("?")[0]} if SECRET in whole.text else set()
        assert shown >= {"/dashboard/steps", "/dashboard/step", "/dashboard/workflow",
                         "/dashboard/schedule"}  # fmt: skip


def test_role_read_cannot_ask_for_contents_by_a_filter() -> None:
    app = FleetQ("memory://", settings=KEYED)
    app.submit({}, step_id="found", key=SECRET, labels={"who": SECRET})
    http = create_http(app, dashboard=True)
    wall, reader = client_of(http, "read"), client_of(http, "read+payloads")
    for condition in (f"key={SECRET}", f"label=who%3D{SECRET}"):
        assert "found" not in wall.get(f"/dashboard/steps?{condition}").text
        assert "found" in reader.get(f"/dashboard/steps?{condition}").text


def test_session_ends_with_its_key_and_follows_its_role(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("wall=read:secret-of-read")
    app = FleetQ("memory://", settings=replace(QUICK, api_keys_file=str(file)))
    client = client_of(create_http(app, dashboard=True), "read")
    assert client.get("/dashboard/change-steps").status_code == 403
    file.write_text("wall=admin:secret-of-read")
    assert client.get("/dashboard/change-steps").status_code != 403
    file.write_text("other=admin:secret-of-other")
    assert "sign-in" in str(client.get("/dashboard/steps").url)
