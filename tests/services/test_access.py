"""Who may do what over HTTP: every endpoint by every role, and the keys that name the holders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from fleet_q import FleetQ
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.hiding import hidden_error
from fleet_q.services.app.keys import Keys
from fleet_q.services.app.roles import ROLES, Role
from fleet_q.services.http.access import Access
from fleet_q.services.http.api import create_http
from fleet_q.services.http.metrics import create_metrics_http
from fleet_q.services.http.roles import ENDPOINTS, OPEN
from fleet_q.services.http.route import locked_router
from fleet_q.services.http.scaler import create_scaler_http
from fleet_q.services.scaler.scaler import Scaler
from tests.services.conftest import QUICK
from tests.waiting import LIMIT, wait_until

KEYS: Final = tuple(f"{role.replace('+', '-')}={role}:secret-of-{role}" for role in ROLES)
KEYED: Final = msgspec.structs.replace(QUICK, api_keys=KEYS)

MAY: Final = {
    "read": {
        "GET /status/{step_id}", "GET /steps", "GET /steps/{step_id}/history",
        "GET /workflows/{workflow_id}", "GET /queues", "GET /queues/{name}/history",
        "GET /schedules", "GET /schedules/{name}/next", "GET /schedules/{name}/history",
        "GET /admin/queue", "GET /admin/leader", "GET /admin/pods", "GET /admin/dlq",
        "GET /admin/alerts", "GET /admin/audit", "GET /demand", "GET /metrics",
    },
    "read+payloads": set[str](),
    "submit": {
        "POST /submit", "POST /submit/batch", "POST /steps/{step_id}/cancel",
        "POST /workflows/{workflow_id}/cancel", "POST /schedules/{name}/trigger",
    },
    "work": {
        "POST /claim", "POST /steps/{step_id}/complete", "POST /steps/{step_id}/fail",
        "POST /steps/{step_id}/release", "POST /steps/{step_id}/snooze",
        "POST /steps/{step_id}/checkpoint", "POST /steps/{step_id}/heartbeat",
    },
    "admin": {
        "POST /steps/cancel", "POST /steps/replay", "POST /steps/set-priority",
        "POST /workflows/{workflow_id}/retry", "PUT /queues/{name}", "POST /queues/{name}/pause",
        "POST /queues/{name}/resume", "PUT /schedules/{name}", "DELETE /schedules/{name}",
        "POST /schedules/{name}/pause", "POST /schedules/{name}/resume",
        "POST /admin/recovery/run", "POST /admin/dlq/replay",
    },
}  # fmt: skip
"""What each role may do that those before it may not."""


def apis() -> Iterator[FastAPI]:
    """All HTTP APIs, with all that each may have."""
    yield create_http(FleetQ("memory://", settings=KEYED), lease=True)
    yield create_scaler_http(Scaler(MemoryStore(), KEYED), KEYED, ("*",))
    yield create_metrics_http(FleetQ("memory://", settings=KEYED), ("*",))


def paths_of(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """The methods and paths of all routes, also of those in routers."""
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from paths_of(router.routes)
        else:
            for method in sorted(route.methods - {"HEAD"}):
                yield method, route.path.replace(":any_id", "")


ROUTES: Final = [
    (client, *route)
    for http in apis()
    for client in [TestClient(http)]
    for route in paths_of(http.routes)
]
EMPTY: Final = ROUTES[0][0]
"""A client of an API without steps."""


def with_key_of(role: str) -> dict[str, str]:
    return {"X-API-Key": f"secret-of-{role}", "Content-Type": "application/json"}


@pytest.mark.parametrize("role", ROLES)
def test_every_endpoint_answers_only_the_roles_that_may_call_it(role: Role) -> None:
    may = set().union(*(MAY[each] for each in ROLES[: ROLES.index(role) + 1]))
    for client, method, path in ROUTES:
        url = path.replace("{step_id}", "x").replace("{workflow_id}", "x").replace("{name}", "x")
        answer = client.request(method, url, headers=with_key_of(role), content=b"{nope")
        if f"{method} {path}" in OPEN | may:
            assert answer.status_code not in (401, 403), (method, path, answer.text)
        else:
            assert answer.status_code == 403, (method, path, answer.text)
            needed = ENDPOINTS[f"{method} {path}"]
            detail = f"this needs the role {needed}; the key {role.replace('+', '-')} has {role}"
            assert answer.json() == {"detail": detail}


def test_every_endpoint_but_those_that_are_open_needs_a_key() -> None:
    for client, method, path in ROUTES:
        wanted = 401 if f"{method} {path}" not in OPEN else 0
        for headers in ({}, {"X-API-Key": "secret-of-"}, {"Authorization": "Bearer x"}):
            answer = client.request(method, path, headers=headers, content=b"")
            assert (answer.status_code == 401) == bool(wanted), (method, path)


def test_roles_are_those_of_existing_endpoints() -> None:
    existing = {f"{method} {path}" for _, method, path in ROUTES}
    assert existing == set(ENDPOINTS) | OPEN
    assert set().union(*MAY.values()) == set(ENDPOINTS)


def test_openapi_says_which_role_each_endpoint_needs() -> None:
    for path, methods in create_http(FleetQ("memory://"), lease=True).openapi()["paths"].items():
        for method, described in methods.items():
            role = ENDPOINTS.get(f"{method.upper()} {path}")
            assert (f"the role `{role}`" in described["description"]) == (role is not None)


def test_endpoint_without_a_role_cannot_be_made() -> None:
    locked = locked_router(Access(Keys()))
    with pytest.raises(KeyError, match="GET /new"):
        locked.get("/new")(lambda: None)
    assert not [route for route in locked.routes if isinstance(route, APIRoute)]


@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", "secret-of-admin"), ("X-API-Key", "secret-of-admin")],
        [("X-API-Key", "wrong"), ("X-API-Key", "secret-of-admin")],
        [("Authorization", "Bearer secret-of-admin"), ("Authorization", "Bearer x")],
        [("X-API-Key", "wrong"), ("Authorization", "Bearer secret-of-admin")],
        [("X-API-Key", "secret-of-admin, secret-of-admin")],
        [("X-API-Key", "SECRET-OF-ADMIN")],
        [("X-API-Key", "secret-of-admi\u017f".encode())],
        [("X-API-Key", b"\xff\xfe")],
        [("X_API_Key", "secret-of-admin")],
        [("Authorization", "Basic secret-of-admin")],
        [("Authorization", "secret-of-admin")],
        [("Authorization", "Bearer")],
        [("Cookie", "X-API-Key=secret-of-admin")],
        [("X-API-Key", "admin=admin:secret-of-admin")],
        [("X-API-Key", "admin")],
    ],
)
def test_request_without_exactly_one_key_is_rejected(headers: list[tuple[str, str]]) -> None:
    answer = EMPTY.get("/admin/queue", headers=headers)
    assert answer.status_code == 401
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("ci=sumbit:hush", "it has no valid role; did you mean submit?"),
        ("ci=Admin:hush", "it has no valid role; did you mean admin?"),
        ("ci=read+payload:hush", "it has no valid role; did you mean read+payloads?"),
        ("ci=root:hush", "it has no valid role; write NAME=ROLE:SECRET"),
        ("ci=:hush", "it has no valid role"),
        ("ci=hush", "it has no valid role"),
        ("ci=", "it has no valid role"),
        ("ci=admin", "it has no valid role"),
        ("ci=admin:", "it has no secret"),
        ("=admin:hush", "its name must be"),
        ("c/i=admin:hush", "its name must be"),
        ("ci:admin=hush", "its name must be"),
        ("-ci=admin:hush", "its name must be"),
        (f"{'n' * 65}=admin:hush", "its name must be"),
        ("admin:hush", "it has a role, but no name"),
        ("h\u00fcsh", "a key may contain visible ASCII"),
        ("ci=admin:h\u00fcsh", "a key may contain visible ASCII"),
        ("ci=admin:hush hush", "a key may contain visible ASCII"),
        ("ci=admin:hush\n", "a key may contain visible ASCII"),
    ],
)
def test_key_that_is_not_as_it_must_be_is_an_error_that_does_not_show_it(
    entry: str, problem: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        Keys(("fine", entry))
    assert str(error.value).startswith(f"FLEET_Q_API_KEYS=***: key 2: {problem}")
    assert "hush" not in str(error.value)
    assert "hüsh" not in str(error.value)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (("a=read:1", "b=admin:1"), "keys 1 and 2 are the same"),
        (("a=read:1", "1"), "keys 1 and 2 are the same"),
        (("a=read:1", "b=read:2", "a=admin:3"), "keys 1 and 3 have the same name"),
        (("2=read:1", "x"), "keys 1 and 2 have the same name"),
    ],
)
def test_names_and_keys_are_distinct(entries: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        Keys(entries)


def test_bare_keys_are_those_of_admins_named_by_their_positions() -> None:
    padded = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="
    keys = Keys(("ci=submit:a=b:c", "bare", padded))
    roles = [(each.name, each.role) for each in map(keys.holder, ("a=b:c", "bare", padded)) if each]
    assert roles == [("ci", "submit"), ("2", "admin"), ("3", "admin")]


def test_file_of_keys_is_read_anew_when_a_link_on_its_way_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Kubernetes mounts a secret so: ``keys`` is a link to ``..data/keys``, and ``..data`` a link
    to a folder, which is replaced."""

    def put(version: str, text: str) -> None:
        folder = tmp_path / version
        folder.mkdir()
        (folder / "keys").write_text(text)
        (tmp_path / "new").symlink_to(folder)
        os.replace(tmp_path / "new", tmp_path / "..data")

    put("v1", "# who may what\nci=submit:first\n\nwall=read:look\n bare \n")
    file = tmp_path / "keys"
    file.symlink_to(Path("..data") / "keys")
    keys = Keys(("ops=admin:ops",), str(file))

    def roles(*secrets: str) -> list[tuple[str | None, str] | None]:
        holders = map(keys.holder, secrets)
        return [None if each is None else (each.name, each.role) for each in holders]

    assert roles("ops", "first", "look", "bare") == [
        ("ops", "admin"), ("ci", "submit"), ("wall", "read"), ("4", "admin"),
    ]  # fmt: skip
    wall = keys.holder("look")
    assert wall is not None

    put("v2", "ci=submit:second\nwall=read+payloads:look\n")
    assert roles("ops", "first", "second", "bare") == [
        ("ops", "admin"), None, ("ci", "submit"), None,
    ]  # fmt: skip
    renewed = keys.renewed(wall)
    assert renewed is not None
    assert renewed.role == "read+payloads"

    for version, wrong in (("v3", ""), ("v4", "ci=sumbit:third"), ("v5", "ops=read:other")):
        put(version, wrong)
        assert roles("second", "third") == [("ci", "submit"), None]
    file.unlink()
    assert roles("second") == [("ci", "submit")]
    file.write_text("ci=submit:third")
    assert roles("second", "third") == [None, ("ci", "submit")]
    assert keys.renewed(wall) is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"", "it has no key"),
        (b"# ci=submit:a\n \n", "it has no key"),
        (b"\xff\xfe", "it is not a text in UTF-8"),
        (b"x" * (1024 * 1024 + 1), "it has more than 1048576 bytes"),
        (b"ops=admin:a,b", "key 1: a key may contain visible ASCII characters only, and no comma"),
        (b"ok\nci=sumbit:a", "key 2: it has no valid role; did you mean submit?"),
    ],
)
def test_file_of_keys_that_cannot_be_used_is_an_error(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, api_keys_file=str(file)))
    with pytest.raises(InvalidInput) as error:
        create_http(app)
    assert str(error.value).startswith(f"FLEET_Q_API_KEYS_FILE={file}: {problem}")


