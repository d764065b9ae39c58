"""The command line, run in the process of the test."""

from __future__ import annotations

import json
import runpy
import sqlite3
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from fleet_q import FleetQ
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Fail
from fleet_q.services.cli import commands as cli
from fleet_q.services.cli import server
from tests.services.conftest import Command


def test_a_step_from_submission_to_cancellation(fleet_q: Command) -> None:
    code, out, _ = fleet_q("submit", '{"task_type": "t", "n": 1}', "--priority", "2")
    assert code == 0
    step_id = out.strip()
    status = json.loads(fleet_q("status", step_id, "--json")[1])
    assert (status["status"], status["priority"], status["payload"]["n"]) == ("pending", 2, 1)
    assert json.loads(fleet_q("cancel", step_id, "--json")[1])["status"] == "cancelled"
    history = json.loads(fleet_q("history", step_id, "--json")[1])
    assert [event["type"] for event in history] == ["submitted", "cancelled"]
    code, out, err = fleet_q("wait", step_id, "--json")
    assert (code, json.loads(out)["status"]) == (1, "cancelled")
    assert err == f"fleet-q: step '{step_id}' is cancelled\n"
    assert "cancelled" in fleet_q("history", step_id)[1]
    assert "cancelled" in fleet_q("status", step_id)[1]


@pytest.mark.parametrize("is_there", [False, True], ids=["no file", "empty file"])
def test_submit_reports_a_store_that_it_created(
    fleet_q: Command, tmp_path: Path, is_there: bool
) -> None:
    if is_there:
        (tmp_path / "fleet-q.db").touch()
    told = f"fleet-q: created a new store: sqlite {tmp_path / 'fleet-q.db'}\n"
    assert fleet_q("submit", "{}")[2] == told
    assert fleet_q("submit", "{}")[2] == ""


def test_every_command_that_prints_data_prints_json(fleet_q: Command) -> None:
    fleet_q("submit", "{}", "--step-id", "one")
    for command in (
        ["queue"], ["pods"], ["leader"], ["recover"], ["dlq", "list"], ["rebuild"],
        ["rebuild", "--check"], ["dlq", "replay", "--all"], ["status", "one"], ["history", "one"],
        ["cancel", "one"], ["submit", "{}"],
    ):  # fmt: skip
        code, out, err = fleet_q(*command, "--json")
        assert (code, err) == (0, ""), command
        json.loads(out)
        code, out, err = fleet_q(*command)
        assert (code, err) == (0, ""), command


def test_submit_takes_queue_key_labels_and_timeout(fleet_q: Command) -> None:
    words = ["--queue", "gpu", "--key", "c7", "--label", "day=1", "--label", "by=a=b"]
    fleet_q("submit", '{"task_type": "t"}', "--step-id", "one", "--timeout", "1.5", *words)
    step = json.loads(fleet_q("status", "one", "--json")[1])
    assert (step["queue"], step["task_type"], step["key"]) == ("gpu", "t", "c7")
    assert (step["labels"], step["timeout"]) == ({"day": "1", "by": "a=b"}, 1.5)


