"""What a shell completes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ
from fleet_q.services.cli import completion
from fleet_q.services.cli.completion import Complete

STORE = "sqlite:///jobs.db"


class Context:
    """The context of a command whose options so far are ``params``."""

    def __init__(self, **params: str) -> None:
        self.params = params


def completed(complete: Complete, incomplete: str = "", **params: str) -> list[str]:
    context: Any = Context(**params)
    return complete(context, incomplete)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetQ:
    monkeypatch.chdir(tmp_path)
    app = FleetQ(STORE)
    app.submit({"task_type": "resize"}, step_id="a-1", queue="gpu")
    app.submit({"task_type": "crop"}, step_id="b-2")
    app.schedules.put("nightly", {}, cron="0 2 * * *")
    return app


def test_names_and_ids_of_the_store_are_completed(app: FleetQ) -> None:
    assert completed(completion.step_ids, "a", store=STORE) == ["a-1"]
    assert set(completed(completion.task_types, store=STORE)) == {"resize", "crop"}
    assert completed(completion.queues, "g", store=STORE) == ["gpu"]
    assert completed(completion.schedules, "nigh", store=STORE) == ["nightly"]
    assert completion.statuses("c") == ["claimed", "completed", "cancelled"]


def test_store_that_is_none_or_does_not_exist_completes_nothing(app: FleetQ) -> None:
    assert completed(completion.step_ids, store="sqlite:///other.db") == []
    assert not Path("other.db").exists()
    assert completed(completion.step_ids, store="memory://") == []
    assert completed(completion.task_types, app="no_such_module:app") == []


def test_words_that_bash_splits_at_colons_are_joined() -> None:
    words = "fleet-q\nhistory\n--store\nsqlite\n:\n///jobs.db\n--app\ntasks\n:\napp\nst"
    environment = {
        "_FLEET_Q_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "10",
    }  # fmt: skip
    completion.join_words(environment)
    assert environment["COMP_WORDS"].split() == [
        "fleet-q", "history", "--store", "sqlite:///jobs.db", "--app", "tasks:app", "st",
    ]  # fmt: skip
    assert environment["COMP_CWORD"] == "6"
    other = {"COMP_WORDS": words, "COMP_CWORD": "10"}
    completion.join_words(other)
    assert other["COMP_CWORD"] == "10"
