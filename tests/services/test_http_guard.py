"""Requests by web pages of other sites are rejected."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fleet_q import FleetQ, Settings
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.hosts import LOOPBACK
from fleet_q.services.http.api import create_http
from tests.services.conftest import QUICK, api_of

JSON = {"Content-Type": "application/json"}
STEP = b'{"payload": {}}'


@pytest.fixture
def local(app: FleetQ) -> TestClient:
    """The API as served on loopback."""
    return TestClient(api_of(app, LOOPBACK))


def with_settings(**settings: object) -> TestClient:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, **settings))
    return TestClient(api_of(app))


def status(http: TestClient, **headers: str) -> int:
    return http.post("/submit", content=STEP, headers=JSON | headers).status_code


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LocalHost.:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:8000",
     "[0:0:0:0:0:0:0:1]"],
)  # fmt: skip
def test_pod_on_loopback_accepts_the_hosts_of_its_machine(local: TestClient, host: str) -> None:
    assert local.get("/admin/queue", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("notlocalhost", 421),
        ("0.0.0.0:8000", 421),
        ("[::2]", 421),
        ("", 400),
        ("localhost@evil.example", 400),
        ("localhost, evil.example", 400),
        ("localhost:port", 400),
        ("[localhost]", 400),
        ("::1", 400),
        (".", 400),
        ("l\xf6calhost", 400),
    ],
)
@pytest.mark.parametrize("path", ["/admin/queue", "/docs", "/nowhere"])
def test_pod_on_loopback_rejects_other_hosts(
    local: TestClient, host: str, status: int, path: str
) -> None:
    answer = local.get(path, headers={b"Host": host.encode("latin-1")})
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]


def test_rejected_host_answer_names_the_setting(local: TestClient) -> None:
    detail = local.get("/", headers={"Host": "queue.example"}).json()["detail"]
    assert detail == "'queue.example' is not a host of this pod: add it to FLEET_Q_ALLOWED_HOSTS"


def test_health_accepts_any_address_but_no_other_name(local: TestClient) -> None:
    for host, expected in (("10.1.2.3:8000", 503), ("[fd00::1]", 503), ("evil.example", 421)):
        assert local.get("/health", headers={"Host": host}).status_code == expected


def test_allowed_hosts_apply_to_a_mounted_api() -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, allowed_hosts=("A.example",)))
    service = FastAPI()
    service.mount("/queue", create_http(app))
    http = TestClient(service)
    for path, host, expected in (
        ("/queue/admin/queue", "a.example.:80", 200),
        ("/queue/admin/queue", "testserver", 421),
        ("/queue/health", "10.1.2.3", 503),
        ("/queue/docs", "a.example", 200),
    ):
        assert http.get(path, headers={"Host": host}).status_code == expected


@pytest.mark.parametrize(
    ("allowed", "host", "expected"),
    [
        (("*",), "evil.example", 200),
        (("*",), "", 200),
        (("a.example:81",), "a.example:81", 200),
        (("a.example:81",), "a.example", 421),
        (("[::2]",), "[0::2]:8000", 200),
        ((), "anything.example", 200),
    ],
)
def test_only_allowed_hosts_are_accepted(
    allowed: tuple[str, ...] | tuple[Any, ...], host: str, expected: int
) -> None:
    http = with_settings(allowed_hosts=allowed)
    assert http.get("/admin/queue", headers={"Host": host}).status_code == expected


@pytest.mark.parametrize("host", ["https://a.example", "*.a.example", "a b", "::1", ""])
def test_allowed_hosts_without_a_host_is_rejected(host: str) -> None:
    with pytest.raises(InvalidInput, match="FLEET_Q_ALLOWED_HOSTS"):
        Settings(allowed_hosts=(host,))


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "http://evil.example:8000"},
    {"Origin": "http://localhost"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://localhost:8000.evil.example"},
    {"Origin": "http://localhost:8000@evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "file://"},
    {"Origin": "chrome-extension://localhost:8000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8000"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("path", ["/submit", "/steps/x/cancel", "/admin/recovery/run", "/nowhere"])
def test_a_page_of_another_origin_cannot_change_anything(
    app: FleetQ, local: TestClient, headers: dict[str, str], path: str
) -> None:
    app.submit({}, step_id="x")
    answer = local.post(path, content=STEP, headers=JSON | {"Host": "localhost:8000"} | headers)
    assert answer.status_code == 403
    assert "another origin" in answer.json()["detail"]
    assert app.queue()["pending"] == 1


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("localhost:8000", {}),
        ("localhost:8000", {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}),
        ("LOCALHOST:8000", {"Origin": "http://localhost:8000"}),
        ("[::1]:8000", {"Origin": "http://[::1]:8000"}),
        ("localhost", {"Origin": "http://localhost"}),
        ("localhost", {"Origin": "https://localhost"}),
        ("localhost", {"Sec-Fetch-Site": "none"}),
    ],
)
def test_the_pods_own_pages_and_other_programs_can_submit(
    local: TestClient, host: str, headers: dict[str, Any]
) -> None:
    assert status(local, Host=host, **headers) == 200


def test_page_of_an_allowed_origin_can_submit() -> None:
    http = with_settings(allowed_hosts=("pod.example", "dash.example"))
    page = {"Origin": "https://dash.example", "Sec-Fetch-Site": "same-site"}
    assert status(http, Host="pod.example", **page) == 200


def test_allowing_any_host_does_not_allow_any_origin() -> None:
    http = with_settings(allowed_hosts=("*",))
    assert status(http, Host="pod.example", Origin="https://evil.example") == 403


def test_preflight_gets_no_permission(local: TestClient) -> None:
    headers = {
        "Host": "localhost",
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = local.options("/submit", headers=headers)
    assert answer.status_code == 405
    assert [name for name in answer.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/admin/queue", "/nowhere"])
def test_no_page_may_show_an_answer_in_a_frame(local: TestClient, path: str) -> None:
    answer = local.get(path, headers={"Host": "localhost"})
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "Application/JSON",
     "application/merge-patch+json"],
)  # fmt: skip
def test_json_content_types_are_accepted(app: FleetQ, local: TestClient, kind: str) -> None:
    headers = {"Host": "localhost", "Content-Type": kind}
    assert local.post("/submit", content=STEP, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded",
     "multipart/form-data; boundary=x", "application/jsonp", "text/json", "json"],
)  # fmt: skip
@pytest.mark.parametrize("chunked", [False, True])
def test_other_content_types_are_a_415(
    app: FleetQ, local: TestClient, kind: str | None, chunked: bool
) -> None:
    headers = {"Host": "localhost"} | ({} if kind is None else {"Content-Type": kind})
    body = iter([STEP]) if chunked else STEP
    answer = local.post("/submit", content=body, headers=headers)
    assert (answer.status_code, "application/json" in answer.json()["detail"]) == (415, True)
    assert sum(app.queue().values()) == 0


def test_a_request_without_a_body_needs_no_content_type_but_a_form_needs_a_key(
    app: FleetQ, local: TestClient
) -> None:
    app.submit({}, step_id="x")
    form = {"Host": "localhost", "Content-Type": "application/x-www-form-urlencoded"}
    assert local.post("/steps/x/cancel", headers=form).status_code == 415
    assert local.post("/steps/x/cancel", headers={"Host": "localhost"}).status_code == 200
    keyed = with_settings(api_keys=("key",))
    assert keyed.post("/steps/x/cancel", headers=form | {"X-API-Key": "key"}).status_code == 404
    assert keyed.post("/steps/x/cancel", headers=form | {"X-API-Key": "no"}).status_code == 415


@pytest.mark.parametrize("path", ["/submit/", "/admin/queue/", "/docs/", "/health/"])
def test_no_redirect_follows_the_host_header(app: FleetQ, path: str) -> None:
    http = TestClient(api_of(app), follow_redirects=False)
    for method in ("GET", "POST"):
        answer = http.request(method, path, headers={"Host": "evil.example"})
        assert (answer.status_code, "Location" in answer.headers) == (404, False)