def test_keys_are_in_no_text_of_their_holders() -> None:
    keys = Keys(("ci=submit:hush",))
    holder = keys.holder("hush")
    assert repr(holder) == "Holder(name='ci', role='submit')"
    assert "hush" not in f"{keys!r} {vars(keys)['_holders']}"


@pytest.mark.parametrize("pod_id", ["key:ops", "key:"])
def test_no_pod_has_the_id_of_a_key(pod_id: str) -> None:
    with pytest.raises(InvalidInput, match="begins the names of keys"):
        msgspec.structs.replace(QUICK, pod_id=pod_id)


SECRET: Final = "never-shown"


@contextmanager
def fleet_full_of_secrets() -> Iterator[tuple[FleetQ, dict[str, list[str]]]]:
    """An app with a secret in every text that a step may contain; the ids of each parameter."""
    app = FleetQ("memory://", settings=KEYED)

    @app.task("work")
    def work(text: str) -> None: ...

    payload = {"task_type": "work", "text": SECRET}
    labels, flow = {"who": SECRET}, app.workflow("nightly")
    flow.chain(work.options(key=SECRET, labels=labels).step(SECRET), work.step(SECRET))
    flow.submit()
    app.submit(payload, unique_key=SECRET, unique_for=5)
    app.submit(payload, unique_key=SECRET, on_conflict="replace", labels=labels)
    app.submit_many([payload, payload])
    app.schedules.put("nightly", payload, every=60, key=SECRET, labels=labels)
    with app.consumer() as consumer:
        failed, given_up, done, held = consumer.claim_steps(4, wait=LIMIT)
        consumer.save(failed, SECRET)
        consumer.fail_step(failed, ValueError(SECRET), permanent=True)
        consumer.fail_step(given_up, SECRET, permanent=True)
        consumer.complete_step(done, {SECRET: SECRET})
        consumer.save(held, SECRET)
        held.progress(0.5, SECRET)
        wait_until(lambda: app.status(held.step_id).progress is not None)
        steps = [step.step_id for step in app.steps().steps]
        yield app, {"step_id": steps, "workflow_id": [flow.workflow_id], "name": ["nightly"]}