def test_submit_reads_steps_from_stdin_and_stores_all_or_none(fleet_q: Command) -> None:
    code, out, _ = fleet_q("submit", "-", "--json", stdin='{"n": 1}\n\n{"n": 2}\n')
    assert (code, len(json.loads(out))) == (0, 2)
    code, _, err = fleet_q("submit", "-", stdin='{"n": 3}\n[4]\n')
    assert (code, err) == (1, "fleet-q: line 2: payload must be a JSON object, not a list\n")
    assert json.loads(fleet_q("queue", "--json")[1])["pending"] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["submit", "{"], "not JSON"),
        (["submit", "[1]"], "must be a JSON object"),
        (["submit", '{"a": NaN}'], "not JSON"),
        (["submit", "{}", "--priority", "high"], "--priority"),
        (["submit", "{}", "--label", "day"], "label 'day' has no '='"),
        (["submit", "{}", "--label", "a=1", "--label", "a=2"], "label 'a' is given twice"),
        (["submit", "{}", "--queue", "a,b"], "queue must have no comma"),
        (["submit", "{}", "--delay", "-1"], "delay"),
        (["submit", "{}", "--delay", "nan"], "delay"),
        (["submit", "{}", "--step-id", ""], "step_id"),
        (["submit", "{}", "--bogus"], "--bogus"),
        (["submit"], "payload"),
        (["nonsense"], "nonsense"),
        (["status", "x"], "fleet-q.db; start a pod"),
        (["queue", "--store", "memory://"], "--store"),
        (["queue", "--store", "mysql://x"], "sqlite:///path"),
        (["queue", "--store", "sqlite://jobs.db"], "names no file"),
        (["submit", "{}", "--store", "sqlite:///no/such/folder/x.db"], "folder exists"),
        (["worker", "--app", "nothing_here:app"], "nothing_here"),
        (["worker", "--app", "json"], "module:app"),
        (["worker", "--app", "json:dumps"], "no FleetQ named 'dumps'"),
        (["queue", "--store", "sqlite://["], "is not a store's URL"),
        (["schema", "--store", "sqlite://["], "is not a store's URL"),
        (["submit", "{}", "--store", "sqlite:///a%00b"], "names no file"),
        (["dlq", "replay"], "--all"),
        (["demo", "--steps", "1"], "--steps"),
        (["serve", "--port", "99999"], "--port"),
        (["serve", "--host", "nowhere.invalid"], "cannot listen"),
    ],
)
def test_error_is_one_line_on_stderr(fleet_q: Command, words: list[str], says: str) -> None:
    code, out, err = fleet_q(*words)
    assert (code, out) == (1, "")
    assert err.startswith("fleet-q: ")
    assert err.count("\n") == 1
    assert says.lower() in err.lower()


@pytest.mark.parametrize(
    "words",
    [
        ["status", "\udcff"],
        ["history", "\udcff"],
        ["cancel", "\udcff"],
        ["wait", "\udcff"],
        ["dlq", "replay", "\udcff"],
        ["dlq", "list", "--limit", "9" * 23],
        ["dlq", "list", "--before", "²:x"],
        ["dlq", "list", "--before", "5:\udcff"],
    ],
)
def test_invalid_arguments_are_rejected_before_the_store_is_called(
    fleet_q: Command, words: list[str]
) -> None:
    fleet_q("submit", "{}")
    code, out, err = fleet_q(*words)
    assert (code, out) == (1, "")
    assert err.startswith("fleet-q: ")
    assert err.count("\n") == 1
    assert "-v prints the traceback" not in err


def test_unexpected_error_is_one_line_on_stderr(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FleetQ, "queue_stats", lambda _: 1 / 0)
    fleet_q("submit", "{}")
    code, out, err = fleet_q("queue")
    assert (code, out) == (1, "")
    assert err == "fleet-q: ZeroDivisionError: division by zero (-v prints the traceback)\n"
    assert "Traceback" in fleet_q("queue", "-v")[2]


def test_ctrl_c_is_reported_and_exits_with_130(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FleetQ, "wait", interrupted)
    fleet_q("submit", "{}")
    for words in (["wait", "x"], ["wait", "x", "-v"]):
        assert fleet_q(*words) == (130, "", "fleet-q: interrupted\n")


def test_an_app_that_exits_when_it_is_imported_is_an_error(
    fleet_q: Command, tmp_path: Path
) -> None:
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(4)\n")
    code, out, err = fleet_q("worker", "--app", "exits:app")
    assert (code, out) == (1, "")
    assert err == "fleet-q: --app exits:app: importing exits raised SystemExit: 4\n"


@pytest.mark.parametrize("words", [["queue", "-v"], ["-v", "queue"], ["-v", "queue", "--json"]])
def test_verbose_adds_the_traceback(fleet_q: Command, words: list[str]) -> None:
    assert "Traceback" in fleet_q(*words)[2]


