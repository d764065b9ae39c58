"""What pods tell the fleet about themselves, and which steps no pod takes."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace

from fleet_q import FleetQ, PodView, Settings
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join, Leave, PodDescription
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Submit
from fleet_q.services.app.settings import from_env
from fleet_q.services.app.version import app_version
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.pod_log import MOST_UNSERVED, PodLog
from tests.services.conftest import QUICK, Command, api_of
from tests.waiting import LIMIT, wait_until, wait_until_async


def the_pod(app: FleetQ) -> PodView:
    """The only pod of the app, while it runs."""

    async def main() -> PodView:
        async with app.running():
            return (await wait_until_async(app.pods))[0]

    return asyncio.run(main())


def put_pod(store: Store, pod_id: str, description: PodDescription | None) -> None:
    text = None if description is None else description.text
    store.sync(SyncRequest(pod_id, "one", Join(pod_id, "one", text)))


def test_pod_tells_its_host_version_slots_queues_and_types() -> None:
    settings = replace(QUICK, version="2026.11", queues=("gpu", "default"), max_parallelism=10)
    app = FleetQ("memory://", settings=settings)
    app.task("resize")(lambda: None)
    app.task("crop")(lambda: None)
    pod = the_pod(app)
    assert (pod.host, pod.version, pod.slots) == (socket.gethostname(), "2026.11", 8)
    assert (pod.queues, pod.task_types) == (("gpu", "default"), ("crop", "resize"))


def test_pod_with_an_executor_takes_all_types_of_all_queues(app: FleetQ) -> None:
    app.task("resize")(lambda: None)
    app.executor(lambda step: None)
    pod = the_pod(app)
    assert (pod.queues, pod.task_types) == (None, None)


def test_consumer_tells_what_it_claims(app: FleetQ) -> None:
    with app.consumer(["gpu"], ["resize", ""], slots=3):
        (pod,) = wait_until(app.pods)
    assert (pod.slots, pod.queues, pod.task_types) == (3, ("gpu",), ("resize", ""))
    assert pod.host == socket.gethostname()


def test_host_whose_name_is_no_text_is_told_in_part(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "h\udcff")
    app.executor(lambda step: None)
    assert the_pod(app).host == "h?"


def test_version_is_that_of_the_distribution_of_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version, package in (("named-alike", "1.2", "x"), ("other", "3.4", "mine")):
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"{package}\n")
    (tmp_path / "mine.py").write_text("from fleet_q import FleetQ\napp = FleetQ('memory://')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    app_version.cache_clear()
    assert app_version("named_alike.tasks.app") == "1.2"
    assert app_version("mine") == "3.4"
    import mine  # type: ignore[import-not-found]

    app: FleetQ = mine.app
    app.use(settings=QUICK)
    app.executor(lambda step: None)
    assert the_pod(app).version == "3.4"
    del sys.modules["mine"]


def test_pod_starts_beside_a_package_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "top_level.txt").write_bytes(b"\xff")
    monkeypatch.syspath_prepend(str(tmp_path))
    app_version.cache_clear()
    assert app_version("no_such_package") is None


@pytest.mark.parametrize("module", [None, "__main__", "fleet_q.services.app", "no_such_package"])
def test_app_of_no_distribution_has_no_version(module: str | None) -> None:
    assert app_version(module) is None


def test_version_of_the_environment_is_checked() -> None:
    assert from_env({"FLEET_Q_VERSION": "1.0"}).version == "1.0"
    assert Settings().version is None
    with pytest.raises(Exception, match="FLEET_Q_VERSION must be a text of 1 to 200"):
        from_env({"FLEET_Q_VERSION": "x" * 201})


def test_command_shows_live_pods_in_80_columns_and_all_fields_as_json(
    fleet_q: Command, tmp_path: Path
) -> None:
    on_kubernetes = "fleet-q-7d9c6b4f5d-x2x8a"
    told = PodDescription(
        on_kubernetes, "1.4.2", 6, ("gpu", "default"), tuple(f"task-{n}" for n in range(20))
    )
    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        put_pod(store, on_kubernetes, told)
        put_pod(store, "left", PodDescription("elsewhere", None, 1))
        store.sync(SyncRequest("left", "one", Leave("left", "one")))
    (pod,) = json.loads(fleet_q("pods", "--json")[1])
    assert pod["pod_id"] == on_kubernetes
    assert (pod["host"], pod["version"], pod["slots"]) == (on_kubernetes, "1.4.2", 6)
    assert (pod["queues"], len(pod["task_types"])) == (["gpu", "default"], 20)
    head, line = fleet_q("pods")[1].splitlines()
    assert head.split() == ["pod_id", "state", "slots", "version", "queues", "task_types"]
    assert line.split()[:6] == [on_kubernetes, "up,", "leader", "6", "1.4.2", "gpu,"]
    _, *lines = fleet_q("pods", "--all")[1].splitlines()
    assert [line.split()[0] for line in lines] == [on_kubernetes, "left"]
    everything = json.loads(fleet_q("pods", "--all", "--json")[1])
    assert [pod["ended"] for pod in everything] == [None, "left"]
    assert (everything[1]["queues"], everything[1]["task_types"]) == (None, None)


def test_line_of_a_pod_fits_a_terminal_of_80_columns(
    fleet_q: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fleet_q.services.cli import output

    monkeypatch.setattr(output, "terminal_width", lambda: 80)
    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        types = tuple(f"task-{n}" for n in range(20))
        put_pod(store, "fleet-q-7d9c6b4f5d-x2x8a", PodDescription("fleet-q", "1", 6, None, types))
    lines = fleet_q("pods")[1].splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert max(map(len, lines)) <= 80


def test_pod_that_told_nothing_is_shown_with_dashes(fleet_q: Command, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        put_pod(store, "pod", None)
    assert fleet_q("pods")[1].splitlines()[1].split() == ["pod", "up,", "leader", *"----"]


def test_command_names_pods_that_are_not_alive_if_none_is(fleet_q: Command, tmp_path: Path) -> None:
    SqliteStore(tmp_path / "fleet-q.db").close()
    assert fleet_q("pods")[1] == "no pod is alive; others: fleet-q pods --all\n"
    assert fleet_q("pods", "--all")[1] == "no pod has started yet\n"


def test_http_lists_live_pods_and_all(app: FleetQ) -> None:
    put_pod(app.store, "live", PodDescription("h", "1", 6, ("gpu",), ("resize",)))
    put_pod(app.store, "left", None)
    app.store.sync(SyncRequest("left", "one", Leave("left", "one")))
    with TestClient(api_of(app)) as http:
        (pod,) = http.get("/admin/pods").json()
        expected: dict[str, Any] = {
            "pod_id": "live", "host": "h", "version": "1", "slots": 6, "queues": ["gpu"],
            "task_types": ["resize"], "ended": None,
        }  # fmt: skip
        assert {name: pod[name] for name in expected} == expected
        everything = http.get("/admin/pods", params={"all": True}).json()
        assert [pod["pod_id"] for pod in everything] == ["live", "left"]


def test_steps_that_no_pod_takes_are_shown_until_one_does(fleet_q: Command, tmp_path: Path) -> None:
    def shown() -> list[tuple[str, str | None]]:
        rows = json.loads(fleet_q("queue", "--json")[1])["queues"]
        pairs = [(row["queue"], row["task_type"]) for row in rows if row["unserved"]]
        lines = [line.split() for line in fleet_q("queue")[1].splitlines()]
        told = [(line[0], line[1]) for line in lines if line and line[-1] == "unserved"]
        assert [(queue, task_type or "-") for queue, task_type in pairs] == told
        return pairs

    with closing(SqliteStore(tmp_path / "fleet-q.db")) as store:
        put_pod(store, "pod", PodDescription("h", "1", 6, None, ("old", "done")))
        for number, (queue, task_type) in enumerate([("gpu", "new"), ("gpu", "old"), ("a", "")]):
            store.submit([Submit(f"step {number}", "{}", queue=queue, task_type=task_type)])
        assert shown() == [("a", None), ("gpu", "new")]
        put_pod(store, "new", PodDescription("h", "2", 6, ("gpu",), ("old", "new", "")))
        assert shown() == [("a", None)]
        store.sync(SyncRequest("pod", "one", Leave("pod", "one"), claim=0))
        assert shown() == [("a", None)]
        store.cancel("step 2")
        assert shown() == []


def test_admin_queue_tells_what_no_pod_takes(app: FleetQ) -> None:
    app.submit({"task_type": "new"})
    with TestClient(api_of(app)) as http:
        (row,) = http.get("/admin/queue").json()["queues"]
        assert row["unserved"]
        put_pod(app.store, "pod", PodDescription("h", None, 6, None, ("new",)))
        (row,) = http.get("/admin/queue").json()["queues"]
        assert not row["unserved"]


def test_leader_logs_steps_that_no_pod_takes_once_each(
    app: FleetQ, caplog: pytest.LogCaptureFixture
) -> None:
    app.task("old")(lambda: None)

    def lines() -> list[str]:
        assert wait_for_handlers(LIMIT)
        return [r.getMessage() for r in caplog.records if r.getMessage().startswith("unserved")]

    async def main() -> None:
        async with app.running():
            app.submit({"task_type": "new"}, queue="gpu")
            await wait_until_async(lambda: len(lines()) == 1)
            app.submit({"task_type": "new"}, queue="gpu")
            app.submit({"task_type": "other"})
            await wait_until_async(lambda: len(lines()) >= 2)

    asyncio.run(main())
    assert lines() == [
        "unserved: no live pod takes task type 'new' of queue 'gpu'",
        "unserved: no live pod takes task type 'other' of queue 'default'",
    ]


def test_log_of_very_many_unserved_types_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        PodLog("pod").on_unserved([("default", f"t{n}") for n in range(MOST_UNSERVED + 3)])
        assert wait_for_handlers(LIMIT)
    assert len(caplog.records) == MOST_UNSERVED + 1
    assert caplog.records[-1].getMessage() == "unserved: 3 more, see fleet-q queue"


def test_installed_packages_are_known_by_name() -> None:
    assert app_version("msgspec.json") == metadata.version("msgspec")