def test_role_read_sees_no_contents_of_steps() -> None:
    with fleet_full_of_secrets() as (app, ids):
        http = TestClient(create_http(app, lease=True))
        tokens = {
            event.data["claim_token"]
            for step_id in ids["step_id"]
            for event in app.history(step_id)
            if "claim_token" in event.data
        }
        shown = set()
        for endpoint, role in ENDPOINTS.items():
            method, path = endpoint.split()
            if method != "GET" or role != "read":
                continue
            name = (re.findall("{(.*)}", path) or [""])[0]
            for value in ids.get(name, [""]):
                url = path.replace(f"{{{name}}}", value)
                seen = http.get(url, headers=with_key_of("read"))
                whole = http.get(url, headers=with_key_of("read+payloads"))
                assert (seen.status_code, SECRET in seen.text) == (whole.status_code, False), url
                assert not [token for token in tokens if token in seen.text], url
                shown |= {endpoint} if SECRET in whole.text else set()
        assert shown == {
            "GET /status/{step_id}", "GET /steps", "GET /steps/{step_id}/history",
            "GET /workflows/{workflow_id}", "GET /schedules", "GET /schedules/{name}/history",
            "GET /admin/dlq", "GET /admin/audit",
        }  # fmt: skip


def test_role_read_sees_that_contents_are_hidden_and_what_is_not() -> None:
    with fleet_full_of_secrets() as (app, ids):
        http = TestClient(create_http(app))
        steps = [
            http.get(f"/status/{step_id}", headers=with_key_of("read")).json()
            for step_id in ids["step_id"]
        ]
        failed = next(step for step in steps if step["traceback"])
        assert failed["error"] == "ValueError: (hidden)"
        assert failed["traceback"] == "(hidden)"
        assert failed["payload"] == {"(hidden)": True}
        assert failed["task_type"] == "work"
        assert next(step for step in steps if step["result"])["result"] == "(hidden)"
        assert {"fraction": 0.5, "text": "(hidden)"} in [step["progress"] for step in steps]
        assert {"who": "(hidden)"} in [step["labels"] for step in steps]


@pytest.mark.parametrize("condition", [{"key": SECRET}, {"label": f"who={SECRET}"}])
def test_role_read_cannot_ask_for_contents_by_selecting_steps(condition: dict[str, str]) -> None:
    statuses = [
        EMPTY.get("/steps", params=condition, headers=with_key_of(role)).status_code
        for role in ("read", "read+payloads")
    ]
    assert statuses == [403, 200]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("ValueError: never-shown", "ValueError: (hidden)"),
        ("TimeoutError", "TimeoutError"),
        ("pod p died while it held the step", "pod p died while it held the step"),
        ("parent extract failed", "parent extract failed"),
        ("never-shown", "(hidden)"),
        ("customer never-shown: Error", "(hidden)"),
        ("pod p died while it held the step\nnever-shown", "(hidden)"),
    ],
)
def test_hidden_error_shows_the_class_of_the_exception_only(error: str, shown: str) -> None:
    assert hidden_error(error) == shown