def test_file_that_is_not_a_store_is_named_and_not_changed(
    fleet_q: Command, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text(
        "my notes, which are longer than a header of SQLite's\n" * 9
    )
    code, _, err = fleet_q("queue", "--store", "sqlite:///notes.txt")
    assert code == 1
    assert "not an SQLite database" in err
    assert (tmp_path / "notes.txt").read_text().startswith("my notes")


def test_store_of_a_newer_version_is_rejected(fleet_q: Command, tmp_path: Path) -> None:
    fleet_q("submit", "{}")
    with sqlite3.connect(tmp_path / "fleet-q.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    code, _, err = fleet_q("queue")
    assert (code, "schema version 99" in err) == (1, True)


def test_event_that_a_newer_version_wrote_is_an_error_of_one_line(
    fleet_q: Command, tmp_path: Path
) -> None:
    fleet_q("submit", "{}", "--step-id", "one")
    fleet_q("cancel", "one")
    with sqlite3.connect(tmp_path / "fleet-q.db") as connection:
        connection.execute("UPDATE step_events SET type = 'paused' WHERE version = 2")
    says = "event 2 of step 'one' is 'paused', which this version does not know; upgrade fleet-q"
    prune = ["prune", "--older-than", "0s", "--archive", "events.jsonl"]
    for words in (["history", "one"], ["rebuild"], ["rebuild", "--check"], prune):
        assert fleet_q(*words) == (1, "", f"fleet-q: {says}\n"), words


def test_settings_come_from_the_environment_and_an_env_file(
    fleet_q: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLEET_Q_STORE", raising=False)
    (tmp_path / ".env").write_text("FLEET_Q_STORE=sqlite:///other.db\n")
    fleet_q("submit", "{}")
    monkeypatch.delenv("FLEET_Q_STORE", raising=False)
    assert (tmp_path / "other.db").exists()
    monkeypatch.setenv("FLEET_Q_MAX_PARALLELISM", "many")
    assert "FLEET_Q_MAX_PARALLELISM='many'" in fleet_q("queue")[2]


def test_brackets_in_values_are_not_parsed_as_markup(fleet_q: Command) -> None:
    fleet_q("submit", '{"a": "[red]x[/nope]"}', "--step-id", "[bold]id[/x]")
    code, out, _ = fleet_q("status", "[bold]id[/x]")
    assert code == 0
    assert "[bold]id[/x]" in out
    assert "[red]x[/nope]" in out
    assert fleet_q("cancel", "[bold]id[/x]")[0] == 0


def test_recover_requeues_the_steps_of_a_dead_pod(fleet_q: Command, tmp_path: Path) -> None:
    fleet_q("submit", "{}", "--step-id", "mine")
    _hold(tmp_path, "mine")
    store = SqliteStore(tmp_path / "fleet-q.db")
    store.sync(SyncRequest("pod", "two", Join("pod", "two")))
    store.close()
    assert json.loads(fleet_q("recover", "--json")[1]) == {
        "dead_pods": 0, "total_orphans": 1, "resubmitted": 1, "terminal_failures": 0,
    }  # fmt: skip
    status = json.loads(fleet_q("status", "mine", "--json")[1])
    assert (status["status"], status["retry_count"]) == ("pending", 1)


def test_serve_listens_on_loopback_by_default(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        server,
        "run_server",
        lambda _, host, port, **options: asked.append((host, port, *options.values())),
    )
    assert fleet_q("serve")[0] == 0
    assert fleet_q("serve", "--host", "0.0.0.0", "--port", "80")[0] == 0
    assert fleet_q("serve", "--lease", "--task-types", "resize, load")[0] == 0
    assert asked == [
        ("127.0.0.1", 8000, False, None),
        ("0.0.0.0", 80, False, None),
        ("127.0.0.1", 8000, True, ["resize", "load"]),
    ]
    code, _, error = fleet_q("serve", "--task-types", "resize")
    assert (code, "--task-types needs --lease" in error) == (1, True)


def test_version_is_printed(fleet_q: Command) -> None:
    assert fleet_q("--version") == (0, f"fleet-q {metadata.version('fleet-q')}\n", "")


def test_module_of_the_distribution_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    setuptools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "fleet_q" in setuptools["packages"]
    main = root / setuptools["package-dir"]["fleet_q"] / "__main__.py"
    called = []
    monkeypatch.setattr(cli, "main", lambda: called.append(True))
    runpy.run_path(str(main), run_name="__main__")
    assert called == [True]


def test_command_without_arguments_prints_the_help(fleet_q: Command) -> None:
    code, out, err = fleet_q()
    assert (code, err) == (0, "")
    assert "Usage:" in out


def _hold(folder: Path, *step_ids: str, error: str | None = None) -> None:
    """Claim these steps for a pod, and fail them for good if an error is given."""
    store = SqliteStore(folder / "fleet-q.db")
    store.sync(
        SyncRequest("pod", "one", Join("pod", "one"), claim=len(step_ids), claim_token="its")
    )
    if error is not None:
        failures = tuple(Fail(step_id, "its", error, permanent=True) for step_id in step_ids)
        store.sync(SyncRequest("pod", "one", outcomes=failures))
    store.close()
